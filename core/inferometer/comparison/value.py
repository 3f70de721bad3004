"""A number with its origin: the atom of everything a report says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal[
    "measured", "derived", "interpolated", "reported", "declared", "estimated", "simulated"
]
"""``reported``: what another tool's file says."""


def worst_kind(kinds: Iterable[Kind]) -> Kind:
    """Return the kind of a number made from numbers of these kinds."""
    order: tuple[Kind, ...] = get_args(Kind)
    return max(kinds, key=order.index, default="measured")


class Value(Struct, frozen=True, kw_only=True):
    """A number with its origin; ``value`` is None exactly when ``reason`` is set.

    ``low`` and ``high`` are the ends of a 95 % interval over ``n`` launches (None when n < 2).
    """

    value: float | None
    unit: str
    kind: Kind
    n: int = 0
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    detail: str = ""
