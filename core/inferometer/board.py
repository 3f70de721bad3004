"""The live view: how the run stands, a few lines at the foot of a terminal's stderr.

It is redrawn when something happens, outside windows. Inside one it stands still and says when the
window closes: a redraw holds the interpreter for milliseconds, in which no event is stamped.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from inferometer.progress import Lines
from inferometer.redact import plain
from inferometer.standing_words import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.live import Live

    from inferometer.journal_records import Figure
    from inferometer.progress import Display
    from inferometer.standing import Standing

BAR = 32
"""Columns of the bar."""


class Board:
    """A bar of launches and the words of :mod:`inferometer.standing_words` below it.

    When the terminal is gone the run goes on.
    """

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 -- 80 ms that pipes need not pay

        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        self._lost = False
        self._standing: Callable[[], Standing] | None = None

    def stage(self, text: str) -> None:
        """Draw; before anything can stand anywhere, print the stage."""
        if self._standing is None:
            self.note(f"  {text}")
        self._draw()

    def launch(self, k: int, n: int, label: str, launch: str) -> None:  # noqa: ARG002 -- Progress's
        """Draw."""
        self._draw()

    def window(self, start_ns: int, end_ns: int) -> None:  # noqa: ARG002 -- as above
        """Draw, a last time before the window is over."""
        self._draw()

    def measured(self, figure: Figure) -> None:  # noqa: ARG002 -- as above
        """Draw."""
        self._draw()

    def launched(self, status: str) -> None:  # noqa: ARG002 -- as above
        """Draw."""
        self._draw()

    def note(self, text: str) -> None:
        """Print the text above the board."""
        self._try(lambda: self._console.print(plain(text)))

    def warn(self, text: str) -> None:
        """Print the text above the board, in yellow."""
        said = f"warning: {plain(text)}"
        self._try(lambda: self._console.print(said, style="yellow"))

    def done(self) -> None:
        """Take the board down."""
        if self._live is not None:
            self._try(self._live.stop)
        self._live = self._standing = None

    def show(self, standing: Callable[[], Standing]) -> None:
        """Keep it for the next drawing."""
        self._standing = standing

    def _try(self, show: Callable[[], None]) -> None:
        if self._lost:
            return
        try:
            show()
        except OSError:
            self._lost = True

    def _draw(self) -> None:
        if self._standing is not None:
            self._try(self._drawn)

    def _drawn(self) -> None:
        from rich.live import Live  # noqa: PLC0415 -- as above
        from rich.text import Text  # noqa: PLC0415 -- as above

        assert self._standing is not None
        text = Text("\n".join(lines(self._standing())), no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(text, refresh=True)


def lines(standing: Standing) -> list[str]:
    """Return the board's lines."""
    share = standing.done / standing.planned if standing.planned else 1.0
    full = int(share * BAR)
    bar = f"[{'#' * full}{'-' * (BAR - full)}] {plain(standing.study)}"
    return [bar, *(f"{name:<8}  {text}" for name, text in rows(standing) if name != "run")]


def choose() -> Display:
    """Return the display that suits stderr: the board on a terminal, else lines."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Board()
    return Lines()
