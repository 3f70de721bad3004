"""Meters beside the load: one thread that looks at every open meter and at the engine's memory."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferometer.devices import DeviceMemory
from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.processes import cpu_seconds, machine_cpu_seconds, memory_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from inferometer.engine import Platform
    from inferometer.meter import EnergyMeter, MeterSession
    from inferometer.records import MeterInfo, Reading, Window
    from inferometer.study import MeterEntry

PERIOD_S = 0.5


class Usage(NamedTuple):
    """CPU seconds used until ``t_ns`` (monotonic): by the whole machine, and by the engine."""

    t_ns: int
    machine_s: float
    engine_s: float


class Sampler:
    """Reads ``sessions`` every :data:`PERIOD_S` seconds, and at each :meth:`look`.

    ``readings``, ``usage``, ``peak_memory_bytes`` and ``devices`` are complete after the context
    has ended. An error in a meter ends that meter (named in ``broken``), never the measurement.
    """

    def __init__(
        self, sessions: dict[str, MeterSession], session_id: int | None, accelerator: str = "cpu"
    ) -> None:
        self.sessions = dict(sessions)
        self.devices = DeviceMemory(session_id)
        self._accelerator = accelerator
        self.session_id = session_id
        self.readings: list[Reading] = []
        self.broken: dict[str, str] = {}
        self.usage: list[Usage] = []
        self.peak_memory_bytes: int | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meters", daemon=True)

    def look(self) -> None:
        """Read every meter now."""
        with self._lock:
            for name, session in list(self.sessions.items()):
                try:
                    self.readings.extend(session.read())
                except Exception as error:  # noqa: BLE001 -- a plugin's fault must not end the run
                    self.broken[name] = f"{type(error).__name__}: {error}"
                    del self.sessions[name]

    def _run(self) -> None:
        next_look = time.monotonic()
        while not self._stop.wait(max(0.0, next_look - time.monotonic())):
            self.look()
            seen = None if self.session_id is None else memory_bytes(self.session_id)
            if seen is not None:
                self.peak_memory_bytes = max(self.peak_memory_bytes or 0, seen)
            self._note_usage()
            self.devices.look()
            next_look += PERIOD_S

    def _note_usage(self) -> None:
        machine = machine_cpu_seconds()
        if machine is not None and self.session_id is not None:
            engine = cpu_seconds(self.session_id)
            self.usage.append(Usage(time.monotonic_ns(), machine, engine))

    def __enter__(self) -> Self:
        self.devices.open(self._accelerator)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.look()
        self._note_usage()
        self.devices.look()
        self.devices.close()
        for name, session in self.sessions.items():
            try:
                session.close()
            except Exception as problem:  # noqa: BLE001 -- as above
                self.broken[name] = f"{type(problem).__name__}: {problem}"


def meter_context(entry: MeterEntry, session_id: int | None, platform: Platform) -> MeterContext:
    """Return what a meter may look at during this launch."""

    def seconds() -> float:
        if session_id is None:
            raise LookupError("the engine's processes cannot be seen")
        return cpu_seconds(session_id)

    return MeterContext(
        accelerator=platform.accelerator,
        session_id=session_id,
        cpu_seconds=seconds,
        options=entry.options,
    )


def seen_from(info: MeterInfo, elsewhere: str) -> MeterInfo:
    """Return ``info``, unreadable where the engine runs ``elsewhere`` (words; empty: it is here).

    What the study declares holds wherever that is.
    """
    if not elsewhere or info.kind == "declared":
        return info
    return msgspec.structs.replace(info, reason="no_sensor", detail=elsewhere)


def broken(info: MeterInfo, sampler: Sampler) -> MeterInfo:
    """Return ``info``, with a reason where the meter failed while it was read."""
    if info.name not in sampler.broken:
        return info
    return msgspec.structs.replace(info, reason="failed", detail=sampler.broken[info.name])


def bystanders(window: Window, usage: Sequence[Usage]) -> Window:
    """Return ``window`` with the share of the machine that neither engine nor client used.

    Over the stretch between the samples just around the window, for which the client's use in the
    window stands. Unchanged where no two samples bound it.
    """
    before = [seen for seen in usage if seen.t_ns <= window.start_ns]
    after = [seen for seen in usage if seen.t_ns >= window.end_ns]
    if not before or not after:
        return window
    first, last = before[-1], after[0]
    seconds = (last.t_ns - first.t_ns) * 1e-9
    client_s = window.client_cpu_s * seconds / ((window.end_ns - window.start_ns) * 1e-9)
    busy_s = last.machine_s - first.machine_s - (last.engine_s - first.engine_s) - client_s
    share = max(0.0, busy_s / seconds / (os.cpu_count() or 1))
    return msgspec.structs.replace(window, others_cpu_share=share)


def chosen_meters(
    entries: Sequence[MeterEntry], available: dict[str, EnergyMeter]
) -> list[tuple[MeterEntry, EnergyMeter]]:
    """Return the study's meters.

    Raises:
        UsageError: a meter or one of its options is unknown.
    """
    chosen = []
    for entry in entries:
        if entry.name not in available:
            raise UsageError.unknown("meter", entry.name, available, place="[[meters]] name")
        meter = available[entry.name]
        for option in entry.options:
            if option not in meter.options:
                raise UsageError.unknown(
                    f"option of meter {entry.name!r}", option, meter.options, place="[[meters]]"
                )
        # options are looked at now, not when the first engine has started
        meter.info(MeterContext(session_id=0, cpu_seconds=float, options=entry.options))
        chosen.append((entry, meter))
    return chosen
