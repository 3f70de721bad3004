"""Power sensors of Linux' hwmon, ACPI power meters among them: the rails of NVIDIA Grace."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inferometer.records import Device, MeterInfo, Reading
from inferometer_plugins.meters.options import choice, flag, text
from inferometer_plugins.meters.sensing import (
    PROBE_S,
    Unreadable,
    clean,
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

SCOPES = ("L0", "L1", "L2")
GRAPHICS = {"amdgpu", "radeon", "nouveau", "i915", "xe"}
"""Drivers of graphics cards, whose power is nothing of the processor's or the node's."""


class Sensor(NamedTuple):
    """One power reading in uW, with the words that name its rail."""

    label: str
    path: Path
    averaged_ms: float | None
    graphics: bool = False
    """It is a graphics card's, and never meant unless its label is given."""


@dataclass(frozen=True, slots=True)
class Hwmon:
    """``powerN_average`` or ``powerN_input`` of the sensors whose label holds the option's words.

    Rails lie within one another (Grace: ``Module`` holds ``Grace``, which holds ``CPU`` and
    ``SysIO``), so several are added up only where their labels differ by numbers alone: sockets.
    """

    name: str = "hwmon"
    options: Mapping[str, type] = field(
        default_factory=lambda: {"label": str, "scope": str, "host": bool}
    )
    root: Path = Path("/sys/class/hwmon")
    probe_s: float = PROBE_S

    def info(self, context: MeterContext) -> MeterInfo:
        """Say which sensors there are, and whether they can be read."""
        label = text(context, self.name, "label", example="Module", default="*")
        host = flag(context, self.name, "host")
        bare = MeterInfo(
            name=self.name,
            scope=choice(context, self.name, "scope", SCOPES, "L1"),  # type: ignore[arg-type]  # it is one of SCOPES
            kind="measured",
            method="power sensors of Linux' hwmon, integrated",
            instrument="power",
            period_s=0.1,
            resolution=1e-6,
            permission="none, unless the driver asks for root",
        )
        found = sensors(self.root)
        try:
            chosen = _chosen(found, label, self.root)
            boundary = _rail(chosen[0])
            if boundary != "module":
                only_processor(context, host=host)
                boundary = named(boundary, context, host=host)
            looks = [partial(_watts, one) for one in chosen]
            period = update_ms(watched(looks, self.probe_s))
        except Unreadable as why:
            return described(bare, reason=why.reason, detail=why.detail)
        except PermissionError as error:
            return described(bare, reason="no_permission", detail=str(error))
        except (OSError, ValueError) as error:
            return described(bare, reason="unsupported", detail=str(error))
        averages = [one.averaged_ms for one in chosen if one.averaged_ms is not None]
        return described(
            bare,
            method=f"power of {', '.join(one.label for one in chosen)} by Linux' hwmon, integrated",
            boundary=boundary,
            devices=[
                Device(name=one.label, left_out="" if one in chosen else "not asked for")
                for one in found
            ],
            update_ms=period,
            averaged_ms=max(averages, default=None),
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        label = text(context, self.name, "label", example="Module", default="*")
        return _Hwmon(self.name, _chosen(sensors(self.root), label, self.root))


def sensors(root: Path) -> list[Sensor]:
    """Return the power sensors under ``root``; drivers keep files in ``hwmonN`` or its device."""
    found: dict[str, Sensor] = {}
    for place in sorted([*root.glob("hwmon*"), *root.glob("hwmon*/device")]):
        for number in sorted({one.name.split("_")[0] for one in place.glob("power[0-9]*_*")}):
            paths = [place / f"{number}_{kind}" for kind in ("average", "input")]
            path = next((path for path in paths if path.exists()), None)
            if path is None:
                continue
            label = _text(place / f"{number}_label") or _text(place / f"{number}_oem_info")
            label = label or f"{_text(place / 'name') or place.name} {number}"
            interval = _text(place / f"{number}_average_interval")
            averaged = path.name.endswith("_average") and interval.isdecimal()
            if label in found:
                label = f"{label} ({place.relative_to(root)})"
            graphics = _text(place / "name") in GRAPHICS
            found[label] = Sensor(label, path, float(interval) if averaged else None, graphics)
    return list(found.values())


def _chosen(found: Sequence[Sensor], label: str, root: Path) -> list[Sensor]:
    if not found:
        raise Unreadable("no_sensor", f"no power sensor under {root}")
    listed = ", ".join(sensor.label for sensor in found)
    if label == "*":
        chosen = [one for one in found if not one.graphics]
    else:
        chosen = [one for one in found if label.lower() in one.label.lower()]
    if not chosen and label == "*":
        words = f"only graphics cards have one, name it by options.label: {listed}"
        raise Unreadable("no_sensor", words)
    if not chosen:
        raise Unreadable("no_sensor", f"no power sensor is called {label!r}; there are: {listed}")
    if len({re.sub(r"\d+", "", one.label) for one in chosen}) > 1:
        raise Unreadable(
            "devices_unclear",
            f"these rails may lie within one another, choose by options.label: {listed}",
        )
    return chosen


def _rail(sensor: Sensor) -> str:
    """Return the rail's name without socket numbers: ``module``, ``grace``, ``cpu``, ``sysio``."""
    words = re.sub(r"\bpower\b|\bsocket\b|\(.*\)|\d+", " ", sensor.label.lower()).split()
    return " ".join(words) or "rail"


def _text(path: Path) -> str:
    try:
        return clean(path.read_text(errors="replace"))
    except OSError:
        return ""


def _watts(sensor: Sensor) -> float:
    return int(sensor.path.read_text()) / 1e6


class _Hwmon:
    def __init__(self, name: str, chosen: Sequence[Sensor]) -> None:
        self.name = name
        self.sensors = chosen

    def read(self) -> Sequence[Reading]:
        rows = []
        for one in self.sensors:
            watts, now = stamped(partial(_watts, one))
            rows.append(Reading(meter=self.name, device=one.label, t_ns=now, value=watts, unit="W"))
        return rows

    def close(self) -> None:
        return
