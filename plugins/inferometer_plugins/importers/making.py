"""From what an importer read to an :class:`~inferometer.comparison.Imported`."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from inferometer.comparison import Imported, ImportedFigure, ImportedFile
from inferometer.importer import ForeignFile, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.importer import Source

ONE_RUN = "One run of a client: launches are not told, so there is no rank and no interval."
WHOLE_RUN = "Latencies are those of all finished requests of the run, ramp-up and drain among them."
NOT_PROVED = "Equal work, cold caches and the client's own headroom are not proved."
FEW = 662
"""Requests below which our p99 is not told (MLPerf's early stopping)."""
COUNTS = frozenset({"requests", "tokens", "s"})
"""Units of what alone says nothing of a server."""
LONGEST = 200
"""Characters of one thing that a file says."""
PATH = re.compile(r"(?:~|\.{0,2}[\\/]|[A-Za-z]:[\\/])")
"""How a path begins."""


def imported(
    *,
    format_: str,
    tool: str,
    version: str,
    sources: Sequence[Source],
    number_: int,
    measured: str,
    setting: Mapping[str, Any],
    figures: Sequence[ImportedFigure],
    limits: Sequence[str],
    requests: str = WHOLE_RUN,
) -> Imported:
    """Put together one measurement, the ``number_``-th from 0 of what its files hold.

    Its id is of the first file, so that requests beside it make no second measurement of it.
    ``requests`` says in a sentence which requests the latencies are of.

    Raises:
        ForeignFile: no figure at all was found.
    """
    if all(figure.value.unit in COUNTS for figure in figures):
        raise ForeignFile("holds no figure that is known")
    few = next((one.value.value for one in figures if one.id == "finished_requests"), None)
    tails = any("_p99_" in one.id for one in figures)
    least = [f"A p99 over {few:g} requests; ours needs {FEW}."] if few and few < FEW else []
    return Imported(
        id=f"{format_}-{sources[0].sha256[:12]}-{number_ + 1}",
        format=format_,
        tool=tool,
        version=version,
        files=[
            ImportedFile(name=source.name, sha256=source.sha256, bytes=len(source.content))
            for source in sources
        ],
        measured=measured,
        setting=dict(_words(setting)),
        figures=list(figures),
        limits=[ONE_RUN, requests, NOT_PROVED, *(least if tails else []), *limits],
    )


def _words(setting: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in setting.items():
        found = number(value)
        if isinstance(value, str) and value:
            # of a path the end: where it lies is the other machine's own affair
            end = re.split(r"[\\/]", value.rstrip("\\/"))[-1] if PATH.match(value) else value
            yield name, end[:LONGEST]
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif found is not None:
            yield name, f"{found:g}"
        elif isinstance(value, float) and math.isinf(value):
            yield name, "inf"
