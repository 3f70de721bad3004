"""Writes down what a run says of itself, as it says it, and passes it on to who displays it.

One line an event in ``events.jsonl``, appended by a single write, so that a reader finds whole
lines, or at worst a last one that is not. Nothing is written while a window is open: nothing is
said then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import journal_records, redact, standing
from inferometer.errors import InferometerError
from inferometer.journal_records import Event, words

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from inferometer.journal_records import Figure
    from inferometer.progress import Display
    from inferometer.standing import Standing
    from inferometer.store import Store


class Journal:
    """The runner's voice while it measures into ``store``: a context, which the run is."""

    def __init__(self, store: Store, display: Display) -> None:
        self._store, self._display = store, display
        self._known = standing.known(store)
        self._events = journal_records.before(store.root)
        self._launch = ""
        self._begun_ns: dict[str, int] = {}
        self._broken = False
        self._torn = True
        """The last line may have no end: that of a run that was killed, or of a full disk."""

    def __enter__(self) -> Self:
        self._tell("begun", process=standing.this_process())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = "finished"
        if error is not None:
            stopped = not isinstance(error, Exception)
            status = "interrupted" if stopped else "failed"
        # what we did not write ourselves may hold anything, a key among it
        said = error.message if isinstance(error, InferometerError) else type(error).__name__
        self._tell("ended", status=status, text="" if error is None else said)

    # -- what is said ------------------------------------------------------------------------

    def stage(self, text: str) -> None:
        """Say what is being done now; replaces the stage before."""
        self._tell("stage", text=text)
        self._display.stage(text)

    def launch(self, k: int, n: int, label: str, launch: str) -> None:
        """Say that launch ``k`` of ``n`` (from 1) begins, which has the id ``launch``."""
        self._launch = launch
        self.begins("", k, n, label, launch)

    def window(self, start_ns: int, end_ns: int) -> None:
        """Say when the next window closes. Quick: the load's own thread calls it, before it begins.

        Both are monotonic ns.
        """
        ahead_ns = end_ns - time.monotonic_ns()
        seconds = (end_ns - start_ns) * 1e-9
        self._tell("window", seconds=seconds, until_ns=time.time_ns() + ahead_ns)
        self._display.window(start_ns, end_ns)

    def measured(self, figure: Figure) -> None:
        """Say what a window that is over looks like."""
        self._tell("measured", figure=figure)
        self._display.measured(figure)

    def launched(self, status: str) -> None:
        """Say how the launch in flight ended: ``ok`` or ``failed``."""
        self.ends("", self._launch, status)

    def note(self, text: str) -> None:
        """Say something that stays on screen."""
        self._tell("note", text=text)
        self._display.note(text)

    def warn(self, text: str) -> None:
        """Say something that deserves attention and stays on screen."""
        self._tell("warning", text=text)
        self._display.warn(text)

    def done(self) -> None:
        """Take down whatever is displayed."""
        self._display.done()

    # -- what several nodes say ---------------------------------------------------------------

    def begins(self, node: str, k: int, n: int, label: str, launch: str) -> None:
        """Say that launch ``k`` of ``n`` begins on a node; one machine has no name."""
        self._begun_ns[launch] = time.monotonic_ns()
        self._tell("launch", node=node, launch=launch, text=label)
        self._display.launch(k, n, f"{label}, {node}" if node else label, launch)

    def heard(self, node: str, launch: str, event: Event) -> None:
        """Pass on what a node says of a launch, or of itself where ``launch`` is empty."""
        tag = {"node": node, "launch": launch}
        if event.what == "window":
            self._tell("window", seconds=event.seconds, until_ns=event.until_ns, **tag)
            now_ns = time.monotonic_ns()
            self._display.window(now_ns, now_ns + max(0, event.until_ns - time.time_ns()))
        elif event.what == "measured" and event.figure is not None:
            self._tell("measured", figure=event.figure, **tag)
            self._display.stage(f"{node}: {words(event.figure)}")
        elif event.what in {"stage", "note", "warning"}:
            said = self._tell(event.what, text=event.text, **tag)
            show = {"stage": self._display.stage, "note": self._display.note}
            show.get(event.what, self._display.warn)(f"{node}: {said}")

    def ends(self, node: str, launch: str, status: str) -> None:
        """Say how a launch of a node ended: ``ok``, ``failed``, or ``lost`` with its node."""
        seconds = (time.monotonic_ns() - self._begun_ns.pop(launch, 0)) * 1e-9
        self._tell("launched", node=node, launch=launch, status=status, seconds=seconds)
        self._events = journal_records.needed(self._events, node, launch)
        self._display.launched(status)

    def aside(self, text: str) -> None:
        """Say something that no file keeps: results name no machine."""
        self._display.note(text)

    # -- inside ------------------------------------------------------------------------------

    def _tell(self, what: Any, *, text: str = "", **more: Any) -> str:
        """Write an event down; return its text as it is kept."""
        said: str = redact.capped(redact.text(redact.plain(text)))
        event = Event(t_ns=time.time_ns(), what=what, text=said, **more)
        self._events.append(event)
        self._write(msgspec.json.encode(event) + b"\n")
        self._display.show(self._stands)
        return said

    def _stands(self) -> Standing:
        return standing.standing(self._store, self._known, self._events, time.time_ns())

    def _write(self, line: bytes) -> None:
        try:
            with (self._store.root / journal_records.FILE).open("ab", buffering=0) as file:
                line = b"\n" + line if self._torn and file.tell() else line
                self._torn = file.write(line) < len(line)
        except OSError as error:
            self._torn = True
            if not self._broken:  # nothing that is measured depends on it
                self._broken = True
                self._display.warn(f"{journal_records.FILE} is not written any more: {error}")
