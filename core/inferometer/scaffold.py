"""Writes the distribution of a new plugin: from a template that is a working plugin itself.

The templates are in ``templates/plugin``, one module for each kind, written for a plugin called
Quux; a new plugin is the same with its own name in every place.
"""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

from inferometer import command, hooks
from inferometer.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX = "inferometer-"
"""What a distribution's name may begin with, and its plugin's name does not."""
LONGEST = 64
SAMPLES = "tests/samples"
"""Where in a distribution sound files of each importer stand, by its name: they are checked."""
OURS = {"inferometer", "inferometer-engines", "inferometer-plugins", "inferometer-reports"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is said of one kind of plugin in what is written for it."""

    article: str
    what: str
    todo: str
    contract: str


KINDS: Mapping[str, Kind] = {
    "engine": Kind(
        "an",
        "Its server is a toy that streams words at an even pace, so that everything runs at once.",
        "Put your engine's command, requirements and terms in place of the toy's, set "
        "`simulated = False`, and take `known_failures` away.",
        "inferometer.engine.Engine",
    ),
    "meter": Kind(
        "a",
        "It takes the engine's CPU seconds times the watts that a study declares: an estimate.",
        "Read your sensor in place of that, and say what it is in `info`.",
        "inferometer.meter.EnergyMeter",
    ),
    "renderer": Kind(
        "a",
        "It writes every ranking as lines of plain text.",
        "Write your format in place of that.",
        "inferometer.renderer.Renderer",
    ),
    "importer": Kind(
        "an",
        "It reads a small JSON object; `tests/samples` has one.",
        "Read your tool's file in place of that, and put a real one into `tests/samples`.",
        "inferometer.importer.Importer",
    ),
    "executor": Kind(
        "an",
        "It carries out launches on this machine, one after the other, each in a process.",
        "Start processes on your cluster's nodes in place of that.",
        "inferometer.executor.Executor",
    ),
    "workload": Kind(
        "a",
        "Its command writes a trace of bursts of requests, which a study names and replays.",
        "Draw what your traffic is like in place of that; the formats: `docs/reference/traces.md`.",
        "inferometer.command.Command",
    ),
}
"""By the word that ``--kind`` takes."""


@dataclass(frozen=True, slots=True)
class Names:
    """How a new plugin is called, in each place."""

    distribution: str
    module: str
    name: str
    """In studies and on the command line."""
    class_: str
    """What the classes' names begin with."""


def named(given: str) -> Names:
    """Return the names made from a distribution's.

    Raises:
        UsageError: it is no name of a distribution, or its module would hide another one.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", given):
        raise UsageError(
            f"NAME {given!r}: not the name of a distribution",
            hint="Use letters, digits and dashes, such as inferometer-myengine.",
        )
    distribution = re.sub(r"[-_.]+", "-", given).lower()
    module = distribution.replace("-", "_")
    name = distribution.removeprefix(PREFIX)
    hint = f"Choose another name, such as {PREFIX}myengine."
    if len(given) > LONGEST:
        raise UsageError(f"NAME {given!r}: longer than {LONGEST} characters", hint=hint)
    if distribution in OURS or keyword.iskeyword(module) or _hides(module, distribution):
        raise UsageError(f"NAME {given!r}: its module {module} would hide another one", hint=hint)
    if not name[:1].isalpha() or not module.isidentifier():
        raise UsageError(f"NAME {given!r}: its module and class begin with a letter", hint=hint)
    return Names(distribution, module, name, "".join(map(str.capitalize, name.split("-"))))


def _hides(module: str, distribution: str) -> bool:
    """Say whether a module would be found in place of another one, which is no plugin's."""
    if module in sys.stdlib_module_names or module in {"conftest", "tests"}:
        return True
    spec = find_spec(module)
    plugins = {
        re.sub(r"[-_.]+", "-", point.dist.name).lower()
        for group in (hooks.GROUP, command.GROUP)
        for point in entry_points(group=group)
        if point.dist is not None
    }
    return spec is not None and spec.origin is not None and distribution not in plugins


def distribution(names: Names, kind: str) -> dict[str, str]:
    """Return the files of a new distribution: path -> text."""
    about = KINDS[kind]
    texts = {
        "pyproject.toml": _template("pyproject.toml"),
        "README.md": _template("README.md"),
        f"{names.module}.py": _template(f"{kind}.py"),
        f"tests/test_{names.module}.py": _template(f"{kind}.test.txt"),
        ".github/workflows/test.yml": _template("test.yml"),
        ".gitignore": _template("gitignore"),
    }
    if kind == "importer":
        texts[f"{SAMPLES}/{names.name}/result.json"] = _template("importer.sample.json")
    if kind == "workload":  # a file that a study names: what a plugin brings is the command
        group = "[project.entry-points.inferometer]"
        made = texts["pyproject.toml"].replace(group, f'[project.entry-points."{command.GROUP}"]')
        texts["pyproject.toml"] = made
    words = {
        "{article}": about.article,
        "{kind}": kind,
        "{what}": about.what,
        "{todo}": about.todo,
        "{contract}": about.contract,
        # The longer first: they hold the shorter ones.
        "inferometer-quux": names.distribution,
        "inferometer_quux": names.module,
        "Quux": names.class_,
        "quux": names.name,
    }
    return {path: _filled(text, words) for path, text in texts.items()}


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into ``folder``, which is made, or is empty.

    Raises:
        UsageError: something is there already.
        MachineError: it cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder}: is there already, and is left as it is",
                hint="Name a new folder with --directory, or remove that one.",
            )
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MachineError(
            f"{folder}: cannot be written: {error.strerror}",
            hint="Name another folder with --directory.",
        ) from error


def _template(name: str) -> str:
    return (files("inferometer") / "templates" / "plugin" / name).read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)
