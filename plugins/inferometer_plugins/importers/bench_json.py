"""What the clients that descend from vLLM's first one have in common: keys, and rows as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.importer import ForeignFile, document, number
from inferometer_plugins.importers.figures import Row
from inferometer_plugins.importers.quantities import PERCENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Source
    from inferometer_plugins.importers.figures import Figures

Table = dict[str, Any]


class Key(NamedTuple):
    """An id, and what the file calls it; seconds times 1000 where ``scale`` says so."""

    id: str
    key: str
    scale: float = 1


TOTALS = (
    Key("run_output_tok_s", "output_throughput"),
    Key("run_requests_s", "request_throughput"),
    Key("duration_s", "duration"),
    Key("finished_requests", "completed"),
    Key("failed_requests", "failed"),
    Key("input_tokens", "total_input_tokens"),
    Key("output_tokens", "total_output_tokens"),
)


def documents(content: bytes) -> list[tuple[str, Any]]:
    """Return the JSON values of a file with their places in it: one, or one a line.

    Raises:
        ForeignFile: there is none, or it is damaged.
    """
    lines = [(f"line {n} ", it) for n, it in enumerate(content.splitlines(), 1) if it.strip()]
    try:
        first = document(lines[0][1]) if len(lines) > 1 else None
    except ForeignFile:
        first = None  # one value over several lines
    if first is None:
        return [("", document(content))]
    return [(lines[0][0], first), *((where, document(line)) for where, line in lines[1:])]


def each(
    sources: Sequence[Source], read: Callable[[Source, Any, str, int], Imported]
) -> list[Imported]:
    """Return what ``read`` makes of each value: its file, itself, its place there and its number.

    Raises:
        ForeignFile: a value is not of the format.
    """
    return [
        read(source, said, where, number_)
        for source in sources
        for number_, (where, said) in enumerate(documents(source.content))
    ]


def latencies(names: Mapping[str, str], suffix: str = "_ms", scale: float = 1) -> Iterator[Key]:
    """Yield the keys of means and percentiles; ``names`` are theirs by ours."""
    for ours, theirs in names.items():
        yield Key(f"{ours}_ms", f"mean_{theirs}{suffix}", scale)
        of_finished = "" if ours == "inter_chunk" else "_finished"
        for percent in PERCENTS:
            word = "median" if percent == 50 else f"p{percent}"
            yield Key(f"{ours}_p{percent}{of_finished}_ms", f"{word}_{theirs}{suffix}", scale)


def add(found: Figures, said: Table, keys: Iterable[Key], where: str = "") -> None:
    """Add every key that the file has; ``where`` is the place of ``said`` in it."""
    for key in keys:
        value = number(said.get(key.key))
        # these clients write 0 for a latency that they did not see
        if value is not None and (value > 0 or not key.id.endswith("_ms")):
            found.add(key.id, value * key.scale, f"{where}{key.key}")


def rows(said: Table) -> list[Row]:
    """Return the requests of a file with details, none of another.

    Raises:
        ForeignFile: the lists are not of one length, or hold something else.
    """
    if said.get("ttfts") is None or said.get("itls") is None:
        return []
    names: tuple[str, ...] = ("ttfts", "itls", "output_lens", "input_lens", "errors")
    names += ("latencies",) if said.get("latencies") is not None else ()
    lists = [one for name in names if isinstance(one := said.get(name), list)]
    if len(lists) < len(names):
        raise ForeignFile(f"of {', '.join(names)} one is no list")
    if len({len(one) for one in lists}) != 1:
        raise ForeignFile(f"{', '.join(names)} are not of one length")
    return [_row(dict(zip(names, one, strict=True))) for one in zip(*lists, strict=True)]


def _row(one: Table) -> Row:
    first, last, gaps = number(one["ttfts"]), number(one.get("latencies")), one["itls"]
    times = [number(gap) for gap in gaps] if isinstance(gaps, list) else [None]
    if first is None or None in times:
        raise ForeignFile("a request's times are no numbers")
    gaps_ms = [1000 * gap for gap in times if gap is not None]
    # of an answer that failed the clients keep no time to first token, or an error's text
    return Row(
        finished=not one["errors"] and first > 0,
        ttft_ms=1000 * first,
        e2e_ms=1000 * first + sum(gaps_ms) if last is None else 1000 * last,
        output_tokens=number(one["output_lens"]),
        input_tokens=number(one["input_lens"]),
        gaps_ms=gaps_ms,
    )
