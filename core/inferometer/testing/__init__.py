"""What authors of engines and plugins test with: the oracle server, builders of results."""
