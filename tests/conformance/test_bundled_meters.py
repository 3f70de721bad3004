"""Every bundled meter against the kit, each with its sensor made up: driver, files or log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pynvml
import pytest
from tests.unit.plugins import fake_amdsmi, fake_pynvml

from inferometer.meter import EnergyMeter
from inferometer.records import Condition, Reading
from inferometer.testing import meters
from inferometer.testing.meters import World
from inferometer_plugins.meters import (
    Amd,
    CpuTime,
    CsvFile,
    Declared,
    Hwmon,
    Nvml,
    Rapl,
    Replay,
    Tdp,
    inferometer_meters,
)
from inferometer_plugins.meters.gpus import FIRST_PID_NAMESPACE

Made = tuple[EnergyMeter, World]
ONE, TWO = "GPU-0aaa1111-0000", "GPU-0bbb2222-0000"
TICK_S = 0.02
PROBE_S = 0.02


@contextmanager
def changed(thing: Any, **terms: Any) -> Iterator[None]:
    """Change attributes for a while."""
    kept = {name: getattr(thing, name) for name in terms}
    for name, value in terms.items():
        setattr(thing, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(thing, name, value)


def host(folder: Path) -> Path:
    """Make a /proc in which process numbers are the machine's own."""
    (folder / "self" / "ns").mkdir(parents=True)
    (folder / "self" / "ns" / "pid").symlink_to(FIRST_PID_NAMESPACE)
    return folder


# -- drivers -------------------------------------------------------------------------------------


def nvidia(meter: EnergyMeter, truth: Callable[[fake_pynvml.Card], float]) -> Made:
    card = fake_pynvml.Card(uuid=ONE, pids=(os.getpid(),), tick_s=TICK_S)
    driver = fake_pynvml.Driver([card, fake_pynvml.Card(uuid=TWO)])

    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        with pytest.MonkeyPatch.context() as patch:
            driver.install(patch)
            yield {}
        assert driver.starts == 0, "the library was started more often than stopped"

    return meter, World(
        made=made,
        absent=lambda: changed(driver, fail=pynvml.NVML_ERROR_DRIVER_NOT_LOADED),
        forbidden=lambda: changed(driver, fail=pynvml.NVML_ERROR_NO_PERMISSION),
        failing=lambda: changed(card, lost=pynvml.NVML_ERROR_GPU_IS_LOST),
        truth=lambda: {ONE: truth(card)},
        accelerator="cuda",
        accelerators=1,
    )


def amd(meter: EnergyMeter, truth: Callable[[fake_amdsmi.Card], float]) -> Made:
    card = fake_amdsmi.Card(pids=(os.getpid(),), tick_s=TICK_S)
    driver = fake_amdsmi.Driver([card])

    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        with pytest.MonkeyPatch.context() as patch:
            driver.install(patch)
            yield {}

    return meter, World(
        made=made,
        absent=lambda: changed(driver, fail=True),
        truth=lambda: {"GPU-0aaa111100000000": truth(card)},
        accelerator="rocm",
        accelerators=1,
    )


# -- kernel files --------------------------------------------------------------------------------


def gone(folder: Path) -> Iterator[None]:
    """Let the sensor's files be away for a while."""
    away = folder.with_name("away")
    folder.rename(away)
    try:
        yield
    finally:
        away.rename(folder)


def rapl(folder: Path) -> Made:
    zone = folder / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    (zone / "energy_uj").write_text("900000\n")

    def pass_time(seconds: float) -> None:
        time.sleep(seconds)
        used = int((zone / "energy_uj").read_text()) + round(seconds * 100e6)
        (zone / "energy_uj").write_text(f"{used}\n")

    return Rapl(root=zone.parent, probe_s=0.0), World(
        absent=contextmanager(lambda: gone(zone.parent)),
        failing=contextmanager(lambda: gone(zone.parent)),
        truth=lambda: {"package-0": int((zone / "energy_uj").read_text()) / 1e6},
        state=lambda: sorted(zone.iterdir()),
        pass_time=pass_time,
    )


def hwmon(folder: Path) -> Made:
    place = folder / "hwmon" / "hwmon0"
    place.mkdir(parents=True)
    for number, label in ((1, "Module Power Socket 0"), (2, "CPU Power Socket 0")):
        (place / f"power{number}_label").write_text(f"{label}\n")
        (place / f"power{number}_average").write_text(f"{number}50250000\n")

    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        yield {"label": "Module"}

    return Hwmon(root=place.parent, probe_s=0.0), World(
        made=made,
        absent=contextmanager(lambda: gone(place.parent)),
        failing=contextmanager(lambda: gone(place.parent)),
        truth=lambda: {"Module Power Socket 0": 150.25},
        refused=[{"scope": "L9"}],
    )


# -- records -------------------------------------------------------------------------------------


def csv(folder: Path) -> Made:
    log = folder / "wall.csv"
    given = {"time": "t", "time_format": "epoch_s", "value": "w", "unit": "W", "scope": "L2"}

    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        rows = [f"{time.time() - ago:.6f},200.5" for ago in (3, 2, 1)]
        log.write_text("\n".join(["t,w", *rows]) + "\n")
        yield {"path": str(log), **given}

    def pass_time(seconds: float) -> None:
        time.sleep(seconds)
        with log.open("a") as file:
            file.write(f"{time.time():.6f},250.5\n")

    return CsvFile(), World(
        made=made,
        absent=contextmanager(lambda: gone(log)),
        truth=lambda: {"wall": 250.5},
        pass_time=pass_time,
        refused=[{"unit": "hp"}, {"time_format": "local"}, {"utc_offset": "CET"}],
        recorded=True,
    )


def replay(folder: Path) -> Made:
    path, states = folder / "readings.jsonl", folder / "conditions.jsonl"
    rows = [
        Reading(meter="nvml", device=ONE, t_ns=step * 20_000_000, value=500.0 + 10 * step, unit="J")
        for step in range(11)
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)) + b"\n")
    told = Condition(meter="nvml", device=ONE, t_ns=0, temperature_c=61.0, throttled=["power_cap"])
    states.write_bytes(msgspec.json.encode(told) + b"\n")

    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        yield {"path": str(path), "loop": True, "conditions": str(states)}

    return Replay(), World(
        made=made,
        absent=contextmanager(lambda: gone(path)),
        refused=[{"scope": "L7"}, {"path": ""}],
        accelerator="cuda",
    )


# -- without a sensor ----------------------------------------------------------------------------


def declared(power_w: float = 65.0) -> Made:
    refused: list[dict[str, Any]] = [{"power_w": 0}, {"power_w": -1.0}]
    return Declared(), World(truth=lambda: {"machine": power_w}, refused=refused)


def tdp() -> Made:
    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        yield {"tdp_w": 700.0, "share": 0.5, "count": 2.0}

    return Tdp(), World(
        made=made,
        truth=lambda: {"devices": 700.0},
        refused=[{"share": 1.5}, {"count": 0.0}],
        accelerator="cuda",
    )


def cpu_time() -> Made:
    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        yield {"watts_per_busy_core": 8.0}

    # the kit's engine keeps one core busy all the time
    return CpuTime(), World(made=made, truth=lambda: {"engine": time.monotonic() * 8.0})


WORLDS: dict[str, Callable[[Path], Made]] = {
    "nvml": lambda at: nvidia(
        Nvml(proc=host(at), probe_s=PROBE_S), lambda card: card.counted_mj() / 1e3
    ),
    "nvml-power": lambda at: nvidia(
        Nvml("nvml-power", "W", proc=host(at), probe_s=PROBE_S), lambda card: card.watts
    ),
    "amd": lambda at: amd(
        Amd(proc=host(at), probe_s=PROBE_S),
        lambda card: card.energy()["energy_accumulator"] * card.resolution / 1e6,
    ),
    "amd-power": lambda at: amd(
        Amd("amd-power", "W", proc=host(at), probe_s=PROBE_S), lambda card: card.watts
    ),
    "rapl": rapl,
    "hwmon": hwmon,
    "csv": csv,
    "replay": replay,
    "declared": lambda _: declared(),
    "tdp": lambda _: tdp(),
    "cpu-time": lambda _: cpu_time(),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_bundled_meter_passes(name: str, tmp_path: Path) -> None:
    meter, world = WORLDS[name](tmp_path)
    assert meter.name == name
    results = meters.run(meter, world=world)
    assert {it.id: it.detail for it in results if it.outcome not in {"pass", "n/a"}} == {}
    assert sum(it.outcome == "pass" for it in results) >= 50


def test_every_bundled_meter_is_held_to_it() -> None:
    assert {meter.name for meter in inferometer_meters()} == set(WORLDS)
