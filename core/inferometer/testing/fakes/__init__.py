"""Fake engine servers: processes that take an engine's command line and behave as it does."""
