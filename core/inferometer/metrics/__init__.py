"""Metrics, declared as data, and their evaluation.

declaration   what a metric is
catalogue     the metrics there are
windows       the grains ``window`` and ``request``
energy        the grain ``meter``
evaluate      one number per launch, load point and metric
"""
