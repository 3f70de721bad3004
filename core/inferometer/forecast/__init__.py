"""What a plan will take before it runs: machine time, GPU-hours, dollars; and what fits a budget.

Pure functions of a plan, of what past launches took (:mod:`inferometer.forecast.past`) and of
stated assumptions. Nothing here starts or reads an engine, and no table library is loaded.
"""
