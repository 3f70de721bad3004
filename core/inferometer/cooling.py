"""Before a launch accelerators cool down: a hot one draws more power at equal work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer.environment import Environment
from inferometer.meter import WatchesConditions
from inferometer.metering import meter_context, opened
from inferometer.records import Cooling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.meter import EnergyMeter
    from inferometer.plan import Launch
    from inferometer.prepare import Prepared
    from inferometer.store import Store
    from inferometer.study import MeterEntry, Protocol
    from inferometer.watch import Opened

    Temperatures = Mapping[str, float]

WITHIN_C = 3.0
MOST_S = 60.0
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Heat:
    """How warm every accelerator is before a launch, by device, and how that is read."""

    start_c: Temperatures
    until_c: Temperatures
    """When the round's first launch began."""
    look: Callable[[], Temperatures]

    def cool_down(self, say: Callable[[str], None]) -> Cooling | None:
        """Wait until none is much warmer than ``until_c``, or for a minute.

        None where no temperature can be read; then nothing is waited for.
        """
        if not self.start_c:
            return None
        began_s = time.monotonic()
        while True:
            now_c, waited_s = self.look(), time.monotonic() - began_s
            warm = [d for d, c in now_c.items() if c > self.until_c.get(d, c) + WITHIN_C]
            if not warm or waited_s >= MOST_S:
                return Cooling(
                    seconds=waited_s, start_c=dict(self.start_c), end_c=dict(now_c), warm=warm
                )
            say("cooling down")
            time.sleep(LOOK_S)


def heat(
    protocol: Protocol,
    prepared: Prepared,
    meters: Sequence[tuple[MeterEntry, EnergyMeter]],
    results: Store,
    launch: Launch,
    *,
    node: str | None = None,
) -> Heat:
    """Look before ``launch`` begins; of accelerators that are not here nothing is seen.

    ``node`` is where this is, None in a run that knows no nodes.
    """
    platform, address = prepared.platform, None
    if isinstance(known := prepared.stacks[launch.stack].environment, Environment):
        address = known.address
    here = platform.accelerator != "cpu" and (address is None or address.local)

    def look() -> Temperatures:
        if not here or protocol.soak_s == 0:
            return {}
        return temperatures(opened(meters, lambda entry: meter_context(entry, None, platform)))

    start_c = look()
    until_c = before_round(results, launch.round, node) if start_c else {}
    return Heat(start_c, until_c or start_c, look)


def before_round(results: Store, round_: int, node: str | None = None) -> Temperatures:
    """Return how warm a node was when its first launch of a round began, if that was seen."""
    made = [*results.each(f"r{round_ + 1}-"), *results.failures()]
    records = sorted(
        (r for r in made if (r.round, r.node) == (round_, node)), key=lambda r: r.position
    )
    return next((r.cooling.end_c for r in records if r.cooling is not None), {})


def temperatures(meters: Sequence[Opened]) -> dict[str, float]:
    """Return what the accelerators' meters say now, degrees C by device; closes them.

    One that breaks says nothing here; what its readings are worth is judged elsewhere.
    """
    found: dict[str, float] = {}
    for info, session in meters:
        if session is None:
            continue
        try:
            if info.scope == "L0" and isinstance(session, WatchesConditions):
                rows = session.conditions()
                found |= {r.device: r.temperature_c for r in rows if r.temperature_c is not None}
            session.close()
        except (Exception, SystemExit):  # noqa: BLE001, S112 -- a plugin's fault must not end the run
            continue
    return found
