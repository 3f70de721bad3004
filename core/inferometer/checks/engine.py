"""Checks against the engine's own counters: whether it says that it did what the client saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.checks.evidence import Evidence, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.checks.evidence import Verdict
    from inferometer.comparison import Check

EACH = 2
"""Tokens a request in flight may have on their way at either edge of the span."""


def tokens(seen: Evidence) -> Check | None:
    """Compare the tokens that the engine says it generated with those the client received.

    Over the span between two readings of the counters, shortly before the window opens and after
    it closes. Some engines count every token, others those of a request when it ends: what is
    between the tokens received and those of the requests that ended is right. At the edges tokens
    are on their way, and the engine goes on until it has heard that the load was cut.
    """
    window, name = seen.window, "engine's count"
    rule = "tokens the engine counts = received, but for the edges and 1 %; 5 % more warn"
    said = window.counters.get("output_tokens")
    if not window.counters and window.counters_reason is None:
        return None
    if said is None:
        reason = window.counters_detail or "it counts no output tokens"
        return check(name, rule, "unknown", "unknown", reason)
    if seen.received is None:
        return check(name, rule, "unknown", "unknown", "nothing tells the tokens of every event")
    start, end = window.counters_start_ns or 0, window.counters_end_ns or 0
    ended = sum(
        c.output_tokens or 0 for c in seen.load if c.status == "ok" and start <= (c.last_ns or 0)
    )
    low, high = sorted((seen.received, float(ended)))
    rate = seen.received / max(1e-9, (min(end, window.end_ns) - start) * 1e-9)
    edges = EACH * seen.open_at(start) + EACH * seen.open_at_end
    slack = 0.01 * seen.received + edges + rate * (window.counters_slack_ms or 0.0) * 1e-3
    off = max(0.0, low - slack - said, said - high - slack) / max(1.0, seen.received)
    value = f"{said:.0f} counted, {seen.received:.0f} received"
    return check(name, rule, value, "pass" if not off else "warn" if off <= 0.05 else "fail")


def preemptions(seen: Evidence) -> Check | None:
    """Look for requests that were thrown out of the batch and computed again."""
    found = seen.window.counters.get("preemptions")
    if found is None:
        return None
    words = "" if not found else "work was done twice: the KV cache is too small for this load"
    rule = "requests that the engine preempted: 0 pass"
    return check("preemptions", rule, f"{found:.0f}", "warn" if found else "pass", words)


def hits(seen: Evidence) -> Check | None:
    """Look for prompt tokens that the engine took from its cache in a cold workload."""
    window, counters = seen.window, seen.window.counters
    if window.cache == "warm" or window.reuse:
        return None
    cached = counters.get("prefix_cache_hits", counters.get("prompt_tokens_cached"))
    asked = counters.get("prefix_cache_queries", counters.get("prompt_tokens"))
    if cached is None or not asked:
        return None
    share = cached / asked
    verdict: Verdict = "fail" if share >= 0.01 else "warn" if cached else "pass"
    rule = "prompt tokens that the engine found in its cache: 0 pass, < 1 % warn"
    return check("engine's cache", rule, f"{cached:.0f} of {asked:.0f}", verdict)


CHECKS: tuple[Callable[[Evidence], Check | None], ...] = (tokens, preemptions, hits)
