"""What a ``[capacity]`` table must hold together with the rest of its study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDLESS = (
    "needs [slo] with ttft_ms or e2e_ms: without one, requests that wait ever longer meet the SLO"
)


def problems(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key path, message) of a study's ``[capacity]``; types are looked at elsewhere."""
    table, slo = document.get("capacity"), document.get("slo")
    if not isinstance(table, dict):
        return
    if not isinstance(slo, dict) or not {"ttft_ms", "e2e_ms"} & set(slo):
        yield "capacity", ENDLESS
    low, high = table.get("low"), table.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float) and not low < high:
        yield "capacity.low", f"{low:g} must be below high, {high:g}"
    works = document.get("workloads")
    named = [work for work in works if isinstance(work, dict)] if isinstance(works, list) else []
    if not any("turns" not in work for work in named):
        yield "capacity", "needs a workload of single requests: conversations are not searched"
    protocol = document.get("protocol")
    rounds = protocol.get("rounds") if isinstance(protocol, dict) else None
    asked = table.get("rounds")
    if isinstance(rounds, int) and isinstance(asked, int) and asked > rounds:
        yield "capacity.rounds", f"{asked} is more than the {rounds} of protocol.rounds"
