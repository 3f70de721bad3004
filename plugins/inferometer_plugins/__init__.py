"""Bundled plugins that are neither engine nor report."""
