"""Ray as an executor: each order is a Ray task on one node, with all of it to itself.

Ray places, carries messages and notices what is gone. Which node makes which launch, and whether a
lost one is made again, is decided in the core.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from inferometer.errors import MachineError, UsageError
from inferometer.executor import Done, Heard, Lost, Node, Said
from inferometer_plugins.executors import carry, lane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from inferometer.executor import Cluster, Option, Order

WAIT_S = 600.0
"""For as many nodes as were asked for, and for an order to begin on one that is free of ours."""
MEET_S = 20.0
"""For a cluster to take a connection."""
SETTLE_S = 10.0
"""For messages whose senders are done."""
LOOK_S = 5.0
"""Between two looks whether the nodes are there that an order of several waits for."""
CANCEL_S = 150.0
"""For engines to be ended: what a supervisor takes at most, and a little."""
OPTIONS: Mapping[str, type] = {
    "address": str,
    "accelerator_type": str,
    "nodes": int,
    "per_node": int,
    "store": str,
}


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """A Ray cluster that is there already, of which this machine is part."""

    name: str = "ray"
    options: Mapping[str, type] = field(default_factory=lambda: dict(OPTIONS))

    @contextmanager
    def open(
        self, options: Mapping[str, Option], results: Path, plan_sha256: str
    ) -> Iterator[Cluster]:
        """Join the cluster, leave it in the end; tasks of ours end with that.

        Raises:
            UsageError: an option cannot be right.
            MachineError: Ray is not installed, or no cluster answers.
        """
        if any(isinstance(value, int) and value < 1 for value in options.values()):
            raise UsageError("nodes and per_node are 1 or more", hint="Correct --executor-option.")
        address = str(options.get("address", "auto"))
        if address.startswith("ray://"):
            raise UsageError(
                f"{address}: a run is part of its cluster, not a client of it",
                hint="Run this on a machine of the cluster, with --address auto.",
            )
        store = options.get("store")
        if store is not None:
            store = f"{str(store).rstrip('/')}/{plan_sha256[:16]}"
            carry.opened(store)
        ray = joined(address)
        try:
            yield RayCluster(ray, options, results, store)
        finally:
            ray.shutdown()


def joined(address: str) -> Any:
    """Import Ray and join a cluster; usage is reported to nobody."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise MachineError(
            f"Ray cannot be imported: {error}", hint="Install it: pip install 'inferometer[ray]'."
        ) from error
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _meet(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OverflowError, OSError) as error:
        raise MachineError(
            "no Ray cluster can be joined",  # kept in results, where no address belongs
            hint=f"At {address}: {error}. Start one (`ray start --head`), or give --address; "
            "of one with a token, set RAY_AUTH_MODE=token here, too.",
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray's own would end us without our clean-up
    return ray


def _meet(address: str) -> None:
    """Raise OSError where nothing listens at ``HOST:PORT``: Ray would try for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=MEET_S).close()


class RayCluster:
    """The nodes of a cluster during a run."""

    def __init__(
        self, ray: Any, options: Mapping[str, Option], results: Path, store: str | None
    ) -> None:
        self._ray, self._results, self._store = ray, results, store
        self.per_node = int(options.get("per_node", 1))
        self.carries = store is not None
        self._least = int(options.get("nodes", 1))
        self._type = str(options.get("accelerator_type", ""))
        self._task = ray.remote(lane.carry_out)
        here = ray.get_runtime_context().get_node_id()
        self._ear = ray.remote(lane.Ear).options(num_cpus=0, **self._on(here)).remote()
        self._taken = self._ear.take.remote()
        self._orders: dict[Any, str] = {}
        """By the reference to their outcome."""
        self._since: dict[str, float] = {}
        """When each order was given, in s of the monotonic clock."""
        self._said: dict[str, int] = {}
        """How often each order was heard."""
        self._told: dict[str, int] = {}
        """How often orders that are carried out say that they were to be heard."""
        self._shared: Any = None
        self._groups: dict[str, tuple[Order, Any]] = {}
        """Orders of several nodes, each with its placement group."""
        self._gone: list[Heard] = []

    # -- nodes --------------------------------------------------------------------------------

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are there, once there are as many as were asked for."""
        end = time.monotonic() + WAIT_S
        while len(found := self._nodes()) < self._least and time.monotonic() < end:
            time.sleep(0.5)
        if len(found) < self._least:
            kind = f" with accelerator type {self._type}" if self._type else ""
            raise MachineError(
                f"the Ray cluster has {len(found)} nodes{kind} with processors for us, "
                f"not {self._least}",
                hint="See what `ray status` lists.",
            )
        return found

    def _nodes(self) -> list[Node]:
        return [
            Node(
                key=str(node["NodeID"]),
                machine=str(node["NodeManagerHostname"]),
                cpus=float(had.get("CPU", 0)),
                gpus=int(had.get("GPU", 0)),
                memory_bytes=int(had.get("memory", 0)),
                address=str(node["NodeManagerAddress"]),
            )
            for node in self._ray.nodes()
            for had in [node["Resources"]]
            if node["Alive"]
            and had.get("CPU", 0) >= 1
            and (not self._type or f"accelerator_type:{self._type}" in had)
        ]

    def _on(self, key: str) -> dict[str, Any]:
        strategies: Any = import_module("ray.util.scheduling_strategies")
        return {
            "scheduling_strategy": strategies.NodeAffinitySchedulingStrategy(key, soft=False),
        }

    # -- orders -------------------------------------------------------------------------------

    def share(self, content: bytes) -> None:
        """Put it where nodes fetch it from, each once."""
        self._shared = self._ray.put(content)

    def start(self, order: Order) -> None:
        """Hand a task to the order's node; it begins when everything it asks for is free."""
        node = order.node
        options: dict[str, Any] = {
            "num_cpus": share_of(node.cpus, self.per_node),
            "memory": node.memory_bytes // self.per_node,
            "max_retries": 0,
            "name": order.id,
        }
        if self.per_node == 1:
            options["num_gpus"] = min(order.accelerators, node.gpus)
        if self._type:
            options["accelerator_type"] = self._type
        self._said[order.id] = 0
        if order.beside and not self._there(order):
            self._gone.append(Lost(order.id, "NodeDiedError", node_gone=True, begun=False))
            return
        where = self._grouped(order, options) if order.beside else self._on(node.key)
        given = (order.id, self._shared, order.content, self._store or "")
        task, parted = self._task.options(**options, **where), bool(order.beside)
        ref = task.remote(self._ear, *given, parted=parted)
        self._orders[ref] = order.id
        self._since[order.id] = time.monotonic()

    def _there(self, order: Order) -> bool:
        alive = {str(node["NodeID"]) for node in self._ray.nodes() if node["Alive"]}
        return {order.node.key, *(node.key for node in order.beside)} <= alive

    def _grouped(self, order: Order, options: Mapping[str, Any]) -> dict[str, Any]:
        """Reserve a bundle on each node of an order; return how its own task is put into one."""
        groups: Any = import_module("ray.util.placement_group")
        strategies: Any = import_module("ray.util.scheduling_strategies")
        nodes = (order.node, *order.beside)
        gpus = options["num_gpus"]
        bundles = [
            {"CPU": share_of(node.cpus, 1), "GPU": gpus, "memory": node.memory_bytes}
            for node in nodes
        ]
        group = groups.placement_group(
            [{what: much for what, much in bundle.items() if much} for bundle in bundles],
            strategy="STRICT_SPREAD",
            name=order.id,
            bundle_label_selector=[{"ray.io/node-id": node.key} for node in nodes],
        )
        self._groups[order.id] = (order, group)
        return {
            "scheduling_strategy": strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=0
            )
        }

    def _let_go(self, order: str) -> None:
        """Give back the bundles of an order that is over; what still runs in them is ended."""
        if order in self._groups:
            groups: Any = import_module("ray.util.placement_group")
            groups.remove_placement_group(self._groups.pop(order)[1])

    def _never(self) -> Iterator[Heard]:
        """Yield the orders that wait for a node that is gone: their group is never whole."""
        for ref, name in list(self._orders.items()):
            waits = name in self._groups and not self._said[name]
            if waits and not self._there(self._groups[name][0]):
                del self._orders[ref]
                self._ray.cancel(ref)
                self._let_go(name)
                yield Lost(name, "NodeDiedError", node_gone=True, begun=False)

    def heard(self, timeout_s: float) -> Sequence[Heard]:
        """Return messages and outcomes; those that free a lane first."""
        found: list[Heard] = [*self._gone, *self._never()]
        self._gone.clear()
        refs = [self._taken, *self._orders]
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        if not ready and not found:
            begun = all(self._said[name] for name in self._groups)
            limit_s = min(timeout_s, WAIT_S / 10 if begun else LOOK_S)
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=limit_s)
        for ref in sorted(ready, key=lambda ref: ref == self._taken):
            if ref == self._taken:
                found += self._messages()
            else:
                found += self._outcome(ref)
        return [*found, *self._not_begun()]

    def _not_begun(self) -> Iterator[Lost]:
        """Give up orders that Ray places nowhere: something else has what the node has."""
        latest = time.monotonic() - WAIT_S
        for ref, order in list(self._orders.items()):
            if not self._said[order] and self._since[order] < latest:
                del self._orders[ref]
                self._ray.cancel(ref)
                self._let_go(order)
                why = f"other work has had its processors or memory for {WAIT_S:.0f} s"
                yield Lost(order, why, node_gone=True, begun=False)

    def settle(self) -> Sequence[Said]:
        """Wait for the last messages of what was carried out, but not for ever."""
        found: list[Said] = []
        end = time.monotonic() + SETTLE_S
        while any(self._said[order] < count for order, count in self._told.items()):
            left_s = max(0.0, end - time.monotonic())
            if not self._ray.wait([self._taken], timeout=left_s)[0]:
                break
            found += self._messages()
        self._said.clear()
        self._told.clear()
        return found

    def _messages(self) -> Iterator[Said]:
        batch = self._ray.get(self._taken)
        self._taken = self._ear.take.remote()
        for order, message in batch:
            if order in self._said:
                self._said[order] += 1
                if message:
                    yield Said(order, message)

    def _outcome(self, ref: Any) -> Iterator[Heard]:
        order = self._orders.pop(ref)
        self._let_go(order)
        errors = self._ray.exceptions
        try:
            yield self._done(order, *self._ray.get(ref))
        except errors.RayTaskError as error:
            if isinstance(error.cause, lane.FollowerLostError):
                yield Lost(order, error.cause.why, node_gone=error.cause.node_gone)
                return
            if not isinstance(error, errors.TaskCancelledError):
                raise MachineError(
                    f"a node cannot carry out {order}: {str(error.cause)[:500]}",
                    hint="Install the same Inferometer, with its extra `ray`, on every node.",
                ) from error
            yield Lost(order, "cancelled")
        except (errors.NodeDiedError, errors.TaskUnschedulableError) as error:
            yield Lost(order, named(error), node_gone=True, begun=self._said[order] > 0)
        except errors.RayError as error:
            yield Lost(order, named(error))

    def _done(self, order: str, answer: bytes, count: int, carried: bool) -> Done:
        self._told[order] = count
        folder = None
        if carried and self._store is not None:
            folder = carry.home(self._store, order, self._results / "partial")
            carry.taken(self._store, order)
        return Done(order, answer, folder)

    def cancel(self) -> None:
        """Interrupt what runs, drop what waits, and return when nothing is left."""
        with suppress(self._ray.exceptions.RayError):  # a cluster that is gone runs nothing
            self._ear.give_up.remote()
            for ref, order in self._orders.items():
                if not self._said[order]:  # it has not begun, or is about to
                    self._ray.cancel(ref)
            if refs := list(self._orders):
                _, left = self._ray.wait(refs, num_returns=len(refs), timeout=CANCEL_S)
                for ref in left:
                    self._ray.cancel(ref, force=True)
            for order in list(self._groups):
                self._let_go(order)

    def left(self) -> Iterator[Path]:
        """Bring home what nodes put into the store after an earlier run was gone."""
        for order in carry.left(self._store) if self._store is not None else ():
            yield carry.home(self._store or "", order, self._results / "partial")
            carry.taken(self._store or "", order)


def share_of(cpus: float, lanes: int) -> float:
    """Return the processors of one of so many tasks: whole ones, as Ray wants them, or a part."""
    share = cpus / lanes
    return float(int(share)) if share >= 1 else int(share * 1000) / 1000


def named(error: Exception) -> str:
    """Return the kind of Ray's error alone: its words name machines, and results name none."""
    return type(error).__name__
