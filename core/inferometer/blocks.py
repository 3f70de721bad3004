"""Which node makes which launches: pairs of mirrored rounds, dealt over the nodes.

A round's stacks are compared on one node, so that what nodes differ by touches no difference
between stacks; and both rounds of a pair run there, so that linear drift of that node cancels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.plan import Launch
    from inferometer.records import LaunchRecord

PAIR = 2
"""Rounds of a block: one, and the same in reverse."""


def block_of(round_: int) -> int:
    """Return the number of the block that a round belongs to."""
    return round_ // PAIR


def split(launches: Iterable[Launch]) -> list[list[Launch]]:
    """Return launches block by block, each in running order."""
    found: dict[int, list[Launch]] = {}
    for launch in sorted(launches, key=lambda each: each.position):
        found.setdefault(block_of(launch.round), []).append(launch)
    return [found[number] for number in sorted(found)]


def segments(rounds: int, *, windows_known: bool, looked_from: int | None) -> list[range]:
    """Return the rounds that may run beside each other, in order.

    Where the study leaves the length of windows open the first round decides on it. Behind
    ``looked_from`` rounds, if given, each waits for the look behind the one before.
    """
    cuts = {0, rounds}
    if not windows_known:
        cuts.add(1)
    if looked_from is not None:
        cuts |= set(range(looked_from, rounds))
    marks = sorted(cut for cut in cuts if 0 <= cut <= rounds)
    return [range(begin, end) for begin, end in pairwise(marks)]


class Dealer:
    """Remembers which node has which block; a node is known by the name that records have."""

    def __init__(self, nodes: Sequence[str], made: Iterable[LaunchRecord] = ()) -> None:
        self.nodes = list(nodes)
        self._homes: dict[int, str] = {}
        for record in made:
            if record.node is not None:
                self._homes.setdefault(block_of(record.round), record.node)

    def deal(self, launches: Iterable[Launch]) -> dict[str, list[Launch]]:
        """Return the launches of each node, in running order.

        A block goes where some of it was made, if that node is there, else to the node that has
        the fewest blocks so far; of several to the first.
        """
        hands: dict[str, list[Launch]] = {node: [] for node in self.nodes}
        for block in split(launches):
            hands[self._home(block_of(block[0].round))] += block
        return hands

    def drop(self, node: str) -> None:
        """Deal that node nothing more."""
        self.nodes.remove(node)

    def _home(self, number: int) -> str:
        home = self._homes.get(number)
        if home not in self.nodes:
            held = list(self._homes.values())
            home = min(self.nodes, key=held.count)
            self._homes[number] = home
        return home
