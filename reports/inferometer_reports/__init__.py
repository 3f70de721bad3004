"""Bundled renderers: Markdown, JSON and the terminal summary. Importing this costs nothing.

Each renderer is a module with ``render(comparison)`` and ``render_several(several)``, imported when
a report is written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from inferometer import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.renderer import Renderer


class ModuleRenderer(NamedTuple):
    """A renderer whose code is ``inferometer_reports.<module>``, imported at first use."""

    name: str
    module: str

    def render(self, comparison: Comparison) -> Mapping[str, bytes]:
        """Return file name -> content."""
        module = import_module(f"{__name__}.{self.module}")
        files: Mapping[str, bytes] = module.render(comparison)
        return files

    def render_several(self, several: Several) -> Mapping[str, bytes]:
        """Return file name -> content, for several results directories."""
        module = import_module(f"{__name__}.{self.module}")
        files: Mapping[str, bytes] = module.render_several(several)
        return files


@hookimpl
def inferometer_renderers() -> Sequence[Renderer]:
    """Return the bundled renderers."""
    return (
        ModuleRenderer("md", "markdown"),
        ModuleRenderer("json", "report_json"),
        ModuleRenderer("text", "console"),
    )
