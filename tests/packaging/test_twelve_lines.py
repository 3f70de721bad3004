"""The engine of twelve lines that the first page shows is one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.engine import Engine, LaunchContext, LaunchSpec, Platform, Unsupported
from inferometer.plugins import Registry
from inferometer.testing import conformance

PAGE = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```python\n(.+?)^```$", re.DOTALL | re.MULTILINE)
MODULE = "twelve_lines"
ENTRY = f"[inferometer]\ntoy = {MODULE}\n"
CPU = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")


def block() -> str:
    """Return the module as the page has it."""
    (source,) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return str(source)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Yield the page's engine, installed as a stranger's distribution."""
    (tmp_path / f"{MODULE}.py").write_text(block(), encoding="utf-8")
    info = tmp_path / "toy_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(only=["toy"])
    yield registry.engines()["toy"]
    assert registry.problems() == []
    del sys.modules[MODULE]


def context(**spec: object) -> LaunchContext:
    return LaunchContext(
        python=Path("/env/bin/python"),
        version="1.0",
        model_path=Path("/models/m"),
        model_name="m",
        host="127.0.0.1",
        port=20001,
        platform=CPU,
        spec=LaunchSpec(**spec),  # type: ignore[arg-type]  # named terms of a launch
        profile="defaults",
        cores=2,
        memory_bytes=8 << 30,
    )


def test_it_has_twelve_lines() -> None:
    assert len([line for line in block().splitlines() if line.strip()]) == 12


def test_it_builds_the_command_of_a_launch(engine: Engine) -> None:
    argv = engine.command(context(extra_args=("--fast",))).argv
    assert argv == (
        *("/env/bin/python", "-m", "toy", "/models/m"),
        *("--host", "127.0.0.1", "--port", "20001", "--dtype", "bfloat16", "--fast"),
    )


def test_what_it_has_no_word_for_is_refused(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="max_model_len"):
        engine.command(context(max_model_len=2048))


@pytest.mark.waiting
def test_it_fulfils_the_contract(engine: Engine) -> None:
    results = conformance.run(engine)
    assert {result.outcome for result in results} == {"pass", "n/a"}
