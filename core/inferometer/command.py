"""What a plugin brings to add a command to the command line, and where it is found.

A module named by an entry point in group ``inferometer.commands``, with hook
``inferometer_commands``. ``inferometer --help`` imports every such module to list its commands, so
it imports nothing that costs: what a command needs is behind ``target``. Why it is a group of its
own: ``core/decisions/0022-commands-and-calibration.md``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer import guests

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

GROUP = "inferometer.commands"
HOOK = "inferometer_commands"
VARIABLE = "INFEROMETER_PLUGINS"
"""Names the only entry points to load, of any group."""
LONGEST = 60
"""Characters of a help line."""


class Command(NamedTuple):
    """A command: ``inferometer NAME``."""

    name: str
    line: str
    """What it does, one short sentence: a line of ``inferometer --help``."""
    target: str
    """``module:attribute`` of a :class:`click.Command`, imported when the command is used."""

    def load(self) -> Any:
        """Import the command itself.

        Raises:
            TypeError: there is something else.
        """
        import click  # noqa: PLC0415 -- whoever lists commands need not have it

        module, _, attribute = self.target.partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{self.target} is {type(found).__name__}, no click.Command")
        return found


class Brought(NamedTuple):
    """A command and who brings it."""

    command: Command
    distribution: str


class _Point(NamedTuple):
    name: str
    value: str
    distribution: str


def unsound(command: Any, taken: Collection[str] = ()) -> str:
    """Say why a command cannot be had, empty when it can; ``taken`` names are not to be had."""
    name, line = getattr(command, "name", None), getattr(command, "line", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        return f"{name!r} is no name for a command: small letters, digits and '-'"
    if name in taken:
        return f"{name!r} is a command of Inferometer's own"
    if not isinstance(line, str) or not line.isprintable() or not 0 < len(line) <= LONGEST:
        return f"its help line is not one line of at most {LONGEST} characters"
    target = getattr(command, "target", None)
    if not isinstance(target, str) or not re.fullmatch(r"[\w.]+:\w+", target):
        return f"its target is {target!r}, not 'module:attribute'"
    return "" if callable(getattr(command, "load", None)) else "it has no load()"


def named_in_environment() -> frozenset[str] | None:
    """Return the only entry points to load; None: all."""
    text = os.environ.get(VARIABLE)
    return None if text is None else frozenset(n.strip() for n in text.split(",") if n.strip())


def brought(taken: Collection[str]) -> dict[str, list[Brought]]:
    """Return the sound commands of plugins by name, in the order of names; never raises.

    What is wrong with the others is told by ``inferometer plugins``. A name that two plugins bring
    has two entries: neither can be had.
    """
    found: dict[str, list[Brought]] = {}
    for point in _points(sys.path):
        with contextlib.suppress(Exception, SystemExit), guests.hosted():
            module, _, attributes = point.value.partition(":")
            plugin = import_module(module)
            for attribute in filter(None, attributes.split(".")):
                plugin = getattr(plugin, attribute)
            for command in getattr(plugin, HOOK)():
                if not unsound(command, taken):
                    found.setdefault(command.name, []).append(Brought(command, point.distribution))
    return dict(sorted(found.items()))


def _points(path: Sequence[str]) -> list[_Point]:
    """Return the entry points of :data:`GROUP`, of each distribution the first on ``path``.

    As :mod:`importlib.metadata` finds them, in 1 ms; importing that takes 20, and ``--help`` 60.
    """
    only, found = named_in_environment(), {}
    for folder in path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for name in names:
            stem, dot, suffix = name.rpartition(".")
            distribution = stem.partition("-")[0].replace("_", "-").lower()
            if dot and suffix in {"dist-info", "egg-info"} and distribution not in found:
                listed = os.path.join(folder, name, "entry_points.txt")
                found[distribution] = list(_read(listed, distribution))
    points = [point for points in found.values() for point in points]
    return sorted(point for point in points if only is None or point.name in only)


def _read(path: str, distribution: str) -> Iterator[_Point]:
    try:
        with open(path, encoding="utf-8") as lines:
            text = lines.read()
    except (OSError, UnicodeDecodeError):
        return
    group = ""
    for line in map(str.strip, text.splitlines() if f"[{GROUP}]" in text else ()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group == GROUP and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield _Point(name.strip(), value.partition("[")[0].strip(), distribution)
