"""Bundled renderers: HTML, Markdown, JSON, the terminal summary, and data for other programs.

Importing this costs nothing. Each renderer is a module with ``render(comparison)`` and
``render_several(several)``, imported when a report is written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from inferometer import hookimpl
from inferometer.language import speaking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType
    from typing import Self

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus
    from inferometer.renderer import Figure, Renderer


class DataRenderer(NamedTuple):
    """A renderer whose code is ``inferometer_reports.<module>``, imported at first use."""

    name: str
    module: str
    on_request: bool = False
    language: str = "en"

    @property
    def languages(self) -> Sequence[str]:
        """Return the codes of the languages that it writes in."""
        languages: Sequence[str] = import_module(f"{__name__}.languages").LANGUAGES
        return languages

    def in_language(self, language: str) -> Self:
        """Return the renderer itself: data are the same in every language."""
        del language
        return self

    def render(self, comparison: Comparison) -> Mapping[str, bytes]:
        """Return file name -> content."""
        return self.call("render", comparison)

    def render_several(self, several: Several) -> Mapping[str, bytes]:
        """Return file name -> content, for several results directories."""
        return self.call("render_several", several)

    def call(self, function: str, found: Comparison | Several | Versus) -> Mapping[str, bytes]:
        """Return what a function of the module makes of ``found``, in the renderer's language."""
        with self.spoken():
            files: Mapping[str, bytes] = getattr(self.imported(), function)(found)
            return files

    def spoken(self) -> AbstractContextManager[None]:
        """Write in the language of the renderer, inside the block."""
        return speaking(import_module(f"{__name__}.languages").load(self.language))

    def imported(self) -> ModuleType:
        """Import the code."""
        return import_module(f"{__name__}.{self.module}")


class ModuleRenderer(DataRenderer):
    """A renderer that is read by people, and can show one directory against a baseline too."""

    def render_versus(self, versus: Versus) -> Mapping[str, bytes]:
        """Return file name -> content, for one results directory against a baseline."""
        return self.call("render_versus", versus)

    def in_language(self, language: str) -> Self:
        """Return the same renderer, writing in ``language``."""
        return self._replace(language=language)


class FigureFiles(DataRenderer):
    """The renderer that draws charts."""

    def in_language(self, language: str) -> Self:
        """Return the same renderer, writing in ``language``."""
        return self._replace(language=language)

    @property
    def kinds(self) -> Sequence[str]:
        """Return the kinds of chart."""
        kinds: Sequence[str] = self.imported().KINDS
        return kinds

    def draw(self, comparison: Comparison, kind: str) -> Sequence[Figure]:
        """Return the charts of one kind."""
        with self.spoken():
            drawn: Sequence[Figure] = self.imported().draw(comparison, kind)
        return drawn

    def png(self, svg: bytes) -> bytes:
        """Return a chart as PNG."""
        drawn: bytes = self.imported().png(svg)
        return drawn


@hookimpl
def inferometer_renderers() -> Sequence[Renderer]:
    """Return the bundled renderers."""
    return (
        ModuleRenderer("html", "html"),
        ModuleRenderer("md", "markdown"),
        ModuleRenderer("json", "report_json"),
        ModuleRenderer("text", "console"),
        DataRenderer("csv", "tables_csv"),
        FigureFiles("figures", "figure_files", on_request=True),
        DataRenderer("openmetrics", "openmetrics", on_request=True),
    )
