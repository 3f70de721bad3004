"""NVIDIA meters, on the real binding with a driver of our own behind it."""

from __future__ import annotations

import os
import sys
import time
import types
from typing import TYPE_CHECKING, Any

import pynvml
import pytest
from tests.unit.plugins.fake_pynvml import AMPERE, PASCAL, Card, Driver, missing

from inferometer.meter import MeterContext, WatchesConditions
from inferometer_plugins.meters import Nvml
from inferometer_plugins.meters.gpus import FIRST_PID_NAMESPACE
from inferometer_plugins.meters.nvml_library import SLOWED
from inferometer_plugins.meters.sensing import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = "GPU-0aaa1111-0000", "GPU-0bbb2222-0000"
PID = 4242


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc in which process numbers are the machine's own."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to(FIRST_PID_NAMESPACE)
    return tmp_path


def context(**changes: Any) -> MeterContext:
    facts: dict[str, Any] = {
        "session_id": PID,
        "cpu_seconds": float,
        "accelerator": "cuda",
        "pids": lambda: [PID],
    }
    return MeterContext(**{**facts, **changes})


def counter(proc: Path) -> Nvml:
    return Nvml(proc=proc, probe_s=0.0)


def test_the_counter_counts_joules_and_tells_how_often(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    driver = Driver([Card(uuid=ONE, pids=(PID,), watts=500, tick_s=0.02)])
    driver.install(monkeypatch)
    meter = Nvml(proc=proc, probe_s=0.2)
    info = meter.info(context(accelerators=1))
    assert (info.reason, info.detail) == (None, "")
    assert (info.instrument, info.kind, info.scope, info.period_s) == (
        ("counter", "measured", "L0", 0.1)
    )
    # a probe that the machine held up is made again
    told = (meter.info(context(accelerators=1)).update_ms for _ in range(20))
    assert any(update_ms == pytest.approx(20, abs=8) for update_ms in told)
    (device,) = info.devices
    assert (device.name, device.model, device.index) == (ONE, "NVIDIA H200", 0)
    assert (device.power_limit_w, device.left_out) == (700.0, "")
    session = meter.open(context(accelerators=1))
    (first,) = session.read()
    time.sleep(0.1)
    (second,) = session.read()
    watts = (second.value - first.value) / (second.t_ns - first.t_ns) * 1e9
    assert watts == pytest.approx(500, rel=0.5)  # two ticks of slack in five
    assert (first.unit, first.device) == ("J", ONE)
    session.close()
    session.close()
    assert driver.starts == 0


def test_a_counter_that_stands_still_has_no_known_period(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    Driver([Card(energy_mj=lambda: 7)]).install(monkeypatch)
    info = Nvml(proc=proc, probe_s=0.02).info(context())
    assert (info.reason, info.update_ms) == (None, None)


def test_instant_power_is_field_186(monkeypatch: pytest.MonkeyPatch, proc: Path) -> None:
    Driver([Card(uuid=ONE, watts=300)]).install(monkeypatch)
    meter = Nvml("nvml-power", "W", proc=proc, probe_s=0.0)
    info = meter.info(context())
    assert "field 186" in info.method
    assert (info.instrument, info.averaged_ms, info.seen_share) == ("power", None, None)
    (reading,) = meter.open(context()).read()
    assert reading.value == pytest.approx(300, abs=0.1)
    assert reading.unit == "W"


@pytest.mark.parametrize(
    ("architecture", "pci", "averaged_ms"),
    [(AMPERE, 0x220410DE, 1000.0), (AMPERE, 0x20B210DE, None), (PASCAL, 0x15F810DE, None)],
)
def test_plain_power_is_a_mean_over_a_second_on_ampere_but_not_on_ga100(
    monkeypatch: pytest.MonkeyPatch,
    proc: Path,
    architecture: int,
    pci: int,
    averaged_ms: float | None,
) -> None:
    card = Card(instant=False, architecture=architecture, pci=pci, watts=250)
    Driver([card]).install(monkeypatch)
    meter = Nvml("nvml-power", "W", proc=proc, probe_s=0.0)
    info = meter.info(context())
    assert info.averaged_ms == averaged_ms
    assert ("mean over 1 s" in info.method) is (averaged_ms is not None)
    (reading,) = meter.open(context()).read()  # not the 12.345 W of a field that failed
    assert reading.value == pytest.approx(250, abs=0.1)


def test_sensors_that_look_part_of_the_time_say_so(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    Driver([Card(name="NVIDIA A100-SXM4-80GB", architecture=AMPERE)]).install(monkeypatch)
    assert Nvml("nvml-power", "W", proc=proc, probe_s=0.0).info(context()).seen_share == 0.25


def test_a_plain_reading_that_is_no_mean_looks_as_seldom(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    card = Card(name="NVIDIA A100-SXM4-80GB", architecture=AMPERE, pci=0x20B210DE, instant=False)
    Driver([card]).install(monkeypatch)
    info = Nvml("nvml-power", "W", proc=proc, probe_s=0.0).info(context())
    assert (info.averaged_ms, info.seen_share) == (None, 0.25)


# -- which devices -----------------------------------------------------------------------


def two(first: tuple[int, ...] = (), second: tuple[int, ...] = ()) -> list[Card]:
    return [Card(uuid=ONE, pids=first), Card(uuid=TWO, pids=second)]


@pytest.mark.parametrize(
    ("cards", "facts", "found"),
    [
        (two((PID,)), {"accelerators": 1}, [ONE]),
        (two((), (PID,)), {"accelerators": 1}, [TWO]),
        (two((PID,), (PID,)), {"accelerators": 2}, [ONE, TWO]),
        (two((PID,), (99,)), {"accelerators": 2}, [ONE, TWO]),
        (two((PID,), (99,)), {"visible_devices": "0,1", "accelerators": 2}, [ONE, TWO]),
        (two(), {"visible_devices": "1", "accelerators": 1}, [TWO]),
        (two(), {"visible_devices": "GPU-0bbb", "accelerators": 1}, [TWO]),
        (two(), {"visible_devices": "1,7,0", "accelerators": 1}, [TWO]),
        (two(), {"visible_devices": "1,0", "accelerators": 2}, [TWO, ONE]),
        (two(), {"accelerators": 2}, [ONE, TWO]),
        (two(), {"visible_devices": "0"}, [ONE]),
    ],
)
def test_only_devices_under_test_are_read(
    monkeypatch: pytest.MonkeyPatch,
    proc: Path,
    cards: list[Card],
    facts: dict[str, Any],
    found: list[str],
) -> None:
    Driver(cards).install(monkeypatch)
    info = counter(proc).info(context(**facts))
    assert info.reason is None, info.detail
    assert [device.name for device in info.devices if not device.left_out] == found
    assert len(info.devices) == 2
    assert {one.device for one in counter(proc).open(context(**facts)).read()} == {*found}


@pytest.mark.parametrize(
    ("cards", "facts", "refusal"),
    [
        (two(), {}, "devices_unclear: set CUDA_VISIBLE_DEVICES"),
        (two(), {"accelerators": 1}, "devices_unclear: asked for 1"),
        (two(), {"visible_devices": ""}, "devices_unclear: names no GPU"),
        (two((PID,), (PID,)), {"accelerators": 1}, "device_extra: 2 GPUs"),
        (two(), {"visible_devices": "0,1", "accelerators": 1}, "device_extra: 2 GPUs"),
        (two((PID,)), {"accelerators": 3}, "device_lost: 1 GPUs"),
        (two((PID, 99)), {"accelerators": 1}, "shared_device: 99"),
        ([Card(pids=(99,))], {"pids": list}, "shared_device: 99"),
        ([Card(mig=1)], {}, "mig: MIG is on"),
        (two(), {"visible_devices": "MIG-4f1c"}, "mig: MIG-4f1c"),
        (
            [Card(uuid=ONE), Card(uuid=TWO, name="NVIDIA L4")],
            {"visible_devices": "1"},
            "devices_unclear: UUID",
        ),
        ([], {}, "no_sensor: no GPU"),
        ([Card()], {"accelerator": "cpu"}, "unsupported: cpu"),
        ([Card()], {"accelerator": "rocm"}, "unsupported: rocm"),
        ([Card(architecture=PASCAL)], {}, "unsupported: Volta"),
        ([Card(energy_mj=lambda: 0)], {}, "unsupported: stands at 0"),
        ([Card(energy_mj=missing)], {}, "unsupported: Not Supported"),
        (
            [Card(energy_mj=lambda: missing(pynvml.NVML_ERROR_NO_PERMISSION))],
            {},
            "no_permission: Permissions",
        ),
        (
            [Card(energy_mj=lambda: missing(pynvml.NVML_ERROR_GPU_IS_LOST))],
            {},
            "device_lost: lost",
        ),
    ],
)
def test_what_cannot_be_counted_has_a_reason(
    monkeypatch: pytest.MonkeyPatch,
    proc: Path,
    cards: list[Card],
    facts: dict[str, Any],
    refusal: str,
) -> None:
    reason, words = refusal.split(": ")
    driver = Driver(cards)
    driver.install(monkeypatch)
    info = counter(proc).info(context(**facts))
    assert info.reason == reason
    assert words in info.detail
    assert driver.starts == 0
    with pytest.raises(Unreadable):
        counter(proc).open(context(**facts))
    assert driver.starts == 0


@pytest.mark.parametrize("pids", [(PID, 99), (99,)])
def test_in_a_container_nobody_is_accused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pids: tuple[int, ...]
) -> None:
    """Process numbers are the container's there, those of the driver the machine's."""
    Driver([Card(pids=pids)]).install(monkeypatch)
    info = counter(tmp_path).info(context(accelerators=1))
    assert info.reason is None
    assert "not known" in info.detail


def test_contexts_without_one_of_the_engines_accuse_nobody(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    Driver([Card(pids=(99,))]).install(monkeypatch)
    info = counter(proc).info(context(accelerators=1))
    assert (info.reason, "not known" in info.detail) == (None, True)


def test_a_driver_older_than_the_binding_tells_no_processes(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    module = Driver([Card()]).install(monkeypatch)

    def mismatch(_: Card) -> None:
        raise pynvml.NVMLLibraryMismatchError("no such version")

    monkeypatch.setattr(module, "nvmlDeviceGetComputeRunningProcesses", mismatch)
    info = counter(proc).info(context(accelerators=1))
    assert (info.reason, "does not say" in info.detail) == (None, True)


def test_our_own_context_is_no_stranger(monkeypatch: pytest.MonkeyPatch, proc: Path) -> None:
    Driver([Card(pids=(PID, os.getpid()))]).install(monkeypatch)
    assert counter(proc).info(context(accelerators=1)).reason is None


def test_a_card_that_is_lost_while_it_is_read_says_so(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    card = Card(uuid=ONE)
    Driver([card]).install(monkeypatch)
    session = counter(proc).open(context())
    session.read()
    card.energy_mj = lambda: missing(pynvml.NVML_ERROR_GPU_IS_LOST)
    with pytest.raises(Unreadable, match="lost") as caught:
        session.read()
    assert caught.value.reason == "device_lost"


# -- modules -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module_mj", "gpu_mj", "boundary"),
    [
        (9_000_000, 5_000_000, "module"),
        (5_000_000, 9_000_000, ""),
        (9_000_000, 9_000_000, "module"),
    ],
)
def test_a_counter_of_the_whole_module_is_labelled_by_comparing_scopes(
    monkeypatch: pytest.MonkeyPatch, proc: Path, module_mj: int, gpu_mj: int, boundary: str
) -> None:
    fields = {
        (pynvml.NVML_FI_DEV_ENERGY, pynvml.NVML_POWER_SCOPE_MODULE): lambda: module_mj,
        (pynvml.NVML_FI_DEV_ENERGY, pynvml.NVML_POWER_SCOPE_GPU): lambda: gpu_mj,
    }
    Driver([Card(energy_mj=lambda: 9_000_000, fields=fields)]).install(monkeypatch)
    assert counter(proc).info(context()).boundary == boundary


# -- conditions --------------------------------------------------------------------------


@pytest.mark.parametrize("old_names", [False, True])
def test_the_state_of_a_card_is_told(
    monkeypatch: pytest.MonkeyPatch, proc: Path, *, old_names: bool
) -> None:
    reasons = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonGpuIdle
    reasons |= pynvml.nvmlClocksEventReasonHwThermalSlowdown
    driver = Driver([Card(uuid=ONE, reasons=reasons, old_names=old_names)])
    driver.install(monkeypatch)
    session = counter(proc).open(context())
    assert isinstance(session, WatchesConditions)
    (state,) = session.conditions()
    assert state.throttled == ["power_cap", "thermal"]
    assert state.temperature_c == (60 if old_names else 61)
    assert (state.clock_mhz, state.memory_clock_mhz, state.utilisation) == (1755, 3201, 0.75)
    assert (state.device, state.power_limit_w) == (ONE, 700)


def test_bits_and_fields_are_those_of_the_binding() -> None:
    bits = {
        getattr(pynvml, name)
        for name in dir(pynvml)
        if name.startswith("nvmlClocksThrottleReason") and not name.endswith(("All", "None"))
    }
    assert bits - {*SLOWED} == {
        pynvml.nvmlClocksThrottleReasonGpuIdle,
        pynvml.nvmlClocksThrottleReasonDisplayClockSetting,
    }


# -- the library -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "no_sensor"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "no_sensor"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "no_permission"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "failed"),
    ],
)
def test_a_library_that_does_not_start_has_a_reason(
    monkeypatch: pytest.MonkeyPatch, proc: Path, code: int, reason: str
) -> None:
    Driver([Card()], fail=code).install(monkeypatch)
    for meter in (Nvml(proc=proc), Nvml("nvml-power", "W", proc=proc)):
        assert meter.info(context()).reason == reason


def test_the_other_pynvml_is_told_apart(monkeypatch: pytest.MonkeyPatch, proc: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", types.ModuleType("pynvml"))
    info = counter(proc).info(context())
    assert info.reason == "failed"
    assert "pip uninstall pynvml" in info.detail


def test_without_the_binding_there_is_no_sensor(
    monkeypatch: pytest.MonkeyPatch, proc: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    info = counter(proc).info(context())
    assert info.reason == "no_sensor"
    assert "nvidia-ml-py" in info.detail
