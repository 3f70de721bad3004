"""Every model family against transformers' own modules, built without memory.

Runs in the environment of the Transformers engine, which has torch; needs no accelerator.
"""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inferometer.architecture import Config, Tensors, describe
from inferometer.environment import cache_root, current_platform, prepare
from inferometer_transformers import TransformersServe

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

MODELS = Path(__file__).parents[1] / "golden" / "models.json"
SCRIPT = Path(__file__).with_name("meta_models.py")


def children_s() -> float:
    """Return the processor time of processes that we waited for, which no other work lengthens."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def counted() -> dict[str, Any]:
    """Counts of transformers' modules, by name of the configuration."""
    platform = current_platform("cpu")
    requirements = TransformersServe().requirements(platform)
    environment = prepare(requirements, platform, cache_root(), print)
    used_s = children_s()
    command = [environment.python, SCRIPT, MODELS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert children_s() - used_s < 60
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", sorted(json.loads(MODELS.read_text(encoding="utf-8"))))
def test_formulas_agree_with_modules(name: str, counted: dict[str, Any], tmp_path: Path) -> None:
    """At most 0.1 % off in total and active parameters; KV cache and kinds of layers exactly."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(MODELS.read_text(encoding="utf-8"))[name]["config"]))
    ours = describe(Config(path), Tensors(elements=0, dtype=None))
    modules = counted[name]
    assert "error" not in modules, modules
    assert ours["total_parameters"] == pytest.approx(modules["total"], rel=1e-3)
    assert ours["active_parameters"] == pytest.approx(modules["active"], rel=1e-3)
    shape = ours["shape"]
    assert shape.kv_elements == modules["kv_elements"]
    assert list(shape.moe_layers) == modules["moe_layers"]
    short = [it for group in shape.layers if group.mixer.attended for it in group.numbers]
    if modules["seeing_less"] is not None:
        assert sorted(short) == modules["seeing_less"]
