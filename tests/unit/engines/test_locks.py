"""The locks that adapters bring: pinned to the last line, and those for CUDA of one piece."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.locks.lock import FOLDER, LOCKS, problems

from inferometer.engine import Platform
from inferometer_engines.sglang import Sglang
from inferometer_engines.vllm import Vllm

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.engine import Engine

FILES = sorted(FOLDER.glob("*.txt"))
CUDA: dict[str, Engine] = {"vllm": Vllm(), "sglang": Sglang()}


def pins(text: str) -> list[Requirement]:
    lines = (line.partition(" --hash=")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_is_one_pin_of_one_distribution(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = pins(text)
    assert len(found) > 100
    assert len({canonicalize_name(pin.name) for pin in found}) == len(found)
    assert all([each.operator for each in pin.specifier] == ["=="] for pin in found)
    assert not any("*" in str(pin.specifier) or pin.url or pin.extras for pin in found)
    assert found[0].name == "torch"
    assert text.startswith("# ")


UNHASHED = {"torch==2.13.0+cpu"}
"""Its hashes are on its project's own index, which says that of no other index's build."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_pin_has_the_hashes_of_its_wheels(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    bare = {line for line in lines if " --hash=" not in line}
    assert bare == (UNHASHED if path.stem.endswith("-cpu") else set())
    found = [part for line in lines for part in line.split()[1:] if part.startswith("--hash=")]
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", part) for part in found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("name", "python"), [(name, python) for name in sorted(LOCKS) for python in LOCKS[name].pythons]
)
def test_the_adapter_brings_the_lock_of_its_engine(name: str, python: str) -> None:
    cuda = Platform(system="linux", machine="x86_64", python=python, accelerator="cuda")
    brought = CUDA[name].requirements(cuda)
    assert brought.lock == (FOLDER / f"{name}-linux-x86_64-cuda.txt").read_text(encoding="utf-8")
    found: dict[str, str] = {
        canonicalize_name(pin.name): str(pin.specifier) for pin in pins(brought.lock)
    }
    assert f"{name}{found[brought.distribution]}" == LOCKS[name].root
    assert "+cpu" not in brought.lock
    assert brought.optional_index is None  # everything is where pip looks by itself


def test_a_set_with_a_hole_a_wrong_version_or_a_wrong_extra_is_told() -> None:
    metadata: dict[str, dict[str, Any]] = {
        "engine": {
            "version": "1",
            "requires_dist": ["torch==2", 'six>1; python_version > "3.11"', "web[fast]"],
        },
        "torch": {"version": "3"},
        "web": {"version": "1", "requires_dist": ['loop; extra == "fast"', 'x; extra == "slow"']},
    }
    assert problems(metadata, ["engine==1"], "3.11") == {
        "Python 3.11: engine wants torch==2, not 3",
        'Python 3.11: web wants loop; extra == "fast", which is not there',
    }
    (more,) = problems(metadata, ["engine==1"], "3.12") - {
        text.replace("3.11:", "3.12:") for text in problems(metadata, ["engine==1"], "3.11")
    }
    assert more.startswith("Python 3.12: engine wants six>1")
