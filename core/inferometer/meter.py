"""What a meter owes: a source of joules or watts with a scope, opened around one launch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from inferometer.records import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.records import Condition, MeterInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterContext:
    """What a meter may look at: the engine's processes, and the study's options for this meter."""

    session_id: int | None
    """None where the engine's processes cannot be seen: a server that someone else runs."""
    cpu_seconds: Callable[[], float]
    """Returns the CPU seconds the engine's processes have used so far; LookupError without any."""
    accelerator: Literal["cpu", "cuda", "rocm"] = "cpu"
    """What the engine computes on."""
    pids: Callable[[], Sequence[int]] | None = None
    """Returns the engine's processes; None where they cannot be seen."""
    visible_devices: str | None = None
    """What the engine was given in ``CUDA_VISIBLE_DEVICES`` (or ``ROCR_VISIBLE_DEVICES``), such as
    ``0,1`` or ``GPU-4f1c``; None when unset: it sees all."""
    accelerators: int | None = None
    """How many the engine was asked to use (tensor x pipeline x data parallel); None: unknown."""
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class WatchesConditions(Protocol):
    """A session that can also tell the state of its devices. Optional."""

    def conditions(self) -> Sequence[Condition]:
        """Return one row per device under test: temperature, limits, clocks, throttling."""


class MeterSession(Protocol):
    """A meter that is being read during one launch."""

    def read(self) -> Sequence[Reading]:
        """Return one reading per device, stamped with ``time.monotonic_ns`` at the look.

        Any exception ends this meter for the launch; one with the texts ``reason`` (a code such as
        ``device_lost``) and ``detail`` says why, any other means ``failed``.
        """

    def close(self) -> None:
        """Release whatever was opened."""


@dataclass(frozen=True, slots=True)
class Polled:
    """A session that asks afresh at each look, as of a BMC or a power strip.

    ``ask`` returns values by device. Where it raises OSError, as when nobody answers in time, there
    is no reading: a gap, which is seen as one. Whatever else it raises ends the meter.
    """

    meter: str
    unit: Literal["J", "W"]
    ask: Callable[[], Mapping[str, float]]

    def read(self) -> Sequence[Reading]:
        """Ask once."""
        try:
            values = self.ask()
        except OSError:
            return []
        now = time.monotonic_ns()
        return [
            Reading(meter=self.meter, device=device, t_ns=now, value=value, unit=self.unit)
            for device, value in values.items()
        ]

    def close(self) -> None:
        """Do nothing: nothing is kept open between two looks."""


class EnergyMeter(Protocol):
    """A source of joules or watts. ``info`` carries a reason where the sensor cannot be read."""

    @property
    def name(self) -> str:
        """Return the name used in studies, for example ``declared``."""

    @property
    def options(self) -> Mapping[str, type]:
        """Return the option names a study may set, with their types."""

    def info(self, context: MeterContext) -> MeterInfo:
        """Say what this meter is here, and whether it can be read (``reason`` is None)."""

    def open(self, context: MeterContext) -> MeterSession:
        """Begin reading. Called only when ``info`` gave no reason."""
