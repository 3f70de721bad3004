"""What the checks work with: one meter in one world, and what it said at each look."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.testing.check import Failed, applies, need
from inferometer.testing.meters.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.meter import EnergyMeter, MeterSession
    from inferometer.records import MeterInfo, Reading

PAUSE_S = 0.005
"""Between two looks."""
SAMPLES: Sequence[Mapping[type, Any]] = ({float: 65.0, int: 8}, {float: 1.0, int: 1})
"""Options that are tried where none are given: watts, or a share."""


class Look(NamedTuple):
    """What one ``read`` returned, and when it was called and back."""

    before_ns: int
    rows: Sequence[Reading]
    after_ns: int


@dataclass(slots=True)
class Opened:
    """An open session. What closing does wrong is for the checks that call ``session.close``."""

    session: MeterSession
    info: MeterInfo
    world: World
    closed: bool = False

    def look(self) -> Look:
        """Read once."""
        before = time.monotonic_ns()
        rows = self.session.read()
        return Look(before, rows, time.monotonic_ns())

    def looks(self, count: int = 3) -> list[Look]:
        """Read ``count`` times or more, until there is a reading.

        Raises:
            Failed: there was none in the time the world allows.
        """
        found: list[Look] = []
        until = time.monotonic() + self.world.patience_s
        while len(found) < count or not any(look.rows for look in found):
            if found:
                self.world.pass_time(PAUSE_S)
            found.append(self.look())
            if len(found) >= count and time.monotonic() > until:
                break
        if not any(look.rows for look in found):
            raise Failed(f"no reading in {len(found)} looks")
        return found

    def rows(self, count: int = 3) -> list[Reading]:
        """Return the readings of :meth:`looks` in a row."""
        return [row for look in self.looks(count) for row in look.rows]

    def close(self) -> None:
        """Close the session, if it is open."""
        if not self.closed:
            self.closed = True
            with suppress(Exception):
                self.session.close()


@dataclass(frozen=True, slots=True)
class Kit:
    """One meter, its world, and its known failures by check id."""

    meter: EnergyMeter
    world: World = field(default_factory=World)
    known: Mapping[str, str] = field(default_factory=dict)
    guessed: list[Mapping[str, Any]] = field(default_factory=list)
    """The options that were found where the world gives none: looked for once."""

    @contextmanager
    def there(self) -> Iterator[MeterContext]:
        """Enter the world and yield the context of an engine that is busy on one core."""
        with self.world.made() as given:
            if not given and not self.guessed:
                self.guessed.append(smallest(self.meter, self.world))
            yield self.context(given or self.guessed[0])

    def context(self, options: Mapping[str, Any]) -> MeterContext:
        """Return the context of an engine that uses one core all the time."""
        return MeterContext(
            session_id=os.getsid(0),
            cpu_seconds=time.monotonic,
            accelerator=self.world.accelerator,
            pids=lambda: [os.getpid()],
            visible_devices=self.world.visible_devices,
            accelerators=self.world.accelerators,
            options=options,
        )

    @contextmanager
    def readable(self) -> Iterator[tuple[MeterContext, MeterInfo]]:
        """Enter the world; there is nothing to check where the meter cannot be read in it."""
        with self.there() as context:
            info = self.meter.info(context)
            applies(info.reason is None, f"cannot be read here: {info.reason} ({info.detail})")
            yield context, info

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """Enter the world and open the meter; closed in the end."""
        with self.readable() as (context, info), self.session(context, info) as opened:
            yield opened

    @contextmanager
    def session(self, context: MeterContext, info: MeterInfo) -> Iterator[Opened]:
        """Open the meter; closed in the end."""
        opened = Opened(self.meter.open(context), info, self.world)
        try:
            yield opened
        finally:
            opened.close()


def smallest(meter: EnergyMeter, world: World) -> dict[str, Any]:
    """Return the fewest options that ``meter`` takes, none or made-up numbers.

    What a text must be, nobody can guess.

    Raises:
        UsageError: it takes none of these.
    """
    kit = Kit(meter, world)
    if not meter.options:
        return {}
    for sample in SAMPLES:
        options = {name: sample[of] for name, of in meter.options.items() if of in sample}
        try:
            meter.info(kit.context(options))
        except UsageError as error:
            refusal = error
        else:
            break
    else:
        raise refusal
    for name in list(options):
        fewer = {key: value for key, value in options.items() if key != name}
        with suppress(UsageError):
            meter.info(kit.context(fewer))
            options = fewer
    return options


def named(rows: Sequence[Reading]) -> dict[str, list[Reading]]:
    """Return readings by device."""
    found: dict[str, list[Reading]] = {}
    for row in rows:
        found.setdefault(row.device, []).append(row)
    return found


def within(what: str, began: float, limit_s: float) -> None:
    """Refuse what took longer than ``limit_s`` since ``began`` (``time.monotonic``)."""
    took = time.monotonic() - began
    need(took <= limit_s, f"{what} took {took:.2f} s, more than {limit_s:g} s")
