"""One meter in one launch: which devices count, what each used, and their sum.

Every device under test must give a number, or the meter gives none: a lost device is a hole, not a
saving. Readings of a device that was left out are never added.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from inferometer.energy.edges import Joules, device_energy
from inferometer.energy.series import LONGEST_MODEL_GAP_S, Sensor, series, too_short
from inferometer.records import Device, MeterInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from inferometer.energy.series import Series

CLOCK_STEP_MS = 50.0
"""A wall clock that steps further makes the joules of a meter that is stamped by it doubtful."""
LEAST_SAME = 10
"""So many equal readings in a row are no chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A meter's joules in one stretch of time, and those of each device that counts."""

    info: MeterInfo
    joules: Joules
    devices: Mapping[str, Joules] = field(default_factory=dict)


def account(
    info: MeterInfo,
    found: Mapping[str, Sequence[Series]],
    start_ns: int,
    end_ns: int,
    *,
    others: int = 0,
    any_length: bool = False,
) -> Account:
    """Return ``info``'s account of ``[start_ns, end_ns]``.

    ``found`` holds its series by device, more than one where a device spoke in two units.
    ``others`` is the most devices that this meter counted in a launch of the same stack and model.
    ``any_length`` lets a measured stretch be shorter than ``series.LEAST_WINDOW_S``.
    """
    wrong = refusal(info, found, others)
    if wrong is not None:
        return Account(info=info, joules=wrong)
    devices = {
        name: device_energy(found[name][0], sensor_of(info, name), start_ns, end_ns)
        for name in counted(info, found)
    }
    joules = _sum(devices)
    if sensor_of(info).measured:
        every = {name: found[name][0] for name in devices}
        joules = _one_sensor_twice(every, start_ns, end_ns) or joules
    headline = info.kind == "measured" and not any_length
    short = too_short(start_ns, end_ns) if headline else None
    if short is not None and joules.reason in {None, "edges_unsure"}:
        joules = Joules(None, *short)
    return Account(info=info, joules=joules, devices=devices)


def counting(info: MeterInfo) -> list[Device]:
    """Return the devices that a meter lists and has not left out."""
    return [device for device in info.devices if not device.left_out]


def counted(info: MeterInfo, found: Mapping[str, object]) -> list[str]:
    """Return the devices that add up: those the meter lists and has not left out.

    All that were read where it lists none.
    """
    if info.devices:
        return sorted(device.name for device in counting(info))
    return sorted(found)


def refusal(
    info: MeterInfo, found: Mapping[str, Sequence[Series]], others: int = 0
) -> Joules | None:
    """Return why this meter can give no joules in this launch, whatever the window."""
    return next(_refusals(info, found, others), None)


def _refusals(
    info: MeterInfo, found: Mapping[str, Sequence[Series]], others: int
) -> Iterator[Joules]:
    if info.reason is not None:
        yield Joules(None, info.reason, info.detail)
    if not found:
        yield Joules(None, "coverage_low", "no readings in this launch")
    extra = sorted(set(found) - {device.name for device in info.devices}) if info.devices else []
    if extra:
        words = f"readings of {', '.join(extra)}, which the meter does not list"
        yield Joules(None, "device_extra", words)
    names = counted(info, found)
    lost = [name for name in names if name not in found]
    if lost:
        yield Joules(None, "device_lost", f"no readings of {', '.join(lost)}")
    if not names:
        yield Joules(None, "devices_unclear", "every device was left out")
    if len(names) < others:
        words = f"devices: {len(names)} here, {others} in another launch of this stack"
        yield Joules(None, "device_lost", words)
    torn = [name for name in names if len(found.get(name, ())) > 1]
    if torn:
        yield Joules(None, "unit_suspect", f"{torn[0]}: readings in two units")


def sensor_of(info: MeterInfo, device: str = "") -> Sensor:
    """Return what is known of the instrument, and of its limit for one of its devices."""
    limits = {one.name: one.power_limit_w for one in info.devices}
    real = info.instrument in {"counter", "power"}
    return Sensor(
        instrument=info.instrument,
        measured=info.kind == "measured" or (info.kind == "simulated" and real),
        period_s=info.period_s,
        update_s=_seconds(info.update_ms),
        averaged_s=_seconds(info.averaged_ms),
        seen_share=info.seen_share,
        resolution=info.resolution,
        limit_w=limits.get(device),
        longest_gap_s=LONGEST_MODEL_GAP_S if info.kind == "estimated" else float("inf"),
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3


def _sum(devices: Mapping[str, Joules]) -> Joules:
    for name, joules in devices.items():
        if joules.energy_j is None:
            return joules._replace(detail=f"{name}: {joules.detail}")
    parts = list(devices.values())
    doubts = [part.pm_j for part in parts if part.pm_j is not None]
    ticks = [part.ticks for part in parts if part.ticks is not None]
    kinds = {part.edges for part in parts}
    return Joules(
        sum(part.energy_j or 0.0 for part in parts),
        pm_j=sum(doubts) if len(doubts) == len(parts) else None,
        ticks=min(ticks) if ticks else None,
        edges="bracketed" if len(kinds) > 1 else kinds.pop(),
    )


def _one_sensor_twice(found: Mapping[str, Series], start_ns: int, end_ns: int) -> Joules | None:
    """Find two devices that repeat one counter, as rows of one partitioned accelerator do."""
    seen: dict[bytes, str] = {}
    for name, one in found.items():
        part = one.covering(start_ns, end_ns)
        if one.unit != "J" or part.value.size < LEAST_SAME or np.ptp(part.value) == 0:
            continue
        twin = seen.setdefault(part.value.tobytes(), name)
        if twin != name:
            return Joules(None, "mig", f"{twin} and {name} repeat one counter: partitions of one")
    return None


def read_info(row: Mapping[str, Any]) -> MeterInfo:
    """Return a row of ``Tables.meters`` as :class:`MeterInfo` again."""
    fields = {name: row[name] for name in MeterInfo.__struct_fields__ if name in row}
    fields["devices"] = msgspec.json.decode(fields.get("devices") or "[]", type=list[Device])
    return MeterInfo(**{name: value for name, value in fields.items() if value is not None})


def read_series(readings: pl.DataFrame) -> dict[tuple[str, str], dict[str, list[Series]]]:
    """Return (launch, meter) -> device -> series, in the order in which the rows were written."""
    found: dict[tuple[str, str], dict[str, list[Series]]] = {}
    keys = ["launch", "meter", "device", "unit"]
    for (launch, meter, device, unit), rows in readings.group_by(keys, maintain_order=True):
        since = rows["since_ns"].fill_null(-1).to_numpy()
        made = series(rows["t_ns"].to_numpy(), rows["value"].to_numpy(), str(unit), since)
        devices = found.setdefault((str(launch), str(meter)), {})
        devices.setdefault(str(device), []).append(made)
    return found
