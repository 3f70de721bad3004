"""The hooks a plugin may implement.

A plugin is a module named by an entry point in group ``inferometer``::

    [project.entry-points.inferometer]
    my-engine = "my_package"

and any of the functions below in it, marked with :data:`inferometer.hookimpl`. Built-in engines,
meters, importers and renderers are found the same way. Commands alone have a group of their own,
``inferometer.commands``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.command import Command
    from inferometer.engine import Engine
    from inferometer.executor import Executor
    from inferometer.importer import Importer
    from inferometer.loadhosts import LoadHosts
    from inferometer.meter import EnergyMeter
    from inferometer.prices import PriceBook
    from inferometer.renderer import Renderer

GROUP = "inferometer"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def inferometer_commands() -> Sequence[Command]:  # type: ignore[empty-body]
    """Return the commands this plugin adds. Called by ``inferometer --help``: costs nothing."""


@hookspec
def inferometer_engines() -> Sequence[Engine]:  # type: ignore[empty-body]
    """Return the engines this plugin adds. Called once, when an engine is first needed."""


@hookspec
def inferometer_executors() -> Sequence[Executor]:  # type: ignore[empty-body]
    """Return the executors this plugin adds. Called when a run names one; must reach nothing."""


@hookspec
def inferometer_importers() -> Sequence[Importer]:  # type: ignore[empty-body]
    """Return the importers this plugin adds. Called when another tool's files are imported."""


@hookspec
def inferometer_load_hosts() -> Sequence[LoadHosts]:  # type: ignore[empty-body]
    """Return the ways to start load hosts. Called when a load names one; must reach nothing."""


@hookspec
def inferometer_meters() -> Sequence[EnergyMeter]:  # type: ignore[empty-body]
    """Return the meters this plugin adds. Must not touch hardware: that is ``info``'s work."""


@hookspec
def inferometer_price_books() -> Sequence[PriceBook]:  # type: ignore[empty-body]
    """Return the price books this plugin adds. Called when a price is looked up by its id."""


@hookspec
def inferometer_renderers() -> Sequence[Renderer]:  # type: ignore[empty-body]
    """Return the renderers this plugin adds. Called when a report is written."""
