"""Load hosts on the machines of a Ray cluster: one actor a machine, which holds one there.

Ray finds the machines and ends what was started; no message of a load goes through it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from inferometer import api
from inferometer.errors import MachineError
from inferometer_plugins.executors.ray import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARK = "load_host"
"""Custom resource of the nodes that are meant for it; where none has it, all are."""
START_S = 120.0
"""For all actors to be placed, and their load hosts to listen."""


class Holder:
    """The actor: a load host runs as long as it lives."""

    def __init__(self, address: str, token: str) -> None:
        self._held = ExitStack()
        self._address = self._held.enter_context(api.load_host(f"{address}:0", token))

    def address(self) -> str:
        """Return where it listens."""
        return self._address


@dataclass(frozen=True, slots=True)
class RayLoadHosts:
    """A Ray cluster that is there already, of which this machine is part.

    The variable ``RAY_ADDRESS`` names another one than the one of this machine.
    """

    name: str = "ray"

    @contextmanager
    def start(self, count: int, token: str) -> Iterator[Sequence[str]]:
        """Start load hosts on ``count`` machines of the cluster, and end them."""
        ray = joined(os.environ.get("RAY_ADDRESS", "auto"))
        try:
            nodes = chosen(ray.nodes(), count)
            strategies: Any = import_module("ray.util.scheduling_strategies")
            holders = [
                ray.remote(Holder)
                .options(
                    num_cpus=1,
                    scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(
                        node["NodeID"], soft=False
                    ),
                )
                .remote(node["NodeManagerAddress"], token)
                for node in nodes
            ]
            try:
                yield _addresses(ray, holders)
            finally:
                for holder in holders:
                    ray.kill(holder)
        finally:
            ray.shutdown()


def _addresses(ray: Any, holders: Sequence[Any]) -> list[str]:
    """Return where the load hosts listen, once all do. Raises MachineError."""
    try:
        found = ray.get([holder.address.remote() for holder in holders], timeout=START_S)
    except ray.exceptions.RayError as error:
        raise MachineError(
            f"Ray could not start {len(holders)} load hosts: {type(error).__name__}",
            hint="Each takes one free processor of its node: see what `ray status` lists.",
        ) from error
    return [str(address) for address in found]


def chosen(nodes: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return ``count`` living nodes with a processor, those that are meant for it where any is.

    Raises MachineError where there are not so many.
    """
    alive = [node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    meant = [node for node in alive if MARK in node["Resources"]] or alive
    if len(meant) < count:
        raise MachineError(
            f"{count} load hosts were asked for, and the Ray cluster has {len(meant)} nodes for it",
            hint=f"Join more nodes to it; those with the resource {MARK!r} alone are taken where "
            "any has it.",
        )
    return sorted(meant, key=lambda node: str(node["NodeID"]))[:count]
