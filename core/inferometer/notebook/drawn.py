"""Figures for a notebook, drawn by whichever installed renderer draws their kind.

The core knows no report: a renderer that draws (:class:`inferometer.renderer.FigureRenderer`)
brings its kinds by the renderers' hook.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload

from inferometer.errors import InferometerError, UsageError
from inferometer.guests import stdout_to_stderr
from inferometer.plugins import Registry
from inferometer.renderer import FigureRenderer

if TYPE_CHECKING:
    from inferometer.comparison import Comparison
    from inferometer.renderer import Figure


class Figures(Sequence["Figure"]):
    """The charts of one kind, none where there is nothing to draw."""

    def __init__(self, kind: str, found: Sequence[Figure], renderer: FigureRenderer) -> None:
        self.kind = kind
        self._found = tuple(found)
        self._renderer = renderer

    @overload
    def __getitem__(self, index: int) -> Figure: ...
    @overload
    def __getitem__(self, index: slice) -> Figures: ...
    def __getitem__(self, index: int | slice) -> Figure | Figures:
        """Return a chart, or some of them."""
        if isinstance(index, slice):
            return Figures(self.kind, self._found[index], self._renderer)
        return self._found[index]

    def __len__(self) -> int:
        """Return how many charts there are."""
        return len(self._found)

    def __repr__(self) -> str:
        return f"<{len(self)} {self.kind} figures>"

    def _repr_html_(self) -> str:
        if not self._found:
            return f"<p>No {escape(self.kind)} figure: nothing to draw in these results.</p>"
        return "".join(f"<figure>{one.svg.decode()}</figure>" for one in self._found)

    def _repr_svg_(self) -> str | None:
        """Return the chart where there is one alone; an SVG cannot hold several."""
        return self._found[0].svg.decode() if len(self._found) == 1 else None

    def save(self, folder: str | Path, *, png: bool = False) -> list[Path]:
        """Write the charts into ``folder`` as SVG, or as PNG; return their paths."""
        place = Path(folder).expanduser()
        place.mkdir(parents=True, exist_ok=True)
        paths = []
        for one in self._found:
            path = place / Path(one.name).with_suffix(".png" if png else ".svg").name
            path.write_bytes(self._renderer.png(one.svg) if png else one.svg)
            paths.append(path)
        return paths


def figures(comparison: Comparison, kind: str) -> Figures:
    """Draw the charts of one kind.

    Raises:
        UsageError: no installed renderer draws it.
        InferometerError: it could not be drawn.
    """
    known: dict[str, FigureRenderer] = {}
    for renderer in Registry().renderers().values():
        if isinstance(renderer, FigureRenderer):
            known.update((one, renderer) for one in renderer.kinds if one not in known)
    if kind not in known:
        raise UsageError.unknown("figure", kind, known)
    try:
        with stdout_to_stderr():
            found = known[kind].draw(comparison, kind)
    except Exception as error:
        raise InferometerError(
            f"figure {kind!r} could not be drawn: {type(error).__name__}: {error}",
            hint=f"Report this to the author of report format {known[kind].name!r}.",
        ) from error
    return Figures(kind, found, known[kind])
