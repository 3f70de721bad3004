"""``inferometer bench``: the load path on a server that somebody else runs.

:mod:`.work` makes requests of the options, :mod:`.measure` offers them, :mod:`.figures` and
:mod:`.checks` turn what came back into the keys of ``docs/reference/bench.md``. Plain Python: no
table or array library is imported.
"""
