"""What is tried again: a closed list of causes that may pass, and stacks that worked before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.plan import Launch
    from inferometer.records import Failure, LaunchRecord
    from inferometer.store import Store

PASSING = {"port_in_use", "killed", "runtime_failed"}
"""Tried again at once: somebody took the port between our look and the engine's, somebody sent
SIGKILL, the container's runtime did not answer. The kernel's killing for want of memory is not
among them: it would do so again."""
CHANCE = {"stalled", "timed_out", "out_of_memory", "killed"}
"""Reasons in mid-life that may not come again in the next round, whatever the stage."""
MOST_IN_A_ROW = 2

Key = tuple[str, str]
"""Stack and model."""


def passing(failure: Failure | None) -> bool:
    """Say whether a launch is tried again at once."""
    return failure is not None and failure.reason in PASSING


def by_chance(failure: Failure) -> bool:
    """Say whether the next launch of a stack that worked before may do better."""
    return failure.stage == "serve" or failure.reason in CHANCE


@dataclass(slots=True)
class Chances:
    """Which stacks of one run are still launched.

    One that failed is given up, unless it has had whole launches and failed by chance; and after
    two such failures in a row.
    """

    worked: Callable[[Key], bool]
    given_up: set[Key] = field(default_factory=set)
    _row: Counter[Key] = field(default_factory=Counter)

    @classmethod
    def of(cls, store: Store) -> Chances:
        """Return the chances of a run into ``store``."""

        def worked(key: Key) -> bool:
            made = store.each(f"-{key[0]}-{key[1]}-")
            return any((each.stack["id"], each.model["name"]) == key for each in made)

        return cls(worked)

    def ended(self, launch: Launch, record: LaunchRecord) -> bool:
        """Note how a launch ended; return whether its stack is given up by it."""
        key = (launch.stack, launch.model.name)
        if record.failure is None:
            self._row.pop(key, None)
            return False
        return self.failed(key, chance=by_chance(record.failure))

    def failed(self, key: Key, *, chance: bool) -> bool:
        """Note a failure; return whether the stack is given up by it."""
        self._row[key] += 1
        if not chance or self._row[key] >= MOST_IN_A_ROW or not self.worked(key):
            self.given_up.add(key)
            return True
        return False
