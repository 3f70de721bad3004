"""What surrounds a meter while it is checked: the real machine, or one that a test makes up."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Scene = Callable[[], AbstractContextManager[object]]

REASONS = frozenset(
    {
        *("no_sensor", "no_permission", "unsupported", "failed", "bad_reading", "meter_reset"),
        *("gap", "flat_line", "coverage_low", "clock_unsure", "device_lost", "device_extra"),
        *("devices_unclear", "mig", "shared_device", "unit_suspect"),
    }
)
"""Words with which a meter may say why it cannot be read."""


def _as_it_is() -> AbstractContextManager[Mapping[str, Any]]:
    return nullcontext({})


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The machine that a meter is checked on. Left as it is: the real one.

    What a meter does when its sensor is missing, forbidden or lost can be seen only in a world that
    can make it so; checks without such a scene are skipped.
    """

    made: Callable[[], AbstractContextManager[Mapping[str, Any]]] = _as_it_is
    """Enters a world in which the meter can be read, and gives the options to read it with. None
    given: the smallest that the meter takes are tried."""
    absent: Scene | None = None
    """Inside the made world: there is no sensor, no driver, no counter."""
    forbidden: Scene | None = None
    """Inside the made world: the sensor is there and must not be read."""
    failing: Scene | None = None
    """Inside the made world, with a session open: the sensor gives no value any more."""
    truth: Callable[[], Mapping[str, float]] | None = None
    """Inside the made world: what the sensor stands at now, in J or W, by the reading's device."""
    state: Callable[[], object] | None = None
    """Inside the made world: whatever looking must not change, such as a power limit."""
    pass_time: Callable[[float], None] = time.sleep
    """Lets so many seconds pass, for the sensor as well."""
    refused: Sequence[Mapping[str, Any]] = ()
    """Options that must be refused, each set merged into the good ones."""
    secrets: Sequence[str] = ()
    """Passwords and the like that the made world holds: none may come out of the meter."""
    recorded: bool = False
    """Whether readings come from a record, as of a file: with the record's stamps, none or many
    at a look."""
    accelerator: Literal["cpu", "cuda", "rocm"] = "cpu"
    visible_devices: str | None = None
    accelerators: int | None = None
    patience_s: float = 2.0
    """The longest that ``info``, ``open`` or the wait for a first reading may take."""
