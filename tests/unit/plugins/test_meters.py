"""Bundled meters: what they read, and the reason where they cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inferometer.errors import UsageError
from inferometer.meter import EnergyMeter, MeterContext
from inferometer_plugins.meters import CpuTime, Declared, Rapl, Tdp, inferometer_meters

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


def test_design_power_times_a_declared_share_is_an_estimate() -> None:
    seen = MeterContext(
        session_id=None,
        cpu_seconds=float,
        accelerator="cuda",
        accelerators=4,
        options={"tdp_w": 700, "share": 0.5},
    )
    info = Tdp().info(seen)
    assert (info.kind, info.follows_throughput, info.instrument) == ("estimated", True, "model")
    assert (info.scope, info.reason) == ("L0", None)
    (reading,) = Tdp().open(seen).read()
    assert (reading.value, reading.unit) == (1400, "W")
    assert Tdp().info(context(tdp_w=65, share=0.5)).scope == "L1"
    (reading,) = Tdp().open(context(tdp_w=65, share=1, count=2)).read()
    assert reading.value == 130


def test_design_power_is_not_that_of_one_device_for_want_of_their_number() -> None:
    options = {"tdp_w": 700, "share": 0.5}
    seen = MeterContext(
        session_id=None, cpu_seconds=float, accelerator="cuda", options=dict(options)
    )
    info = Tdp().info(seen)
    assert (info.reason, "options.count" in info.detail) == ("devices_unclear", True)
    counted = replace(seen, options={**options, "count": 8})
    assert Tdp().info(counted).reason is None


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(UsageError, match=r"options\.share must be a positive number, at most 1"):
        Tdp().info(context(tdp_w=700, share=70))


def test_every_meter_without_a_sensor_names_its_device() -> None:
    options = {"power_w": 1, "watts_per_busy_core": 1, "tdp_w": 1, "share": 1}
    meters: tuple[EnergyMeter, ...] = (Declared(), CpuTime(), Tdp())
    for meter in meters:
        (device,) = meter.info(context(**options)).devices
        assert [one.device for one in meter.open(context(**options)).read()] == [device.name]


def test_the_reference_names_every_meter_and_option() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/meters.md").read_text()
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    named = {row[0].strip(" `") for row in rows if row[1].strip()[:1] != "`"}
    optional = {(row[0].strip(" `"), row[1].strip(" `")) for row in rows if "`" in row[1][:3]}
    meters = inferometer_meters()
    assert named == {meter.name for meter in meters}
    assert optional == {(meter.name, key) for meter in meters for key in meter.options}
