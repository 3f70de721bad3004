"""A search on a server that does not outlive it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from inferometer.capacity import Search
from inferometer.capacity_search import Rules
from inferometer.errors import LaunchError
from inferometer.loadgen.driver import Target

if TYPE_CHECKING:
    from inferometer.capacity_records import CapacityProbe
    from inferometer.capacity_search import Ask
    from inferometer.capacity_watch import Watching


class Dying(Search):
    """A search whose server dies of the first rate."""

    @property
    def wanted(self) -> dict[str, float]:
        return {"ttft_ms": 100.0}

    def _offer(self, ask: Ask, watching: Watching) -> CapacityProbe:
        raise LaunchError("it is gone, said sk-" + "a" * 40, hint="", stage="serve")

    def _slowed(self) -> Rules:
        return self.rules

    def _warmup(self) -> int:
        return 0


def test_a_server_that_dies_of_a_rate_leaves_a_search_that_says_so() -> None:
    live: Any = SimpleNamespace(target=Target(host="127.0.0.1", port=1, path="/"))
    workload: Any = SimpleNamespace(name="short")
    plan: Any = None
    said: list[str] = []
    rules = Rules(low=1, high=64)
    found = Dying(
        live=live, plan=plan, workload=workload, rules=rules, number=1, say=said.append
    ).run()
    assert (found.passes, found.fails, found.flag, found.probes) == (None, None, "failed", [])
    assert found.failure.startswith("at 8 requests/s: it is gone")
    assert "aaaa" not in found.failure
    assert said == [f"capacity, short: broken off {found.failure}"]
