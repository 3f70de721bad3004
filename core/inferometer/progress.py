"""What a person is told while launches run: on stderr, and only when something happens.

Nothing is drawn by a timer: it would cost processor time while a window is open.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from inferometer.journal_records import words
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.journal_records import Figure
    from inferometer.standing import Standing


class Progress(Protocol):
    """The runner's voice."""

    def stage(self, text: str) -> None:
        """Say what is being done now; replaces the stage before."""

    def launch(self, k: int, n: int, label: str, launch: str) -> None:
        """Say that launch ``k`` of ``n`` (from 1) begins, which has the id ``launch``."""

    def window(self, start_ns: int, end_ns: int) -> None:
        """Say when the next window opens and closes (monotonic ns), before its load begins.

        To be quick: the load's own thread calls it. Until the window closes nothing else is said.
        """

    def measured(self, figure: Figure) -> None:
        """Say what a window that is over looks like."""

    def launched(self, status: str) -> None:
        """Say how the launch in flight ended: ``ok`` or ``failed``."""

    def note(self, text: str) -> None:
        """Say something that stays on screen."""

    def warn(self, text: str) -> None:
        """Say something that deserves attention and stays on screen."""

    def done(self) -> None:
        """Take down whatever is displayed. May be called twice."""


class Display(Progress, Protocol):
    """Where it is heard."""

    def show(self, standing: Callable[[], Standing]) -> None:
        """Take what tells how the run stands, as often as something happens; before it is said."""


class Silent:
    """Keeps what was said, for tests and for programs: ``said`` holds ``(what, text)``."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def stage(self, text: str) -> None:
        """Keep the stage."""
        self.said.append(("stage", text))

    def launch(self, k: int, n: int, label: str, launch: str) -> None:  # noqa: ARG002 -- Progress's
        """Keep the launch."""
        self.said.append(("launch", f"{k}/{n} {label}"))

    def window(self, start_ns: int, end_ns: int) -> None:
        """Keep nothing: the stage has said it."""

    def measured(self, figure: Figure) -> None:
        """Keep nothing: it is in the results."""

    def launched(self, status: str) -> None:
        """Keep nothing: as above."""

    def note(self, text: str) -> None:
        """Keep the note."""
        self.said.append(("note", text))

    def warn(self, text: str) -> None:
        """Keep the warning."""
        self.said.append(("warn", text))

    def done(self) -> None:
        """Keep the end."""
        self.said.append(("done", ""))

    def show(self, standing: Callable[[], Standing]) -> None:
        """Ask for nothing."""


class Lines:
    """One plain line for each event: logs, pipes and terminals that cannot redraw.

    When nobody can be told any more (a pipe that is closed, a full disk) the run goes on.
    """

    def __init__(self) -> None:
        self._lost = False
        self._standing: Callable[[], Standing] | None = None

    def stage(self, text: str) -> None:
        """Print the stage."""
        self._print(f"  {text}")

    def launch(self, k: int, n: int, label: str, launch: str) -> None:  # noqa: ARG002 -- Progress's
        """Print ``[k/n] label``, and the time left when it is known."""
        left_s = None if self._standing is None else self._standing().left_s
        left = "" if left_s is None else f" (about {duration(left_s)} left)"
        self._print(f"[{k}/{n}] {label}{left}")

    def window(self, start_ns: int, end_ns: int) -> None:
        """Print nothing: a line for the stage and one for its figures are enough."""

    def measured(self, figure: Figure) -> None:
        """Print what was seen."""
        self._print(f"    {words(figure)}")

    def launched(self, status: str) -> None:
        """Print nothing: a failure is a warning."""

    def note(self, text: str) -> None:
        """Print the text."""
        self._print(text)

    def warn(self, text: str) -> None:
        """Print the text as a warning."""
        self._print(f"warning: {text}")

    def done(self) -> None:
        """Nothing is displayed that would have to go."""

    def show(self, standing: Callable[[], Standing]) -> None:
        """Keep it for the next launch."""
        self._standing = standing

    def _print(self, text: str) -> None:
        if self._lost:
            return
        try:
            print(plain(text), file=sys.stderr, flush=True)  # noqa: T201 -- stderr is what this class is for
        except OSError:
            self._lost = True


def duration(seconds: float) -> str:
    """Return seconds as ``40 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
