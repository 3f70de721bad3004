"""Meters beside the load: one thread that looks at every open meter and at the engine's memory."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.processes import cpu_seconds, memory_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from inferometer.engine import Platform
    from inferometer.meter import EnergyMeter, MeterSession
    from inferometer.records import MeterInfo, Reading
    from inferometer.study import MeterEntry

PERIOD_S = 0.5


class Sampler:
    """Reads ``sessions`` every :data:`PERIOD_S` seconds, and at each :meth:`look`.

    ``readings`` and ``peak_memory_bytes`` are complete after the context has ended. An error in a
    meter ends that meter (named in ``broken``), never the measurement.
    """

    def __init__(self, sessions: dict[str, MeterSession], session_id: int) -> None:
        self.sessions = dict(sessions)
        self.session_id = session_id
        self.readings: list[Reading] = []
        self.broken: dict[str, str] = {}
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
            seen = memory_bytes(self.session_id)
            if seen is not None:
                self.peak_memory_bytes = max(self.peak_memory_bytes or 0, seen)
            next_look += PERIOD_S

    def __enter__(self) -> Self:
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
        for name, session in self.sessions.items():
            try:
                session.close()
            except Exception as problem:  # noqa: BLE001 -- as above
                self.broken[name] = f"{type(problem).__name__}: {problem}"


def meter_context(entry: MeterEntry, session_id: int, platform: Platform) -> MeterContext:
    """Return what a meter may look at during this launch."""
    return MeterContext(
        accelerator=platform.accelerator,
        session_id=session_id,
        cpu_seconds=lambda: cpu_seconds(session_id),
        options=entry.options,
    )


def broken(info: MeterInfo, sampler: Sampler) -> MeterInfo:
    """Return ``info``, with a reason where the meter failed while it was read."""
    if info.name not in sampler.broken:
        return info
    return msgspec.structs.replace(info, reason="failed", detail=sampler.broken[info.name])


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
