"""AMD meters, on a binding that answers like amdsmi 7."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.plugins.fake_amdsmi import Card, Driver

from inferometer.meter import MeterContext, WatchesConditions
from inferometer_plugins.meters import Amd
from inferometer_plugins.meters.gpus import FIRST_PID_NAMESPACE
from inferometer_plugins.meters.sensing import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = "GPU-0aaa111100000000", "GPU-0bbb222200000000"


def context(**changes: Any) -> MeterContext:
    facts: dict[str, Any] = {
        "session_id": 1,
        "cpu_seconds": float,
        "accelerator": "rocm",
        "pids": lambda: [1],
    }
    return MeterContext(**{**facts, **changes})


def dies(second_w: float = 0.0) -> list[Card]:
    """The two dies of one package: the first one's sensor is the package's."""
    name = "AMD Instinct MI250X"
    power = {"average_socket_power": int(second_w)}
    return [
        Card(name=name, hip_id=0),
        Card(serial="0x0BBB222200000000", name=name, hip_id=1, watts=second_w, power=power),
    ]


def test_the_accumulator_is_counted_in_steps_of_its_resolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Driver([Card(watts=600, tick_s=0.01)]).install(monkeypatch)
    meter = Amd(probe_s=0.1)
    info = meter.info(context(accelerators=1))
    assert (info.reason, info.instrument) == (None, "counter")
    assert info.resolution == pytest.approx(15.3e-6)
    # a probe that the machine held up is made again
    told = (meter.info(context(accelerators=1)).update_ms for _ in range(20))
    assert any(update_ms == pytest.approx(10, abs=5) for update_ms in told)
    assert [(one.name, one.power_limit_w) for one in info.devices] == [(ONE, 750)]
    session = meter.open(context(accelerators=1))
    (first,) = session.read()
    time.sleep(0.1)
    (second,) = session.read()
    watts = (second.value - first.value) / (second.t_ns - first.t_ns) * 1e9
    assert watts == pytest.approx(600, rel=0.3)


def test_power_is_whichever_name_holds_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver([Card()]).install(monkeypatch)
    (reading,) = Amd("amd-power", "W", probe_s=0.0).open(context()).read()
    assert (reading.value, reading.unit) == (600, "W")


def test_two_sessions_share_a_library_that_one_stop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver([Card()])
    driver.install(monkeypatch)
    first, second = (Amd(probe_s=0.0).open(context()) for _ in range(2))
    first.close()
    first.close()
    assert second.read()
    second.close()
    assert not driver.running


def test_the_second_die_of_a_package_is_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(dies()).install(monkeypatch)
    info = Amd(probe_s=0.0).info(context(accelerators=2))
    assert {one.name: one.left_out for one in info.devices} == {
        ONE: "",
        TWO: f"contained in {ONE}",
    }
    assert [one.device for one in Amd(probe_s=0.0).open(context(accelerators=2)).read()] == [ONE]


@pytest.mark.parametrize(
    ("cards", "facts", "refusal"),
    [
        (dies(), {"visible_devices": "0"}, "device_extra: not under test"),
        (dies(), {"visible_devices": "1"}, "unsupported: other die"),
        ([Card(watts=0)], {}, "unsupported: reads 0"),
        ([Card(name="AMD Instinct MI100")], {}, "unsupported: MI100"),
        ([Card(partition="CPX")], {}, "mig: partition CPX"),
        ([Card(), Card(serial="0x0BBB222200000000")], {}, "devices_unclear: ROCR_VISIBLE_DEVICES"),
        ([], {}, "no_sensor: no GPU"),
        ([Card()], {"accelerator": "cuda"}, "unsupported: cuda"),
    ],
)
def test_what_cannot_be_counted_has_a_reason(
    monkeypatch: pytest.MonkeyPatch, cards: list[Card], facts: dict[str, Any], refusal: str
) -> None:
    Driver(cards).install(monkeypatch)
    reason, words = refusal.split(": ")
    info = Amd(probe_s=0.0).info(context(**facts))
    assert info.reason == reason
    assert words in info.detail
    with pytest.raises(Unreadable):
        Amd(probe_s=0.0).open(context(**facts))


def host(tmp_path: Path) -> Path:
    """A /proc in which process numbers are the machine's own."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to(FIRST_PID_NAMESPACE)
    return tmp_path


def test_a_gpu_that_a_process_only_opened_is_not_used_by_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ROCm's runtime opens all of them: ours, and that of a stranger on the other one."""
    cards = [
        Card(hip_id=0, pids=(1,), opened_by=(7,)),
        Card(serial="0x0BBB222200000000", hip_id=1, pids=(7,), opened_by=(1,)),
    ]
    Driver(cards).install(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    meter = Amd(probe_s=0.0, proc=host(tmp_path))
    info = meter.info(context(accelerators=1, visible_devices="0"))
    assert (info.reason, info.detail) == (None, "")
    assert [one.name for one in info.devices if not one.left_out] == [ONE]
    cards[0].pids = (1, 7)
    info = meter.info(context(accelerators=1, visible_devices="0"))
    assert info.reason == "shared_device"


def test_processes_of_other_users_are_not_known_but_to_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Driver([Card(pids=(1,))]).install(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    info = Amd(probe_s=0.0, proc=host(tmp_path)).info(context(accelerators=1))
    assert (info.reason, "only root sees" in info.detail) == (None, True)


def test_where_no_memory_is_told_users_are_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Driver([Card(opened_by=(1, 7))]).install(monkeypatch)
    info = Amd(probe_s=0.0, proc=host(tmp_path)).info(context(accelerators=1))
    assert (info.reason, "not known" in info.detail) == (None, True)


def test_power_that_is_not_told_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("socket_power", "current_socket_power", "average_socket_power")
    Driver([Card(power=dict.fromkeys(names, "N/A"))]).install(monkeypatch)
    info = Amd("amd-power", "W", probe_s=0.0).info(context())
    assert (info.reason, "N/A" in info.detail) == ("unsupported", True)


def test_devices_are_named_as_the_runtime_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [Card(hip_id=1), Card(serial="0x0BBB222200000000", hip_id=0)]
    Driver(cards).install(monkeypatch)
    for words, name in (("0", TWO), ("1", ONE), ("GPU-0bbb222200000000", TWO)):
        info = Amd(probe_s=0.0).info(context(visible_devices=words))
        assert [one.name for one in info.devices if not one.left_out] == [name]


def test_the_state_of_a_card_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver([Card()]).install(monkeypatch)
    session = Amd(probe_s=0.0).open(context())
    assert isinstance(session, WatchesConditions)
    (state,) = session.conditions()
    assert (state.device, state.temperature_c, state.power_limit_w) == (ONE, 56, 750)
    assert (state.clock_mhz, state.memory_clock_mhz, state.utilisation) == (2100, 1300, 0.88)
    assert state.throttled == ["power_cap"]


def test_without_binding_or_library_there_is_no_sensor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    info = Amd().info(context())
    assert (info.reason, "inferometer[amd]" in info.detail) == ("no_sensor", True)
    monkeypatch.delitem(sys.modules, "amdsmi")
    (tmp_path / "amdsmi.py").write_text("print('no library')\n{}['libamd_smi.so']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    info = Amd().info(context())
    assert (info.reason, "ROCm" in info.detail) == ("no_sensor", True)
    assert capsys.readouterr().out == ""
    monkeypatch.undo()
    Driver([Card()], fail=True).install(monkeypatch)
    info = Amd().info(context())
    assert (info.reason, info.detail.endswith("34 | no driver")) == ("no_sensor", True)
