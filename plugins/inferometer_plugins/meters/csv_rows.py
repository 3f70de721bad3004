"""Lines of a power log: stamps, numbers and units, or the reason why they cannot be trusted."""

from __future__ import annotations

import csv
import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from inferometer_plugins.meters.sensing import Unreadable, clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UNITS: Mapping[str, tuple[Literal["W", "J"], float]] = {
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "mW": ("W", 1e-3),
    "J": ("J", 1.0),
    "kJ": ("J", 1e3),
    "mJ": ("J", 1e-3),
    "Wh": ("J", 3.6e3),
    "kWh": ("J", 3.6e6),
}
EPOCHS = {"epoch_s": 1_000_000_000, "epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
"""Formats of stamps that count from 1970, with their unit in ns."""
MIG_COLUMN = "GPU_I_ID"
"""DCGM's name of an instance: each of its rows repeats the whole GPU's counter."""


class Row(NamedTuple):
    """One line: ``t_ns`` on the log's wall clock, ``value`` in W or J."""

    device: str
    t_ns: int
    value: float
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where in a line things stand, and what they mean."""

    time: str
    time_format: str
    zone: dt.timezone | None
    value: str
    unit: str
    device: str
    only: str
    """The one device's name where there is no column for it."""
    delimiter: str


class Columns:
    """The header of a log, matched with a layout.

    Raises:
        Unreadable: a column is missing, or the header names another unit (``unit_suspect``).
    """

    def __init__(self, header: str, layout: Layout) -> None:
        self.layout = layout
        self.names = [name.strip() for name in _split(header, layout.delimiter)]
        self.time = self._at(layout.time)
        self.value = self._at(layout.value)
        self.device = self._at(layout.device) if layout.device else None
        self.instance = self.names.index(MIG_COLUMN) if MIG_COLUMN in self.names else None
        _same_unit(_bracketed(self.names[self.value]), layout.unit)

    def _at(self, wanted: str) -> int:
        plain = [name.partition("[")[0].strip() for name in self.names]
        for names in (self.names, plain):
            if wanted in names:
                return names.index(wanted)
        listed = ", ".join(self.names)
        raise Unreadable("failed", f"the log has no column {wanted!r}; it has: {listed}")

    def rows(self, lines: Sequence[str]) -> Iterator[Row]:
        """Yield the rows of whole lines; a line without a number (``N/A``) is a hole in the log.

        Raises:
            Unreadable: a stamp has no zone (``clock_unsure``), a number another unit
                (``unit_suspect``), a row is a part of a GPU's (``mig``), or is no row (``failed``).
        """
        for line in lines:
            cells = [cell.strip() for cell in _split(line, self.layout.delimiter)]
            if not any(cells) or cells == self.names:  # a logger that was started again
                continue
            if len(cells) != len(self.names):
                raise Unreadable("failed", f"a line of {len(cells)} columns: {line[:80]!r}")
            if self.instance is not None and cells[self.instance]:
                raise Unreadable("mig", f"{MIG_COLUMN} is set: instances repeat the whole GPU")
            found = self._row(cells)
            if found is not None:
                yield found

    def _row(self, cells: Sequence[str]) -> Row | None:
        number, _, unit = cells[self.value].partition(" ")
        try:
            value = float(number)
        except ValueError:
            return None
        if not math.isfinite(value):
            return None
        _same_unit(unit.strip(), self.layout.unit)
        decimals = len(number.partition(".")[2]) if re.fullmatch(r"-?[\d.]+", number) else 0
        return Row(
            self.layout.only if self.device is None else clean(cells[self.device], 80),
            stamp(cells[self.time], self.layout),
            value * UNITS[self.layout.unit][1],
            decimals,
        )


def stamp(text: str, layout: Layout) -> int:
    """Return ns since 1970.

    Raises:
        Unreadable: it has no zone and the study gives none (``clock_unsure``), or is no stamp.
    """
    try:
        if layout.time_format in EPOCHS:
            return round(_exact(text) * EPOCHS[layout.time_format])
        if layout.time_format == "iso8601":
            when = dt.datetime.fromisoformat(text)
        else:
            when = dt.datetime.strptime(text, layout.time_format)  # noqa: DTZ007 -- looked at below
    except (ValueError, OverflowError) as error:
        raise Unreadable("failed", f"{text[:40]!r} is no {layout.time_format}") from error
    if when.tzinfo is None:
        if layout.zone is None:
            raise Unreadable(
                "clock_unsure",
                f"{text!r} is local time without a zone: log UTC or an offset, or set "
                'options.utc_offset = "+00:00"',
            )
        when = when.replace(tzinfo=layout.zone)
    since = when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _exact(text: str) -> int | float:
    """Keep all digits: a float cannot hold nanoseconds since 1970."""
    return int(text) if re.fullmatch(r"\d{1,30}", text) else float(text)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error as error:
        raise Unreadable("failed", f"{line[:80]!r} is no line of CSV: {error}") from error


def _bracketed(name: str) -> str:
    found = re.search(r"\[(.+)\]", name)
    return found[1].strip() if found else ""


def _same_unit(said: str, unit: str) -> None:
    if said in UNITS and said != unit:
        raise Unreadable("unit_suspect", f"the log says {said}, the study says {unit}")
