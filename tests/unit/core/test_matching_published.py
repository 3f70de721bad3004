"""A published table, read by the code that studies use: the sign depends on what is matched."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from inferometer.matching.findings import conclusion, findings
from inferometer.matching.gains import gain
from inferometer.matching.matches import Subject, matches
from inferometer.matching.points import (
    Point,
    Reading,
    at_best,
    at_interactivity,
    at_load,
    levels,
    reach,
)

TABLE = Path(__file__).parents[2] / "golden" / "mlenergy_v3.csv"
"""Chung et al., The ML.ENERGY Benchmark, NeurIPS 2025; its head says which figures."""
CHAT = {
    "8B": "Qwen/Qwen3-8B",
    "32B": "Qwen/Qwen3-32B",
    "MoE": "Qwen/Qwen3-30B-A3B-Instruct-2507",
}
GPQA = CHAT | {"14B": "Qwen/Qwen3-14B", "MoE": "Qwen/Qwen3-30B-A3B-Thinking-2507"}
LEVELS = {"32B": [20.0, 50.0], "8B": [20.0, 50.0, 100.0]}
"""tok/s/user that a B200 reaches with both models; the dense 32B is at most at 71."""
PARAMETERS = {"8B": (8e9, 8e9), "14B": (14e9, 14e9), "32B": (32e9, 32e9), "MoE": (30e9, 3e9)}
"""As the table gives them: total and active."""


def points(name: str, task: str, gpu: str, gpus: int = 1) -> list[Point]:
    """Return J per output token of one model by batch: one run each, so one round."""
    wanted = {"model": (GPQA if task == "gpqa" else CHAT)[name], "task": task, "gpu": gpu}
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    rows = [
        row
        for row in csv.DictReader(lines)
        if {key: row[key] for key in wanted} == wanted and int(row["num_gpus"]) == gpus
    ]
    assert rows, wanted
    return [
        Point(
            load=f"{row['max_num_seqs']} streams",
            streams=float(row["max_num_seqs"]),
            values={0: float(row["energy_per_token_j"])},
            speeds={0: 1000 / float(row["median_itl_ms"])},
        )
        for row in rows
    ]


def subject(name: str, gpus: int) -> Subject:
    total, active = PARAMETERS[name]
    return Subject(
        name=name,
        total_parameters=total,
        active_parameters=active,
        weights_bytes=2 * total,
        accelerators=gpus,
    )


def at(readings: list[Reading], load: str) -> Reading:
    (found,) = [reading for reading in readings if reading.load == load]
    return found


def dense_over_moe(reading: Reading) -> float:
    value = gain(reading).value
    assert value is not None
    return 1 / value


def test_each_at_its_best_the_moe_takes_a_quarter_of_the_energy() -> None:
    best = at_best(
        points("32B", "gpqa", "B200"), points("MoE", "gpqa", "B200"), higher_is_better=False
    )
    assert best is not None
    assert (best.dense_load, best.moe_load) == ("128 streams", "512 streams")
    assert dense_over_moe(best) == pytest.approx(3.56, abs=0.005)


def test_at_the_same_batch_the_same_pair_is_much_nearer() -> None:
    dense = points("32B", "lm-arena-chat", "H100", gpus=2)
    moe = points("MoE", "lm-arena-chat", "H100", gpus=2)
    assert dense_over_moe(at(at_load(dense, moe), "128 streams")) == pytest.approx(1.39, abs=0.005)


def test_against_the_dense_model_of_the_same_accelerators_the_moe_loses() -> None:
    dense = points("8B", "lm-arena-chat", "H100")
    moe = points("MoE", "lm-arena-chat", "H100")
    assert dense_over_moe(at(at_load(dense, moe), "64 streams")) == pytest.approx(0.54, abs=0.005)


def test_which_match_each_published_figure_is_of() -> None:
    held = {
        (name, gpus): [
            m.kind for m in matches(subject(name, gpus), subject("MoE", gpus)) if m.holds
        ]
        for name, gpus in (("32B", 2), ("8B", 1))
    }
    assert held == {("32B", 2): ["total_parameters", "memory"], ("8B", 1): ["memory"]}


def test_the_three_figures_raise_the_flag_by_points_alone() -> None:
    chat, gpqa = "lm-arena-chat", "gpqa"
    best = at_best(points("32B", gpqa, "B200"), points("MoE", gpqa, "B200"), higher_is_better=False)
    large = at_load(points("32B", chat, "H100", gpus=2), points("MoE", chat, "H100", gpus=2))
    small = at_load(points("8B", chat, "H100"), points("MoE", chat, "H100"))
    assert best is not None
    of_large = [best, at(large, "128 streams")]
    found = [
        *findings(subject("32B", 2), subject("MoE", 2), of_large, higher_is_better=False),
        *findings(
            *(subject("8B", 1), subject("MoE", 1), [at(small, "64 streams")]),
            higher_is_better=False,
        ),
    ]
    assert [(f.dense, f.match, f.at) for f in found] == [
        ("32B", "total_parameters", "best"),
        ("32B", "total_parameters", "load"),
        ("32B", "memory", "best"),
        ("32B", "memory", "load"),
        ("8B", "memory", "load"),
    ]
    assert conclusion(found, higher_is_better=False) == (True, True)
    # the pair of like size alone has one answer
    assert conclusion(found[:4], higher_is_better=False) == (False, True)


def test_on_one_card_and_one_task_the_answer_depends_on_the_match() -> None:
    chat = "lm-arena-chat"
    moe = points("MoE", chat, "B200")
    found = {}
    for name in ("32B", "8B"):
        dense = points(name, chat, "B200")
        level = levels([reach(dense, moe, higher_is_better=False)])
        assert [speed for speed, _ in level] == LEVELS[name]
        best = at_best(dense, moe, higher_is_better=False)
        assert best is not None
        readings = [
            *at_load(dense, moe),
            *(at_interactivity(dense, moe, one, higher_is_better=False) for one in level),
            best,
        ]
        found[name] = findings(
            subject(name, 1), subject("MoE", 1), readings, higher_is_better=False
        )
    assert {f.match for f in found["32B"]} == {"total_parameters", "memory"}
    assert {f.match for f in found["8B"]} == {"memory"}
    sure = {
        name: {(f.at, f.load): f.ratio.value or 0.0 for f in every} for name, every in found.items()
    }
    # J/token of the MoE: less than the 32B's everywhere, more than the 8B's nearly everywhere
    assert max(sure["32B"].values()) < 1
    assert [load for (_, load), value in sure["8B"].items() if value < 1] == ["1024 streams"]
    assert sure["8B"]["load", "64 streams"] == pytest.approx(2.03, abs=0.005)
    assert conclusion(found["32B"], higher_is_better=False) == (False, True)
    assert conclusion([*found["32B"], *found["8B"]], higher_is_better=False) == (True, True)
