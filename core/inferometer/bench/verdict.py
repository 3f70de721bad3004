"""Is the figure the server's, or the client's? The evidence of one bench, and its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import checks, retokenise
from inferometer.comparison import Check
from inferometer.records import Window

if TYPE_CHECKING:
    from inferometer.bench.options import Options
    from inferometer.loadgen.driver import LoadResult

BROKEN_OFF = "ran to the end"
"""Name of the check that a load fails which was broken off; no other load has it."""


def verdict(
    result: LoadResult, options: Options, *, whole: bool, reuse: float = 0.0, broken_off: str = ""
) -> list[Check]:
    """Return every check that applies to the load.

    ``whole``: it was a number of requests, and all were answered. ``reuse`` is the share of the
    prompts that a cache may have held. ``broken_off`` says why it ended early.
    """
    exact = options.tokenizer is not None and options.endpoint == "completions"
    window = _window(result, options, reuse)
    found = checks.judge(
        checks.observe(window, result.requests, result.chunks, whole=whole, pinned=exact)
    )
    return [_broken(broken_off), *found] if broken_off else found


def _broken(reason: str) -> Check:
    rule = "the load was neither interrupted nor left by its server"
    return Check(name=BROKEN_OFF, rule=rule, value="broken off", verdict="fail", detail=reason)


def _window(result: LoadResult, options: Options, reuse: float) -> Window:
    """Return the load as a study would record it."""
    open_loop = "burst" if options.burst else "trace" if options.trace else options.arrivals
    window = Window(
        load_point=0,
        workload="bench",
        load="bench",
        concurrency=options.concurrency,
        arrivals="" if options.concurrency is not None else open_loop,
        rate=options.rate,
        work_sha256="",
        prompts=len({request.prompt for request in result.requests}),
        reuse=reuse,
        **result.facts(),
    )
    if options.tokenizer is None:
        return window
    return retokenise.told(window, result, options.tokenizer)
