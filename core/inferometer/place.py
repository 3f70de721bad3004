"""Where a launch is made, of several places that share a plan."""

from __future__ import annotations

from msgspec import Struct


class Place(Struct, frozen=True, kw_only=True):
    """The node of a launch, and what it cannot see from there."""

    node: str | None = None
    """As in the record; None: one machine makes all launches."""
    attempt: str = ""
    """Names its folder while it is in flight; empty: its id. One that was given up for lost may
    still write while it is made again elsewhere."""
    windows: dict[int, float] | None = None
    """Length in s of each load point's window, where earlier launches decided on it; None: the
    results directory is here and tells."""
    nodes: int = 1
    """On so many nodes the engine is started; this one is rank 0."""
    address: str = ""
    """Of this node, as the others reach it; empty where there are none."""


HERE = Place()
