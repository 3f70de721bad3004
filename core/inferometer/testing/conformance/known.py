"""Checks that an adapter of ours is known to fail, and why: told, never hidden.

A known failure that passes fails the kit, so that this list stays true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KNOWN: Mapping[str, Mapping[str, str]] = {
    "sglang": {
        "readiness-generates-nothing": "releases before 0.5.20 have no route that does not "
        "generate; theirs is asked before the load only",
    },
}
"""Reasons by engine and check id."""
