"""What authors of engines and plugins test with: oracle server, result builders, conformance."""
