"""What readings of meters amount to: joules with a plus-minus, or a reason; never a doubtful sum.

series      one device's readings, and the faults that forbid a number
edges       joules of one device between two moments
account     one meter: which devices count, and their sum
agreement   two instruments on one thing
aliasing    a load in step with a sensor that looks part of the time
clocks      a meter whose clock runs ahead of the tokens'

And what is made of joules:

split       prefill and decode, by a fit over windows of different shape
idle        the watts of stretches without load, and energy net of them
power       the highest second of a window
starved     whether the accelerator was the bottleneck
conditions  temperatures, limits, throttling and clocks, judged
carbon      what the study declares: PUE, carbon intensity, the host's watts
"""
