"""A round on one node is a block: what is compared never differs by the node as well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from inferometer import nodes, ranking
from inferometer.analyze import analyze, gather
from inferometer.cooling import before_round
from inferometer.notebook.started import launches
from inferometer.ranking import Contest, Entrant
from inferometer.rawdata import requests
from inferometer.records import Condition, Cooling
from inferometer.store import Store, append_lines
from inferometer.testing.results import Fixture, write_results
from inferometer.uncertainty import decisions
from inferometer.uncertainty.components import layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inferometer.comparison import Comparison, Ranking

STACKS = ("a", "b", "c")
RATES = {"a": 100.0, "b": 80.0, "c": 79.0}
NOISE = {
    (stack, round_): 1 + change / 100
    for stack, own in {"a": (0, 2, -1, 1), "b": (1, -1, 0, 2), "c": (-1, 0, 2, 1)}.items()
    for round_, change in enumerate(own)
}
PAIRS = {(stack, r): f"node-{1 + r // 2}" for stack in STACKS for r in range(4)}
"""Two rounds on each of two nodes."""


def compared(
    root: Path, where: Mapping[tuple[str, int], str], **more: object
) -> tuple[Comparison, Ranking]:
    fixture = Fixture(rates=RATES, rounds=4, drift=NOISE, nodes=where)
    write_results(root, replace(fixture, **more))  # type: ignore[arg-type]
    found = analyze(root)
    return found, next(r for r in found.rankings if r.objective == "throughput")


def ratios(found: Ranking) -> list[tuple[float | None, float | None, float | None]]:
    return [(p.ratio.value, p.ratio.low, p.ratio.high) for p in found.pairs]


def test_a_slower_node_changes_no_ratio_and_no_interval_of_one(tmp_path: Path) -> None:
    _, one = compared(tmp_path / "one", {})
    both, two = compared(tmp_path / "two", PAIRS, paces_of={"node-2": 0.9})
    assert two.n_rounds == 4
    assert [e.place for e in two.entries] == [e.place for e in one.entries]
    for mine, theirs in zip(ratios(two), ratios(one), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
    assert [p.verdict for p in two.pairs] == [p.verdict for p in one.pairs]
    assert two.minimum_detectable_percent == pytest.approx(one.minimum_detectable_percent, rel=0.02)
    # A mean over machines that may differ has no interval: two of them do not say how they do.
    values = [cell.values["output_tok_s"] for cell in both.cells]
    assert all(v.low is None and "nodes not shown to be of one machine" in v.detail for v in values)
    assert not [text for text in both.warnings if "disagree" in text]


def test_nodes_of_one_boot_are_one_machine(tmp_path: Path) -> None:
    host = {"nodes": {name: {"boot_sha256": "1" * 64} for name in ("node-1", "node-2")}}
    found, _ = compared(tmp_path, PAIRS, host=host)
    assert all(cell.values["output_tok_s"].low is not None for cell in found.cells)
    assert found.nodes
    assert found.nodes.one_machine


def test_a_round_that_was_split_is_left_out_whole(tmp_path: Path) -> None:
    _, three = compared(tmp_path / "three", {}, absent=frozenset((s, 3) for s in STACKS))
    moved = PAIRS | {("c", 3): "node-1"}
    found, split = compared(tmp_path / "split", moved, paces_of={"node-2": 0.5})
    assert split.n_rounds == 3
    for mine, theirs in zip(ratios(split), ratios(three), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
    assert found.nodes
    assert found.nodes.split == [3]
    assert [(n.name, n.launches, n.rounds) for n in found.nodes.nodes] == [
        ("node-1", 7, 2),
        ("node-2", 5, 1),
    ]


def test_a_stack_that_was_never_beside_the_others_is_not_compared(tmp_path: Path) -> None:
    apart = {(s, r): "node-2" if s == "c" else "node-1" for s in STACKS for r in range(4)}
    _, found = compared(tmp_path, apart, paces_of={"node-2": 2.0})
    assert [entry.stack for entry in found.entries] == ["a", "b"]
    (out,) = found.unranked
    assert (out.stack, out.reason, out.ratio_to_best) == ("c", "other_node", None)
    assert out.detail == "of the 4 rounds shared with the others 0 ran on one node"


@pytest.mark.parametrize("stacks", ["ab", "abc"])
def test_stacks_on_nodes_of_their_own_have_no_order(tmp_path: Path, stacks: str) -> None:
    apart = {(s, r): f"node-{s}" for s in stacks for r in range(4)}
    _, found = compared(tmp_path, apart, rates={s: RATES[s] for s in stacks})
    assert not found.entries
    assert [(out.stack, out.reason) for out in found.unranked] == [
        (s, "other_node") for s in stacks
    ]


def sequential(values: Mapping[str, Mapping[int, float]]) -> Ranking:
    contest = Contest(
        objective="throughput",
        metric="output_tok_s",
        unit="tok/s",
        higher_is_better=True,
        model="dense",
        architecture="dense",
        workload="small",
        load="4 streams",
        looks_until=8,
    )
    (found,) = ranking.rank(
        contest, [Entrant(stack=s, cell=s, by_round=own) for s, own in values.items()]
    )
    return found


def test_a_sequential_study_leaves_out_who_ran_apart() -> None:
    own = {s: {r: 100.0 + r + i for r in range(4)} for i, s in enumerate("ab")}
    far = {r + nodes.APART: 300.0 + r for r in range(4)}
    found = sequential({**own, "c": far})
    assert [entry.stack for entry in found.entries] == ["b", "a"]
    assert [(out.stack, out.reason) for out in found.unranked] == [("c", "other_node")]
    none = sequential({"a": own["a"], "c": far})
    assert not none.entries
    assert [(out.stack, out.reason) for out in none.unranked] == [
        ("a", "other_node"),
        ("c", "other_node"),
    ]
    near = sequential({**own, "c": far | {0: 104.0}})
    assert {entry.stack for entry in near.entries} == {"a", "b", "c"}


def test_a_split_round_is_two_blocks_and_one_look() -> None:
    rng = np.random.default_rng(1)
    whole = {s: {r: float(v) for r, v in enumerate(rng.normal(100, 1, 4))} for s in STACKS}
    split = {s: dict(own) for s, own in whole.items()}
    split["c"][3 + nodes.APART] = split["c"].pop(3) * 3
    found = decisions.decide(split, higher_is_better=True, draws=0)
    assert (found.rounds, found.looks) == (4, 2)
    # The node's share is in the block, so c's launch there says nothing of it.
    without = {**split, "c": {r: v for r, v in split["c"].items() if r < nodes.APART}}
    fits = [
        layout({s: {r: np.log(v) for r, v in o.items()} for s, o in one.items()})
        for one in (split, without)
    ]
    assert fits[0]
    assert fits[1]
    assert fits[0].df == fits[1].df
    assert fits[0].left == pytest.approx(fits[1].left)
    assert np.ptp(fits[0].means - fits[1].means) == pytest.approx(0, abs=1e-9)


def test_blocks_are_the_rounds_of_a_local_run_and_number_the_rest_apart(tmp_path: Path) -> None:
    write_results(tmp_path / "local", Fixture(rates=RATES, rounds=2))
    local = Store(tmp_path / "local").launches()
    assert {nodes.blocks(local)[r.id] for r in local if r.round == 1} == {1}
    assert (nodes.names(local), nodes.split(local)) == ([], [])
    where = {("a", 0): "node-2", ("b", 0): "node-2", ("c", 0): "node-1"}
    write_results(tmp_path / "split", Fixture(rates=RATES, rounds=1, nodes=where))
    split = Store(tmp_path / "split").launches()
    found = {str(r.stack["id"]): nodes.blocks(split)[r.id] for r in split}
    assert found == {"a": 0, "b": 0, "c": nodes.APART}
    assert nodes.round_of(found["c"]) == 0


def test_a_node_that_is_slow_for_one_stack_is_told(tmp_path: Path) -> None:
    slow = {
        key: value * (0.8 if key in {("b", 2), ("b", 3)} else 1) for key, value in NOISE.items()
    }
    found, _ = compared(tmp_path, PAIRS, drift=slow)
    (told,) = [text for text in found.warnings if text.startswith("nodes disagree")]
    assert "throughput, dense, small" in told


def test_the_clock_of_a_node_is_its_own(tmp_path: Path) -> None:
    """A node that started hours before, or after, the others leaves the report as it is."""
    plain, _ = compared(tmp_path / "plain", PAIRS)
    for hours in (-2, 30):
        root = tmp_path / str(hours)
        other, _ = compared(root, PAIRS, clocks_s={"node-2": hours * 3600 + 86400 * (hours < 0)})
        same = msgspec.structs.replace(other, host=plain.host)
        assert msgspec.json.encode(same) == msgspec.json.encode(plain)


def test_launches_stand_node_by_node_held_against_those_there(tmp_path: Path) -> None:
    turns = {(s, r): f"node-{1 + r % 2}" for s in STACKS for r in range(4)}
    found, _ = compared(tmp_path, turns, drift={}, paces_of={"node-2": 0.8})
    assert [one.node for one in found.launched] == ["node-1"] * 6 + ["node-2"] * 6
    assert [one.speed.value for one in found.launched] == pytest.approx([1.0] * 12)
    store = Store(tmp_path)
    assert launches(store)["node"].to_list() == ["node-1"] * 6 + ["node-2"] * 6
    rows = requests(gather(store).tables)
    assert rows.columns[:5] == ["launch", "stack", "model", "round", "node"]


def test_without_nodes_nothing_speaks_of_them(tmp_path: Path) -> None:
    found, _ = compared(tmp_path, {})
    assert not found.nodes
    text = msgspec.json.encode(found)
    assert b'"node"' not in text
    assert b'"nodes"' not in text
    assert "node" not in requests(gather(Store(tmp_path)).tables).columns


def checked(root: Path, where: Mapping[tuple[str, int], str]) -> set[str]:
    """Return the verdicts on temperatures and clocks where the second node is the hotter one."""
    store = write_results(root, Fixture(rates=RATES, rounds=4, nodes=where))
    for record in store.launches():
        hot = PAIRS[str(record.stack["id"]), record.round] == "node-2"
        seen = Condition(
            meter="m",
            device="d",
            t_ns=record.windows[0].start_ns,
            temperature_c=80.0 if hot else 50.0,
            clock_mhz=1500.0 if hot else 1980.0,
        )
        append_lines(store.folder(record.id) / "conditions.jsonl", [seen])
    checks = [check for own in gather(store).checks.values() for check in own]
    return {check.verdict for check in checks if check.name in {"temperature", "clocks"}}


def test_temperatures_and_clocks_are_compared_on_a_node_only(tmp_path: Path) -> None:
    assert checked(tmp_path / "one", {}) == {"warn", "pass"}
    assert checked(tmp_path / "two", PAIRS) == {"pass"}


def test_a_launch_cools_to_what_its_own_node_began_a_round_with(tmp_path: Path) -> None:
    store = write_results(tmp_path, Fixture(rates=RATES, rounds=1, nodes={("c", 0): "node-2"}))
    for place, record in enumerate(store.launches()):
        cooling = Cooling(seconds=0.0, start_c={}, end_c={"GPU-0": 40.0 + place})
        path = store.folder(record.id) / "launch.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(record, cooling=cooling)))
    began = {r.node: r.cooling.end_c for r in reversed(store.launches()) if r.cooling}
    assert before_round(store, 0, "node-2") == began["node-2"]
    assert before_round(store, 0) == began[None]
    assert before_round(store, 0, "node-3") == {}
