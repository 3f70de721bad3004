"""Power logs: their stamps, units and devices, read as they grow."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import pytest

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer_plugins.meters import CsvFile
from inferometer_plugins.meters.sensing import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.records import MeterInfo

WALL: dict[str, Any] = {
    "time": "t",
    "time_format": "epoch_s",
    "value": "power_w",
    "unit": "W",
    "scope": "L2",
}
ONE, TWO = "GPU-0aaa1111", "GPU-0bbb2222"


def context(path: Path, accelerators: int | None = None, **options: Any) -> MeterContext:
    return MeterContext(
        session_id=1,
        cpu_seconds=float,
        accelerators=accelerators,
        options={"path": str(path), **options},
    )


def info(path: Path, accelerators: int | None = None, **options: Any) -> MeterInfo:
    return CsvFile().info(context(path, accelerators, **options))


def wall_log(path: Path, rows: int = 5) -> Path:
    """A wall meter's log: one row a second, the last one now."""
    lines = ["t,power_w,voltage"]
    lines += [f"{time.time() - rows + 1 + i:.3f},{200 + i}.5,230" for i in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line)


def test_rows_are_read_as_they_are_written_on_our_clock(tmp_path: Path) -> None:
    log = wall_log(tmp_path / "wall.csv")
    told = info(log, **WALL)
    assert (told.reason, told.scope, told.instrument, told.kind) == (
        (None, "L2", "power", "measured")
    )
    assert told.update_ms == pytest.approx(1000, abs=30)
    assert told.resolution == pytest.approx(0.1)
    session = CsvFile().open(context(log, **WALL))
    assert session.read() == []  # nothing since it was opened
    before = time.monotonic_ns()
    append(log, f"{time.time():.6f},250.5,230\n{time.time():.6f},2")
    (reading,) = session.read()
    assert reading.t_ns == pytest.approx(before, abs=50e6)
    assert (reading.value, reading.unit, reading.device) == (250.5, "W", "wall")
    append(log, "51.5,230\n")  # the rest of a line that was half written
    assert [one.value for one in session.read()] == [251.5]
    session.close()
    session.close()


@pytest.mark.parametrize(
    ("unit", "value", "joules_or_watts", "result_unit"),
    [
        ("kW", "0.25", 250, "W"),
        ("Wh", "2", 7200, "J"),
        ("kWh", "0.5", 1.8e6, "J"),
        ("mJ", "5000", 5, "J"),
    ],
)
def test_units_become_watts_or_joules(
    tmp_path: Path, unit: str, value: str, joules_or_watts: float, result_unit: str
) -> None:
    log = tmp_path / "m.csv"
    log.write_text("t,x\n")
    options = {**WALL, "value": "x", "unit": unit}
    session = CsvFile().open(context(log, **options))
    append(log, f"{time.time()},{value}\n")
    (reading,) = session.read()
    assert reading.value == pytest.approx(joules_or_watts)
    assert reading.unit == result_unit
    instrument = "counter" if result_unit == "J" else "power"
    assert info(log, **options).instrument == instrument


@pytest.mark.parametrize(
    ("time_format", "stamp"),
    [
        ("epoch_ms", lambda now: f"{now * 1e3:.0f}"),
        ("epoch_us", lambda now: f"{now * 1e6:.0f}"),
        ("epoch_ns", lambda now: f"{now * 1e9:.0f}"),
        ("iso8601", lambda now: dt.datetime.fromtimestamp(now, dt.UTC).isoformat()),
        (
            "iso8601",
            lambda now: dt.datetime.fromtimestamp(
                now, dt.timezone(dt.timedelta(hours=-5))
            ).isoformat(),
        ),
        (
            "%d.%m.%Y %H:%M:%S.%f%z",
            lambda now: f"{dt.datetime.fromtimestamp(now, dt.UTC):%d.%m.%Y %H:%M:%S.%f%z}",
        ),
    ],
)
def test_stamps_of_every_format_mean_the_same(tmp_path: Path, time_format: str, stamp: Any) -> None:
    log = tmp_path / "m.csv"
    log.write_text("t,power_w\n")
    session = CsvFile().open(context(log, **{**WALL, "time_format": time_format}))
    before = time.monotonic_ns()
    append(log, f"{stamp(time.time() + 0.5)},1\n")
    (reading,) = session.read()
    assert reading.t_ns - before == pytest.approx(0.5e9, abs=50e6)


def test_the_offset_of_the_logs_clock_is_taken_off(tmp_path: Path) -> None:
    log = tmp_path / "m.csv"
    log.write_text("t,power_w\n")
    session = CsvFile().open(context(log, **WALL, clock_offset_s=3600))
    before = time.monotonic_ns()
    append(log, f"{time.time() + 3600:.6f},1\n")
    (reading,) = session.read()
    assert reading.t_ns == pytest.approx(before, abs=50e6)


# -- formats as they are found -----------------------------------------------------------


def smi_log(path: Path) -> Path:
    """As of ``nvidia-smi --query-gpu=timestamp,uuid,power.draw.instant --format=csv -lms 100``."""
    now = dt.datetime.now(dt.UTC)
    lines = ["timestamp, uuid, power.draw.instant [W]"]
    for i in range(5):
        at = f"{now - dt.timedelta(milliseconds=400 - 100 * i):%Y/%m/%d %H:%M:%S.%f}"[:-3]
        lines += [f"{at}, {ONE}, {300 + i}.25 W", f"{at}, {TWO}, [N/A]"]
    path.write_text("\n".join(lines) + "\n")
    return path


SMI: dict[str, Any] = {
    "time": "timestamp",
    "time_format": "%Y/%m/%d %H:%M:%S.%f",
    "value": "power.draw.instant",
    "unit": "W",
    "scope": "L0",
    "device": "uuid",
    "devices": [ONE],
}


def test_nvidia_smi_needs_its_offset_to_be_said(tmp_path: Path) -> None:
    log = smi_log(tmp_path / "smi.csv")
    naive = info(log, 1, **SMI)
    assert naive.reason == "clock_unsure"
    assert "utc_offset" in naive.detail
    told = info(log, 1, **SMI, utc_offset="+00:00")
    assert (told.reason, told.update_ms) == (None, 100)
    assert [one.name for one in told.devices] == [ONE]
    session = CsvFile().open(context(log, 1, **SMI, utc_offset="+00:00"))
    at = f"{dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1):%Y/%m/%d %H:%M:%S.%f}"
    header = "timestamp, uuid, power.draw.instant [W]"  # the logger was started again
    append(log, f"{header}\n{at}, {ONE}, 305.12 W\n{at}, {TWO}, 60.00 W\n{at}, {ONE}, [N/A]\n")
    assert [(one.device, one.value) for one in session.read()] == [(ONE, 305.12)]


def dcgm_log(path: Path, instance: str = "") -> Path:
    """The counter that a DCGM exporter serves, exported from Prometheus: 30 s apart, in mJ."""
    lines = ["timestamp,gpu,UUID,GPU_I_ID,DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"]
    for i in range(4):
        at = round((time.time() - 90 + 30 * i) * 1e3)
        for gpu, uuid in enumerate((ONE, TWO)):
            lines.append(f"{at},{gpu},{uuid},{instance},{(gpu + 1) * 10**9 + i * 9_000_000}")
    path.write_text("\n".join(lines) + "\n")
    return path


DCGM: dict[str, Any] = {
    "time": "timestamp",
    "time_format": "epoch_ms",
    "value": "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "unit": "mJ",
    "scope": "L0",
    "device": "UUID",
}


def test_a_stale_exporter_shows_in_its_period(tmp_path: Path) -> None:
    told = info(dcgm_log(tmp_path / "dcgm.csv"), 2, **DCGM)
    assert (told.reason, told.instrument) == (None, "counter")
    assert told.update_ms == pytest.approx(30_000, abs=50)


def test_rows_of_instances_are_refused(tmp_path: Path) -> None:
    assert info(dcgm_log(tmp_path / "dcgm.csv", "3"), 2, **DCGM).reason == "mig"


@pytest.mark.parametrize(
    ("accelerators", "changes", "refusal"),
    [
        (1, {}, "device_extra: options.devices"),
        (4, {}, "device_lost: asked to use 4"),
        (None, {}, "devices_unclear: options.devices"),
        (1, {"devices": ["GPU-9"]}, "device_lost: GPU-9"),
        (2, {"unit": "kJ", "value": "gpu", "devices": [ONE]}, "device_lost: asked to use 2"),
        (2, {"value": "nothing"}, "failed: no column 'nothing'"),
        (2, {"time_format": "epoch_ns", "value": "x"}, "failed: no column"),
        (2, {"time_format": "iso8601"}, "failed: is no iso8601"),
        (2, {"time_format": "epoch_s"}, "clock_unsure: in the future"),
    ],
)
def test_what_cannot_be_trusted_has_a_reason(
    tmp_path: Path, accelerators: int | None, changes: dict[str, Any], refusal: str
) -> None:
    log = dcgm_log(tmp_path / "dcgm.csv")
    reason, words = refusal.split(": ")
    told = info(log, accelerators, **{**DCGM, **changes})
    assert told.reason == reason
    assert words in told.detail
    with pytest.raises(Unreadable):
        CsvFile().open(context(log, accelerators, **{**DCGM, **changes}))


def test_one_series_does_not_speak_for_several_accelerators(tmp_path: Path) -> None:
    log = wall_log(tmp_path / "wall.csv")
    of_accelerators = {**WALL, "scope": "L0"}
    told = info(log, 2, **of_accelerators)
    assert (told.reason, "options.device" in told.detail) == ("devices_unclear", True)
    with pytest.raises(Unreadable):
        CsvFile().open(context(log, 2, **of_accelerators))
    assert info(log, 1, **of_accelerators).reason is None
    assert info(log, 2, **WALL).reason is None  # the node, whatever is in it


def test_another_unit_in_the_log_is_suspect(tmp_path: Path) -> None:
    log = smi_log(tmp_path / "smi.csv")
    assert info(log, 1, **{**SMI, "unit": "mW"}).reason == "unit_suspect"
    log.write_text(f"t,power_w\n{time.time()},3 kW\n")
    assert info(log, **WALL).reason == "unit_suspect"


def test_a_log_that_is_not_there_yet_is_no_sensor(tmp_path: Path) -> None:
    log = tmp_path / "wall.csv"
    assert info(log, **WALL).reason == "no_sensor"
    log.write_text("t,pow")
    assert (info(log, **WALL).reason, "header" in info(log, **WALL).detail) == ("no_sensor", True)
    log.write_text("t,power_w\n")
    assert info(log, **{**WALL, "device": "t"}).reason == "devices_unclear"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{past},1\n", "ran backwards"),
        ("{future},1\n", "in the future"),
        ("1,2,3\n", "3 columns"),
        ("yesterday,1\n", "is no epoch_s"),
        ("{now},1 kW\n", "unit_suspect"),
    ],
)
def test_a_log_that_goes_wrong_ends_the_meter(tmp_path: Path, line: str, words: str) -> None:
    log = tmp_path / "wall.csv"
    log.write_text("t,power_w\n")
    session = CsvFile().open(context(log, **WALL))
    append(log, f"{time.time() + 1},1\n")
    session.read()
    now = time.time()
    append(log, line.format(past=now + 0.5, future=now + 60, now=now + 1))
    with pytest.raises(Unreadable, match=words):
        session.read()


def test_a_line_without_an_end_ends_the_meter(tmp_path: Path) -> None:
    log = wall_log(tmp_path / "wall.csv")
    session = CsvFile().open(context(log, **WALL))
    append(log, "x" * (3 << 20))
    with pytest.raises(Unreadable, match="a line of more than 1 MiB"):
        session.read()


def test_a_log_that_was_cut_ends_the_meter(tmp_path: Path) -> None:
    log = wall_log(tmp_path / "wall.csv")
    session = CsvFile().open(context(log, **WALL))
    session.read()
    log.write_text("t,power_w\n")
    with pytest.raises(Unreadable, match="shorter"):
        session.read()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": ""}, r"options\.time must be a text"),
        ({"unit": "BTU"}, r"options\.unit must be one of W, kW"),
        ({"scope": "L9"}, r"options\.scope must be one of L0"),
        ({"time_format": "local"}, r"options\.time_format must be one of epoch_s"),
        ({"utc_offset": "CET"}, r"options\.utc_offset must be an offset such as \+02:00"),
        ({"clock_offset_s": "1"}, r"options\.clock_offset_s must be a number"),
        ({"delimiter": ";;"}, r"options\.delimiter must be one character"),
        ({"devices": ["a"]}, r"options\.device must be given"),
        ({"devices": "a", "device": "t"}, r"options\.devices must be a list of texts"),
    ],
)
def test_a_wrong_option_is_refused_by_key(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        info(tmp_path / "x.csv", **{**WALL, **changes})
