"""What a person sees while launches run: on stderr, and only when something happens.

Nothing is drawn by a timer: a spinner would cost processor time while a window is open.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import TaskID


class Progress(Protocol):
    """The runner's voice."""

    def stage(self, text: str) -> None:
        """Say what is being done now; replaces the stage before."""

    def launch(self, k: int, n: int, label: str) -> None:
        """Say that launch ``k`` of ``n`` (from 1) begins."""

    def note(self, text: str) -> None:
        """Say something that stays on screen."""

    def warn(self, text: str) -> None:
        """Say something that deserves attention and stays on screen."""

    def done(self) -> None:
        """Take down whatever is displayed. May be called twice."""


class Silent:
    """Keeps what was said, for tests and for programs: ``said`` holds ``(what, text)``."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def stage(self, text: str) -> None:
        """Keep the stage."""
        self.said.append(("stage", text))

    def launch(self, k: int, n: int, label: str) -> None:
        """Keep the launch."""
        self.said.append(("launch", f"{k}/{n} {label}"))

    def note(self, text: str) -> None:
        """Keep the note."""
        self.said.append(("note", text))

    def warn(self, text: str) -> None:
        """Keep the warning."""
        self.said.append(("warn", text))

    def done(self) -> None:
        """Keep the end."""
        self.said.append(("done", ""))


class Remaining:
    """Time left, from the mean length of the launches already seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[int, float] | None = None

    def at(self, k: int, n: int) -> str:
        """Return ``about 12 min left`` as launch ``k`` of ``n`` begins; empty when unknown."""
        now = self._clock()
        if self._first is None:
            self._first = (k, now)
        k0, start = self._first
        if k <= k0:
            return ""
        return f"about {duration((now - start) / (k - k0) * (n - k + 1))} left"


class Lines:
    """One plain line for each event: logs, pipes and terminals that cannot redraw."""

    def __init__(self) -> None:
        self._remaining = Remaining()

    def stage(self, text: str) -> None:
        """Print the stage."""
        self._print(f"  {text}")

    def launch(self, k: int, n: int, label: str) -> None:
        """Print ``[k/n] label``, and the time left when it is known."""
        left = self._remaining.at(k, n)
        self._print(f"[{k}/{n}] {label}{f' ({left})' if left else ''}")

    def note(self, text: str) -> None:
        """Print the text."""
        self._print(text)

    def warn(self, text: str) -> None:
        """Print the text as a warning."""
        self._print(f"warning: {text}")

    def done(self) -> None:
        """Nothing is displayed that would have to go."""

    def _print(self, text: str) -> None:
        print(plain(text), file=sys.stderr, flush=True)  # noqa: T201 -- stderr is what this class is for


class Bar:
    """A bar with the launch, the stage and the time left, redrawn at each event."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 -- 80 ms that pipes need not pay
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415 -- as above

        self._rich = RichProgress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True, highlight=False, markup=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        )
        self._remaining = Remaining()
        self._label = self._stage = self._left = ""
        self._task: TaskID | None = None

    def stage(self, text: str) -> None:
        """Show the stage beside the bar; before the first launch, as a line."""
        self._stage = text
        if self._task is None:
            self.note(f"  {text}")
        else:
            self._draw()

    def launch(self, k: int, n: int, label: str) -> None:
        """Move the bar to launch ``k``."""
        self._label, self._stage, self._left = label, "", self._remaining.at(k, n)
        if self._task is None:
            self._task = self._rich.add_task("", total=n)
            self._rich.start()
        self._rich.update(self._task, completed=k - 1, total=n)
        self._draw()

    def note(self, text: str) -> None:
        """Print the text above the bar."""
        self._rich.console.print(plain(text))

    def warn(self, text: str) -> None:
        """Print the text above the bar, in yellow."""
        self._rich.console.print(f"warning: {plain(text)}", style="yellow")

    def done(self) -> None:
        """Remove the bar."""
        self._rich.stop()

    def _draw(self) -> None:
        assert self._task is not None
        parts = [part for part in (self._label, self._stage, self._left) if part]
        # A name may hold brackets, which the column would take for markup.
        text = "  ".join(parts).replace("[", r"\[")
        self._rich.update(self._task, description=text, refresh=True)


def choose() -> Progress:
    """Return the display that suits stderr."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Bar()
    return Lines()


def duration(seconds: float) -> str:
    """Return seconds as ``40 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
