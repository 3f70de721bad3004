"""Checks of a plugin as a whole: what a stranger finds in it, and whether it loads."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.plugins import KINDS, Registry
from inferometer.testing.check import Failed, applies, check, checks_of, need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.testing.check import Check
    from inferometer.testing.plugins.target import Target


@dataclass(frozen=True)
class Kit:
    """A plugin, and what was found of it."""

    target: Target
    registry: Registry
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return its folder; there is nothing to check of an installed one."""
        applies(self.target.folder, "it is installed, and has no folder")
        return Path(self.target.folder)

    @cached_property
    def project(self) -> dict[str, Any]:
        """Return ``[project]`` of its ``pyproject.toml``."""
        text = (self.folder / "pyproject.toml").read_text(encoding="utf-8")
        said: dict[str, Any] = tomllib.loads(text)["project"]
        return said


@check
def has_an_entry_point(kit: Kit) -> None:
    """An entry point names its module: without one Inferometer never finds it."""
    need(kit.target.points, "pyproject.toml has no [project.entry-points.inferometer]")


@check
def loads(kit: Kit) -> None:
    """Its module can be imported, its hooks are known, and what they return is as promised."""
    problems = [f"{row.kind} {row.name}: {row.problem}" for row in kit.registry.problems()]
    need(not problems, "; ".join(problems))


@check
def brings_something(kit: Kit) -> None:
    """It brings an engine, a meter or another thing that Inferometer knows."""
    need([row for row in kit.registry.report() if not row.problem], "its hooks return nothing")


@check
def names_are_free(kit: Kit) -> None:
    """Nothing it brings has the name of something that comes with Inferometer."""
    own = {row.distribution for row in kit.registry.report()} | {kit.target.name}
    applies("inferometer" not in own, "it is Inferometer itself")
    taken = {(row.kind, row.name) for row in Registry(only=None).report() if _bundled(row)}
    ours = {(row.kind, row.name) for row in kit.registry.report() if row.kind in KINDS}
    both = sorted(f"{kind} {name}" for kind, name in taken & ours)
    need(not both, f"taken: {', '.join(both)}")


def _bundled(row: Any) -> bool:
    return bool(row.distribution == "inferometer")


@check
def nothing_old_is_used(kit: Kit) -> None:
    """It uses no hook and no field that is going away."""
    old = [row for row in kit.registry.report() if row.deprecated]
    applies(not old, "; ".join(f"{row.kind} {row.name}: {row.deprecated}" for row in old))


@check
def depends_on_inferometer(kit: Kit) -> None:
    """Installing it installs Inferometer."""
    names = [re.split(r"[^\w.-]", each)[0] for each in kit.project.get("dependencies", [])]
    need("inferometer" in names, "`inferometer` is not among its dependencies")


@check
def has_a_readme(kit: Kit) -> None:
    """Its README says what it is: the page that an index of packages shows."""
    readme = kit.project.get("readme", "")
    name = readme if isinstance(readme, str) else readme.get("file", "")
    need(name and (kit.folder / name).is_file(), "pyproject.toml names no `readme` that is there")


@check
def has_a_conformance_test(kit: Kit) -> None:
    """Its own tests run the kit: with a world, a behaviour or files that only its author has."""
    tests = [path for path in kit.folder.rglob("test_*.py") if ".venv" not in path.parts]
    uses = [path for path in tests if "inferometer.testing" in path.read_text(encoding="utf-8")]
    need(uses, "no test_*.py uses inferometer.testing")


@check
def has_a_licence(kit: Kit) -> None:
    """It says under which licence it may be used."""
    if not kit.project.get("license"):
        applies(ok=False, why="to do: none is chosen; set `license` in pyproject.toml")
    files = kit.project.get("license-files", ["LICEN[CS]E*", "COPYING*"])
    if not any(list(kit.folder.glob(each)) for each in files):
        raise Failed("it names a licence, and its text is not there")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
"""In the order in which they run and are told."""
