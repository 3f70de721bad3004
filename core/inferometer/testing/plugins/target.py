"""What is to be checked, and what is told of it, between two processes."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

from msgspec import Struct

from inferometer import command, hooks
from inferometer.errors import UsageError, closest
from inferometer.testing.check import Result

GROUPS = (hooks.GROUP, command.GROUP)
SAMPLES = Path("tests", "samples")
"""Where in a folder sound files of an importer stand, in a folder of its name."""


class Target(Struct, frozen=True, kw_only=True):
    """A plugin, and how to check it."""

    name: str
    """Of the distribution."""
    folder: str = ""
    """Empty: it is installed."""
    points: list[tuple[str, str, str]]
    """Name, value and group of each entry point."""
    options: dict[str, Any] = {}
    """For its meters and executors that have options of such names."""
    samples: list[str] = []
    """Files for its importers."""

    def entry_points(self) -> list[EntryPoint]:
        """Return the entry points; of an installed distribution they know it."""
        if self.folder:
            return [EntryPoint(*point) for point in self.points]
        return [point for point in distribution(self.name).entry_points if point.group in GROUPS]

    def samples_of(self, importer: str) -> list[Path]:
        """Return the files that an importer is checked with."""
        folder = Path(self.folder, SAMPLES, importer)
        if self.samples or not self.folder or not folder.is_dir():
            return [Path(sample) for sample in self.samples]
        return sorted(path for path in folder.iterdir() if path.is_file())


class Told(Struct, frozen=True, kw_only=True):
    """The result of one check, and of what: ``engine toy``, or ``plugin`` as a whole."""

    of: str
    result: Result


def found(given: str, options: dict[str, Any], samples: list[str]) -> Target:
    """Return what ``given`` names: a folder, or an installed distribution.

    Raises:
        UsageError: it is neither, or no plugin.
    """
    path = Path(given)
    if path.is_dir():
        name, points = _of_folder(path)
        folder = str(path.resolve())
    elif path.exists():
        raise UsageError(f"{given}: a file", hint="Give the plugin's folder, with pyproject.toml.")
    else:
        name, points, folder = given, _of_distribution(given), ""
    return Target(name=name, folder=folder, points=points, options=options, samples=samples)


def _of_folder(path: Path) -> tuple[str, list[tuple[str, str, str]]]:
    file = path / "pyproject.toml"
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
        project = said["project"]
        groups = {group: project.get("entry-points", {}).get(group, {}) for group in GROUPS}
        points = [(str(k), str(v), group) for group in GROUPS for k, v in groups[group].items()]
        return str(project["name"]), points
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: no plugin: it has no pyproject.toml",
            hint="Give a plugin's folder, or write one: inferometer plugins new NAME --kind ...",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read: {error}", hint="Correct it there.") from error
    except (KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{file}: has no [project] with a name, and tables of entry points below it",
            hint='Write [project] with name = "...", and [project.entry-points.inferometer].',
        ) from error


def _of_distribution(name: str) -> list[tuple[str, str, str]]:
    try:
        points = list(distribution(name).entry_points)
    except (PackageNotFoundError, ValueError) as error:
        near = closest(name, _plugins())
        hint = f"Did you mean {near!r}? " if near else ""
        raise UsageError(
            f"{name}: neither a folder nor an installed distribution",
            hint=f"{hint}Give a plugin's folder; `inferometer plugins` lists what is installed.",
        ) from error
    ours = [(point.name, point.value, point.group) for point in points if point.group in GROUPS]
    if not ours:
        raise UsageError(
            f"{name}: installed, but it has no entry point in the group {hooks.GROUP!r}",
            hint="`inferometer plugins` lists what is installed.",
        )
    return ours


def _plugins() -> set[str]:
    return {
        each.name
        for each in distributions()
        if any(point.group in GROUPS for point in each.entry_points)
    }
