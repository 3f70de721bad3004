"""What requests are made of: lengths, data sets, shared prefixes, presets and traces.

Everything here is a pure function of its arguments and its files. Measuring half: no table or
array library is imported.
"""
