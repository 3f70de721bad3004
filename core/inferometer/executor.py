"""What runs the launches of a study: this machine, or a cluster of machines.

An executor brings nodes and runs orders on them; what to measure, where and in which order is
decided here, in the core, for all executors alike. It is an option of a run, not of a study: the
plan and its hashes are the same whatever measures it.

An order is bytes for :func:`inferometer.api.perform`, which a node calls in a process of its own,
with what all orders of a run share; what that says while it works, and what it answers, are bytes
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

Option = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine, with what of it may be used."""

    key: str
    """The executor's own name for it, unique among its nodes."""
    machine: str
    """The same whenever the same machine is met; stored as a hash, for results are published."""
    cpus: float
    gpus: int = 0
    """Accelerators of any vendor."""
    memory_bytes: int = 0
    address: str = ""
    """Where the other nodes reach it; for an engine on several nodes, never in results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Something to be done on one node: a launch, or finding out what the node is."""

    id: str
    """Unique in a run; a launch that is run again has another one."""
    node: Node
    content: bytes
    """For :func:`inferometer.api.perform`."""
    accelerators: int = 1
    """What the engine uses on each node: tensor x pipeline x data parallel size in all."""
    beside: tuple[Node, ...] = ()
    """Further nodes that it takes, for an engine on several: rank 1, 2, ... of its group."""


@dataclass(frozen=True, slots=True)
class Said:
    """An order that is being carried out says something."""

    id: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """An order is carried out. What it said last may be heard after this."""

    id: str
    answer: bytes
    folder: Path | None = None
    """Where the launch was brought, on this machine, by an executor that ``carries``."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An order will not be carried out: its process or its node is gone."""

    id: str
    why: str
    node_gone: bool = False
    """Nothing more can be given to its node."""
    begun: bool = True
    """False where it never began: the node was gone before, or had no room."""


Heard = Said | Done | Lost


class Gather(Protocol):
    """Has the other nodes of an order follow its own; given to :func:`inferometer.api.perform`.

    The n-th content is carried out on the n-th node ``beside``, with ``over`` true from the end of
    the context on; it ends when all are carried out. What it yields says the first answer of a
    follower, None while there is none. Where a follower is lost, its process or its node, the
    order's own process is interrupted (``SIGINT``), and the order is :class:`Lost`.
    """

    def __call__(
        self, contents: Sequence[bytes]
    ) -> AbstractContextManager[Callable[[], bytes | None]]:
        """Return the context."""


class Cluster(Protocol):
    """Nodes while a run lasts. All of it is called by one thread."""

    @property
    def per_node(self) -> int:
        """Orders that a node carries out at once. More than one disturb each other."""

    @property
    def carries(self) -> bool:
        """Whether launches are brought here; else nodes write into the results directory."""

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are there now and may be used.

        Raises:
            MachineError: there are none, or not enough.
        """

    def share(self, content: bytes) -> None:
        """Take what all orders share; called once, before the first one."""

    def start(self, order: Order) -> None:
        """Have an order carried out on its node, at once or as soon as there is room.

        Raises:
            UsageError: the node can never have what the order needs.
        """

    def heard(self, timeout_s: float) -> Sequence[Heard]:
        """Return what was heard since the last call, waiting for it until the time is over."""

    def settle(self) -> Sequence[Said]:
        """Return what orders that are carried out said and is still on its way."""

    def cancel(self) -> None:
        """Have every order ended as by Ctrl-C; return when nothing of them runs any more."""

    def left(self) -> Iterator[Path]:
        """Bring here what whole launches an earlier run left elsewhere, one folder each."""


class Executor(Protocol):
    """Brings a :class:`Cluster`. Must not touch anything before it is opened."""

    @property
    def name(self) -> str:
        """Word for ``--executor``."""

    @property
    def options(self) -> Mapping[str, type]:
        """Return the options by name, with their types: ``str``, ``int`` or ``float``."""

    def open(
        self, options: Mapping[str, Option], results: Path, plan_sha256: str
    ) -> AbstractContextManager[Cluster | None]:
        """Begin a run into ``results``; None: this process measures, one launch after another.

        Raises:
            UsageError: an option cannot be right.
            MachineError: there is no cluster to be reached.
        """
