"""Energy counters of Intel and AMD processors: RAPL by Linux powercap."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inferometer.records import Device, MeterInfo, Reading
from inferometer_plugins.meters.options import choice, flag
from inferometer_plugins.meters.sensing import (
    PROBE_S,
    Unreadable,
    described,
    named,
    only_processor,
    stamped,
    update_ms,
    watched,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.meter import MeterContext, MeterSession

CHOICES = ("package", "package+dram")
WRAP_W = 5000.0
"""No package draws more: a counter that fell by less than a wrap at this power was set back."""


class Zone(NamedTuple):
    """One powercap zone, such as ``package-0``; ``dram-0`` is the memory of package 0."""

    name: str
    folder: Path
    left_out: str
    wraps_uj: int


@dataclass(frozen=True, slots=True)
class Rapl:
    """Package energy counters, and on request those of the memory beside it.

    ``psys`` contains the packages and is never added to them; ``core`` and ``uncore`` lie within
    them. A counter wraps at its own ``max_energy_range_uj`` (AMD's 32 bits every few minutes);
    wraps are undone, so values only grow. One that was set back falls in what is read, too.
    """

    name: str = "rapl"
    options: Mapping[str, type] = field(default_factory=lambda: {"zones": str, "host": bool})
    root: Path = Path("/sys/class/powercap")
    probe_s: float = PROBE_S

    def info(self, context: MeterContext) -> MeterInfo:
        """Say whether the counters exist and may be read."""
        wanted = choice(context, self.name, "zones", CHOICES, "package")
        host = flag(context, self.name, "host")
        bare = MeterInfo(
            name=self.name,
            scope="L1",
            kind="measured",
            method=f"{wanted} energy counters (RAPL) through Linux powercap",
            instrument="counter",
            boundary=named(wanted.replace("+dram", " + DRAM"), context, host=host),
            period_s=0.1,
            resolution=1e-6,
            permission="root, or read access to energy_uj",
        )
        try:
            only_processor(context, host=host)
            zones = self.zones(wanted)
            looks = [partial(_uj, zone) for zone in zones if not zone.left_out]
            period = update_ms(watched(looks, self.probe_s))
        except Unreadable as why:
            return described(bare, reason=why.reason, detail=why.detail)
        devices = [Device(name=zone.name, left_out=zone.left_out) for zone in zones]
        return described(bare, devices=devices, update_ms=period)

    def zones(self, wanted: str) -> list[Zone]:
        """Return every zone; those that must not be added up say why.

        Raises:
            Unreadable: there are none, one of them may not be read, or memory has no zone.
        """
        found = [zone for folder in self._folders() if (zone := _zone(folder, wanted))]
        counted = [zone for zone in found if not zone.left_out]
        packages = [zone for zone in counted if zone.name.startswith("package")]
        if not packages:
            raise Unreadable("no_sensor", f"no package zone under {self.root}")
        if wanted == "package+dram" and len(counted) < 2 * len(packages):
            raise Unreadable(
                "unsupported",
                "no dram zone for each package: AMD and many Intel processors have none",
            )
        for zone in counted:
            if not os.access(zone.folder / "energy_uj", os.R_OK):
                raise Unreadable(
                    "no_permission",
                    f"{zone.folder}/energy_uj is readable by root only: `sudo chmod a+r` it",
                )
            if zone.wraps_uj <= 0:
                raise Unreadable("unsupported", f"{zone.folder} does not say where it wraps")
        return found

    def _folders(self) -> list[Path]:
        return [folder for folder in sorted(self.root.glob("intel-rapl:*")) if folder.is_dir()]

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        wanted = choice(context, self.name, "zones", CHOICES, "package")
        return _Rapl(self.name, [zone for zone in self.zones(wanted) if not zone.left_out])


def _zone(folder: Path, wanted: str) -> Zone | None:
    """Return what a zone is, None where it does not say."""
    kind = _text(folder / "name")
    number = folder.name.split(":")[1]
    if not kind:
        return None
    name, left_out = f"{kind}-{number}", f"within package-{number}"
    if kind.startswith("package"):
        name, left_out = kind, ""
    elif kind == "dram":
        left_out = "" if wanted == "package+dram" else "not asked for"
    elif kind == "psys":
        left_out = "contains the packages"
    wraps = _text(folder / "max_energy_range_uj")
    return Zone(name, folder, left_out, int(wraps) if wraps.isdecimal() else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _uj(zone: Zone) -> int:
    return int((zone.folder / "energy_uj").read_text())


class _Rapl:
    def __init__(self, name: str, zones: Sequence[Zone]) -> None:
        self.name = name
        self.zones = zones
        self.last = [_uj(zone) for zone in zones]
        self.seen_ns = [time.monotonic_ns()] * len(zones)
        self.wraps = [0] * len(zones)

    def read(self) -> Sequence[Reading]:
        rows = []
        for index, zone in enumerate(self.zones):
            value, now = stamped(partial(_uj, zone))
            if value < self.last[index] and self._wrapped(index, int(value), now):
                self.wraps[index] += 1
            self.last[index], self.seen_ns[index] = int(value), now
            joules = (self.wraps[index] * zone.wraps_uj + value) / 1e6
            rows.append(
                Reading(meter=self.name, device=zone.name, t_ns=now, value=joules, unit="J")
            )
        return rows

    def _wrapped(self, index: int, value: int, now: int) -> bool:
        """Say whether a fall is a wrap: then it is energy that the processor can have used."""
        grown_j = (value - self.last[index] + self.zones[index].wraps_uj) / 1e6
        return grown_j <= WRAP_W * max(0.1, (now - self.seen_ns[index]) / 1e9)

    def close(self) -> None:
        return
