"""Everything the adapter can say to SGLang 0.5.23, held against the real arguments of that release.

Run by ``make lane-sglang``; not collected by ``make test``.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.lanes.sglang.serving import ENGINE, HERE, VARIABLES, built, model
from tests.unit.engines.test_flags import GOLDEN, everything

from inferometer.engine import Unsupported
from inferometer.installing import clean_variables

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(1800)
ON_CPU = {"SGLANG_USE_CPU_ENGINE": "1", "HF_HUB_OFFLINE": "1"}
OWN_WORDS = {"TRITON": "triton"}
"""Kernels are named in the engine's words: a study has another for each engine."""


def asked(*arguments: str | Path) -> str:
    """Run a script in SGLang's environment and return what it prints."""
    return subprocess.run(
        [built().python, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=clean_variables(os.environ) | VARIABLES | ON_CPU,
        cwd="/",
    ).stdout


def lines(accelerator: str) -> Iterator[list[str]]:
    """Yield what follows ``sglang serve`` in every launch for an accelerator."""
    for at in everything(ENGINE, built().version):
        if at.platform.accelerator == accelerator:
            try:
                yield [OWN_WORDS.get(word, word) for word in ENGINE.command(at).argv[2:]]
            except Unsupported:
                continue


def saved(folder: Path, content: Any) -> Path:
    file = folder / "lines.json"
    file.write_text(json.dumps(content))
    return file


def test_the_golden_list_is_what_the_real_parser_has() -> None:
    text = (GOLDEN / f"sglang-{built().version}.txt").read_text(encoding="utf-8")
    assert asked(GOLDEN / "read_flags.py", "sglang-parser").rstrip() == text.rstrip()


@pytest.mark.parametrize("accelerator", ["cuda", "cpu"])
def test_the_real_parser_takes_every_line(accelerator: str, tmp_path: Path) -> None:
    said = list(lines(accelerator))
    assert len(said) > 25
    file = saved(tmp_path, said)
    assert json.loads(asked(GOLDEN / "read_flags.py", "sglang-accepts", file)) == []


def test_every_line_for_the_processor_can_be_resolved(tmp_path: Path) -> None:
    dense = str(model("smollm2-135m"))
    models = ("/models/", "/made-up/")
    said = [[dense if w.startswith(models) else w for w in line] for line in lines("cpu")]
    answer = asked(HERE / "resolve.py", saved(tmp_path, [*said, ["--model-path", "/nowhere"]]))
    (nowhere,) = json.loads(answer.splitlines()[-1])
    assert nowhere[0] == ["--model-path", "/nowhere"]
