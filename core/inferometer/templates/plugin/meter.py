"""Quux as a meter of Inferometer: the engine's CPU seconds times watts that a study declares.

It is an estimate, and says so. Put your sensor in its place.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from inferometer import hookimpl
from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.records import Device, MeterInfo, Reading

MOST_W = 1000.0
"""Watts of one core that nobody has."""


@dataclass(frozen=True)
class QuuxMeter:
    """What Inferometer asks of a meter. ``watts`` is of one busy core."""

    name: str = "quux"
    options: Mapping[str, type] = field(default_factory=lambda: {"watts": float})

    def info(self, context: MeterContext) -> MeterInfo:
        """Say what is read here, or why it cannot be: asked before the engine runs."""
        watts = self.watts(context)
        seen = context.session_id is not None
        return MeterInfo(
            name=self.name,
            scope="L1",  # L0: accelerators; L1: with processor and memory; L2: the whole machine
            kind="estimated",  # "measured" is for a sensor
            instrument="model",  # of a sensor "counter" (joules) or "power" (watts)
            method=f"CPU seconds of the engine x {watts:g} W per busy core, as the study declares",
            devices=[Device(name="engine")],
            permission="none",
            reason=None if seen else "no_sensor",
            detail="" if seen else "the engine's processes cannot be seen from here",
        )

    def open(self, context: MeterContext) -> "QuuxSession":
        """Begin to read, around one launch."""
        return QuuxSession(self.name, context.cpu_seconds, self.watts(context))

    def watts(self, context: MeterContext) -> float:
        """Return the option; a wrong one is refused by its name."""
        given: object = context.options.get("watts")
        if not isinstance(given, int | float) or not 0 < given <= MOST_W:
            raise UsageError(
                f"meter {self.name!r}: options.watts = {given!r} is no power of a core",
                hint="Set options = { watts = 10 }: watts of one busy core.",
            )
        return float(given)


@dataclass(frozen=True)
class QuuxSession:
    """Reads during one launch."""

    meter: str
    cpu_seconds: Callable[[], float]
    watts: float

    def read(self) -> Sequence[Reading]:
        """Return one reading of each device, stamped at the look."""
        joules = self.cpu_seconds() * self.watts
        now = time.monotonic_ns()
        return [Reading(meter=self.meter, device="engine", t_ns=now, value=joules, unit="J")]

    def close(self) -> None:
        """Release what was opened: nothing."""


@hookimpl
def inferometer_meters() -> list[QuuxMeter]:
    """Return the meters of this plugin."""
    return [QuuxMeter()]
