"""How sure a number is, and what may be said of two of them: pure functions over plain numbers.

Inside one launch: percentiles, shares and batch means, whose samples depend on each other. Over
launches: variance components, sequential verdicts, comparison at equal interactivity, Pareto
fronts. ``docs/explanation/ranking.md`` tells the rules and where they come from.
"""
