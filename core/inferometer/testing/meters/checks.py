"""Every check of the kit, in the order in which they run and are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.testing.meters import choosing, describing, importing, living, reading, watching

if TYPE_CHECKING:
    from inferometer.testing.check import Check
    from inferometer.testing.meters.kit import Kit

CHECKS: tuple[Check[Kit], ...] = (
    *importing.CHECKS,
    *describing.CHECKS,
    *choosing.CHECKS,
    *reading.CHECKS,
    *watching.CHECKS,
    *living.CHECKS,
)
"""From what is only said to what a session does."""
