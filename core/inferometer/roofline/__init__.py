"""What hardware can do, and what a decode step asks of it.

accelerators   makers' figures, by the name the driver gives: data, with sources
machines       what served a launch: its accelerators, or the processor as it was probed
steps          bytes and FLOPs of one decode step, from what a launch recorded of its model
"""
