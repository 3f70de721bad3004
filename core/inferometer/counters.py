"""Read what an engine counts about itself, in canonical names, and how much it grew.

Engines count from their start, their own warm-up included, so a counter means something only as
the difference of two snapshots of one launch. ::

    before = snapshot(engine.metrics, fetch)
    ...
    grown = difference(before, snapshot(engine.metrics, fetch, before))
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.engine import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from inferometer.engine import Counter, Metrics

    Labels = Mapping[str, str]
    Series = tuple[Labels, float]

RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
"""Labels of processes that work on the same tokens: each counts them all."""
LARGEST = 1e18
"""No counter of an engine is near it: what says more, or NaN, says nothing."""
QUOTED = r'"((?:[^"\\]|\\.)*)"'
NUMBER = r"([+-]?(?:\d[\d.eE+-]*|(?i:inf|nan)))"
SAMPLE = re.compile(
    rf"([a-zA-Z_:][\w:]*)(?:\{{((?:[^\"}}]|{QUOTED})*)\}})?\s+{NUMBER}(?:\s|$)", re.ASCII
)
"""Name, labels, value; what may follow (time, exemplar) is not read."""
LABEL = re.compile(rf"(?<!\w)([a-zA-Z_]\w*)\s*=\s*{QUOTED}", re.ASCII)
ESCAPED = re.compile(r"\\(.)")


class UnreadableCounters(ValueError):  # noqa: N818 -- an answer of the engine, not our fault
    """The answer is not in the form that the adapter declares."""

    reason = "unreadable_counters"


class CounterReset(ValueError):  # noqa: N818 -- as above
    """A counter went backwards: the engine, or a part of it, was started again."""

    reason = "counter_reset"


def snapshot(
    metrics: Metrics, fetch: Callable[[str], bytes], before: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the values that the engine tells now, by their names in ``engine.QUANTITIES``.

    ``fetch`` GETs a path and returns the body of its 200 answer; what it raises comes through. A
    quantity that the engine does not tell is absent. Of a source that drains, the counters are
    those of ``before`` and what came since, so that every source can be read the same way.

    Raises:
        UnreadableCounters: the answer is not what ``metrics.form`` says.
    """
    body = fetch(metrics.path)
    series = _prometheus if metrics.form == "prometheus" else _json
    found: dict[str, float] = {}
    for counter, values in series(body, metrics.counters):
        if values:
            told = _combined(counter.name, values)
            found[counter.name] = found.get(counter.name, 0.0) + told
    if metrics.drains and before:
        for name in filter(_grows, before):
            found[name] = before[name] + found.get(name, 0.0)
    return found


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each counter grew; gauges have no difference and are left out.

    A counter that is new in ``after`` began at 0: a labelled series appears when it first counts.

    Raises:
        CounterReset: a counter fell or is gone; names it.
    """
    grown = {}
    for name in filter(_grows, QUANTITIES):
        if name not in before and name not in after:
            continue
        old, new = before.get(name, 0.0), after.get(name)
        if new is None or new < old:
            now = "gone" if new is None else f"{new:g}"
            raise CounterReset(f"{name} was {old:g} and is {now}: the engine started again")
        grown[name] = new - old
    return grown


def _grows(name: str) -> bool:
    return QUANTITIES[name][1] == "counter"


def _combined(name: str, values: Sequence[float]) -> float:
    """Add what replicas count; of shares the mean."""
    total = math.fsum(values)
    return total / len(values) if QUANTITIES[name][0] == "share" else total


# -- Prometheus text -----------------------------------------------------------------------------


def _prometheus(body: bytes, wanted: Iterable[Counter]) -> Iterator[tuple[Counter, list[float]]]:
    counters = list(wanted)
    families: dict[str, list[Series]] = {counter.source: [] for counter in counters}
    samples = 0
    text = body.decode("utf-8", "replace")
    for line in text.split("\n"):
        if not line.startswith("#") and (found := SAMPLE.match(line)):
            samples += 1
            if found[1] in families:
                families[found[1]] += _sample(found[2] or "", found[4])
    if text.strip() and not samples and not text.lstrip().startswith("#"):
        raise UnreadableCounters(f"not Prometheus text: {text.strip()[:80]!r}")
    for counter in counters:
        matching = [
            (labels, value)
            for labels, value in families[counter.source]
            if all(labels.get(key) == said for key, said in counter.labels.items())
        ]
        yield counter, _one_rank(matching)


def _sample(labels: str, text: str) -> list[Series]:
    try:
        value = float(text)
    except ValueError:
        return []
    if not abs(value) < LARGEST:
        return []
    return [({key: ESCAPED.sub(_plain, said) for key, said in LABEL.findall(labels)}, value)]


def _plain(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


def _one_rank(series: Iterable[Series]) -> list[float]:
    """Return the values of the lowest rank of each replica: the others counted the same tokens."""
    lowest: dict[tuple[tuple[str, str], ...], tuple[list[int], float]] = {}
    for labels, value in series:
        replica = tuple(sorted((k, v) for k, v in labels.items() if k not in RANKS))
        rank = [_number(labels.get(name, "0")) for name in RANKS]
        if replica not in lowest or rank < lowest[replica][0]:
            lowest[replica] = (rank, value)
    return [value for _, value in lowest.values()]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


# -- JSON ----------------------------------------------------------------------------------------


def _json(body: bytes, wanted: Iterable[Counter]) -> Iterator[tuple[Counter, list[float]]]:
    """Read a list of records (or one): counters add up over them, of a gauge the last one holds."""
    try:
        decoded = msgspec.json.decode(body) if body.strip() else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableCounters(f"not JSON: {error}") from error
    records = [decoded] if isinstance(decoded, dict) else decoded
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise UnreadableCounters("not a list of JSON objects")
    for counter in wanted:
        values = [
            float(value)
            for record in records
            if all(str(_at(record, key)) == said for key, said in counter.labels.items())
            and isinstance(value := _at(record, counter.source), int | float)
            and abs(value) < LARGEST
        ]
        yield counter, [math.fsum(values)] if values and _grows(counter.name) else values[-1:]


def _at(record: Any, path: str) -> Any:
    for key in path.split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return record
