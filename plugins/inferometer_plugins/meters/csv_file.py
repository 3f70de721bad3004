"""A power log that something else writes: a wall meter, a BMC, DCGM, ``nvidia-smi``."""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.records import Device, MeterInfo, Reading
from inferometer_plugins.meters.csv_rows import EPOCHS, UNITS, Columns, Layout, Row
from inferometer_plugins.meters.options import choice, number, refused, text, texts
from inferometer_plugins.meters.sensing import INSTRUMENTS, Unreadable, clean, described, update_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.meter import MeterContext, MeterSession

SCOPES = ("L0", "L1", "L2", "L3", "L4")
TAIL_BYTES = 1 << 20
"""So much of the end of a log is looked at beforehand."""
MOST_BYTES = 16 << 20
"""Read at one look; the rest at the next ones."""
AHEAD_S = 2.0
"""A row stamped further in the future shows that the two clocks disagree."""
OPTIONS: Mapping[str, type] = {
    "path": str,
    "time": str,
    "time_format": str,
    "utc_offset": str,
    "value": str,
    "unit": str,
    "scope": str,
    "device": str,
    "devices": list,
    "clock_offset_s": float,
    "delimiter": str,
}


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One column of watts or cumulative joules in a CSV file that grows while the load runs.

    Its stamps are on a wall clock; the pair of our own clocks taken when the log is opened puts
    them on the monotonic one. ``clock_offset_s`` is how far the log's clock is ahead of ours.
    """

    name: str = "csv"
    options: Mapping[str, type] = field(default_factory=lambda: dict(OPTIONS))

    def info(self, context: MeterContext) -> MeterInfo:
        """Say what the log holds, from its header and its last rows."""
        log = self._log(context)
        unit = log.layout.unit
        bare = MeterInfo(
            name=self.name,
            scope=choice(context, self.name, "scope", SCOPES),  # type: ignore[arg-type]  # it is one of SCOPES
            kind="measured",
            method=f"column {clean(log.layout.value, 80)!r} in {unit} of the log {log.name}, "
            "read as it grows",
            instrument=INSTRUMENTS[UNITS[unit][0]],
            permission="read access to the file",
        )
        try:
            rows = log.last_rows()
            names = _under_test(rows, log, context, bare.scope)
        except Unreadable as why:
            return described(bare, reason=why.reason, detail=why.detail)
        return described(
            bare,
            devices=[
                Device(name=name, left_out="" if name in names else "not under test")
                for name in dict.fromkeys([*names, *(row.device for row in rows)])
            ],
            update_ms=update_ms((row.device, row.t_ns, row.value) for row in rows),
            resolution=_resolution(rows, unit),
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin: rows stamped before now are not read.

        Raises:
            Unreadable: what :meth:`info` found is gone.
        """
        log = self._log(context)
        scope = choice(context, self.name, "scope", SCOPES)
        return _Csv(self.name, log, _under_test(log.last_rows(), log, context, scope))

    def _log(self, context: MeterContext) -> Log:
        path = Path(text(context, self.name, "path", example="power.csv"))
        by_device = "device" in context.options
        device = text(context, self.name, "device", example="uuid") if by_device else ""
        layout = Layout(
            time=text(context, self.name, "time", example="timestamp"),
            time_format=self._format(context),
            zone=self._zone(context),
            value=text(context, self.name, "value", example="power"),
            unit=choice(context, self.name, "unit", tuple(UNITS)),
            device=device,
            only=clean(path.stem, 80) or "log",
            delimiter=self._delimiter(context),
        )
        chosen = texts(context, self.name, "devices", example="GPU-4f1c")
        if chosen and not device:
            raise refused(self.name, "device", "given with options.devices", None, '"uuid"')
        offset_s = number(context, self.name, "clock_offset_s", 0.0)
        return Log(path, layout, chosen, round(offset_s * 1e9))

    def _format(self, context: MeterContext) -> str:
        value = text(context, self.name, "time_format", example="epoch_s")
        if value not in {*EPOCHS, "iso8601"} and "%" not in value:
            wanted = f"one of {', '.join(EPOCHS)}, iso8601, or a pattern such as %Y-%m-%d %H:%M:%S"
            raise refused(self.name, "time_format", wanted, value, '"epoch_s"')
        return value

    def _zone(self, context: MeterContext) -> dt.timezone | None:
        if "utc_offset" not in context.options:
            return None
        value = text(context, self.name, "utc_offset", example="+00:00")
        found = re.fullmatch(r"([+-])(\d\d):(\d\d)", value)
        if not found or int(found[2]) > 14 or int(found[3]) > 59:
            raise refused(self.name, "utc_offset", "an offset such as +02:00", value, '"+00:00"')
        ahead = dt.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return dt.timezone(-ahead if found[1] == "-" else ahead)

    def _delimiter(self, context: MeterContext) -> str:
        value = context.options.get("delimiter", ",")
        if not isinstance(value, str) or len(value) != 1:
            raise refused(self.name, "delimiter", "one character", value, '";"')
        return value


@dataclass(frozen=True, slots=True)
class Log:
    """The file, what its columns mean, the devices asked for, and how far its clock is ahead."""

    path: Path
    layout: Layout
    chosen: tuple[str, ...]
    ahead_ns: int

    @property
    def name(self) -> str:
        """Return the file's name, without where it lies."""
        return clean(self.path.name, 80)

    def columns(self) -> Columns:
        """Return the header's columns.

        Raises:
            Unreadable: there is no file, no permission or no header yet.
        """
        try:
            with self.path.open("rb") as file:
                header = file.readline(1 << 16)
        except PermissionError as error:
            raise Unreadable("no_permission", f"{self.path}: {error.strerror}") from error
        except OSError as error:
            raise Unreadable("no_sensor", f"{self.path}: {error.strerror}") from error
        if not header.endswith(b"\n"):
            raise Unreadable("no_sensor", f"{self.path} has no header yet")
        return Columns(header.decode(errors="replace").strip(), self.layout)

    def last_rows(self) -> list[Row]:
        """Return the rows at the end of the file.

        Raises:
            Unreadable: as :meth:`columns`, or a row cannot be trusted, or is stamped in the future.
        """
        columns = self.columns()
        with self.path.open("rb") as file:
            file.readline()
            begin = file.tell()
            size = file.seek(0, 2)
            file.seek(max(begin, size - TAIL_BYTES))
            if file.tell() > begin:
                file.readline()
            lines = file.read().decode(errors="replace").split("\n")[:-1]
        rows = list(columns.rows(lines))
        latest = max((row.t_ns for row in rows), default=0) - self.ahead_ns
        if latest > time.time_ns() + AHEAD_S * 1e9:
            ahead = (latest - time.time_ns()) / 1e9
            raise Unreadable(
                "clock_unsure",
                f"the last row is stamped {ahead:.1f} s in the future: set options.clock_offset_s",
            )
        return rows


def _under_test(
    rows: Sequence[Row], log: Log, context: MeterContext, scope: str
) -> tuple[str, ...]:
    """Return the devices that count.

    Raises:
        Unreadable: they are not known, or not as many as the engine was asked to use.
    """
    asked = context.accelerators
    if not log.layout.device:
        if scope == "L0" and asked is not None and asked > 1:
            raise Unreadable(
                "devices_unclear",
                f"one series for {asked} devices, of one of them or of all: log each of them and "
                "name the column in options.device",
            )
        return (log.layout.only,)
    seen = dict.fromkeys(row.device for row in rows)
    if not seen:
        raise Unreadable("devices_unclear", "no row yet: start the logger before the run")
    if missing := [name for name in log.chosen if name not in seen]:
        listed = ", ".join(seen)
        raise Unreadable("device_lost", f"no row of {missing[0]}; there are rows of: {listed}")
    names = log.chosen or tuple(seen)
    if scope != "L0" or asked == len(names):
        return names
    if asked is None:
        if log.chosen or len(names) == 1:
            return names
        raise Unreadable("devices_unclear", "name the devices under test in options.devices")
    said = f"{len(names)} devices in the log, the engine was asked to use {asked}"
    if len(names) > asked:
        raise Unreadable("device_extra", f"{said}: name them in options.devices")
    raise Unreadable("device_lost", said)


def _resolution(rows: Sequence[Row], unit: str) -> float | None:
    """Return the step of the last digit that is written."""
    if not rows:
        return None
    return float(10.0 ** -max(row.decimals for row in rows) * UNITS[unit][1])


class _Csv:
    def __init__(self, name: str, log: Log, devices: Sequence[str]) -> None:
        self.name = name
        self.log = log
        self.devices = frozenset(devices)
        self.columns = log.columns()
        self.opened_ns = time.monotonic_ns()
        self.wall_less_monotonic_ns = time.time_ns() - time.monotonic_ns()
        with log.path.open("rb") as file:
            file.readline()
            self.at = file.tell()
        self.closed = False
        self.rest = b""
        self.latest: dict[str, int] = {}

    def read(self) -> Sequence[Reading]:
        """Return the rows that were written since, stamped as the log stamps them.

        Raises:
            Unreadable: the log was replaced, or has a row that cannot be trusted.
            OSError: it is gone.
        """
        if self.closed:
            return []
        return [self._reading(row) for row in self._new() if self._counts(row)]

    def _new(self) -> Iterable[Row]:
        # opened anew each time: a file of another machine shows what was added then
        with self.log.path.open("rb") as file:
            if file.seek(0, 2) < self.at:
                raise Unreadable("failed", "the log became shorter while it was read")
            file.seek(self.at)
            added = file.read(MOST_BYTES)
            self.at = file.tell()
        lines = (self.rest + added).split(b"\n")
        self.rest = lines.pop()
        if len(self.rest) > TAIL_BYTES:
            raise Unreadable("failed", f"a line of more than {TAIL_BYTES >> 20} MiB")
        return self.columns.rows([line.decode(errors="replace").rstrip("\r") for line in lines])

    def _counts(self, row: Row) -> bool:
        return row.device in self.devices and self._t_ns(row) >= self.opened_ns

    def _t_ns(self, row: Row) -> int:
        return row.t_ns - self.log.ahead_ns - self.wall_less_monotonic_ns

    def _reading(self, row: Row) -> Reading:
        t_ns = self._t_ns(row)
        if t_ns < self.latest.get(row.device, t_ns):
            raise Unreadable("clock_unsure", f"{row.device}: the log's clock ran backwards")
        if t_ns > time.monotonic_ns() + AHEAD_S * 1e9:
            raise Unreadable("clock_unsure", f"{row.device}: a row is stamped in the future")
        self.latest[row.device] = t_ns
        unit = UNITS[self.log.layout.unit][0]
        return Reading(meter=self.name, device=row.device, t_ns=t_ns, value=row.value, unit=unit)

    def close(self) -> None:
        self.closed = True
