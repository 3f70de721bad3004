"""The load before the first load point, and the wait behind the last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inferometer import cooling
from inferometer.engine import Platform
from inferometer.errors import LaunchError
from inferometer.loadgen import soak as loads
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, Target, soaked
from inferometer.loadgen.soak import Patience, settled
from inferometer.plan import LoadPoint
from inferometer.records import Condition, Cooling, LaunchRecord, MeterInfo
from inferometer.soak import hottest, soak_s
from inferometer.store import Store
from inferometer.study import LoadEntry, Protocol, WorkloadEntry
from inferometer.testing.oracle import Options, Oracle
from inferometer.watch import Opened

if TYPE_CHECKING:
    from pathlib import Path

WORK = WorkloadEntry(name="w", input_tokens=32, output_tokens=8)


def test_a_soak_is_where_there_is_an_accelerator_or_where_it_is_asked_for() -> None:
    assert soak_s(Protocol(), "cpu") == 0
    assert soak_s(Protocol(), "cuda") == 20
    assert soak_s(Protocol(soak_s=0.0), "cuda") == 0
    assert soak_s(Protocol(soak_s=45.0), "cpu") == 45


def test_it_runs_at_the_closed_load_of_most_streams() -> None:
    loads = [LoadEntry(concurrency=4), LoadEntry(rate=900), LoadEntry(concurrency=32)]
    points = [LoadPoint(index=i, workload=WORK, load=load) for i, load in enumerate(loads)]
    assert hottest(points) == points[2]
    assert hottest(points[1:2]) is None


def test_rates_have_settled_when_three_agree_and_the_least_time_is_over() -> None:
    assert settled([100, 104, 105], 15)
    assert not settled([100, 104, 106], 15)
    assert not settled([100, 100, 100], 20)
    assert settled([50, 100, 104, 105], 20)
    assert not settled([105, 104, 90], 15)
    assert not settled([0, 0, 0], 15)
    assert not settled([100, 100], 5)


def source(index: int) -> Body:
    request = {"prompt": [index, 1, 2], "max_tokens": 10, "stream": True}
    return Body(msgspec.json.encode(request), index, 3, 10)


PLAN = LoadPlan(concurrency=4, spread=0.5)


def test_a_steady_server_is_loaded_until_its_rates_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "LOOK_S", 0.5)
    monkeypatch.setattr(loads, "WITHIN", 0.5)  # a busy machine disturbs half seconds
    with Oracle(Options(ttft_ms=20, itl_ms=20)) as oracle:
        seen = soaked(Target("127.0.0.1", oracle.port), source, PLAN, Patience(2.0, 9.0), Hooks())
    assert seen.settled
    assert 4 <= len(seen.rates) < 18
    assert seen.seconds >= 0.5 * len(seen.rates) - 0.1
    # 4 streams of 10 tokens, and a last event or two, in 200 ms
    assert 50 < seen.rates[-1] < 400


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "LOOK_S", 0.1)
    monkeypatch.setattr(loads, "WITHIN", -1.0)
    with Oracle(Options(ttft_ms=1, itl_ms=1)) as oracle:
        seen = soaked(Target("127.0.0.1", oracle.port), source, PLAN, Patience(0.2, 0.5), Hooks())
        sent = len(oracle.truth)
    assert not seen.settled
    assert 1 <= len(seen.rates) <= 5
    assert seen.seconds > 0.4
    assert sent > 5 + 4


def test_a_server_that_dies_in_it_is_gone() -> None:
    with Oracle(Options(ttft_ms=5)) as oracle:
        hooks = Hooks(should_stop=lambda: "exit code 9" if len(oracle.truth) > 10 else None)
        with pytest.raises(LaunchError, match="exit code 9"):
            soaked(Target("127.0.0.1", oracle.port), source, PLAN, Patience(20, 20), hooks)


# -- cooling down ------------------------------------------------------------------------


class Sensor:
    """Says the temperatures given, one list after the other."""

    def __init__(self, *said: dict[str, float | None]) -> None:
        self.said = list(said)

    def read(self) -> list[Any]:
        return []

    def conditions(self) -> list[Condition]:
        now = self.said.pop(0)
        return [Condition(meter="m", device=d, t_ns=1, temperature_c=c) for d, c in now.items()]

    def close(self) -> None:
        pass


def meter(session: Any, scope: Any = "L0") -> Opened:
    return Opened(MeterInfo(name="m", scope=scope, kind="measured", method=""), session)


def test_temperatures_are_those_of_accelerators() -> None:
    gpus = meter(Sensor({"GPU-0": 40.0, "GPU-1": 51.5, "GPU-2": None}))
    package = meter(Sensor({"package-0": 70.0}), "L1")
    broken = meter(SimpleNamespace(conditions=lambda: 1 / 0, read=list, close=list))
    silent = meter(SimpleNamespace(read=list, close=list))
    assert cooling.temperatures([package, broken, silent, Opened(gpus.info), gpus]) == {
        "GPU-0": 40.0,
        "GPU-1": 51.5,
    }


def heat(*said: dict[str, float], start: dict[str, float], until: dict[str, float]) -> cooling.Heat:
    rest = list(said)
    return cooling.Heat(start, until, lambda: rest.pop(0))


def test_a_launch_waits_until_no_device_is_three_degrees_warmer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cooling, "LOOK_S", 0.01)
    stages: list[str] = []
    said = ({"a": 60.0, "b": 40.0}, {"a": 43.5, "b": 40.0}, {"a": 43.0, "b": 30.0})
    found = heat(*said, start={"a": 42.0}, until={"a": 40.0}).cool_down(stages.append)
    assert found is not None
    assert (found.start_c, found.end_c, found.warm) == ({"a": 42}, {"a": 43, "b": 30}, [])
    assert found.seconds >= 0.02
    assert stages == ["cooling down"] * 2


def test_it_waits_no_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooling, "MOST_S", 0.0)
    found = heat({"a": 60}, start={"a": 40}, until={"a": 40}).cool_down(print)
    assert found is not None
    assert found.warm == ["a"]


def test_without_temperatures_nothing_is_waited_for() -> None:
    assert heat(start={}, until={}).cool_down(print) is None


class Meter:
    """A meter of an accelerator as warm as its list says."""

    name = "m"

    def __init__(self, *said: float) -> None:
        self.said = list(said)

    def info(self, _context: object) -> MeterInfo:
        return meter(None).info

    def open(self, _context: object) -> Sensor:
        return Sensor({"GPU-0": self.said.pop(0)})


def record(round_: int, position: int, end_c: float | None) -> LaunchRecord:
    seen = None if end_c is None else Cooling(seconds=0, start_c={}, end_c={"GPU-0": end_c})
    return LaunchRecord(
        id=f"r{round_}-{position}",
        plan_sha256="",
        round=round_,
        position=position,
        stack={},
        model={},
        status="ok",
        started_ns=0,
        ended_ns=1,
        cooling=seen,
    )


def test_the_measure_is_the_first_launch_of_the_round_also_when_resumed(tmp_path: Path) -> None:
    results: Any = SimpleNamespace(
        each=lambda _: [record(0, 5, 30.0), record(1, 7, 35.0), record(1, 6, None)],
        failures=lambda: [record(1, 4, 33.0)],
    )
    prepared: Any = SimpleNamespace(
        platform=Platform(system="linux", machine="x86_64", python="3.11", accelerator="cuda"),
        stacks={"s": SimpleNamespace(environment=None)},
    )
    entry: Any = SimpleNamespace(name="m", options={})

    def seen(protocol: Protocol, round_: int, store: Any = results) -> cooling.Heat:
        meters: Any = [(entry, Meter(44.0))]
        launch: Any = SimpleNamespace(stack="s", round=round_)
        return cooling.heat(protocol, prepared, meters, store, launch)

    assert seen(Protocol(), 1).start_c == {"GPU-0": 44.0}
    assert seen(Protocol(), 1).until_c == {"GPU-0": 33.0}
    assert seen(Protocol(), 2).until_c == {"GPU-0": 44.0}
    assert seen(Protocol(), 0, Store(tmp_path)).until_c == {"GPU-0": 44.0}
    assert seen(Protocol(soak_s=0.0), 1).start_c == {}
    prepared.platform = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")
    assert seen(Protocol(), 1).start_c == {}
