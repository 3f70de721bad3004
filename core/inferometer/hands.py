"""The nodes of a run as the core uses them: orders given, answers heard, what is said passed on."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inferometer import jobs, store
from inferometer.errors import InferometerError, MachineError, UsageError
from inferometer.executor import Done, Lost, Order, Said
from inferometer.jobs import Job, Measure, Refused
from inferometer.journal_records import Event
from inferometer.records import LaunchRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inferometer.executor import Cluster, Node
    from inferometer.jobs import Answer, Survey, Tune
    from inferometer.journal import Journal
    from inferometer.plan import Launch, Plan
    from inferometer.store import Store

WAIT_S = 3600.0
EVENT = msgspec.json.Decoder(Event)


@dataclass(frozen=True, slots=True)
class Given:
    """An order that a node has; ``node`` is its name in results."""

    node: str
    launch: Launch | None


class Hands:
    """The nodes that are there, by their names in results."""

    def __init__(
        self, cluster: Cluster, nodes: dict[str, Node], plan: Plan, results: Store, journal: Journal
    ) -> None:
        self.cluster, self.nodes, self.plan = cluster, nodes, plan
        self.results, self.journal = results, journal
        self.shared = not cluster.carries
        self.beside: dict[str, tuple[Node, ...]] = {}
        """Further nodes of a group, by the name of its first."""
        self._given: dict[str, Given] = {}
        self._past: dict[str, Given] = {}

    def busy(self, node: str) -> int:
        """Return how many orders a node has."""
        return sum(given.node == node for given in self._given.values())

    def any(self) -> bool:
        """Say whether any node has an order."""
        return bool(self._given)

    def give(self, node: str, what: Survey | Tune, accelerators: int = 1) -> None:
        """Give a node an order."""
        name = f"{type(what).__name__.lower()}-{secrets.token_hex(4)}"
        self._start(name, Given(node, None), Job(shared=self.shared, what=what), accelerators)

    def launch(self, node: str, order: Measure, accelerators: int) -> None:
        """Give a node a launch, with so many ``accelerators`` there and on each beside it.

        Its attempt names the order.
        """
        given = Given(node, order.launch)
        job = Job(shared=self.shared, what=order)
        beside = self.beside.get(node, ())[: order.place.nodes - 1]
        self._start(order.place.attempt, given, job, accelerators, beside)

    def _start(
        self,
        name: str,
        given: Given,
        job: Job,
        accelerators: int,
        beside: tuple[Node, ...] = (),
    ) -> None:
        self._given[name] = given
        self.cluster.start(
            Order(
                id=name,
                node=self.nodes[given.node],
                content=msgspec.json.encode(job),
                accelerators=accelerators,
                beside=beside,
            )
        )

    def heard(self) -> Iterator[tuple[Given, Answer | Lost]]:
        """Wait for something to be heard; yield orders that are carried out, or lost."""
        for heard in self.cluster.heard(WAIT_S):
            if isinstance(heard, Said):
                self._pass_on(heard)
                continue
            given = self._given.pop(heard.id, None)
            if given is None:
                continue
            self._past[heard.id] = given
            if isinstance(heard, Done):
                yield given, self._answer(heard)
            else:
                self._clear(heard.id)
                yield given, heard

    def settle(self) -> None:
        """Wait for what is still on its way, once no order is being carried out."""
        for said in self.cluster.settle():
            self._pass_on(said)
        self._past.clear()

    def _pass_on(self, said: Said) -> None:
        given = self._given.get(said.id) or self._past.get(said.id)
        if given is None:
            return
        try:
            event = EVENT.decode(said.message)
        except (msgspec.DecodeError, UnicodeDecodeError):  # a stranger's, or another version's
            return
        self.journal.heard(given.node, given.launch.id if given.launch else "", event)

    def _answer(self, done: Done) -> Answer:
        try:
            answer: Answer = jobs.decoder.decode(done.answer)
        except jobs.UNREADABLE as error:
            return Refused(kind="bug", message=f"an answer that cannot be read: {error}")
        if done.folder is not None:
            adopt(self.results, self.plan, done.folder)
        return answer

    def _clear(self, attempt: str) -> None:
        """Remove what a lost launch left half done, where that can be seen from here."""
        shutil.rmtree(self.results.root / "partial" / attempt, ignore_errors=True)

    def drop(self, node: str) -> None:
        """Give a node nothing more."""
        del self.nodes[node]


def adopt(results: Store, plan: Plan, folder: Path) -> None:
    """Take a launch that a node made and that was brought here, whole; one that is here stays.

    Raises:
        MachineError: it is none of this plan.
    """
    record = store.decode(folder / "launch.json", LaunchRecord)
    known = {launch.id for launch in plan.launches}
    if record.plan_sha256 != plan.sha256 or record.id not in known:
        raise MachineError(
            f"{folder}: launch {record.id[:100]!r} is none of this plan",
            hint="Give a store that holds nothing else with --executor-option store=...",
        )
    results.close_launch(folder, record)


def error_of(node: str, refused: Refused) -> InferometerError:
    """Return the error that a node's refusal is."""
    message = f"{node}: {refused.message}"
    if refused.kind == "usage":
        return UsageError(message, hint=refused.hint)
    if refused.kind == "machine":
        return MachineError(message, hint=refused.hint)
    return InferometerError(message, hint=refused.hint or "Report it: this is a bug.")
