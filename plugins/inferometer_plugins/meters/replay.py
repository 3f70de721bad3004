"""Recorded readings played back in step with the clock: a sensor for machines that have none."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from inferometer.errors import UsageError, words
from inferometer.records import Condition, Device, MeterInfo, Reading
from inferometer_plugins.meters.options import choice, flag, text
from inferometer_plugins.meters.sensing import INSTRUMENTS, clean, described, update_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.meter import MeterContext, MeterSession
    from inferometer_plugins.meters.sensing import Sample, Unit

SCOPES = ("L0", "L1", "L2", "L3", "L4")
_Row = TypeVar("_Row", Reading, Condition)


@dataclass(frozen=True, slots=True)
class Trace:
    """One device's recorded values: ``t_ns`` from 0, rising."""

    device: str
    unit: Unit
    t_ns: tuple[int, ...]
    value: tuple[float, ...]

    def samples(self) -> Iterator[Sample]:
        """Yield the values one by one, for the search of the update period."""
        for t_ns, value in zip(self.t_ns, self.value, strict=True):
            yield self.device, t_ns, value


@dataclass(frozen=True, slots=True)
class Replay:
    """A ``readings.jsonl`` of earlier results, begun anew when it is opened. Always ``simulated``.

    At each look the value that was the latest one at that time of the recording is given. After its
    end there is nothing to read; with ``loop`` it begins again, and counters go on counting.
    """

    name: str = "replay"
    options: Mapping[str, type] = field(
        default_factory=lambda: {
            "path": str,
            "meter": str,
            "scope": str,
            "loop": bool,
            "conditions": str,
        }
    )

    def info(self, context: MeterContext) -> MeterInfo:
        """Say what was recorded."""
        path = Path(text(context, self.name, "path", example="readings.jsonl"))
        scope = choice(context, self.name, "scope", SCOPES, "L0")
        flag(context, self.name, "loop")
        for key in ("meter", "conditions"):
            if key in context.options:
                text(context, self.name, key, example="nvml")
        bare = MeterInfo(
            name=self.name,
            scope=scope,  # type: ignore[arg-type]  # it is one of SCOPES
            kind="simulated",
            method=f"readings recorded in {clean(path.name, 80)}, played back with the clock",
            period_s=0.1,
            permission="read access to the file",
        )
        try:
            traces = self._traces(context)
            self._conditions(context)
        except OSError as error:
            return described(bare, reason="no_sensor", detail=f"{path}: {error.strerror}")
        return described(
            bare,
            instrument=INSTRUMENTS[traces[0].unit],
            devices=[Device(name=trace.device) for trace in traces],
            update_ms=update_ms(sample for trace in traces for sample in trace.samples()),
            resolution=_resolution(traces),
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin at the recording's start."""
        traces, states = self._traces(context), self._conditions(context)
        return _Replay(self.name, traces, states, loop=flag(context, self.name, "loop"))

    def _traces(self, context: MeterContext) -> list[Trace]:
        """Return the recorded devices.

        Raises:
            UsageError: a line is no reading, or no reading or several meters are in the file.
            OSError: the file cannot be read.
        """
        path = Path(text(context, self.name, "path", example="readings.jsonl"))
        wanted = context.options.get("meter")
        rows = _decoded(path, Reading)
        rows = [row for row in rows if wanted in {None, row.meter}]
        meters = sorted({row.meter for row in rows})
        if len(meters) != 1 or len({row.unit for row in rows}) != 1:
            listed = clean(", ".join(meters)) or "none"
            raise UsageError(
                f"meter {self.name!r}: {path} must hold readings of one meter, found: {listed}",
                hint="Write `options = { meter = ... }` under [[meters]] in the study.",
            )
        begin = min(row.t_ns for row in rows)
        by_device: dict[str, list[Reading]] = {}
        for row in sorted(rows, key=lambda row: row.t_ns):
            by_device.setdefault(row.device, []).append(row)
        return [
            Trace(
                device,
                rows[0].unit,
                tuple(row.t_ns - begin for row in mine),
                tuple(row.value for row in mine),
            )
            for device, mine in sorted(by_device.items())
        ]

    def _conditions(self, context: MeterContext) -> list[Condition]:
        if "conditions" not in context.options:
            return []
        path = text(context, self.name, "conditions", example="conditions.jsonl")
        return sorted(_decoded(Path(path), Condition), key=lambda row: row.t_ns)


def _decoded(path: Path, kind: type[_Row]) -> list[_Row]:
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    try:
        return [msgspec.json.decode(line, type=kind) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"meter 'replay': {path} has a line that is no {kind.__name__.lower()}: {words(error)}",
            hint="Take the file of that name out of a results directory's launch.",
        ) from error


def _resolution(traces: Sequence[Trace]) -> float | None:
    """Return the smallest step between values in the recording, to a billionth."""
    steps = [
        round(later - sooner, 9)
        for trace in traces
        for sooner, later in pairwise(sorted({*trace.value}))
    ]
    return min((step for step in steps if step > 0), default=None)


class _Replay:
    def __init__(
        self, name: str, traces: Sequence[Trace], states: Sequence[Condition], *, loop: bool
    ) -> None:
        self.name = name
        self.traces = traces
        self.states = states
        self.loop = loop
        self.begun_ns = time.monotonic_ns()
        self.span_ns = max(trace.t_ns[-1] for trace in traces)

    def read(self) -> Sequence[Reading]:
        now = time.monotonic_ns()
        past, lap = now - self.begun_ns, 0
        if self.loop and self.span_ns > 0:
            lap, past = divmod(past, self.span_ns)
        rows = []
        for trace in self.traces:
            at = bisect_right(trace.t_ns, past) - 1
            if at < 0 or past > trace.t_ns[-1]:
                continue
            value = trace.value[at]
            if trace.unit == "J":
                value += lap * (trace.value[-1] - trace.value[0])
            rows.append(
                Reading(
                    meter=self.name, device=trace.device, t_ns=now, value=value, unit=trace.unit
                )
            )
        return rows

    def conditions(self) -> Sequence[Condition]:
        now = time.monotonic_ns()
        if not self.states:
            return []
        past = now - self.begun_ns
        span = self.states[-1].t_ns - self.states[0].t_ns
        if self.loop and span > 0:
            past %= span
        latest: dict[str, Condition] = {}
        for state in self.states:
            if state.t_ns - self.states[0].t_ns > past:
                break
            latest[state.device] = state
        return [
            msgspec.structs.replace(state, meter=self.name, t_ns=now) for state in latest.values()
        ]

    def close(self) -> None:
        return
