"""How a run stands, in words: the same in another shell and in the live view."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from inferometer.journal_records import words
from inferometer.numbers import number
from inferometer.progress import duration
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.flights import InFlight
    from inferometer.journal_records import Figure
    from inferometer.standing import Standing

STOPS = {
    "decided": "every pair is decided",
    "failed": "of every open pair a stack has failed",
    "rounds": "that was the last round",
    "budget": "the next round would not fit into the minutes left",
}
"""Why no further round begins, by the reason of a look."""
FOREVER_S = 1e18
FIXED = "none before the last round: this study is judged once"


def rows(standing: Standing) -> list[tuple[str, str]]:
    """Return what matters now, each line with its name; all of it printable."""
    found = [
        ("run", _state(standing)),
        ("launches", _launches(standing)),
        ("left", _left(standing)),
        ("now", _now(standing)),
        *((each.node, _flying(each, standing.now_ns)) for each in standing.nodes),
        ("seen", seen(standing.figures[-1]) if standing.figures else ""),
        ("verdicts", _verdicts(standing)),
        ("cost", _cost(standing)),
    ]
    return [(name, plain(text)) for name, text in found if text]


def _state(standing: Standing) -> str:
    parts: list[str] = [standing.state]
    if standing.begun_ns is not None:
        parts.append(f"begun {at(standing.begun_ns)}")
    if standing.state == "running":
        parts.append(f"process {standing.pid}")
    elif standing.last_ns is not None:
        parts.append(f"last heard of {at(standing.last_ns)}")
    text = ", ".join(parts)
    return f"{text}: {standing.detail}" if standing.detail else text


def _launches(standing: Standing) -> str:
    failed = f", {standing.failed} failed" if standing.failed else ""
    return f"{standing.done} of {standing.planned} done{failed}, {standing.left} left"


def _left(standing: Standing) -> str:
    if standing.state != "running":
        return ""
    if standing.left_s is None:
        return "not known before a launch is whole"
    until = clock(standing.now_ns + round(min(standing.left_s, FOREVER_S) * 1e9))
    most = "at most " if standing.at_most else ""
    return f"{most}about {duration(standing.left_s)}, until about {until}"


def _now(standing: Standing) -> str:
    if standing.state != "running":
        return ""
    parts = [part for part in (standing.launch, standing.stage.strip()) if part]
    text = ": ".join(parts)
    if standing.window_until_ns is not None:
        text += f"; window until {clock(standing.window_until_ns, seconds=True)}"
    return text


def _flying(each: InFlight, now_ns: int) -> str:
    text = ": ".join(part for part in (each.launch, each.stage.strip()) if part)
    if each.window_until_ns is not None and each.window_until_ns > now_ns:
        text += f"; window until {clock(each.window_until_ns, seconds=True)}"
    return text


def seen(figure: Figure) -> str:
    """Return one window's figures: ``vllm on m, chat, 8 streams: about 51.6 output tok/s, ...``."""
    where = f"{figure.stack} on {figure.model}, {figure.workload}, {figure.load}"
    return f"{where}: {words(figure)}"


def means(figures: Iterable[Figure]) -> list[tuple[str, str]]:
    """Return the mean of what was seen so far at each load point, by stack: no verdict."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        where = f"{figure.stack} on {figure.model}, {figure.workload}, {figure.load}"
        groups.setdefault(where, []).append(figure)
    return [(plain(where), _mean(found)) for where, found in sorted(groups.items())]


def _mean(found: Sequence[Figure]) -> str:
    rates = [figure.output_tps for figure in found if figure.output_tps is not None]
    launches = f"{len(found)} window{'' if len(found) == 1 else 's'}"
    if not rates:
        return f"no tokens in {launches}"
    kind = " (simulated)" if any(figure.simulated for figure in found) else ""
    return f"about {number(sum(rates) / len(rates))} output tok/s{kind}, mean of {launches}"


def _verdicts(standing: Standing) -> str:
    verdicts = standing.verdicts
    if verdicts is None:
        return FIXED if standing.done < standing.planned else "in the report"
    if not verdicts.rounds:
        return "none yet: nobody has looked"
    parts = [f"after round {verdicts.rounds}"]
    if verdicts.ended:
        parts.append(f"decided: {', '.join(verdicts.ended)}")
    if verdicts.undecided:
        count = len(verdicts.undecided)
        parts.append(f"open: {count} pair{'' if count == 1 else 's'}")
    if verdicts.stop:
        parts.append(STOPS.get(verdicts.stop, verdicts.stop))
    return "; ".join(parts)


def _cost(standing: Standing) -> str:
    if standing.begun_ns is None:
        return ""
    if standing.cost_usd is None or standing.usd_per_hour is None:
        return f"n/a (no price in the study); the machine was held for {duration(standing.held_s)}"
    price = number(standing.usd_per_hour)
    held = duration(standing.held_s)
    return f"{number(standing.cost_usd)} USD for {held} at {price} USD/h (estimated)"


def at(t_ns: int) -> str:
    """Return a moment in local time: ``2026-11-22 23:36:10``."""
    return _said(t_ns, "%Y-%m-%d %H:%M:%S")


def clock(t_ns: int, *, seconds: bool = False) -> str:
    """Return the time of day: ``23:36``, with ``seconds`` ``23:36:10``."""
    return _said(t_ns, "%H:%M:%S" if seconds else "%H:%M")


def _said(t_ns: int, form: str) -> str:
    try:
        return time.strftime(form, time.localtime(t_ns // 1_000_000_000))
    except (OverflowError, ValueError, OSError):  # a damaged file may say any number
        return "no time that there is"
