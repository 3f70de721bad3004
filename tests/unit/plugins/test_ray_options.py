"""What the Ray executor asks Ray for; launches themselves are in tests/e2e/test_ray.py."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from inferometer.cli import executing
from inferometer.errors import MachineError, UsageError
from inferometer.executor import Lost, Order
from inferometer.plugins import Registry
from inferometer_plugins.executors import carry
from inferometer_plugins.executors.ray import RayCluster, RayExecutor, share_of

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("ray")


class Reference:
    """To an actor or to an outcome."""

    take = SimpleNamespace(remote=lambda: "taken")


class FakeRay:
    """As much of Ray as a cluster needs to hand over a task, which is never placed."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.cancelled: list[object] = []
        self.asked: dict[str, Any] = {}
        self._nodes = [
            {
                "NodeID": f"{number:056x}",
                "NodeManagerHostname": f"h{number}",
                "NodeManagerAddress": f"10.0.0.{number + 1}",
                "Alive": True,
                "Resources": resources,
            }
            for number, resources in enumerate(nodes)
        ]

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    def remote(self, _thing: object) -> Any:
        return self

    def options(self, **options: Any) -> Any:
        self.asked = options
        return SimpleNamespace(remote=lambda *_, **_options: Reference())

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return [], refs

    def cancel(self, ref: object) -> None:
        self.cancelled.append(ref)

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "0" * 56)


def cluster(folder: Path, *nodes: dict[str, float], **options: Any) -> tuple[RayCluster, FakeRay]:
    ray = FakeRay(*nodes)
    return RayCluster(ray, options, folder, None), ray


def test_a_launch_has_its_node_to_itself(tmp_path: Path) -> None:
    had = {"CPU": 8.0, "GPU": 4.0, "memory": 1e9, "accelerator_type:H100": 1.0}
    found, ray = cluster(tmp_path, had, {"CPU": 8.0}, {"CPU": 0.0}, accelerator_type="H100")
    (node,) = found.nodes()
    assert (node.key, node.machine, node.address) == ("0" * 56, "h0", "10.0.0.1")
    assert (node.cpus, node.gpus, node.memory_bytes) == (8.0, 4, 1_000_000_000)
    found.start(Order(id="o", node=node, content=b"", accelerators=2))
    asked = ray.asked
    assert (asked["num_cpus"], asked["num_gpus"], asked["memory"]) == (8.0, 2, 1_000_000_000)
    assert (asked["max_retries"], asked["accelerator_type"]) == (0, "H100")
    assert asked["scheduling_strategy"].node_id == node.key
    assert not asked["scheduling_strategy"].soft


def test_lanes_share_a_node(tmp_path: Path) -> None:
    found, ray = cluster(tmp_path, {"CPU": 8.0, "GPU": 4.0, "memory": 1e9}, per_node=3)
    found.start(Order(id="o", node=found.nodes()[0], content=b""))
    assert (ray.asked["num_cpus"], "num_gpus" in ray.asked) == (2.0, False)
    assert [share_of(1, 4), share_of(8, 3)] == [0.25, 2.0]


def test_a_node_that_has_other_work_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, ray = cluster(tmp_path, {"CPU": 8.0})
    found.start(Order(id="o", node=found.nodes()[0], content=b""))
    assert not found.heard(0.0)
    monkeypatch.setattr("inferometer_plugins.executors.ray.WAIT_S", -1.0)
    (lost,) = found.heard(0.0)
    assert isinstance(lost, Lost)
    assert (lost.id, lost.node_gone, lost.begun) == ("o", True, False)
    assert "other work" in lost.why
    assert len(ray.cancelled) == 1
    assert not found.heard(0.0)


def test_too_few_nodes_are_an_error_that_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferometer_plugins.executors.ray.WAIT_S", 0.0)
    found, _ = cluster(tmp_path, {"CPU": 8.0}, nodes=2)
    with pytest.raises(MachineError, match=r"has 1 nodes .* not 2"):
        found.nodes()


def test_an_address_where_nothing_listens_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        options = {"address": f"127.0.0.1:{bound.getsockname()[1]}"}
        with (
            pytest.raises(MachineError, match="no Ray cluster can be joined"),
            RayExecutor().open(options, tmp_path, "0" * 64),
        ):
            raise AssertionError


@pytest.mark.parametrize(
    ("name", "pairs", "said"),
    [
        ("rey", [], "no executor named 'rey'"),
        ("ray", ["per_nod=2"], "no option of executor 'ray' named 'per_nod'"),
        ("ray", ["per_node=x"], "gives no int"),
        ("ray", ["store="], "gives no str"),
        ("local", ["address=x"], "no option of executor 'local'"),
    ],
)
def test_a_wrong_option_is_named(name: str, pairs: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        executing.chosen(Registry(), name, pairs)


@pytest.mark.parametrize("options", [{"per_node": 0}, {"address": "ray://h:1"}])
def test_options_that_cannot_be_right_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError), RayExecutor().open(options, tmp_path, "s"):
        pass


def test_launches_go_through_a_store_once(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    store, made = f"memory://{tmp_path.name}", tmp_path / "made"
    made.mkdir()
    for name in ("launch.json", "requests.jsonl"):
        (made / name).write_text(name)
    assert carry.left(store) == []
    carry.away(made, store, "o1")
    assert not made.exists()
    assert carry.left(store) == ["o1"]
    home = carry.home(store, "o1", tmp_path / "partial")
    assert {path.name for path in home.iterdir()} == {"launch.json", "requests.jsonl"}
    carry.taken(store, "o1")
    assert carry.left(store) == []
    with pytest.raises(MachineError, match="store"):
        carry.opened("nonsense-protocol://x")
