"""Recorded readings, played back in step with the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.records import Condition, Reading
from inferometer_plugins.meters import Replay

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
START = 7_000_000_000


def context(**options: Any) -> MeterContext:
    return MeterContext(session_id=None, cpu_seconds=float, accelerator="cuda", options=options)


def record(path: Path, unit: Any = "J", devices: tuple[str, ...] = ("a", "b")) -> str:
    """10 J every 20 ms on each device, or 100 W that become 200 W after 20 ms."""
    rows = [
        Reading(
            meter="nvml",
            device=device,
            t_ns=START + 20 * MS * step,
            value=1000.0 + 10 * step if unit == "J" else 100.0 * (1 + step),
            unit=unit,
        )
        for step in range(6 if unit == "J" else 2)
        for device in devices
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)) + b"\n")
    return str(path)


def test_a_recording_is_simulated_whatever_it_was(tmp_path: Path) -> None:
    info = Replay().info(context(path=record(tmp_path / "r.jsonl")))
    assert (info.reason, info.kind, info.instrument, info.update_ms) == (
        (None, "simulated", "counter", 20.0)
    )
    assert [one.name for one in info.devices] == ["a", "b"]
    assert info.resolution == 10


def test_a_pause_does_not_make_a_sensor_slow(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [
        Reading(meter="nvml", device="a", t_ns=at_ms * MS, value=float(step), unit="J")
        for step, at_ms in enumerate((0, 20, 40, 60, 360))
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)) + b"\n")
    assert Replay().info(context(path=str(path))).update_ms == 20


def test_values_come_when_their_time_has_come(tmp_path: Path) -> None:
    before = time.monotonic_ns()
    session = Replay().open(context(path=record(tmp_path / "r.jsonl", devices=("a",))))
    begun = time.monotonic_ns()
    seen = []
    while time.monotonic_ns() - begun < 85 * MS:
        for row in session.read():
            seen.append((row.t_ns, row.value))
            least, most = ((row.t_ns - start) // (20 * MS) for start in (begun, before))
            assert 1000 + 10 * least <= row.value <= 1010 + 10 * most
        time.sleep(0.005)
    values = [value for _, value in seen]
    assert values == sorted(values)
    assert {*values} <= {1000, 1010, 1020, 1030, 1040}
    assert len({*values}) > 1  # all five, where nothing holds the machine up
    time.sleep(0.03)
    assert session.read() == []  # the recording has ended: no stale repeats


def test_a_loop_goes_on_counting(tmp_path: Path) -> None:
    options = {"path": record(tmp_path / "r.jsonl", devices=("a",)), "loop": True}
    session = Replay().open(context(**options))
    begun, values = time.monotonic_ns(), []
    while time.monotonic_ns() - begun < 250 * MS:
        values += [row.value for row in session.read()]
        time.sleep(0.005)
    assert values == sorted(values)
    assert values[-1] > 1100  # 250 ms at 500 W


def test_watts_are_held_until_the_next_value(tmp_path: Path) -> None:
    session = Replay().open(context(path=record(tmp_path / "r.jsonl", "W", ("a",))))
    (reading,) = session.read()
    assert (reading.value, reading.unit, reading.meter) == (100, "W", "replay")


def test_states_are_played_back_beside(tmp_path: Path) -> None:
    states = [
        Condition(meter="nvml", device="a", t_ns=START, temperature_c=50, throttled=["power_cap"]),
        Condition(meter="nvml", device="a", t_ns=START + 10_000 * MS, temperature_c=80),
    ]
    path = tmp_path / "conditions.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, states)))
    options = {"path": record(tmp_path / "r.jsonl"), "conditions": str(path)}
    session: Any = Replay().open(context(**options))
    (state,) = session.conditions()
    assert (state.temperature_c, state.throttled, state.meter) == (50, ["power_cap"], "replay")
    assert abs(state.t_ns - time.monotonic_ns()) < 1e9


def test_one_meter_of_several_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    record(path)
    other = Reading(meter="rapl", device="package-0", t_ns=START, value=1, unit="J")
    path.write_bytes(path.read_bytes() + msgspec.json.encode(other))
    with pytest.raises(UsageError, match="found: nvml, rapl"):
        Replay().info(context(path=str(path)))
    info = Replay().info(context(path=str(path), meter="rapl"))
    assert [one.name for one in info.devices] == ["package-0"]
    with pytest.raises(UsageError, match="found: none"):
        Replay().info(context(path=str(path), meter="wall"))


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    assert Replay().info(context(path=str(path))).reason == "no_sensor"
    path.write_text('{"meter": 1}\n')
    with pytest.raises(UsageError, match="no reading"):
        Replay().info(context(path=str(path)))
