"""Meters beside a load: each is read in a thread of its own, closely at the edges of a window.

A cumulative counter moves in ticks, about 100 ms apart, and what it gained over a window is only
known between two ticks. So from a window's start until the first tick, and over the last ticks
before its end, it is looked at about once a millisecond: a tick is then known to a millisecond.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferometer import redact
from inferometer.errors import InferometerError
from inferometer.meter import WatchesConditions
from inferometer.records import Condition, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from inferometer.meter import MeterSession
    from inferometer.records import MeterInfo

SHORTEST_S = 0.01
"""No meter is read more often than so, whatever it asks for, but at edges."""
CONDITIONS_S = 0.5
CLOSE_S = 0.001
"""Between two close looks: a hundredth of the update period, from this on."""
FAR_S = 0.02
UPDATE_S = 0.5
"""Assumed of a counter whose update period is not known: the longest default of NVML's drivers."""
LONGEST_S = 2.0
"""Most that is looked at closely at one edge."""
AHEAD_S = 0.05
"""A stamp that is further ahead of our clock was made by another clock, or one badly set."""
LATE_S = 3.0
"""Longest wait for the row of a log that reaches over the end of the last window."""
JOIN_S = 5.0
"""A meter that does not answer for so long at the end is given up."""


class Opened(NamedTuple):
    """A meter of the study as it is here; ``session`` is None where it cannot be read."""

    info: MeterInfo
    session: MeterSession | None = None


class Fault(NamedTuple):
    """Why a meter was given up: reason code and words."""

    reason: str
    detail: str


class _Stretch(NamedTuple):
    """When to look closely; at one moment, if both ends are equal."""

    from_ns: int
    until_ns: int
    first_tick: bool = False
    """Enough when every device has ticked once."""


class BadReadingError(Exception):
    """A reading that is none; ``reason`` and ``detail`` are those of :class:`Fault`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def fault(error: BaseException) -> Fault:
    """Return what an error of a plugin's means: what it says itself, if it has a code and words."""
    reason, detail = getattr(error, "reason", None), getattr(error, "detail", None)
    if not (isinstance(reason, str) and isinstance(detail, str)):
        reason = "no_permission" if isinstance(error, PermissionError) else "failed"
        known = isinstance(error, InferometerError)
        detail = str(error) if known else f"{type(error).__name__}: {error}"
    return Fault(reason, redact.capped(redact.text(detail)))


class Reader:
    """One open meter and its thread.

    ``readings``, ``conditions``, ``fault`` and ``remark`` (what went wrong with conditions alone)
    are complete when :meth:`ended` has returned.
    """

    def __init__(self, info: MeterInfo, session: MeterSession) -> None:
        self.info, self.session = info, session
        self.readings: list[Reading] = []
        self.conditions: list[Condition] = []
        self.fault: Fault | None = None
        self.remark = ""
        self._period_ns = round(max(SHORTEST_S, info.period_s) * 1e9)
        self._left_out = {device.name for device in info.devices if device.left_out}
        self._states = session if isinstance(session, WatchesConditions) else None
        self._next_ns = self._next_condition_ns = self._end_ns = 0
        self._latest: dict[str, int] = {}  # of a log: its rows are older than the look
        self._stretches: deque[_Stretch] = deque()
        self._wake = threading.Event()
        self._over = False
        name = f"meter {info.name}"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def window_set(self, start_ns: int, end_ns: int) -> None:
        """Look at both edges of a window. Quick, for the load's own thread may call it."""
        ahead_ns = 0
        if self.info.instrument == "counter":
            ahead_ns = round(min(LONGEST_S, 2 * self._update_s()) * 1e9)
        near_ns = max(start_ns, end_ns - ahead_ns)
        self._end_ns = end_ns
        first = _Stretch(start_ns, min(end_ns, start_ns + ahead_ns), first_tick=True)
        self._stretches = deque([first, _Stretch(near_ns, end_ns)])
        self._wake.set()

    def end(self) -> None:
        """Ask for one last look; :meth:`ended` waits for it."""
        self._over = True
        self._wake.set()

    def ended(self, deadline_s: float) -> None:
        """Wait until the thread has ended; a meter that hangs is given up, and so is its thread."""
        self.thread.join(max(0.0, deadline_s - time.monotonic()))
        if self.thread.is_alive():
            self.fault = Fault("failed", f"did not answer for {JOIN_S:g} s")

    # -- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._watch()
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a plugin's fault must not end the run
            self.fault = fault(error)
        try:
            self.session.close()
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- as above
            self.fault = self.fault or fault(error)

    def _watch(self) -> None:
        self._next_ns = self._next_condition_ns = time.monotonic_ns()
        while not self._over:
            stretches = self._stretches  # another window's may take their place at any time
            if stretches and stretches[0].from_ns <= self._next_ns:
                if self._waited(stretches[0].from_ns):
                    self._closely(stretches.popleft())
            elif self._waited(self._next_ns):
                self.readings.extend(self._read())
                self._look_again()
                self._note_conditions()
        self._finish()

    def _finish(self) -> None:
        """Look a last time; of a log, until its rows reach over the last window's end.

        They are written after what they tell, as seldom as once a second or less.
        """
        update_s = max(self.info.period_s, self._update_s())
        patience_ns = round(min(LATE_S, 2 * update_s + self.info.period_s) * 1e9)
        until_ns = time.monotonic_ns() + patience_ns
        self.readings.extend(self._read())
        while self._behind() and time.monotonic_ns() < until_ns:
            time.sleep(FAR_S)
            self.readings.extend(self._read())

    def _behind(self) -> bool:
        """Say whether a log has no row of a device that counts from behind a window now over."""
        over = self._end_ns <= time.monotonic_ns()
        return over and min(self._latest.values(), default=self._end_ns) < self._end_ns

    def _waited(self, until_ns: int) -> bool:
        """Wait until then; return early, and False, when there is something new to do."""
        while (left_ns := until_ns - time.monotonic_ns()) > 0:
            if self._wake.wait(left_ns * 1e-9):
                self._wake.clear()
                return False
        return True

    def _look_again(self) -> None:
        """Set the next ordinary look; those that were missed are not made up for."""
        self._next_ns += self._period_ns
        if (now_ns := time.monotonic_ns()) > self._next_ns:
            self._next_ns = now_ns + self._period_ns

    def _closely(self, stretch: _Stretch) -> None:
        """Keep the ticks of a stretch, its first and last look, and the ordinary ones in it."""
        pause_s = min(FAR_S, max(CLOSE_S, self._update_s() / 100))
        former: dict[str, tuple[int, float]] = {}
        ticked = set(self._left_out)
        while True:
            asked_ns = time.monotonic_ns()
            rows = self._read()
            last = asked_ns >= stretch.until_ns or self._over
            due = last or not former or asked_ns >= self._next_ns
            for row in rows:
                since_ns, value = former.get(row.device, (0, row.value))
                if row.value != value:
                    # a log's rows are older than the look that finds them
                    known = {"since_ns": since_ns} if since_ns < row.t_ns else {}
                    self.readings.append(msgspec.structs.replace(row, **known))
                    ticked.add(row.device)
                elif due:
                    self.readings.append(row)
                former[row.device] = asked_ns, row.value
            if asked_ns >= self._next_ns:
                self._look_again()
            if last or (stretch.first_tick and ticked >= former.keys()):
                return
            now_ns = time.monotonic_ns()
            # a meter that is slow to answer is not asked all the time
            rest_s = max(pause_s, (now_ns - asked_ns) * 1e-9)
            time.sleep(max(0.0, min(rest_s, (stretch.until_ns - now_ns) * 1e-9)))

    def _update_s(self) -> float:
        known_ms = self.info.update_ms
        return UPDATE_S if known_ms is None or not known_ms > 0 else known_ms * 1e-3

    def _read(self) -> Sequence[Reading]:
        asked_ns = time.monotonic_ns()
        rows = list(self.session.read())
        latest_ns = time.monotonic_ns() + round(AHEAD_S * 1e9)
        for row in rows:
            # infinity and NaN could not be stored
            if not isinstance(row, Reading) or not math.isfinite(row.value):
                raise BadReadingError("bad_reading", f"not a number: {row!r:.200}")
            if row.t_ns > latest_ns:
                raise BadReadingError("clock_unsure", f"{row.device}: stamped ahead of our clock")
            if row.t_ns < asked_ns and row.device not in self._left_out:
                self._latest[row.device] = row.t_ns
        return rows

    def _note_conditions(self) -> None:
        now_ns = time.monotonic_ns()
        if self._states is None or now_ns < self._next_condition_ns:
            return
        self._next_condition_ns = now_ns + round(CONDITIONS_S * 1e9) - self._period_ns // 2
        try:
            told = msgspec.to_builtins(list(self._states.conditions()))
            self.conditions.extend(msgspec.convert(told, list[Condition]))
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- joules are as good without
            self._states = None
            self.remark = f"conditions were read no longer: {fault(error).detail}"


class Watch:
    """Reads every meter of ``meters`` that is open, until the context ends, which closes them.

    ``readings``, ``conditions``, ``faults`` and ``remarks`` (by meter) are there afterwards. A
    meter that breaks ends alone; one that hangs delays the end by :data:`JOIN_S` at most.
    """

    def __init__(self, meters: Sequence[Opened]) -> None:
        # msgspec learns a type at its first use, and in two threads at once that is a crash
        msgspec.convert([], list[Condition])
        self._readers = [Reader(info, session) for info, session in meters if session is not None]
        self.readings: list[Reading] = []
        self.conditions: list[Condition] = []
        self.faults: dict[str, Fault] = {}
        self.remarks: dict[str, str] = {}

    def window_set(self, start_ns: int, end_ns: int) -> None:
        """Look closely at both edges of a window (monotonic ns) when they come."""
        for reader in self._readers:
            reader.window_set(start_ns, end_ns)

    def so_far(self) -> list[Reading]:
        """Return what has been read until now, while the meters go on."""
        return [row for reader in self._readers for row in list(reader.readings)]

    @property
    def infos(self) -> list[MeterInfo]:
        """Return what the meters that are read say of themselves."""
        return [reader.info for reader in self._readers]

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for reader in self._readers:
            reader.end()
        deadline_s = time.monotonic() + JOIN_S
        for reader in self._readers:
            reader.ended(deadline_s)
            if reader.fault is not None:
                self.faults[reader.info.name] = reader.fault
            if reader.remark:
                self.remarks[reader.info.name] = reader.remark
        # in the order in which each meter gave them: stamps that run backwards must show
        self.readings = [row for reader in self._readers for row in list(reader.readings)]
        self.conditions = [row for reader in self._readers for row in list(reader.conditions)]
