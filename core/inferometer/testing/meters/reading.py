"""Checks of readings: whose, when, how much."""

from __future__ import annotations

import math
import statistics
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from inferometer.records import Reading
from inferometer.testing.check import applies, check, checks_of, need
from inferometer.testing.meters.kit import PAUSE_S, Kit, Opened, named
from inferometer.testing.meters.world import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.testing.check import Check

UNITS: Mapping[str, frozenset[str]] = {
    "counter": frozenset({"J"}),
    "power": frozenset({"W"}),
    "model": frozenset({"J", "W"}),
}
MOST_W: Mapping[str, float] = {"L0": 5e3, "L1": 2e4, "L2": 5e4, "L3": 5e5, "L4": 1e10}
"""More than one device of a scope can draw: an accelerator, a socket, a node, a rack, a site."""
TICKS = 5


@check
def gives_readings(kit: Kit) -> None:
    """Opened, it gives readings: records with a device, a time, a number and a unit."""
    with kit.opened() as opened:
        for row in opened.rows():
            need(isinstance(row, Reading), f"a reading is {type(row).__name__}")
            need(type(row.t_ns) is int, f"t_ns is {row.t_ns!r}")
            need(type(row.value) in {int, float}, f"value is {row.value!r}")
            need(row.unit in {"J", "W"}, f"unit is {row.unit!r}")


@check
def readings_are_named(kit: Kit) -> None:
    """Each reading bears the meter's name."""
    with kit.opened() as opened:
        names = {row.meter for row in opened.rows()}
        need(names == {kit.meter.name}, f"readings of {sorted(names)}")


@check
def every_device_is_read(kit: Kit) -> None:
    """Each device that counts is read: none is missing."""
    with kit.opened() as opened:
        counted = {each.name for each in opened.info.devices if not each.left_out}
        missing = counted - set(named(opened.rows()))
        need(not missing, f"no reading of {', '.join(sorted(missing))}")


@check
def no_other_device_is_read(kit: Kit) -> None:
    """No device is read that is not listed: what is not under test must not be added."""
    with kit.opened() as opened:
        listed = {each.name for each in opened.info.devices}
        more = set(named(opened.rows())) - listed
        need(not more, f"not listed: {', '.join(sorted(more))}")


@check
def one_reading_a_look(kit: Kit) -> None:
    """A look has one reading of each device: a second one would be added up."""
    applies(not kit.world.recorded, "a record may have many")
    with kit.opened() as opened:
        for look in opened.looks():
            devices = [row.device for row in look.rows]
            need(len(set(devices)) == len(devices), f"read in one look: {devices}")


@check
def units_fit_the_instrument(kit: Kit) -> None:
    """A counter is in joules, a power in watts."""
    with kit.opened() as opened:
        units = {row.unit for row in opened.rows()}
        need(units <= UNITS.get(opened.info.instrument, units), f"in {', '.join(sorted(units))}")


@check
def one_unit_a_device(kit: Kit) -> None:
    """A device does not change its unit."""
    with kit.opened() as opened:
        for device, rows in named(opened.rows()).items():
            need(len({row.unit for row in rows}) == 1, f"{device} in joules and in watts")


@check
def stamped_at_the_look(kit: Kit) -> None:
    """Each reading is stamped on the monotonic clock, while it was read."""
    applies(not kit.world.recorded, "a record has its own stamps")
    with kit.opened() as opened:
        for look in opened.looks():
            for row in look.rows:
                off_ms = (row.t_ns - look.before_ns) * 1e-6
                inside = look.before_ns <= row.t_ns <= look.after_ns
                need(inside, f"{row.device}: stamped {off_ms:+.3f} ms from the look's beginning")


@check
def stamps_in_order(kit: Kit) -> None:
    """Time does not run backwards, and nothing is read before its time."""
    with kit.opened() as opened:
        for device, rows in named(opened.rows()).items():
            back = [late for late, soon in pairwise(rows) if soon.t_ns < late.t_ns]
            need(not back, f"{device}: a later reading has an earlier stamp")
            need(rows[-1].t_ns <= time.monotonic_ns(), f"{device}: stamped in the future")


@check
def ticks_are_left_to_the_sampler(kit: Kit) -> None:
    """``since_ns`` is for whoever looks closely; a meter leaves it out."""
    with kit.opened() as opened:
        need(all(row.since_ns is None for row in opened.rows()), "it is set")


@check
def values_are_finite(kit: Kit) -> None:
    """No value is infinite or not a number."""
    with kit.opened() as opened:
        odd = [row for row in opened.rows() if not math.isfinite(row.value)]
        need(not odd, f"{odd[0].device}: {odd[0].value}" if odd else "")


@check
def values_are_not_negative(kit: Kit) -> None:
    """No value is negative."""
    with kit.opened() as opened:
        odd = [row for row in opened.rows() if row.value < 0]
        need(not odd, f"{odd[0].device}: {odd[0].value}" if odd else "")


@check
def counters_never_fall(kit: Kit) -> None:
    """Joules only grow: a wrap of the sensor is undone before it is told."""
    with kit.opened() as opened:
        rows = [row for row in opened.rows(6) if row.unit == "J"]
        applies(rows, "it does not count joules")
        for device, seen in named(rows).items():
            for soon, late in pairwise(seen):
                need(late.value >= soon.value, f"{device}: from {soon.value} to {late.value} J")


@check
def values_are_true(kit: Kit) -> None:
    """What it reads is what the sensor says, in watts and joules, within 1 %."""
    truth = kit.world.truth
    applies(truth is not None, "this world cannot tell what is true")
    assert truth is not None
    with kit.opened() as opened:
        opened.looks(1)
        begin, first, between = truth(), opened.rows(1), truth()
        kit.world.pass_time(10 * PAUSE_S)
        before, last, after = truth(), opened.rows(1), truth()
        at_first, at_last = named(first), named(last)
        for device in set(at_first) & set(at_last) & set(after):
            one, two = at_first[device][-1], at_last[device][-1]
            if two.unit == "W":
                low, high = sorted((before[device], after[device]))
                _near(device, two.value, low, high, "W")
            else:
                grown = two.value - one.value
                low, high = before[device] - between[device], after[device] - begin[device]
                _near(device, grown, low, high, "J")
        need(set(at_last) & set(after), "nothing in common with what is true")


@check
def power_is_plausible(kit: Kit) -> None:
    """No device draws more than half above its limit, or more than its kind can."""
    with kit.opened() as opened:
        for device, power_w in _power(opened).items():
            limit = {d.name: d.power_limit_w for d in opened.info.devices}.get(device)
            most = 1.5 * limit if limit else MOST_W[opened.info.scope]
            need(power_w <= most, f"{device}: {power_w:.6g} W, more than {most:g} W")


@check
def update_is_true(kit: Kit) -> None:
    """Values do not change more often than it says."""
    with kit.opened() as opened:
        update_ms = opened.info.update_ms
        applies(update_ms, "it does not say how often")
        applies(kit.world.pass_time is time.sleep, "this world's time is not ours")
        applies(not kit.world.recorded, "a record is read in one go")
        assert update_ms is not None
        gaps = _gaps(opened, min(TICKS * update_ms / 1e3 + 0.1, kit.world.patience_s))
        applies(gaps, "it was not seen to change twice")
        median_ms = statistics.median(gaps) * 1e3
        need(median_ms >= update_ms / 3, f"changes each {median_ms:.1f} ms, says {update_ms:g}")


@check
def no_number_for_want_of_one(kit: Kit) -> None:
    """A sensor that falls silent gives an error or no reading: never 0, never the last value."""
    with _silenced(kit) as opened:
        try:
            rows = list(opened.session.read())
        except Exception:  # noqa: BLE001 -- any error will do; the sampler names it
            return
    need(not rows, f"reads {rows[0].value} {rows[0].unit} from nothing" if rows else "")


@check
def failures_speak_known_words(kit: Kit) -> None:
    """An error in reading that brings a ``reason`` and a ``detail`` brings a known reason."""
    with _silenced(kit) as opened:
        try:
            opened.session.read()
        except Exception as error:  # noqa: BLE001 -- its words are what is looked at
            reason, detail = getattr(error, "reason", None), getattr(error, "detail", None)
        else:
            reason, detail = None, None
    told = isinstance(reason, str) and isinstance(detail, str)
    applies(told, "its error brings none, or it leaves a gap")
    need(reason in REASONS, f"reason {reason!r} is none of {sorted(REASONS)}")
    need(detail, f"{reason}, and no detail")


# -- inside ----------------------------------------------------------------------------------


@contextmanager
def _silenced(kit: Kit) -> Iterator[Opened]:
    """Open the meter, look at it, and silence its sensor."""
    applies(kit.world.failing is not None, "this world cannot silence the sensor")
    assert kit.world.failing is not None
    with kit.opened() as opened:
        opened.looks()
        with kit.world.failing():
            yield opened


def _near(device: str, value: float, low: float, high: float, unit: str) -> None:
    inside = low * 0.99 <= value <= high * 1.01
    need(inside, f"{device}: {value:.6g} {unit}, where {low:.6g} to {high:.6g} {unit} are true")


def _power(opened: Opened) -> dict[str, float]:
    """Return watts by device: as read, or as counters grew over the looks."""
    found = {}
    for device, rows in named(opened.rows(6)).items():
        if rows[-1].unit == "W":
            found[device] = max(row.value for row in rows)
        elif rows[-1].t_ns > rows[0].t_ns:
            seconds = (rows[-1].t_ns - rows[0].t_ns) * 1e-9
            # a tick just before the first look or after the last one adds a period's energy
            slack_s = (opened.info.update_ms or 0.0) / 1e3
            found[device] = (rows[-1].value - rows[0].value) / (seconds + slack_s)
    return found


def _gaps(opened: Opened, seconds: float) -> list[float]:
    """Return the seconds between changes of the first device, watched closely for so long."""
    device = opened.rows(1)[0].device
    changes = []
    last: float | None = None
    for t_s, value in _watched(opened, device, seconds):
        if last is not None and value != last:
            changes.append(t_s)
        last = value
    return [late - soon for soon, late in pairwise(changes)]


def _watched(opened: Opened, device: str, seconds: float) -> Iterator[tuple[float, float]]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows: Sequence[Reading] = opened.session.read()
        for row in rows:
            if row.device == device:
                yield row.t_ns * 1e-9, row.value
        time.sleep(0.001)


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
