"""Ways to spoil the scene of :mod:`tests.unit.energy.scenes`, each returning tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from msgspec import structs
from tests.unit.energy.scenes import (
    COUNTER,
    GPUS,
    LIMIT_W,
    altered,
    only,
    rows_of,
    scene,
    spoilt,
    with_meters,
    with_readings,
)

from inferometer.meter import MeterContext
from inferometer.records import Device, MeterInfo
from inferometer.testing.results import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from inferometer.meter import MeterSession
    from inferometer.records import Reading
    from inferometer.tables import Tables

    Make = Callable[[], Tables]

AT = pl.col("at_s")
VALUE = pl.col("value")
UNLIMITED = [Device(name=gpu.name, index=gpu.index) for gpu in GPUS]


# -- what the meter itself says ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FakeMeter:
    """A meter whose driver answers with an error."""

    error: str = ""
    name: str = "nvml"

    @property
    def options(self) -> Mapping[str, type]:
        return {}

    def info(self, context: MeterContext) -> MeterInfo:
        if not self.error:
            return COUNTER
        return structs.replace(COUNTER, reason=self.error, detail=f"the driver says {self.error}")

    def open(self, context: MeterContext) -> MeterSession:
        return FakeSession()


class FakeSession:
    def read(self) -> Sequence[Reading]:
        raise OSError("the driver went away")

    def close(self) -> None:
        return


def asked(error: str) -> Make:
    """Return a scene in which the meter gave ``error`` when asked what it is, so was not read."""

    def make() -> Tables:
        info = FakeMeter(error).info(MeterContext(session_id=None, cpu_seconds=float))
        found = with_meters(scene(), [info])
        return with_readings(found, rows_of(found).clear())

    return make


def broke() -> Tables:
    """A plugin that fails while it is read: the run goes on, and its info says so."""
    try:
        FakeMeter().open(MeterContext(session_id=None, cpu_seconds=float)).read()
    except OSError as error:
        return altered(scene(), reason="failed", detail=str(error))
    raise AssertionError


# -- values ------------------------------------------------------------------------------------


def value_at(value: float, meter: str = "nvml", at_s: float = 12.0, **fields: object) -> Make:
    """Return a scene in which one reading is ``value``."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        nearest = (AT - at_s).abs() == (AT - at_s).abs().min()
        return rows.with_columns(value=pl.when(nearest).then(value).otherwise(VALUE))

    return lambda: altered(spoilt(scene(), change, meter), meter, **fields)


def scaled(
    factor: float,
    meter: str = "nvml",
    *,
    found: Make = scene,
    devices: Sequence[str] = ("GPU-0", "GPU-1"),
) -> Make:
    """Return a scene in which a meter's values are ``factor`` times what they were."""

    def make() -> Tables:
        seen = found()
        for device in devices:
            seen = spoilt(seen, lambda rows: rows.with_columns(value=VALUE * factor), meter, device)
        return seen

    return make


def unlimited(factor: float) -> Make:
    """Return a scene without power limits, in which only the other instrument can tell."""
    return lambda: altered(
        altered(scaled(factor)(), devices=UNLIMITED), "nvml-power", devices=UNLIMITED
    )


def counter_minus(joules: float, after_s: float) -> Make:
    """Return a scene in which the counter loses ``joules`` at a moment."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        less = VALUE - VALUE.min() + 100_000 - pl.when(after_s <= AT).then(joules).otherwise(0)
        return rows.with_columns(value=less)

    return lambda: spoilt(scene(), change)


def wrapped(*, undone: bool) -> Make:
    """Return a scene whose counter wraps at 32 bits of millijoules."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        limit = 2**32 / 1e3
        value = VALUE - VALUE.min() + limit - 4000
        return rows.with_columns(value=value if undone else value % limit)

    return lambda: spoilt(scene(), change)


def saturated() -> Tables:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        top = float(rows.filter(AT > 10)["value"].item(0))
        return rows.with_columns(value=VALUE.clip(upper_bound=top))

    return spoilt(scene(), change)


# -- time --------------------------------------------------------------------------------------


def missing(from_s: float, to_s: float, meter: str = "nvml") -> Make:
    """Return a scene without the readings between two moments."""
    return lambda: spoilt(scene(), lambda rows: rows.filter(~AT.is_between(from_s, to_s)), meter)


def held(seconds: float, meter: str = "nvml", **fields: object) -> Make:
    """Return a scene in which a reading at 10 s is repeated for a while."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        stale = AT.is_between(10, 10 + seconds)
        value = VALUE.filter(stale).first()
        return rows.with_columns(value=pl.when(stale).then(value).otherwise(VALUE))

    return lambda: altered(spoilt(scene(), change, meter), meter, **fields)


def exported(
    every_s: float,
    *,
    read_s: float = 0.1,
    length_s: int = 30,
    meter: str = "nvml",
    **fields: object,
) -> Make:
    """Return a scene behind an exporter that asks the sensor only ``every_s``."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        when = (AT / every_s).floor() * every_s
        at, value = rows["at_s"].to_numpy(), rows["value"].to_numpy()
        fresh = np.interp(rows.select(when).to_series().to_numpy(), at, value)
        rows = rows.with_columns(value=pl.Series(fresh), since_ns=pl.lit(None, pl.Int64))
        slot = (AT / read_s).floor()
        return rows.filter(slot != slot.shift(1, fill_value=-(10**9)))

    def make() -> Tables:
        seen = scene(length_s)
        for gpu in GPUS:
            seen = spoilt(seen, change, meter, gpu.name)
        return altered(only(seen, meter), meter, **fields)

    return make


def shifted(milliseconds: float) -> Make:
    """Return a scene whose meters' clock is ahead (negative: their stamps are early)."""
    nanoseconds = round(milliseconds * 1e6)

    def make() -> Tables:
        rows = rows_of(scene())
        moved = [pl.col(name) + nanoseconds for name in ("t_ns", "since_ns")]
        return with_readings(scene(), rows.with_columns(moved))

    return make


def clock_step(milliseconds: float) -> Make:
    def make() -> Tables:
        windows = scene().windows.with_columns(clock_step_ms=pl.lit(milliseconds))
        return replace(scene(), windows=windows)

    return make


def swapped() -> Tables:
    """Readings of 0.5 s were written after the 0.5 s that followed them."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        early, late = AT.is_between(10, 10.5), AT.is_between(10.5, 11, closed="right")
        order = pl.when(early).then(AT + 0.5).when(late).then(AT - 0.5).otherwise(AT)
        return rows.sort(order)

    return spoilt(scene(), change)


def doubled() -> Tables:
    return spoilt(
        scene(), lambda rows: pl.concat([rows, rows.filter(AT > 12).head(1)]).sort("t_ns")
    )


# -- devices -----------------------------------------------------------------------------------


def second_gone(launches: int, *, listed: bool) -> Make:
    """Return a scene in which the second accelerator is not read, in the first launches."""

    def make() -> Tables:
        seen = scene()
        for meter in ("nvml", "nvml-power"):
            seen = spoilt(seen, lambda rows: rows.clear(), meter, launches=launches)
        if listed:
            return seen
        first = [str(launch) for launch in seen.launches["launch"][:launches]]
        one = '[{"name":"GPU-0","model":"","index":0,"power_limit_w":700.0,"left_out":""}]'
        here = pl.col("launch").cast(pl.String).is_in(first)
        devices = pl.when(here).then(pl.lit(one)).otherwise(pl.col("devices"))
        return replace(seen, meters=seen.meters.with_columns(devices=devices))

    return make


def extra(left_out: str | None, name: str = "GPU-2") -> Make:
    """Return a scene with readings of a third device, listed as left out or not at all."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        third = rows.with_columns(device=pl.lit(name), value=VALUE * 0.2)
        return pl.concat([rows, third])

    def make() -> Tables:
        devices = [*GPUS]
        if left_out is not None:
            devices.append(Device(name=name, power_limit_w=LIMIT_W, left_out=left_out))
        return altered(spoilt(scene(), change), devices=devices)

    return make


def partitions() -> Tables:
    """The whole accelerator's counter in the row of each of its partitions."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([rows, rows.with_columns(device=pl.lit("GPU-1/MIG-1"))])

    devices = [*GPUS, Device(name="GPU-1/MIG-1")]
    return altered(spoilt(scene(), change), devices=devices)


def two_units() -> Tables:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        later = AT > 12
        return rows.with_columns(unit=pl.when(later).then(pl.lit("W")).otherwise(pl.col("unit")))

    return spoilt(scene(), change)


# -- the load's beat ---------------------------------------------------------------------------


def beating(step_ms: float, meter: str = "nvml-power", **fields: object) -> Make:
    """Return a scene with a decode step each ``step_ms`` and a sensor that sees 25 of 100 ms."""

    def make() -> Tables:
        step = round(step_ms * SECOND / 1000)

        def events(_l: str, _r: Sequence[int], start: int, end: int) -> NDArray[np.int64]:
            """40 a second, as in the scene, each at the end of its step."""
            return np.arange(start, end, SECOND // 40) // step * step

        share = fields or {"averaged_ms": 25.0, "seen_share": 0.25}
        return altered(replace(scene(), events=events), meter, **share)

    return make
