"""Meters that read the kernel's files: RAPL by powercap, and hwmon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer_plugins.meters import Hwmon, Rapl
from inferometer_plugins.meters.hwmon import sensors

if TYPE_CHECKING:
    from pathlib import Path


def context(accelerator: str = "cpu", **options: object) -> MeterContext:
    facts: dict[str, Any] = {"accelerator": accelerator, "options": options}
    return MeterContext(session_id=1, cpu_seconds=float, **facts)


def zone(root: Path, number: str, name: str, energy: int, wraps: int = 1_000_000) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir()
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps}\n")
    return folder / "energy_uj"


def meter(root: Path) -> Rapl:
    return Rapl(root=root, probe_s=0.0)


def test_wraps_are_undone_for_each_zone_by_its_own_range(tmp_path: Path) -> None:
    first = zone(tmp_path, "0", "package-0", 900_000)
    second = zone(tmp_path, "1", "package-1", 1_900_000, wraps=2_000_000)
    session = meter(tmp_path).open(context())
    before = {one.device: one.value for one in session.read()}
    first.write_text("100000\n")
    second.write_text("300000\n")
    after = {one.device: one.value for one in session.read()}
    assert after["package-0"] - before["package-0"] == pytest.approx(0.2)
    assert after["package-1"] - before["package-1"] == pytest.approx(0.4)
    first.write_text("50000\n")
    again = {one.device: one.value for one in session.read()}
    assert again["package-0"] - before["package-0"] == pytest.approx(1.15)


def test_a_counter_that_was_set_back_falls_and_is_no_wrap(tmp_path: Path) -> None:
    """A wrap of 262 kJ within a moment would be megawatts."""
    file = zone(tmp_path, "0", "package-0", 9_000_000, wraps=262_143_328_850)
    session = meter(tmp_path).open(context())
    (before,) = session.read()
    file.write_text("0\n")
    (after,) = session.read()
    assert after.value < before.value


def test_psys_and_inner_zones_are_named_and_left_out(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 5)
    zone(tmp_path, "0:0", "core", 2)
    zone(tmp_path, "0:1", "dram", 3)
    zone(tmp_path, "1", "psys", 9)
    for wanted, counted, boundary in (
        ("package", ["package-0"], "package"),
        ("package+dram", ["package-0", "dram-0"], "package + DRAM"),
    ):
        info = meter(tmp_path).info(context(zones=wanted))
        assert (info.reason, info.boundary, info.instrument) == (None, boundary, "counter")
        assert [one.name for one in info.devices if not one.left_out] == counted
        assert {one.name: one.left_out for one in info.devices}["psys-1"] == "contains the packages"
        session = meter(tmp_path).open(context(zones=wanted))
        assert [one.device for one in session.read()] == counted


def test_rapl_says_why_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = meter(tmp_path).info(context())
    assert (info.reason, str(tmp_path) in info.detail) == ("no_sensor", True)
    zone(tmp_path, "0", "package-0", 5)
    assert meter(tmp_path).info(context("cuda")).reason == "unsupported"
    info = meter(tmp_path).info(context(zones="package+dram"))
    assert (info.reason, "no dram zone" in info.detail) == ("unsupported", True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    info = meter(tmp_path).info(context())
    assert (info.reason, "root only" in info.detail) == ("no_permission", True)


def test_the_hosts_share_beside_an_accelerator_is_labelled(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 5)
    info = meter(tmp_path).info(context("cuda", host=True))
    assert (info.reason, info.scope, info.boundary) == (None, "L1", "host package")
    assert meter(tmp_path).info(context("cpu", host=True)).boundary == "package"


def test_a_zone_without_a_range_is_not_guessed(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 5, wraps=0)
    assert meter(tmp_path).info(context()).reason == "unsupported"


def test_other_zones_are_refused_by_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"options\.zones must be one of package, package\+dram"):
        meter(tmp_path).info(context(zones="psys"))


# -- hwmon -------------------------------------------------------------------------------


def acpi(root: Path, index: int, label: str, microwatts: int) -> Path:
    """An ACPI power meter as on Grace: its files lie with the device."""
    device = root / f"hwmon{index}" / "device"
    device.mkdir(parents=True)
    (root / f"hwmon{index}" / "name").write_text("power_meter\n")
    (device / "power1_oem_info").write_text(f"{label}\n")
    (device / "power1_average").write_text(f"{microwatts}\n")
    (device / "power1_average_interval").write_text("50\n")
    return device / "power1_average"


def grace(root: Path) -> None:
    for index, (label, watts) in enumerate(
        (("Module", 650), ("Grace", 150), ("CPU", 90), ("SysIO", 20))
    ):
        acpi(root, index, f"{label} Power Socket 0", watts * 1_000_000)


def sensor(root: Path, **options: object) -> Hwmon:
    return Hwmon(root=root, probe_s=0.0)


@pytest.mark.parametrize(
    ("label", "accelerator", "watts"), [("module", "cuda", 650), ("Grace", "cpu", 150)]
)
def test_a_rail_is_chosen_by_its_label(
    tmp_path: Path, label: str, accelerator: str, watts: float
) -> None:
    grace(tmp_path)
    seen = context(accelerator, label=label)
    info = sensor(tmp_path).info(seen)
    assert (info.reason, info.boundary, info.instrument) == (None, label.lower(), "power")
    assert (info.averaged_ms, info.scope) == (50, "L1")
    (reading,) = sensor(tmp_path).open(seen).read()
    assert (reading.value, reading.unit) == (watts, "W")
    assert [one.name for one in info.devices if not one.left_out] == [reading.device]


@pytest.mark.parametrize("options", [{}, {"label": "Power"}])
def test_rails_within_one_another_are_never_added(
    tmp_path: Path, options: dict[str, object]
) -> None:
    grace(tmp_path)
    info = sensor(tmp_path).info(context("cuda", **options))
    assert info.reason == "devices_unclear"
    assert "Module Power Socket 0, Grace Power Socket 0" in info.detail


def test_sockets_of_one_rail_are_added(tmp_path: Path) -> None:
    for index in range(2):
        acpi(tmp_path, index, f"Module Power Socket {index}", 600_000_000)
    session = sensor(tmp_path).open(context(label="Module"))
    assert sum(one.value for one in session.read()) == 1200


def test_the_cpu_rail_never_speaks_for_an_accelerator(tmp_path: Path) -> None:
    grace(tmp_path)
    info = sensor(tmp_path).info(context("cuda", label="CPU"))
    assert (info.reason, "processor only" in info.detail) == ("unsupported", True)
    info = sensor(tmp_path).info(context("cuda", label="CPU", host=True))
    assert (info.reason, info.boundary) == (None, "host cpu")


def test_plain_hwmon_files_with_labels(tmp_path: Path) -> None:
    place = tmp_path / "hwmon3"
    place.mkdir()
    (place / "name").write_text("ina3221\n")
    (place / "power2_input").write_text("12500000\n")
    (place / "power2_label").write_text("VDD_IN\n")
    (place / "power3_cap").write_text("1\n")
    assert [one.label for one in sensors(tmp_path)] == ["VDD_IN"]
    info = sensor(tmp_path).info(context(scope="L2"))
    assert (info.reason, info.scope, info.boundary) == (None, "L2", "vdd_in")
    (reading,) = sensor(tmp_path).open(context()).read()
    assert reading.value == 12.5


def test_a_graphics_card_is_not_taken_for_the_processor(tmp_path: Path) -> None:
    place = tmp_path / "hwmon1"
    place.mkdir()
    (place / "name").write_text("amdgpu\n")
    (place / "power1_average").write_text("35000000\n")
    (place / "power1_label").write_text("PPT\n")
    info = sensor(tmp_path).info(context())
    assert (info.reason, "options.label: PPT" in info.detail) == ("no_sensor", True)
    assert sensor(tmp_path).info(context(label="PPT")).reason is None
    acpi(tmp_path, 2, "Module Power Socket 0", 650_000_000)
    info = sensor(tmp_path).info(context())
    assert [one.left_out for one in info.devices] == ["not asked for", ""]


def test_hwmon_says_why_it_cannot_be_read(tmp_path: Path) -> None:
    assert sensor(tmp_path).info(context()).reason == "no_sensor"
    file = acpi(tmp_path, 0, "Module Power Socket 0", 1)
    info = sensor(tmp_path).info(context(label="wall"))
    assert (info.reason, "Module Power Socket 0" in info.detail) == ("no_sensor", True)
    file.write_text("N/A\n")
    assert sensor(tmp_path).info(context(label="module")).reason == "unsupported"
    with pytest.raises(UsageError, match=r"options\.scope must be one of"):
        sensor(tmp_path).info(context(scope="node"))
