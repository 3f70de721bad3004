"""Launches on two nodes: the same as on one, whatever dies on the way."""

from __future__ import annotations

import platform
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.measuring import measure
from tests.programs import module, until, using
from tests.rays import Held, held
from tests.studies import DECLARED, PRICE, Table, written

from inferometer import checks
from inferometer.analyze import analyze
from inferometer.journal_records import read
from inferometer.plugins import Registry
from inferometer.standing import look
from inferometer.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.usefixtures("cache", "alone"),
    pytest.mark.timeout(1800),  # a cluster, a driver and its tasks start, beside other tests
]
QUICK: Table = {"window_s": 0.5, "discard_s": 0.0, "probe": False, "idle_s": 0, "soak_s": 0}


def stack(*words: str) -> Table:
    return {"name": "simulator", "extra_args": ["--noise", "silent", *words]}


def text_of(models: Path, **protocol: Any) -> str:
    return written(
        "nodes",
        protocol={"rounds": 4, **QUICK, **protocol},
        price=PRICE,
        engines=[stack(), stack("--slowdown", "3")],
        models=[{"name": "dense", "path": models / "dense"}],
        workloads=[{"name": "short", "input_tokens": 8, "output_tokens": 4}],
        loads=[{"concurrency": 2}],
        meters=[DECLARED],
    )


@pytest.fixture(scope="module")
def rays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    pytest.importorskip("ray")
    with held(tmp_path_factory.mktemp("nodes")) as found:
        yield found


@pytest.fixture
def study(model_files: Path, tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text_of(model_files))
    return path


def driver(study: Path, results: Path, rays: Held, *words: str) -> subprocess.Popen[bytes]:
    address = f"address={rays.address}"
    return module("tests.e2e.measuring", study, results, address, *words)


def finished(process: subprocess.Popen[bytes]) -> str:
    said = process.communicate(timeout=900)[1].decode()
    assert process.returncode == 0, said
    return said


def works(store: Store) -> dict[str, list[str]]:
    return {each.id: [window.work_sha256 for window in each.windows] for each in store.launches()}


def verdicts(store: Store) -> list[tuple[str, ...]]:
    return [
        (ranking.objective, ranking.load, pair.stack, pair.other, pair.verdict)
        for ranking in analyze(store.root).rankings
        for pair in ranking.pairs
    ]


def written_at(store: Store) -> dict[str, int]:
    return {
        name: (store.folder(name) / "launch.json").stat().st_mtime_ns for name in store.whole_ids()
    }


def loaded(store: Store) -> bool:
    """Say whether a node offers load to a server just now."""
    plan = store.root / "plan.json"
    return plan.is_file() and any(each.stage.startswith("short") for each in look(store).nodes)


def test_two_nodes_find_what_one_machine_finds(
    study: Path, rays: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        checks, "judge", lambda _seen: []
    )  # windows of half a second, whatever runs
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    finished(driver(study, two.root, rays))
    measure(study.read_text(), one.root, Registry())
    assert (two.root / "plan.json").read_bytes() == (one.root / "plan.json").read_bytes()
    assert works(two) == works(one)
    assert verdicts(two) == verdicts(one)
    assert {pair[-1] for pair in verdicts(two)} & {"better", "worse"}
    homes = {(each.round // 2, each.node) for each in two.launches()}
    assert sorted(homes) in (
        [(0, "node-1"), (1, "node-2")],
        [(0, "node-2"), (1, "node-1")],
    )
    assert {each.node for each in one.launches()} == {None}
    nodes = two.host()["nodes"]
    assert isinstance(nodes, dict)
    assert set(nodes) == {"node-1", "node-2"}
    assert all({"wall_ns", "monotonic_ns", "identity"} <= set(node) for node in nodes.values())
    texts = [path.read_text() for path in two.root.glob("*.json*")]
    assert not any(platform.node() in text for text in texts if len(platform.node()) > 3)
    assert {event.node for event in read(two.root) if event.what == "launched"} == set(nodes)
    assert len(look(two).figures) == 8


def test_a_node_that_dies_loses_its_launch_and_no_more(
    study: Path, rays: Held, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run = driver(study, store.root, rays)
    try:
        assert until(lambda: len(store.whole_ids()) >= 2, 300)
        assert until(lambda: len({each.node for each in look(store).nodes}) == 2, 300)
        before = written_at(store)
        rays.tell("kill")
        said = finished(run)
    finally:
        run.kill()
        rays.tell("add")
    assert said.count("made again") <= 1
    assert "given nothing more" in said
    assert len(store.whole_ids()) == 8
    assert before.items() <= written_at(store).items()
    assert not list((store.root / "partial").iterdir())
    assert until(lambda: not using(store.root), 300)


def test_ctrl_c_leaves_nothing_and_the_same_command_resumes(
    study: Path, rays: Held, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run = driver(study, store.root, rays)
    assert until(lambda: store.whole_ids() and loaded(store), 300)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=300)
    assert run.returncode != 0
    assert until(lambda: not using(store.root), 60)
    assert not list((store.root / "partial").iterdir())
    assert look(store).state == "interrupted"
    before = written_at(store)
    assert 0 < len(before) < 8
    finished(driver(study, store.root, rays))
    assert len(store.whole_ids()) == 8
    assert before.items() <= written_at(store).items()


def test_nothing_is_left_of_a_run_that_is_killed(study: Path, rays: Held, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run = driver(study, store.root, rays)
    assert until(lambda: loaded(store), 300)
    assert using(store.root)
    run.kill()
    run.communicate()
    assert until(lambda: not using(store.root), 300)
    assert look(store).state == "died"


def test_launches_come_home_through_a_store(model_files: Path, rays: Held, tmp_path: Path) -> None:
    study, store = tmp_path / "study.toml", Store(tmp_path / "r")
    study.write_text(text_of(model_files, rounds=2))
    finished(driver(study, store.root, rays, f"store=file://{tmp_path}/store"))
    assert len(store.whole_ids()) == 4
    places = list((tmp_path / "store").glob("*/*"))
    assert len(places) == 4
    assert all((place / "taken").is_file() for place in places)
    (tmp_path / "r2").mkdir()
    for place in places:  # as if the run had been killed before it had them
        (place / "taken").unlink()
    again = Store(tmp_path / "r2")
    finished(driver(study, again.root, rays, f"store=file://{tmp_path}/store"))
    assert works(again) == works(store)
    assert len(list((tmp_path / "store").glob("*/*"))) == 4
