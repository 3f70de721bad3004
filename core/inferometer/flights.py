"""What several nodes are making just now, from what a run said of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferometer.journal_records import Event


class InFlight(Struct, frozen=True, kw_only=True):
    """A launch that one of several nodes is making; or the node, before its first one."""

    node: str
    id: str
    """Of the launch; empty before the first one."""
    launch: str
    """In words."""
    begun_ns: int
    stage: str = ""
    window_until_ns: int | None = None
    """By the clock of this machine, as far as the node's agrees with it."""


def in_flight(run: Iterable[Event]) -> list[InFlight]:
    """Return what nodes are making behind the events of one run, by node; none for one machine."""
    found: dict[tuple[str, str], InFlight] = {}
    for event in run:
        key = (event.node, event.launch)
        if not event.node:
            continue
        if event.what == "launched":
            found.pop(key, None)
        elif event.what == "launch":
            found.pop((event.node, ""), None)
            found[key] = _begun(event)
        elif event.what in {"stage", "window", "measured"} and (key in found or not event.launch):
            found[key] = _onwards(found.get(key) or _begun(event), event)
    return sorted(found.values(), key=lambda each: (each.node, each.begun_ns))


def nodes(run: Iterable[Event]) -> int:
    """Return how many machines a run holds, as far as they were heard of."""
    return max(1, len({event.node for event in run if event.node}))


def _begun(event: Event) -> InFlight:
    text = event.text if event.what == "launch" else ""
    return InFlight(node=event.node, id=event.launch, launch=text, begun_ns=event.t_ns)


def _onwards(known: InFlight, event: Event) -> InFlight:
    until = event.until_ns if event.what == "window" else None
    return InFlight(
        node=known.node,
        id=known.id,
        launch=known.launch,
        begun_ns=known.begun_ns,
        stage=event.text if event.what == "stage" else known.stage,
        window_until_ns=until,
    )
