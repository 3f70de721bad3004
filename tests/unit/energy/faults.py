"""Ways in which joules go wrong, each with a twin that is all right.

A fault spoils the scene of :mod:`tests.unit.energy.scenes`; the meters it names must then give its
reason and no number. Its twin looks much the same, yet must give numbers: a check that refuses all
would pass the faults and fail here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.unit.energy.scenes import ROUNDS, altered, only, reasons, rows_of, scene, with_readings
from tests.unit.energy.spoil import (
    UNLIMITED,
    asked,
    beating,
    broke,
    clock_step,
    counter_minus,
    doubled,
    exported,
    extra,
    held,
    missing,
    partitions,
    saturated,
    scaled,
    second_gone,
    shifted,
    swapped,
    two_units,
    unlimited,
    value_at,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.energy.spoil import Make

    from inferometer.tables import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. ``launches``: how many of the scene's, from the first, must give the reason."""

    name: str
    reason: str
    make: Make
    twin: Make = scene
    meters: Sequence[str] = ("nvml",)
    launches: int = ROUNDS


def caught(fault: Fault) -> list[str | None]:
    """Return the reasons of the windows that must have one; None where a number came out."""
    return _of(fault, fault.make(), fault.launches)


def clean(fault: Fault) -> list[str | None]:
    """Return the same of the twin, in every launch: all must be None."""
    return _of(fault, fault.twin(), ROUNDS)


def _of(fault: Fault, found: Tables, launches: int) -> list[str | None]:
    seen = reasons(found, launches)
    return [reason for meter in fault.meters for reason in seen[meter]]


CATALOGUE: tuple[Fault, ...] = (
    *(
        Fault(name=name, reason=reason, make=asked(reason))
        for name, reason in (
            ("no sensor", "no_sensor"),
            ("no permission", "no_permission"),
            ("field not supported", "unsupported"),
            ("MIG is on", "mig"),
            ("another process on the accelerator", "shared_device"),
            ("several accelerators, engine's not known", "devices_unclear"),
        )
    ),
    Fault(name="plugin breaks while read", reason="failed", make=broke),
    Fault(
        name="counter reset in the window",
        reason="meter_reset",
        make=counter_minus(50_000, 12.0),
        twin=counter_minus(50_000, -2.0),
    ),
    Fault(
        name="counter steps back a little",
        reason="meter_reset",
        make=counter_minus(60, 12.0),
        twin=counter_minus(0, 12.0),
    ),
    Fault(
        name="32-bit wrap",
        reason="meter_reset",
        make=wrapped(undone=False),
        twin=wrapped(undone=True),
    ),
    Fault(name="saturated counter", reason="flat_line", make=saturated),
    Fault(name="gap of 1.5 s", reason="gap", make=missing(12, 13.5), twin=missing(12, 12.8)),
    Fault(
        name="gap of 1.5 s in watts",
        reason="gap",
        make=missing(12, 13.5, "nvml-power"),
        twin=missing(12, 12.8, "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="gap over the window's start",
        reason="gap",
        make=missing(-0.8, 0.8),
        twin=missing(-3.0, -2.0),
    ),
    Fault(name="stale counter, 3 s", reason="flat_line", make=held(3.0), twin=held(0.4)),
    Fault(
        name="stale watts, 8 s",
        reason="flat_line",
        make=held(8.0, "nvml-power"),
        twin=lambda: only(held(8.0, "nvml-power", resolution=5.0)(), "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="exporter 30 s stale",
        reason="flat_line",
        make=exported(30.0, length_s=60),
        twin=exported(0.1, length_s=60),
    ),
    Fault(
        name="exporter 30 s stale, and known to be",
        reason="edges_unsure",
        make=exported(30.0, length_s=60, update_ms=30_000.0),
        twin=exported(0.5, length_s=60, update_ms=500.0),
    ),
    Fault(
        name="exporter at 1 Hz, window of 10 s",
        reason="edges_unsure",
        make=exported(1.0, read_s=1.0, length_s=10, update_ms=1000.0, period_s=1.0),
        twin=exported(1.0, read_s=1.0, length_s=300, update_ms=1000.0, period_s=1.0),
    ),
    Fault(
        name="mean over 1 s, window of 12 s",
        reason="edges_unsure",
        make=lambda: only(scene(12, averaged_s=1.0), "nvml-power"),
        twin=lambda: only(scene(12), "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="window of 6 s",
        reason="window_short",
        make=lambda: scene(6),
        twin=lambda: scene(12),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="readings begin late",
        reason="coverage_low",
        make=missing(-9, 0.3),
        twin=missing(-9, -1.0),
    ),
    Fault(
        name="readings end early",
        reason="coverage_low",
        make=missing(29.7, 99),
        twin=missing(31.0, 99),
    ),
    Fault(
        name="readings from before the window only",
        reason="coverage_low",
        make=missing(-0.5, 99),
    ),
    Fault(
        name="no readings at all",
        reason="coverage_low",
        make=lambda: with_readings(scene(), rows_of(scene()).clear()),
        meters=("nvml", "nvml-power"),
    ),
    Fault(name="not a number", reason="bad_reading", make=value_at(float("nan"))),
    Fault(
        name="infinite watts",
        reason="bad_reading",
        make=value_at(float("inf"), "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="negative watts",
        reason="bad_reading",
        make=value_at(-5.0, "nvml-power"),
        twin=value_at(5.0, "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="0 W from a running device",
        reason="bad_reading",
        make=value_at(0.0, "nvml-power"),
        twin=value_at(1.0, "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="5 MW",
        reason="bad_reading",
        make=lambda: altered(scaled(12_500, "nvml-power")(), "nvml-power", devices=UNLIMITED),
        twin=lambda: altered(scene(), "nvml-power", devices=UNLIMITED),
        meters=("nvml-power",),
    ),
    Fault(name="a reading twice", reason="bad_reading", make=doubled),
    Fault(name="rows out of order", reason="clock_unsure", make=swapped),
    Fault(
        name="wall clock steps 100 ms",
        reason="clock_unsure",
        make=clock_step(100.0),
        twin=clock_step(10.0),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="meter's clock 100 ms off, undeclared",
        reason="clock_unsure",
        make=shifted(-100.0),
        twin=shifted(-2.0),
        meters=("nvml-power",),
    ),
    Fault(
        name="half the accelerators, in one launch",
        reason="device_lost",
        make=second_gone(1, listed=False),
        launches=1,
    ),
    Fault(
        name="an accelerator falls silent",
        reason="device_lost",
        make=second_gone(1, listed=True),
        meters=("nvml", "nvml-power"),
        launches=1,
    ),
    Fault(
        name="an idle accelerator is read as well",
        reason="device_extra",
        make=extra(None),
        twin=extra("not under test"),
    ),
    Fault(
        name="psys beside its package",
        reason="device_extra",
        make=extra(None, "psys"),
        twin=extra("contains package-0", "psys"),
    ),
    Fault(name="rows of partitions", reason="mig", make=partitions),
    Fault(name="one device in two units", reason="unit_suspect", make=two_units),
    Fault(name="counter in mJ taken for J", reason="unit_suspect", make=scaled(1e3)),
    Fault(
        name="mW taken for W",
        reason="unit_suspect",
        make=scaled(1e3, "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="kW taken for W",
        reason="unit_suspect",
        make=scaled(1e-3, "nvml-power"),
        twin=scaled(1.01, "nvml-power"),
        meters=("nvml-power",),
    ),
    Fault(
        name="Wh taken for J, no limit known",
        reason="unit_suspect",
        make=unlimited(1 / 3600),
        twin=unlimited(1.0),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="mJ taken for J, no limit known",
        reason="unit_suspect",
        make=unlimited(1e3),
        twin=unlimited(1.01),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="two instruments 3 % apart",
        reason="disputed",
        make=scaled(1.03),
        twin=scaled(1.01),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="two instruments 7 % apart in 12 s",
        reason="disputed",
        make=scaled(1.07, found=lambda: scene(12)),
        twin=scaled(1.03, found=lambda: scene(12)),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="apart on each device, alike in sum",
        reason="disputed",
        make=scaled(1.05, found=scaled(0.95, devices=("GPU-0",)), devices=("GPU-1",)),
        meters=("nvml", "nvml-power"),
    ),
    Fault(
        name="part-time sensor, step of 100 ms",
        reason="in_phase",
        make=beating(100.0),
        twin=beating(93.7),
        meters=("nvml-power",),
    ),
    Fault(
        name="part-time sensor, step of 50 ms",
        reason="in_phase",
        make=beating(50.0),
        twin=beating(46.9),
        meters=("nvml-power",),
    ),
    Fault(
        name="part-time counter, step of 100 ms",
        reason="in_phase",
        make=beating(100.0, "nvml", seen_share=0.25),
        twin=beating(93.7, "nvml", seen_share=0.25),
    ),
)
