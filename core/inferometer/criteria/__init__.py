"""Several criteria: stacks at equal interactivity, Pareto fronts, and weights on request.

Throughput, energy and cost stay three rankings. What is added here: the comparison where a user
is served equally fast, the trade against that speed, and, only when asked for, what weights would
choose.
"""
