"""The tables of the kits' pages are the checks themselves, and the how-to's meter is proved.

Write them again: ``UPDATE_DOCS=1 python -m pytest tests/conformance/test_docs.py``.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from inferometer import deprecated
from inferometer.testing import conformance, executors, importers, meters, renderers, workloads
from inferometer.testing.plugins import whole

DOCS = Path(__file__).parents[2] / "docs"
ENGINES, METERS = DOCS / "reference" / "conformance.md", DOCS / "reference" / "meter-kit.md"
PLUGINS, PROMISE = DOCS / "reference" / "plugins.md", DOCS / "reference" / "compatibility.md"
HOW_TO = DOCS / "how-to" / "add-a-meter.md"


def table(checks: Sequence[Any]) -> str:
    rows = "".join(f"| `{check.id}` | {check.words} |\n" for check in checks)
    return f"| check | what holds |\n|---|---|\n{rows}"


def filled(page: str, name: str, text: str) -> str:
    mark = re.compile(rf"(<!-- {name}: begin [^\n]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert len(mark.findall(page)) == 1
    return mark.sub(lambda found: found[1] + text + found[2], page)


def going() -> str:
    """Return what is deprecated as a table."""
    old = {f"`{name}()`": it for name, it in deprecated.HOOKS.items()}
    old |= {f"`{kind}.{member}`": it for (kind, member), it in deprecated.MEMBERS.items()}
    rows = "".join(
        f"| {what} | {it.since} | {it.until} | {it.instead} |\n" for what, it in old.items()
    )
    head = "| what | since | gone in | instead |\n|---|---|---|---|\n"
    return f"{head}{rows}" if rows else "Nothing is deprecated.\n"


PAGES = {
    PLUGINS: {
        "plugin checks": table(whole.CHECKS),
        "renderer checks": table(renderers.CHECKS),
        "importer checks": table(importers.CHECKS),
        "executor checks": table(executors.CHECKS),
        "workload checks": table(workloads.CHECKS),
    },
    PROMISE: {"deprecated": going()},
    ENGINES: {
        "checks": table(conformance.CHECKS),
        "live checks": table(conformance.LIVE_CHECKS),
    },
    METERS: {
        "meter checks": table(meters.CHECKS),
        "reasons": ", ".join(f"`{word}`" for word in sorted(meters.REASONS)) + ".\n",
    },
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.name))
def test_the_tables_are_the_checks(path: Path) -> None:
    right = path.read_text(encoding="utf-8")
    for name, text in PAGES[path].items():
        right = filled(right, name, text)
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(right, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == right


# -- the meter of the how-to -------------------------------------------------------------------


class Ipmitool:
    """A program of that name, first on PATH, that does as its state says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.says("212")

    def says(self, watts: str) -> None:
        said = f"\n    Instantaneous power reading:                   {watts} Watts\n"
        self.does(f"cat << END{said}    Minimum during sampling period:  3 Watts\nEND")

    def does(self, line: str) -> None:
        path = self.folder / "ipmitool"
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    @contextmanager
    def installed(self) -> Iterator[Mapping[str, Any]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(self.folder), prepend=os.pathsep)
            yield {}

    @contextmanager
    def doing(self, line: str) -> Iterator[None]:
        self.does(line)
        yield
        self.says("212")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], ModuleType]:
    """Return what makes a Python block of the how-to a module of its own."""
    blocks = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.syspath_prepend(tmp_path)

    def module(number: int) -> ModuleType:
        (tmp_path / f"how_to_{number}.py").write_text(blocks[number])
        return importlib.import_module(f"how_to_{number}")

    return module


def test_the_meter_of_the_how_to_passes(
    tmp_path: Path, written: Callable[[int], ModuleType]
) -> None:
    tool = Ipmitool(tmp_path)
    refused = "echo 'Could not open device at /dev/ipmi0: Permission denied' >&2; exit 1"
    world = meters.World(
        made=tool.installed,
        absent=lambda: tool.doing("echo 'no such device' >&2; exit 1"),
        forbidden=lambda: tool.doing(refused),
        failing=lambda: tool.doing("exit 1"),
        truth=lambda: {"node": 212.0},
    )
    results = meters.run(written(0).Ipmi(), world=world)
    assert {it.id: it.detail for it in results if it.outcome == "fail"} == {}
    assert sum(it.outcome == "pass" for it in results) >= 45


def test_its_counters_of_zeus_are_joules(
    written: Callable[[int], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    zeus = ModuleType("zeus.device")
    counters = {0: 2_000, 1: 3_000}
    gpus = SimpleNamespace(get_total_energy_consumption=counters.get)
    zeus.get_gpus = lambda: gpus  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.device", zeus)
    assert written(2).joules() == {"gpu-0": 2.0, "gpu-1": 3.0}
