"""Differences between stacks, pair by pair and model by model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inferometer.analyze import analyze
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Difference


def told(**values: Any) -> dict[str, Any]:
    return {name: {"value": value, "source": "x"} for name, value in values.items()}


def compared(root: Path, given: dict[str, dict[str, Any]], **fixture: Any) -> list[Difference]:
    """Return the differences when each stack's launches say ``given`` (a list: round by round)."""
    write_results(root, Fixture(rates={"fast": 100.0, "slow": 50.0}, rounds=2, **fixture))
    for path in root.glob("launches/*/launch.json"):
        record = json.loads(path.read_text())
        for key, value in given[record["stack"]["id"]].items():
            said = value[record["round"]] if isinstance(value, list) else value
            record[key] = said.get(record["model"]["name"], said) if key == "told" else said
        path.write_text(json.dumps(record))
    return analyze(root).differences


def test_what_was_resolved_counts_and_what_was_asked_stands_in(tmp_path: Path) -> None:
    fast = {
        "asked": {"dtype": "bfloat16", "max_num_seqs": 256, "seed": 0},
        "told": told(dtype="torch.bfloat16", max_num_seqs=128, prefix_caching=True, graphs=False),
    }
    slow = {
        "asked": {"dtype": "bfloat16", "seed": 0, "max_num_batched_tokens": 512},
        "told": told(max_num_seqs=256, prefix_caching=False, max_num_batched_tokens=512),
    }
    (found,) = compared(tmp_path, {"fast": fast, "slow": slow})
    assert (found.model, found.left, found.right) == ("dense", "fast", "slow")
    said = {one.name: (one.left, one.right) for one in found.settings}
    assert said == {"max_num_seqs": ("128 (asked 256)", "256"), "prefix_caching": ("on", "off")}
    assert found.equal == ["dtype", "seed"]
    assert "graphs (slow)" in found.unresolved
    assert "max_num_batched_tokens (fast)" in found.unresolved
    assert "moe_backend (fast, slow)" in found.unresolved


def test_each_model_has_its_own_and_launches_that_differ_show_it(tmp_path: Path) -> None:
    fast = {
        "told": [
            {"dense": told(kv_cache_tokens=1000), "moe": told(kv_cache_tokens=200)},
            {"dense": told(kv_cache_tokens=1008), "moe": told(kv_cache_tokens=200)},
        ]
    }
    slow = {"told": told(kv_cache_tokens=200)}
    dense, moe = compared(tmp_path, {"fast": fast, "slow": slow}, models=("dense", "moe"))
    assert (dense.model, moe.model) == ("dense", "moe")
    assert [(one.left, one.right) for one in dense.settings] == [("1,000; 1,008", "200")]
    assert moe.settings == []
    assert moe.equal == ["kv_cache_tokens"]


def test_cells_show_what_launches_say_or_why_they_do_not(tmp_path: Path) -> None:
    fast = {
        "told": told(kv_cache_tokens=1000, weights_bytes=2**30),
        "peak_device_memory": {"reason": "no_device", "detail": "no NVIDIA device here"},
    }
    slow = {"told": {"kv_cache_tokens": {"reason": "not_told", "detail": "nowhere"}}}
    compared(tmp_path, {"fast": fast, "slow": slow})
    cells = {cell.stack: cell.values for cell in analyze(tmp_path).cells}
    assert cells["fast"]["kv_cache_tokens"].value == 1000
    assert cells["fast"]["weights_gib"].value == 1
    assert cells["fast"]["peak_device_memory_gib"].reason == "no_device"
    silent = cells["slow"]["kv_cache_tokens"]
    assert (silent.value, silent.reason, silent.detail) == (None, "not_told", "nowhere")
    assert cells["slow"]["peak_device_memory_gib"].reason == "not_recorded"


def test_a_capacity_of_nothing_in_one_launch_is_no_end_of_the_report(tmp_path: Path) -> None:
    slow = {"told": [told(kv_cache_tokens=0), told(kv_cache_tokens=100)]}
    compared(tmp_path, {"fast": {"told": told(kv_cache_tokens=7)}, "slow": slow})
    cells = {cell.stack: cell.values for cell in analyze(tmp_path).cells}
    seen = cells["slow"]["kv_cache_tokens"]
    assert (seen.value, seen.low, seen.n) == (50, 0, 2)


def test_a_variable_that_differs_between_models_is_said_to(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"fast": 1.0, "slow": 1.0}, models=("dense", "moe")))
    for path in tmp_path.glob("launches/*/launch.json"):
        record = json.loads(path.read_text())
        model = record["model"]["name"]
        record["environment_variables"] = {"SAME": "1", "SPACE": "2" if model == "dense" else "4"}
        if model == "moe":
            record["environment_variables"]["MOE"] = "on"
        path.write_text(json.dumps(record))
    stack = analyze(tmp_path).stacks[0]
    assert stack.environment_variables == {
        "MOE": "differs by model: dense: not set; moe: on",
        "SAME": "1",
        "SPACE": "differs by model: dense: 2; moe: 4",
    }
    assert stack.variables_by_model == {
        "dense": {"SAME": "1", "SPACE": "2"},
        "moe": {"MOE": "on", "SAME": "1", "SPACE": "4"},
    }


def test_variables_that_are_one_for_all_models_stand_once(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"fast": 1.0, "slow": 1.0}, models=("dense", "moe")))
    for path in tmp_path.glob("launches/*/launch.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"environment_variables": {"SAME": "1"}}))
    stack = analyze(tmp_path).stacks[0]
    assert (stack.environment_variables, stack.variables_by_model) == ({"SAME": "1"}, {})


def test_one_engine_twice_is_compared_in_its_own_words_too(tmp_path: Path) -> None:
    def record(block: int) -> dict[str, Any]:
        return {
            "stack": None,
            "resolved_configuration": [
                {"/info": {"block": block, "id": f"run {number} {block}", "same": True}}
                for number in (1, 2)
            ],
        }

    given = {"fast": record(16), "slow": record(32)}
    for stack, say in given.items():
        say["stack"] = {"id": stack, "engine": "one", "label": stack}
    (found,) = compared(tmp_path, given)
    assert [(one.name, one.left, one.right) for one in found.settings] == [
        ("configuration: /info.block", "16", "32")
    ]
