"""One launch over two nodes of one made-up accelerator each; the engine is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e import ranks
from tests.programs import module, until, using
from tests.rays import Held, held
from tests.studies import DECLARED, PRICE, Table, written

from inferometer.journal_records import read
from inferometer.processes import alive
from inferometer.standing import look
from inferometer.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.usefixtures("cache", "alone"),
    pytest.mark.timeout(900),  # a cluster, a driver and its tasks start
]
CPU_TIME: Table = {"name": "cpu-time", "options": {"watts_per_busy_core": 10}}


@pytest.fixture
def rays(tmp_path: Path) -> Iterator[Held]:
    pytest.importorskip("ray")
    with held(tmp_path / "nodes", "1") as found:
        yield found


def study(folder: Path, models: Path, window_s: float, *sizes: int) -> Path:
    stack = {"name": "sglang", "python": ranks.written(folder / "engine")}
    text = written(
        "ranks",
        protocol={
            "rounds": 2,
            "window_s": window_s,
            "discard_s": 0.0,
            "probe": False,
            "idle_s": 0,
            "soak_s": 0,
        },
        price=PRICE,
        engines=[{**stack, "tensor_parallel_size": size} for size in sizes],
        models=[{"name": "dense", "path": models / "dense"}],
        workloads=[{"name": "short", "input_tokens": 8, "output_tokens": 4}],
        loads=[{"concurrency": 2}],
        meters=[DECLARED, CPU_TIME],
    )
    path = folder / "study.toml"
    path.write_text(text)
    return path


def begun(path: Path, store: Store, rays: Held) -> subprocess.Popen[bytes]:
    return module("tests.e2e.measuring", path, store.root, f"address={rays.address}")


def notes(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (folder / "engine").glob("*.json")]


def test_a_launch_has_a_rank_on_each_of_two_nodes(
    model_files: Path, rays: Held, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run = begun(study(tmp_path, model_files, 0.5, 2, 1), store, rays)
    said = run.communicate(timeout=300)[1].decode()
    assert run.returncode == 0, said
    records = store.launches()
    assert {(each.node, each.nodes, each.status) for each in records} == {
        ("node-1", 2, "ok"),
        ("node-1", 1, "ok"),
    }
    seen = notes(tmp_path)
    whole = [each for each in seen if each["tp_size"] == 2]
    assert sorted(each["node_rank"] for each in whole) == [0, 0, 1, 1]
    assert {each["nnodes"] for each in whole} == {2}
    for rank in (0, 1):
        assert len({each["raylet"] for each in whole if each["node_rank"] == rank} - {0}) == 1
    assert len({each["raylet"] for each in whole}) == 2
    assert len({each["dist_init_addr"] for each in whole}) == 2  # one a launch
    (home,) = {each["raylet"] for each in whole if each["node_rank"] == 0}
    assert {each["raylet"] for each in seen if each["tp_size"] != 2} == {home}
    assert until(lambda: not any(alive(each["pid"]) for each in seen), 60)
    for each in records:
        reasons = {meter.name: meter.reason for meter in each.meters}
        assert reasons == {
            "declared": None,
            "cpu-time": "device_lost" if each.nodes == 2 else None,
        }
        assert (each.peak_memory_bytes is None) == (each.nodes == 2)
        address = f"node-1:{each.command[-1].rpartition(':')[2]}"
        assert ("--dist-init-addr" in each.command) == (each.nodes == 2)
        assert each.nodes == 1 or each.command[-1] == address
        assert (store.folder(each.id) / "server-1.log").is_file() == (each.nodes == 2)


def test_a_follower_whose_node_dies_loses_the_launch_and_leaves_nothing(
    model_files: Path, rays: Held, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run = begun(study(tmp_path, model_files, 60.0, 2), store, rays)

    def follower() -> list[int]:
        whole = [each for each in notes(tmp_path) if each["node_rank"] == 1]
        return [each["raylet"] for each in whole]

    def loaded() -> bool:
        plan = store.root / "plan.json"
        return plan.is_file() and any(node.stage.startswith("short") for node in look(store).nodes)

    try:
        assert until(lambda: follower() and loaded(), 300)
        os.kill(follower()[0], signal.SIGKILL)
        said = run.communicate(timeout=300)[1].decode()
    finally:
        run.kill()
    assert run.returncode == 1
    warned = [event.text for event in read(store.root) if event.what == "warning"]
    assert any("made again: NodeDiedError" in text for text in warned)
    assert "no node is left" in said
    assert until(lambda: not using(store.root), 60)
    assert until(lambda: not any(alive(each["pid"]) for each in notes(tmp_path)), 60)
    assert not list((store.root / "partial").iterdir())
    assert not store.whole_ids()
