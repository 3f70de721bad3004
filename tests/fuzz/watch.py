"""Feed inputs to a target and watch it: what it raises, how long it computes, what it takes."""

from __future__ import annotations

import hashlib
import resource
import signal
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.errors import InferometerError, StudyError
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.base import Target

LONGEST_S = 5.0
"""Of the processor: what takes longer hangs."""
MOST_MB = 256
LONGEST_MESSAGE = 4000
PEAK = Path("/proc/self/clear_refs")
"""Writing 5 there forgets the peak, says proc_pid_clear_refs(5)."""


class TooSlowError(BaseException):
    """The reader still computes."""


@dataclass(slots=True)
class Watched:
    """A target, how often it was fed, and what was found: the first input of each place."""

    target: Target
    folder: Path | None = None
    """Where inputs with findings are written."""
    inputs: int = 0
    refused: int = 0
    findings: dict[str, bytes] = field(default_factory=dict)
    slowest_s: float = 0.0
    held: int = 0
    """Bytes of inputs that whoever feeds has kept: not the reader's."""
    grown_kb: int = 0
    """By how much the process was above its start, at most, while the target had an input."""
    _start_kb: int = 0

    def feed(self, data: bytes) -> None:
        """Feed one input and keep what is wrong with it."""
        self.inputs += 1
        forget_peak()  # making an input may have taken more than reading it
        self._start_kb = self._start_kb or peak_kb()
        begin = time.process_time()
        try:
            with _limited():
                self.target.feed(data)
        except self.target.allowed as error:
            self.refused += 1
            if problem := unshowable(error):
                self._keep(problem, data)
        except (Exception, TooSlowError) as error:  # noqa: BLE001 -- that is the question
            self._keep(where(error), data)
        self.slowest_s = max(self.slowest_s, time.process_time() - begin)
        grown = peak_kb() - self._start_kb - (self.held >> 10)
        self.grown_kb = max(self.grown_kb, grown)
        if grown > MOST_MB << 10:
            self._start_kb += grown  # the next finding is as much above this one
            self._keep("memory", data)

    def _keep(self, what: str, data: bytes) -> None:
        if what in self.findings and len(self.findings[what]) <= len(data):
            return
        self.findings[what] = data
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(what.encode()).hexdigest()[:12]
            (self.folder / name).write_bytes(data)
            (self.folder / f"{name}.txt").write_text(f"{what}\n", encoding="utf-8")


def where(error: BaseException) -> str:
    """Return what was raised and where, as it tells findings apart."""
    ours = [it for it in traceback.extract_tb(error.__traceback__) if "/inferometer" in it.filename]
    last = ours[-1] if ours else traceback.extract_tb(error.__traceback__)[-1]
    words = plain(str(error))[:160].replace("\n", " ") if isinstance(error, AssertionError) else ""
    place = f"{Path(last.filename).name}:{last.lineno} {last.name}"
    return " ".join(filter(None, [type(error).__name__, words, "at", place]))


def unshowable(error: Exception) -> str:
    """Say why an error of ours cannot be shown as one line and a hint; empty where it can."""
    if not isinstance(error, InferometerError) or isinstance(error, StudyError):
        return ""
    if "\n" in error.message:
        return f"a message of several lines: {where(error)}"
    long = len(error.message) > LONGEST_MESSAGE
    return f"a message that is too long: {where(error)}" if long else ""


@contextmanager
def _limited() -> Iterator[None]:
    """Raise :class:`TooSlowError` when the process has computed for :data:`LONGEST_S`."""
    before = signal.signal(signal.SIGVTALRM, _expired)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _expired(*_: Any) -> None:
    raise TooSlowError(f"more than {LONGEST_S:g} s of the processor")


def peak_kb() -> int:
    """Return the most memory that this process has taken since its peak was forgotten, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> None:
    """Let the peak be what the process takes now, where the kernel can."""
    with suppress(OSError):
        PEAK.write_bytes(b"5")
