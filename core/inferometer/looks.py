"""Looks between the rounds of a sequential study: who is decided, and whether to go on.

The analysis looks in another process, so that measuring loads no table library. A look that fails
stops nothing: the rounds go on as planned.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
from msgspec import UnsetType

from inferometer.look_records import Look
from inferometer.plan import wanted
from inferometer.rules import LOOKS, WITH_PRIOR

if TYPE_CHECKING:
    from inferometer.plan import Launch, Plan
    from inferometer.progress import Progress
    from inferometer.store import Store
    from inferometer.study import Study

MODULE = "inferometer.looking"
"""What is run on a results directory; it prints one :class:`~inferometer.look_records.Look`."""
WORDS = {
    "decided": "every pair is decided",
    "failed": "of every open pair a stack has failed",
    "rounds": "that was the last round",
    "budget": "the next round would not fit into the minutes left",
}


def first(store: Store) -> int:
    """Return the rounds after which verdicts are first due."""
    known = any(prior.variance is not None for prior in store.priors())
    return WITH_PRIOR if known else LOOKS[0]


def launches(store: Store, rounds: int) -> int:
    """Return how many launches of the first ``rounds`` are whole."""
    return sum(record.round < rounds for record in store.each())


class Looks:
    """The looks of one run; of a study with fixed rounds there are none."""

    def __init__(self, store: Store, progress: Progress, *, on: bool, budget: bool) -> None:
        self.store, self.progress, self.on = store, progress, on
        self.found = store.looks() if on else []
        self.first = 1 if budget else first(store)

    @classmethod
    def of(cls, study: Study, store: Store, progress: Progress) -> Looks:
        """Return those of a study, with what earlier runs of it saw."""
        asked = study.sequential
        if isinstance(asked, UnsetType):
            return cls(store, progress, on=False, budget=False)
        return cls(store, progress, on=True, budget=asked.minutes is not None)

    def wanted(self, plan: Plan) -> list[Launch]:
        """Return the launches of a plan that the looks so far leave to be made."""
        return wanted(plan, self.found)

    def behind(self, rounds: int) -> bool:
        """Look behind so many rounds, unless it was done before; say whether to stop.

        The last look is taken again where launches of its rounds were made good since. Before
        verdicts are due only a budget can stop a study.
        """
        if not self.on or rounds < self.first:
            return False
        look = next((look for look in self.found if look.rounds == rounds), None)
        if look is None and any(later.rounds > rounds for later in self.found):
            return False  # it failed, and the run went on
        if look is None or self._outdated(look):
            fresh = self._look(rounds)
            if fresh is not None:
                self.found = [*(one for one in self.found if one.rounds != rounds), fresh]
                self.store.put_looks(self.found)
                self._tell(fresh)
                look = fresh
        return look is not None and look.stop is not None

    def last(self, rounds: int) -> None:
        """Look behind the last of ``rounds``, all measured, where a run ended before it could."""
        if not any(look.stop for look in self.found):
            self.behind(rounds)

    def _outdated(self, look: Look) -> bool:
        if look is not self.found[-1] or look.launches is None:
            return False
        return launches(self.store, look.rounds) > look.launches

    def _look(self, rounds: int) -> Look | None:
        line = [sys.executable, "-P", "-m", MODULE, str(self.store.root), str(rounds)]
        done = subprocess.run(line, capture_output=True, check=False)
        try:
            return msgspec.json.decode(done.stdout, type=Look)
        except msgspec.DecodeError:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            self.progress.warn(f"no look behind round {rounds}: {''.join(last) or 'no answer'}")
            return None

    def _tell(self, look: Look) -> None:
        said = [f"after round {look.rounds}, {look.spent_min:.0f} machine-minutes"]
        if look.ended:
            said.append(f"decided, launched no more: {', '.join(look.ended)}")
        points = sum(len(one.load_points) for one in look.decided if one.stack not in look.ended)
        if points:
            said.append(f"decided at {points} load points, measured there no more")
        going = f"open: {len(look.undecided)} pairs" if look.undecided else "nothing can be ranked"
        said.append(WORDS[look.stop] if look.stop else going)
        self.progress.note("; ".join(said))
