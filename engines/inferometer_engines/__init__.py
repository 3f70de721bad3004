"""Engine adapters: one file each, public hooks only."""
