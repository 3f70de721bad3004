"""Every check of the kit, in the order in which they run and are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.testing.conformance import (
    answers,
    commands,
    declared,
    requests,
    starts,
    tallies,
)

if TYPE_CHECKING:
    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Kit

CHECKS: tuple[Check[Kit], ...] = (
    *declared.CHECKS,
    *commands.CHECKS,
    *requests.CHECKS,
    *starts.CHECKS,
    *answers.CHECKS,
    *tallies.CHECKS,
)
"""From what is only declared to what a server must answer."""
