"""A study measured on several nodes: each launch on one of them, rounds balanced over them.

Which node makes what is decided in :mod:`inferometer.blocks`; how an order gets there is the
executor's. A launch whose node or process is gone is made again, elsewhere if need be.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

import inferometer
from inferometer import blocks, groups, machines, point, pooling
from inferometer.errors import MachineError, UsageError
from inferometer.executor import Lost
from inferometer.hands import Hands, adopt, error_of
from inferometer.jobs import Context, Measure, Measured, Refused, Survey, Surveyed, Tune, Tuned
from inferometer.place import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.executor import Cluster
    from inferometer.hands import Given
    from inferometer.journal import Journal
    from inferometer.looks import Looks
    from inferometer.metering import Meters
    from inferometer.plan import Launch, Plan
    from inferometer.store import Store
    from inferometer.tuning import Settings

    Key = tuple[str, str]

MOST_LOST = 3
"""So often may a launch lose its process or node before it counts as failed in this run."""
AGAIN = "Start nodes again, then run the same command: it resumes."


def measured(plan: Plan, meters: Meters, cluster: Cluster, looks: Looks, journal: Journal) -> int:
    """Measure on the nodes what is not finished; return how many planned launches did not finish.

    Raises:
        UsageError: the nodes are not alike, or what the study names is not there.
        MachineError: no node is left.
    """
    try:
        run = _surveyed(plan, meters, cluster, looks.store, journal)
        for folder in cluster.left():
            adopt(looks.store, plan, folder)
        run.tune()
        return run.measure_all(looks)
    except BaseException:
        cluster.cancel()
        raise


def _surveyed(
    plan: Plan, meters: Meters, cluster: Cluster, store: Store, journal: Journal
) -> Spread:
    """Have every node prepare and say what it is; return the run over those that are there."""
    before, nodes = machines.known(store), cluster.nodes()
    names = machines.named(nodes, before)
    for node in nodes:
        journal.aside(f"{names[node.key]} is {node.machine}")
    hands = Hands(cluster, {names[node.key]: node for node in nodes}, plan, store, journal)
    cluster.share(
        msgspec.json.encode(
            Context(
                version=inferometer.__version__,
                plan=plan,
                meters=tuple(entry for entry, _ in meters),
                results=str(store.root.absolute()),
            )
        )
    )
    seen = _survey(hands, store, processor=pooling.kept_processor(store) is None)
    _refuse(plan, cluster, hands, seen)
    first = seen[min(seen)]
    pooling.refuse_another_machine(plan, store, first.environments, first.host_sha256)
    pooling.refuse_other_files(store, first.files)
    kept = pooling.kept_processor(store)
    hashes = machines.identities(nodes)
    there = {names[key]: identity for key, identity in hashes.items() if names[key] in seen}
    told = {name: (identity, seen[name]) for name, identity in there.items()}
    host = machines.described(told, before)
    store.put_host(host if kept is None else {**host, "processor": kept})
    groups.deal(plan, hands)
    return Spread(plan, hands, journal, store)


def _survey(hands: Hands, store: Store, *, processor: bool) -> dict[str, Surveyed]:
    nonce = secrets.token_hex(8)
    seen: dict[str, Surveyed] = {}
    mark = store.root / "partial" / nonce
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    try:
        for place, node in enumerate(sorted(hands.nodes)):
            hands.give(node, Survey(nonce=nonce, processor=processor and place == 0))
        while hands.any():
            for given, answer in hands.heard():
                match answer:
                    case Surveyed():
                        seen[given.node] = answer
                    case Lost():
                        hands.journal.warn(f"{given.node}: lost: {answer.why}")
                        hands.drop(given.node)
                    case Refused():
                        raise error_of(given.node, answer)
        hands.settle()
    finally:
        mark.unlink(missing_ok=True)
    if not seen:
        raise MachineError("no node is left", hint=AGAIN)
    return seen


def _refuse(plan: Plan, cluster: Cluster, hands: Hands, seen: Mapping[str, Surveyed]) -> None:
    """Refuse what would spoil figures or results, before the first launch."""
    machines.refuse_unlike(seen)
    blind = [name for name, each in sorted(seen.items()) if not each.sees]
    if blind and not cluster.carries:
        raise UsageError(
            f"{', '.join(blind)}: the results directory is not seen, or not writable, from there",
            hint="Put it on storage that all nodes share, under one path, or give a store for "
            "results with --executor-option store=URL.",
        )
    if cluster.per_node > 1 and not all(each.simulated for each in seen.values()):
        raise UsageError(
            f"{cluster.per_node} launches at once on a node: servers on one machine disturb each "
            "other's figures",
            hint="Leave per_node out; it is for studies of simulated engines alone.",
        )
    served = sorted({launch.stack for launch in plan.launches if launch.engine.url})
    if served and len(seen) * cluster.per_node > 1:
        raise UsageError(
            f"{', '.join(served)}: one server (url) would be loaded from several nodes at once",
            hint="Use --executor local, or an executor with one node.",
        )
    if cluster.carries and plan.searches:
        raise UsageError(
            "the searches of tuned stacks need a results directory that the nodes share",
            hint="Put it on shared storage and leave store out.",
        )
    one_node = {stack: why for each in seen.values() for stack, why in each.one_node.items()}
    groups.refuse(plan, hands, one_node, cluster.per_node)


class Spread:
    """The launches of one run over nodes."""

    def __init__(self, plan: Plan, hands: Hands, journal: Journal, store: Store) -> None:
        self.plan, self.hands, self.journal, self.store = plan, hands, journal, store
        self.dealer = blocks.Dealer(sorted(hands.nodes), store.launches())
        self.found: dict[Key, Settings] = {}
        self.queues: dict[str, list[Launch]] = {}
        self.losses: Counter[str] = Counter()
        self.lost: set[Key] = set()
        """Stacks that failed on a model: not tried again in this run."""
        self.failed = 0
        self._windows: dict[Key, dict[int, float]] = {}

    # -- searches -----------------------------------------------------------------------------

    def tune(self) -> None:
        """Make or finish the searches of tuned stacks, on the first node."""
        while self.plan.searches and not self.found:
            if not self.hands.nodes:
                raise MachineError("no node is left for the searches", hint=AGAIN)
            self.hands.give(min(self.hands.nodes), Tune())
            while self.hands.any():
                for given, answer in self.hands.heard():
                    if isinstance(answer, Tuned):
                        self.found = {(stack, model): s for stack, model, s in answer.found}
                    elif isinstance(answer, Lost):
                        self._drop(given.node, f"lost: {answer.why}")
                    elif isinstance(answer, Refused):
                        raise error_of(given.node, answer)

    # -- rounds -------------------------------------------------------------------------------

    def measure_all(self, looks: Looks) -> int:
        """Measure what is left of the plan; a sequential study is looked at behind each round."""
        protocol = self.plan.protocol
        for rounds in blocks.segments(
            protocol.rounds,
            windows_known=protocol.window_s is not None,
            looked_from=looks.first if looks.on else None,
        ):
            whole = self.store.whole_ids()
            wanted = [
                launch
                for launch in looks.wanted(self.plan)
                if launch.round in rounds and launch.id not in whole
            ]
            self._measure(wanted)
            if any(looks.behind(round_ + 1) for round_ in rounds):
                break
        return self.failed

    def _measure(self, wanted: Sequence[Launch]) -> None:
        self.queues = self.dealer.deal(wanted)
        self._fill()
        while self.hands.any():
            for given, answer in self.hands.heard():
                self._take(given, answer)
                self._fill()
        self.hands.settle()

    def _fill(self) -> None:
        """Give every node that has room the next launch of its own."""
        for node in list(self.hands.nodes):
            while self.hands.busy(node) < self.hands.cluster.per_node and self.queues[node]:
                self._start(node, self.queues[node].pop(0))

    def _start(self, node: str, planned: Launch) -> None:
        key = _key(planned)
        if key in self.lost:
            self.journal.warn(f"{planned.id}: not run, because an earlier round of it failed")
            self.failed += 1
            return
        words = f"round {planned.round + 1}, {planned.stack} on {planned.model.name}"
        place, count = planned.position + 1, len(self.plan.launches)
        self.journal.begins(node, place, count, words, planned.id)
        needed, gpus = groups.accelerators(planned), self.hands.nodes[node].gpus
        nodes = groups.span(needed, gpus)
        order = Measure(
            launch=msgspec.structs.replace(planned, settings=self.found.get(key, ())),
            place=Place(
                node=node,
                attempt=f"{planned.id}.{secrets.token_hex(4)}",
                windows=self._known_windows(planned),
                nodes=nodes,
                address=self.hands.nodes[node].address if nodes > 1 else "",
            ),
        )
        self.hands.launch(node, order, needed // nodes)

    def _known_windows(self, launch: Launch) -> dict[int, float] | None:
        if self.plan.protocol.window_s is not None:
            return None
        key = _key(launch)
        if launch.round == 0:  # still being decided
            return point.known_windows(self.store, launch)
        if key not in self._windows:
            self._windows[key] = point.known_windows(self.store, launch)
        return self._windows[key]

    def _take(self, given: Given, answer: object) -> None:
        launch = given.launch
        assert launch is not None
        match answer:
            case Measured(status=status):
                self.journal.ends(given.node, launch.id, status)
                if status == "failed":
                    self._fails(launch)
            case Refused(kind="interrupted", message=why):
                self._again(given, launch, why)
            case Refused(kind="machine"):
                self.journal.ends(given.node, launch.id, "lost")
                self._put_back(given.node, launch)
                self._drop(given.node, answer.message)
            case Refused():
                raise error_of(given.node, answer)
            case Lost():
                self._again(given, launch, answer.why, begun=answer.begun)
                if answer.node_gone:
                    self._drop(given.node, answer.why)

    def _fails(self, launch: Launch) -> None:
        self.lost.add(_key(launch))
        self.failed += 1

    def _again(self, given: Given, launch: Launch, why: str, *, begun: bool = True) -> None:
        """Have a lost launch made again, unless it was lost too often."""
        self.losses[launch.id] += begun
        self.journal.ends(given.node, launch.id, "lost")
        if self.losses[launch.id] < MOST_LOST:
            self.journal.warn(f"{launch.id}: lost on {given.node}, made again: {why}")
            self._put_back(given.node, launch)
        else:
            self.journal.warn(f"{launch.id}: lost {MOST_LOST} times, given up: {why}")
            self._fails(launch)

    def _put_back(self, node: str, launch: Launch) -> None:
        if node not in self.hands.nodes:
            node = next(name for name, hand in self.dealer.deal([launch]).items() if hand)
        self.queues.setdefault(node, []).insert(0, launch)

    def _drop(self, node: str, why: str) -> None:
        """Give a node nothing more, and its launches to the others."""
        if node not in self.hands.nodes:
            return
        self.journal.warn(f"{node}: given nothing more: {why}")
        self.hands.drop(node)
        self.dealer.drop(node)
        left = self.queues.pop(node, [])
        if not self.hands.nodes:
            raise MachineError(f"no node is left; the last one, {node}: {why}", hint=AGAIN)
        for other, more in self.dealer.deal(left).items():
            self.queues[other] = [*self.queues.get(other, []), *more]


def _key(launch: Launch) -> Key:
    return launch.stack, launch.model.name
