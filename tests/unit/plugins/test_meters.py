"""Bundled meters: what they read, and the reason where they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inferometer.errors import UsageError
from inferometer.meter import EnergyMeter, MeterContext
from inferometer_plugins.meters import CpuTime, Declared, Rapl, inferometer_meters

if TYPE_CHECKING:
    pass


def context(cpu_s: float = 0.0, **options: float) -> MeterContext:
    return MeterContext(session_id=1, cpu_seconds=lambda: cpu_s, options=options)


def test_a_declared_wattage_says_that_it_follows_throughput() -> None:
    meter: EnergyMeter = Declared()
    info = meter.info(context(power_w=65))
    assert (info.kind, info.follows_throughput, info.reason) == ("declared", True, None)
    (reading,) = meter.open(context(power_w=65)).read()
    assert (reading.value, reading.unit) == (65.0, "W")


def test_cpu_time_is_seconds_times_declared_watts() -> None:
    seen = context(12.0, watts_per_busy_core=10)
    assert CpuTime().info(seen).kind == "estimated"
    (reading,) = CpuTime().open(seen).read()
    assert (reading.value, reading.unit) == (120.0, "J")


@pytest.mark.parametrize("value", [0, -1, "65", None, True])
def test_an_option_that_is_no_wattage_is_refused_by_key(value: object) -> None:
    wrong = MeterContext(session_id=1, cpu_seconds=float, options={"power_w": value})
    with pytest.raises(UsageError, match=r"options\.power_w must be a positive number"):
        Declared().info(wrong)


def test_names_are_unique() -> None:
    names = [meter.name for meter in inferometer_meters()]
    assert len(names) == len(set(names))
    assert {"declared", "cpu-time", "rapl", "nvml", "nvml-power", "amd", "hwmon", "csv"} <= {*names}


@pytest.mark.parametrize("meter", [CpuTime(), Rapl()])
def test_a_processor_meter_never_speaks_for_an_accelerator(meter: EnergyMeter) -> None:
    on_gpu = MeterContext(
        session_id=1,
        cpu_seconds=float,
        accelerator="cuda",
        options={"watts_per_busy_core": 10},
    )
    info = meter.info(on_gpu)
    assert info.reason == "unsupported"
    assert "cuda" in info.detail
