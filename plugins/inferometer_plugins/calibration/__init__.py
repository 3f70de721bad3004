"""From stored results to a simulated engine, with the error that it was seen to make.

What is fitted, how, and what that does not say: docs/reference/simulate.md. Importing this loads
nothing; its modules load arrays and tables.
"""
