"""The sections of a report as blocks: what they say, whatever the output."""
