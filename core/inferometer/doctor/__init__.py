"""Whether this machine can be measured on, in single checks, each with what was found and a remedy.

Reads only: no network, no results, nothing left behind. A check that raises or hangs is one failed
line, and the others go on.
"""
