"""Launches over nodes that answer at once: who makes what, what is refused, what is made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inferometer import blocks, groups, machines, plan, spread
from inferometer.engine import Setting
from inferometer.errors import MachineError, UsageError
from inferometer.executor import Done, Heard, Lost, Node, Order, Said
from inferometer.jobs import Answer, Job, Measure, Measured, Refused, Survey, Surveyed, Tune, Tuned
from inferometer.journal import Journal
from inferometer.looks import Looks
from inferometer.progress import Silent
from inferometer.standing import look
from inferometer.standing_words import rows
from inferometer.store import Store
from inferometer.study import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

STUDY = """name = "s"
[protocol]
rounds = 6
window_s = 5
[[engines]]
name = "a"
[[engines]]
name = "b"
[[models]]
name = "m"
path = "m"
[[workloads]]
name = "w"
input_tokens = 5
output_tokens = 5
[[loads]]
concurrency = 1
"""
HOST = {"cpu_model": "c", "cores": 2, "memory_gib": 3, "gpus": [], "os": "o"}
SURVEYED = Surveyed(
    host=HOST,
    host_sha256="h",
    clock={"wall_ns": 1, "monotonic_ns": 2},
    environments={"a": "1", "b": "2"},
    models={"m": "3"},
    files={},
    simulated=False,
    sees=True,
)


def done(order: Order, answer: Answer) -> Done:
    return Done(order.id, msgspec.json.encode(answer))


class Fake:
    """Nodes that carry out an order as soon as they are listened to."""

    def __init__(self, nodes: int = 2, **more: Any) -> None:
        self.per_node, self.carries = more.get("per_node", 1), more.get("carries", False)
        self.surveys = more.get("surveys", {})
        self.gpus = more.get("gpus", 0)
        self.doing: Callable[[Order, Measure], Heard | None] = lambda _order, _launch: None
        self.there = [f"k{number}" for number in range(nodes)]
        self.orders: list[Order] = []
        self.made: list[tuple[str, str]] = []
        self.cancelled = False
        self.found: list[tuple[str, str, tuple[Setting, ...]]] = []
        self.searches = 0

    def nodes(self) -> Sequence[Node]:
        return [Node(key=key, machine=f"host-{key}", cpus=1, gpus=self.gpus) for key in self.there]

    def share(self, content: bytes) -> None:
        assert b'"version"' in content

    def start(self, order: Order) -> None:
        self.orders.append(order)

    def heard(self, timeout_s: float) -> Sequence[Heard]:
        order = self.orders.pop(0)
        job = msgspec.json.decode(order.content, type=Job)
        if isinstance(job.what, Survey):
            return [done(order, self.surveys.get(order.node.key, SURVEYED))]
        if isinstance(job.what, Tune):
            self.searches += 1
            return [done(order, Tuned(found=self.found))]
        assert isinstance(job.what, Measure)
        other = self.doing(order, job.what)
        if other is None:
            self.made.append((str(job.what.place.node), job.what.launch.id))
        noise = [Said(order.id, b"\xff"), Said("unknown", b"{}")]
        return [*noise, other or done(order, Measured(status="ok"))]

    def settle(self) -> Sequence[Said]:
        return []

    def cancel(self) -> None:
        self.cancelled = True

    def left(self) -> Iterator[Path]:
        return iter(())


class Run:
    """A run over a fake cluster."""

    def __init__(self, folder: Path, cluster: Fake, text: str = STUDY) -> None:
        study = parse(text, "study")
        self.plan, self.store, self.progress = plan.expand(study), Store(folder), Silent()
        folder.mkdir(exist_ok=True)
        if not (folder / "plan.json").is_file():
            self.store.begin(self.plan, text)
        with Journal(self.store, self.progress) as journal:
            looks = Looks.of(study, self.store, journal)
            self.failed = spread.measured(self.plan, [], cluster, looks, journal)

    @property
    def warnings(self) -> list[str]:
        return [text for what, text in self.progress.said if what == "warn"]


def homes(cluster: Fake) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for node, launch in cluster.made:
        found.setdefault(int(launch[1]) - 1, set()).add(node)
    return found


def test_pairs_of_rounds_are_dealt_over_nodes_in_turn(tmp_path: Path) -> None:
    cluster = Fake()
    run = Run(tmp_path, cluster)
    assert run.failed == 0
    assert sorted(launch for _, launch in cluster.made) == sorted(x.id for x in run.plan.launches)
    seen = homes(cluster)
    assert all(len(nodes) == 1 for nodes in seen.values())
    assert [seen[0], seen[2], seen[4]] == [seen[1], seen[3], seen[5]]
    assert seen[0] != seen[2]
    assert seen[0] == seen[4]


def test_rounds_wait_for_windows_and_for_looks() -> None:
    def cut(**given: Any) -> list[tuple[int, int]]:
        found = blocks.segments(6, **given)
        return [(each.start, each.stop) for each in found]

    assert cut(windows_known=True, looked_from=None) == [(0, 6)]
    assert cut(windows_known=False, looked_from=None) == [(0, 1), (1, 6)]
    assert cut(windows_known=True, looked_from=4) == [(0, 4), (4, 5), (5, 6)]
    assert cut(windows_known=True, looked_from=9) == [(0, 6)]


def test_results_name_no_machine_and_names_last(tmp_path: Path) -> None:
    cluster = Fake(3)
    Run(tmp_path, cluster)
    before = machines.known(Store(tmp_path))
    assert sorted(before) == ["node-1", "node-2", "node-3"]
    assert "host-k" not in "".join(path.read_text() for path in tmp_path.glob("*.json*"))
    again = Fake(3)
    again.there = ["k2", "k3"]
    nodes = again.nodes()
    names = machines.named(nodes, before)
    same = machines.identities(nodes)["k2"]
    assert before[names["k2"]]["identity"] == same
    assert names["k3"] == "node-4"


def test_two_raylets_of_one_machine_are_two_nodes() -> None:
    nodes = [Node(key=key, machine="one", cpus=1) for key in "ab"]
    assert len(set(machines.identities(nodes).values())) == 2


def test_a_lost_launch_is_made_again_elsewhere(tmp_path: Path) -> None:
    cluster, lost = Fake(), []

    def doing(order: Order, asked: Measure) -> Heard | None:
        if order.node.key == "k1" and asked.launch.round >= 2:
            lost.append(asked.launch.id)
            return Lost(order.id, "power", node_gone=True)
        return None

    cluster.doing = doing
    run = Run(tmp_path, cluster)
    assert len(lost) <= 1
    assert run.failed == 0
    assert len(cluster.made) == 12
    if lost:
        assert any("made again: power" in text for text in run.warnings)


def test_a_launch_that_is_lost_three_times_is_given_up(tmp_path: Path) -> None:
    cluster = Fake()

    def doing(order: Order, asked: Measure) -> Heard | None:
        return Lost(order.id, "killed") if asked.launch.stack == "b" else None

    cluster.doing = doing
    run = Run(tmp_path, cluster)
    assert run.failed == 6
    assert len(cluster.made) == 6
    assert sum("given up" in text for text in run.warnings) >= 1


def test_without_a_node_the_run_ends_and_says_how_to_go_on(tmp_path: Path) -> None:
    cluster = Fake(1)
    cluster.doing = lambda order, _: Lost(order.id, "power", node_gone=True)
    with pytest.raises(MachineError, match="no node is left") as caught:
        Run(tmp_path, cluster)
    assert "resumes" in caught.value.hint
    assert cluster.cancelled


def test_a_node_that_cannot_go_on_is_given_nothing_more(tmp_path: Path) -> None:
    cluster, told = Fake(), []

    def doing(order: Order, _: Measure) -> Heard | None:
        if order.node.key == "k0":
            told.append(order.id)
            return done(order, Refused(kind="machine", message="disk full"))
        return None

    cluster.doing = doing
    run = Run(tmp_path, cluster)
    assert len(told) == 1
    assert len(cluster.made) == 12
    assert any("disk full" in text for text in run.warnings)


def test_a_stack_that_fails_is_not_tried_again(tmp_path: Path) -> None:
    cluster = Fake(1)

    def doing(order: Order, asked: Measure) -> Heard | None:
        failed = asked.launch.stack == "b"
        return done(order, Measured(status="failed")) if failed else None

    cluster.doing = doing
    run = Run(tmp_path, cluster)
    assert run.failed == 6
    assert sum("an earlier round of it failed" in text for text in run.warnings) == 5


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": HOST | {"cores": 4}}, "node-.: cores of the machine is "),
        ({"environments": {"a": "1", "b": "x"}}, "node-.: environment of b is "),
        ({"models": {"m": "x"}}, "node-.: model m is "),
    ],
)
def test_nodes_must_be_alike(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    other = msgspec.structs.replace(SURVEYED, **changes)
    with pytest.raises(UsageError, match=named):
        Run(tmp_path, Fake(surveys={"k1": other}))


def test_what_would_spoil_results_is_refused(tmp_path: Path) -> None:
    blind = msgspec.structs.replace(SURVEYED, sees=False)
    with pytest.raises(UsageError, match=r"node-.: the results directory is not seen"):
        Run(tmp_path / "a", Fake(surveys={"k1": blind}))
    with pytest.raises(UsageError, match="disturb each"):
        Run(tmp_path / "b", Fake(per_node=2))
    served = STUDY.replace('name = "b"', 'name = "b"\nurl = "http://h:1"')
    with pytest.raises(UsageError, match=r"b: one server \(url\) would be loaded"):
        Run(tmp_path / "e", Fake(), served)
    wide = STUDY.replace('name = "b"', 'name = "b"\ntensor_parallel_size = 4')
    with pytest.raises(UsageError, match=r"b: 4 accelerators .* has 1: it needs 4 nodes, and 2"):
        Run(tmp_path / "c", Fake(gpus=1), wide)
    bound = msgspec.structs.replace(SURVEYED, one_node={"b": "x"})
    with pytest.raises(UsageError, match=r"more than one node is needed, and x"):
        Run(tmp_path / "f", Fake(gpus=2, surveys={"k0": bound}), wide)
    replicas = wide.replace("tensor_parallel_size = 4", "data_parallel_size = 4")
    with pytest.raises(UsageError, match="of one replica only"):
        Run(tmp_path / "g", Fake(gpus=2), replicas)
    cluster = Fake(surveys={"k0": Refused(kind="usage", message="x")})
    with pytest.raises(UsageError, match=r"node-.: x"):
        Run(tmp_path / "d", cluster)


def test_nodes_are_dealt_in_groups_that_the_largest_stack_needs(tmp_path: Path) -> None:
    cluster, orders = Fake(5, gpus=2), []

    def doing(order: Order, asked: Measure) -> Heard | None:
        taken = (order.node.key, *(node.key for node in order.beside))
        place = asked.place
        orders.append((asked.launch.stack, place.node, taken, order.accelerators, place.nodes))
        return None

    cluster.doing = doing
    run = Run(
        tmp_path, cluster, STUDY.replace('name = "b"', 'name = "b"\npipeline_parallel_size = 4')
    )
    assert run.failed == 0
    assert len(orders) == len(run.plan.launches)
    wide = {(node, taken) for stack, node, taken, *_ in orders if stack == "b"}
    assert {node for node, _ in wide} == {"node-1", "node-3"}
    assert len({key for _, taken in wide for key in taken}) == 4
    assert {(each, nodes) for stack, *_, each, nodes in orders if stack == "b"} == {(2, 2)}
    assert {(each, nodes) for stack, *_, each, nodes in orders if stack == "a"} == {(1, 1)}
    heads = {node: taken[0] for node, taken in wide}
    assert all(taken == (heads[node],) for stack, node, taken, *_ in orders if stack == "a")
    assert any(text.startswith("node-5: idle") for text in run.warnings)


def test_nodes_of_a_launch_give_it_as_many_accelerators_each() -> None:
    assert [groups.span(needed, 8) for needed in (1, 8, 9, 12, 16, 24, 10)] == [1, 1, 3, 2, 2, 3, 2]
    assert groups.span(64, 0) == 1


def test_searches_are_made_once_and_their_settings_used(tmp_path: Path) -> None:
    cluster, used = Fake(), []
    settings = (Setting(knob="max_num_seqs", value=7),)

    def doing(order: Order, asked: Measure) -> Heard | None:
        used.append((asked.launch.stack, asked.launch.settings))
        return None

    cluster.doing, cluster.found = doing, [("b", "m", settings)]
    tuned = STUDY.replace('name = "b"', 'name = "b"\nprofile = "tuned"')
    Run(tmp_path / "a", cluster, f"{tuned}\n[tuning]\ntrials = 2\n")
    assert set(used) == {("a", ()), ("b", settings)}
    assert cluster.searches == 1
    with pytest.raises(UsageError, match="searches of tuned stacks"):
        Run(tmp_path / "b", Fake(carries=True), f"{tuned}\n[tuning]\ntrials = 2\n")


def test_all_nodes_are_seen_in_one_view(tmp_path: Path) -> None:
    cluster, seen = Fake(), []

    def doing(order: Order, _: Measure) -> Heard | None:
        if len(cluster.made) == 3:
            found = look(Store(tmp_path))
            seen.append((found.nodes, dict(rows(found))))
        return None

    cluster.doing = doing
    Run(tmp_path, cluster)
    nodes, lines = seen[0]
    assert [each.node for each in nodes] == ["node-1", "node-2"]
    assert lines["node-1"].startswith("round ")
    assert lines["node-2"].startswith("round ")
