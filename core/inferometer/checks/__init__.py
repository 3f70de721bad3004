"""Can a load's figures be believed? One set of named checks, for studies and for ``bench``.

``evidence`` holds what is looked at; ``client``, ``work`` and ``engine`` hold the checks: did the
client do what it says, was it the work that was asked for, and does the engine say the same. Each
is a function from :class:`Evidence` to a :class:`~inferometer.comparison.Check`, or to None where
it does not apply. Every threshold stands in the check's own rule. Plain Python: the measuring half
has no tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.checks import client, engine, work
from inferometer.checks.evidence import Call, Evidence, observe
from inferometer.checks.work import PARITY

if TYPE_CHECKING:
    from inferometer.comparison import Check

__all__ = ["PARITY", "Call", "Evidence", "judge", "observe"]


def judge(seen: Evidence) -> list[Check]:
    """Return every check that applies, in the order in which they are shown."""
    found = [check(seen) for check in (*work.CHECKS, *engine.CHECKS, *client.CHECKS)]
    return [check for check in found if check is not None]
