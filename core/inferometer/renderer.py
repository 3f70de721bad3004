"""What a renderer owes: one file from one comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus


class Renderer(Protocol):
    """Turns a comparison into files. Pure: the same comparison gives the same bytes."""

    @property
    def name(self) -> str:
        """Return the format's name, for example ``md``."""

    def render(self, comparison: Comparison) -> Mapping[str, bytes]:
        """Return file name -> content."""


@runtime_checkable
class SeveralRenderer(Renderer, Protocol):
    """A renderer that can also show several results directories; one that cannot is left out."""

    def render_several(self, several: Several) -> Mapping[str, bytes]:
        """Return file name -> content."""


@runtime_checkable
class VersusRenderer(Renderer, Protocol):
    """A renderer that can also show one results directory against a baseline."""

    def render_versus(self, versus: Versus) -> Mapping[str, bytes]:
        """Return file name -> content."""


@runtime_checkable
class OnRequest(Protocol):
    """A renderer whose files are written only when its format is asked for by name."""

    @property
    def on_request(self) -> bool:
        """Return True to be left out by default."""


class Figure(NamedTuple):
    """A chart: its file's name, what stands in its place where it is not seen, and its bytes."""

    name: str
    alt: str
    svg: bytes


@runtime_checkable
class FigureRenderer(Renderer, Protocol):
    """A renderer that can also draw charts one kind at a time, for notebooks."""

    @property
    def kinds(self) -> Sequence[str]:
        """Return the kinds that it draws, for example ``ranking``."""

    def draw(self, comparison: Comparison, kind: str) -> Sequence[Figure]:
        """Return the charts of one kind; none where there is nothing to draw."""

    def png(self, svg: bytes) -> bytes:
        """Return a chart as PNG."""


@runtime_checkable
class LanguageRenderer(Renderer, Protocol):
    """A renderer that writes in several languages; another one writes English alone."""

    @property
    def languages(self) -> Sequence[str]:
        """Return the codes of its languages, as in HTML's ``lang``: ``en``, ``id``."""

    def in_language(self, language: str) -> Self:
        """Return the same renderer, writing in one of its ``languages``."""
