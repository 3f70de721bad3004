"""Which kit proves which kind, and what it is given where an author has more to say."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from inferometer import environment
from inferometer.errors import UsageError
from inferometer.testing import conformance, executors, importers, meters, renderers, workloads
from inferometer.testing.check import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from inferometer.testing.plugins.target import Target

    Tell = Callable[[Result], None]


def engine(thing: Any, _target: Target, tell: Tell) -> Iterable[Result]:
    """Check an adapter against fakes of its server."""
    return conformance.run(thing, told=tell)


def meter(thing: Any, target: Target, tell: Tell) -> Iterable[Result]:
    """Check a meter on this machine; one whose options nobody can guess has none to check."""
    given = _known(thing, target)
    accelerator = environment.accelerator()
    world = meters.World(made=lambda: nullcontext(given), accelerator=accelerator)
    try:
        if not given:
            meters.smallest(thing, world)
    except UsageError as refusal:
        said = f"needs options: {refusal.message}. Give them with -o KEY=VALUE."
        return _told(tell, "options", "It can be opened with the fewest options it takes.", said)
    return meters.run(thing, world=world, told=tell)


def renderer(thing: Any, _target: Target, tell: Tell) -> Iterable[Result]:
    """Check a renderer with comparisons that are made up."""
    return renderers.run(thing, told=tell)


def importer(thing: Any, target: Target, tell: Tell) -> Iterable[Result]:
    """Check an importer with the files that stand in the plugin's folder."""
    return importers.run(thing, samples=target.samples_of(thing.name), told=tell)


def executor(thing: Any, target: Target, tell: Tell) -> Iterable[Result]:
    """Check an executor, where its nodes can be reached."""
    return executors.run(thing, options=_known(thing, target), told=tell)


def command(thing: Any, target: Target, tell: Tell) -> Iterable[Result]:
    """Check what a command writes, where that is a workload."""
    loaded = thing.load()
    if workloads.makes_one(loaded):
        return workloads.run(loaded, told=tell)
    return no_kit(thing, target, tell)


def no_kit(_thing: Any, _target: Target, tell: Tell) -> Iterable[Result]:
    """Say that loading it was all."""
    return _told(tell, "kit", "There is a kit for its kind.", "there is none: it was loaded only")


KITS: Mapping[str, Callable[[Any, Target, Tell], Iterable[Result]]] = {
    "command": command,
    "engine": engine,
    "executor": executor,
    "importer": importer,
    "meter": meter,
    "renderer": renderer,
}
"""By kind."""


def _known(thing: Any, target: Target) -> dict[str, Any]:
    return {key: value for key, value in target.options.items() if key in thing.options}


def _told(tell: Tell, id_: str, words: str, detail: str) -> list[Result]:
    result = Result(id=id_, words=words, outcome="n/a", detail=detail, seconds=0.0)
    tell(result)
    return [result]
