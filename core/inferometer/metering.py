"""Meters beside the load: one thread that looks at every open meter and at the engine's memory."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from inferometer.processes import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from inferometer.meter import MeterSession
    from inferometer.records import Reading

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
        for session in self.sessions.values():
            session.close()

    def taken(self) -> Sequence[Reading]:
        """Return the readings so far."""
        with self._lock:
            return list(self.readings)
