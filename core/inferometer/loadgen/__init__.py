"""The load path: offer requests to a server, stamp what comes back, count tokens."""
