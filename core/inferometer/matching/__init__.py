"""Dense against mixture-of-experts: what is matched, who gains, and whether the answer depends.

Pure, on plain values, so that a study and a published table go through the same code:

matches     total parameters, active parameters, memory, quality
points      one model's load points, read at equal load, at equal interactivity, each at its best
gains       MoE over dense, and the ratio of two such ratios, paired by round
sides       which of the two is better: surely, or as it looks
findings    what each match says, and whether the answers contradict each other

From a study's evidence to what a report says:

pairs       which models are compared, and which are kept out
cases       the load points of a pair on one stack, as the cells have them
orders      whether two stacks change places between dense and MoE
knobs       how each stack ran each model
build       all of it
"""
