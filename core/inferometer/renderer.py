"""What a renderer owes: one file from one comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several


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
