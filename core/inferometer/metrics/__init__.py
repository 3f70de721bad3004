"""Metrics, declared as data, and their evaluation.

declaration   what a metric is
catalogue     the metrics there are; joules: those of energy
windows       the grains ``window`` and ``request``
phases        prefill and decode in a window
steadiness    was a window steady, and how noisy
goodput       the requests that met the study's objectives
distributions percentiles and shares of requests, of one window or of all launches of a cell
energy        joules of each meter
shares        the grain ``meter``: those joules, their peak, what is net of idle, host and carbon
evaluate      one number per launch, load point and metric
"""
