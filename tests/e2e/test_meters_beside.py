"""A meter with a sensor, read before the engine, without load, and at a window's edges."""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, ClassVar

import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import text_of
from tests.studies import oracle

from inferometer.hooks import GROUP
from inferometer.plugins import Registry
from inferometer.records import Condition, MeterInfo, Reading
from inferometer.store import Store, readings

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.meter import EnergyMeter, MeterContext, MeterSession

pytestmark = pytest.mark.usefixtures("cache")


class Ticking:
    """A counter of 50 W that ticks every 100 ms, and a thermometer."""

    name = "ticking"
    options: ClassVar[dict[str, type]] = {}

    def __init__(self) -> None:
        self.contexts: list[MeterContext] = []

    def info(self, context: MeterContext) -> MeterInfo:
        self.contexts.append(context)
        return MeterInfo(
            name=self.name,
            scope="L0",
            kind="measured",
            method="test",
            instrument="counter",
            update_ms=100.0,
            period_s=0.1,
        )

    def open(self, context: MeterContext) -> MeterSession:
        return self

    def read(self) -> list[Reading]:
        now_ns = time.monotonic_ns()
        value = now_ns // 100_000_000 * 5.0
        return [Reading(meter=self.name, device="d", t_ns=now_ns, value=value, unit="J")]

    def conditions(self) -> list[Condition]:
        now_ns = time.monotonic_ns()
        return [Condition(meter=self.name, device="d", t_ns=now_ns, temperature_c=40.0)]

    def close(self) -> None:
        return


class WithTicking(Registry):
    ticking = Ticking()

    def meters(self) -> dict[str, EnergyMeter]:
        return {**super().meters(), "ticking": self.ticking}


def test_a_measuring_meter_is_read_before_at_and_between_loads(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(
        model_files,
        engines=[oracle("--itl-ms", "4")],
        meters=[{"name": "ticking"}],
        idle_s=0.5,
        probe=True,
    )
    own = EntryPoint(name="oracle", value="inferometer.testing.engine", group=GROUP)
    measure(text, tmp_path / "results", WithTicking([*entry_points(group=GROUP), own]))
    store = Store(tmp_path / "results")
    for record in store.launches():
        assert [idle.state for idle in record.idles] == ["bare", "loaded"]
        bare, loaded = record.idles
        (window,) = record.windows
        assert bare.end_ns < loaded.start_ns < loaded.end_ns < window.start_ns
        rows = readings(store.folder(record.id))
        for stretch in (bare, loaded, window):
            inside = [row for row in rows if stretch.start_ns <= row.t_ns <= stretch.end_ns]
            ticks = [row for row in inside if row.since_ns is not None]
            assert len(ticks) >= 2
            for row in ticks:
                assert (row.since_ns or 0) < row.value / 5 * 100_000_000 <= row.t_ns
        conditions = (store.folder(record.id) / "conditions.jsonl").read_text().splitlines()
        assert len(conditions) >= 3
    _, before, behind = WithTicking.ticking.contexts[:3]  # the first one looks at options
    assert (before.session_id, before.pids) == (None, None)
    assert behind.session_id is not None
    assert behind.accelerators == before.accelerators == 1
