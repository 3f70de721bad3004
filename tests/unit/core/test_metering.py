"""Meters of a launch: what they are told, what is opened, and what is read before the load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
from msgspec import UNSET, UnsetType
from tests.programs import until

from inferometer import store
from inferometer.engine import LaunchSpec, Platform
from inferometer.errors import LaunchError, MachineError
from inferometer.meter import MeterContext
from inferometer.metering import (
    Sampler,
    Usage,
    allot,
    broken,
    bystanders,
    chosen_meters,
    idle_length_s,
    idle_s,
    meter_context,
    opened,
    rest,
    rest_bare,
)
from inferometer.processes import Session as Processes
from inferometer.records import MeterInfo, Reading, Window
from inferometer.study import MeterEntry, Protocol
from inferometer.watch import Fault, Opened, Watch

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.meter import MeterSession


BROKEN: dict[str, Exception] = {"info": KeyError("driver")}
INFO = MeterInfo(name="m", scope="L0", kind="measured", method="", period_s=0.02)


class Session:
    """A counter that gains 1 J at every look."""

    def __init__(self) -> None:
        self.reads = 0
        self.closed = False

    def read(self) -> list[Reading]:
        self.reads += 1
        now = time.monotonic_ns()
        return [Reading(meter="m", device="d", t_ns=now, value=float(self.reads), unit="J")]

    def close(self) -> None:
        self.closed = True


@dataclass
class Meter:
    """Remembers what it was asked; ``broken`` is raised by ``info`` or ``open``."""

    name: str = "m"
    known: MeterInfo = INFO
    broken: dict[str, Exception] = field(default_factory=dict)
    options: dict[str, type] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)

    def info(self, context: MeterContext) -> MeterInfo:
        if "info" in self.broken:
            raise self.broken["info"]
        return self.known

    def open(self, context: MeterContext) -> MeterSession:
        if "open" in self.broken:
            raise self.broken["open"]
        self.sessions.append(Session())
        return self.sessions[-1]


def open_all(*meters: Meter, elsewhere: str = "") -> list[Opened]:
    context = MeterContext(session_id=None, cpu_seconds=float)
    return opened([(MeterEntry(name=m.name), m) for m in meters], lambda _: context, elsewhere)


def test_meters_memory_and_processors_are_looked_at_together() -> None:
    began = time.monotonic()
    with Sampler(open_all(meter := Meter()), os.getsid(0)) as sampler:
        assert until(lambda: meter.sessions[0].reads >= 10 and len(sampler.usage) >= 2, 60)
    assert len(sampler.watch.readings) >= 10
    assert meter.sessions[0].closed
    assert (sampler.peak_memory_bytes or 0) > 0
    times = [seen.t_ns for seen in sampler.usage]
    assert len(times) <= (time.monotonic() - began) / 0.5 + 2  # from the first on, and the last
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("where", "error", "reason"),
    [
        ("info", KeyError("driver"), "failed"),
        ("open", OSError("no such device"), "failed"),
        ("open", PermissionError("root only"), "no_permission"),
        ("open", MachineError("the device is gone"), "failed"),
    ],
)
def test_a_plugin_that_breaks_when_it_is_opened_is_named(
    where: str, error: Exception, reason: str
) -> None:
    bad, good = open_all(Meter(broken={where: error}), Meter(name="good"))
    assert bad.session is None
    assert bad.info.reason == reason
    assert str(error) in bad.info.detail
    assert good.session is not None


@pytest.mark.parametrize("said", [None, msgspec.structs.replace(INFO, period_s="often")])
def test_a_meter_that_says_what_is_no_record_ends_alone(said: MeterInfo) -> None:
    first, second = open_all(Meter(), Meter(name="odd", known=said))
    assert (first.info.reason, first.session is None) == (None, False)
    assert (second.info.name, second.info.reason, second.session) == ("odd", "failed", None)


def test_what_a_meter_says_is_stored_without_secrets() -> None:
    words = "401 for Bearer hunter2"
    known = msgspec.structs.replace(INFO, reason="no_permission", detail=words, method=words)
    (found,) = open_all(Meter(known=known))
    assert (found.info.detail, found.info.method) == ("401 for [hidden]", "401 for [hidden]")


def test_what_a_meter_says_is_stored_to_a_length() -> None:
    known = msgspec.structs.replace(INFO, reason="failed", detail="x" * 5000)
    (told,) = open_all(Meter(known=known))
    assert told.info.detail == "x" * 2000 + " [cut: 5000 characters]"


def test_a_meter_with_a_reason_is_not_opened() -> None:
    absent = Meter(known=msgspec.structs.replace(INFO, reason="no_sensor"))
    (found,) = open_all(absent)
    assert (found.session, absent.sessions) == (None, [])
    (found,) = open_all(there := Meter(), elsewhere="runs on another machine")
    assert (found.info.reason, there.sessions) == ("no_sensor", [])


def test_a_meter_that_breaks_before_anything_runs_is_refused_by_name() -> None:
    meter = Meter(broken=BROKEN)
    with pytest.raises(MachineError, match="meter 'm' broke: KeyError"):
        chosen_meters([MeterEntry(name="m")], {"m": meter})


def test_what_went_wrong_stands_with_the_meter() -> None:
    watch = Watch([])
    assert broken(INFO, watch) is INFO
    watch.remarks["m"] = "conditions were read no longer"
    assert broken(INFO, watch).detail == "conditions were read no longer"
    assert broken(INFO, watch).reason is None
    watch.faults["m"] = Fault("bad_reading", "nan")
    assert (broken(INFO, watch).reason, broken(INFO, watch).detail) == ("bad_reading", "nan")


# -- what a meter may look at ----------------------------------------------------------------------


def platform(accelerator: Literal["cpu", "cuda", "rocm"]) -> Platform:
    return Platform(system="linux", machine="x86_64", python="3.11", accelerator=accelerator)


@pytest.mark.parametrize(
    ("accelerator", "variables", "visible"),
    [
        ("cuda", {"CUDA_VISIBLE_DEVICES": "2,3", "ROCR_VISIBLE_DEVICES": "0"}, "2,3"),
        ("cuda", {"CUDA_VISIBLE_DEVICES": ""}, ""),  # it sees none
        ("cuda", {}, None),
        ("rocm", {"HIP_VISIBLE_DEVICES": "1"}, "1"),
        ("rocm", {"HIP_VISIBLE_DEVICES": "0", "ROCR_VISIBLE_DEVICES": "4"}, "4"),
        ("cpu", {"CUDA_VISIBLE_DEVICES": "0"}, None),
    ],
)
def test_a_meter_is_told_what_the_engine_was_given(
    accelerator: Literal["cpu", "cuda", "rocm"], variables: dict[str, str], visible: str | None
) -> None:
    spec = LaunchSpec(tensor_parallel_size=2, pipeline_parallel_size=3, data_parallel_size=2)
    allotted = allot(platform(accelerator), variables, spec)
    context = meter_context(MeterEntry(name="m"), os.getsid(0), platform(accelerator), allotted)
    assert context.visible_devices == visible
    assert context.accelerators == 12
    assert context.pids is not None
    assert os.getpid() in context.pids()


@pytest.mark.parametrize(
    ("flags", "variables", "visible"),
    [
        ("--gpus device=3", {}, "3"),
        ("--gpus=device=3", {"CUDA_VISIBLE_DEVICES": "0"}, "3"),
        ('--gpus "device=6,2"', {"CUDA_VISIBLE_DEVICES": "1"}, "6"),  # numbered in their order
        ('--gpus "device=6,2"', {"CUDA_VISIBLE_DEVICES": "1,0"}, "2,6"),
        ('--gpus "device=6,2"', {"CUDA_VISIBLE_DEVICES": "0,2,1"}, "2"),  # there are two
        ('--gpus "device=6,2"', {"CUDA_VISIBLE_DEVICES": ""}, ""),
        ("--gpus 2", {}, "0,1"),
        ("--gpus count=2,capabilities=utility", {"CUDA_VISIBLE_DEVICES": "1"}, "1"),
        ("--gpus all", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("--gpus driver=nvidia,count=-1", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("--gpus 9999999999999", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("--gpus device=", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("--gpus", {}, None),
        ("--device nvidia.com/gpu=4 --device nvidia.com/gpu=5", {}, "4,5"),
        ("--device /dev/infiniband", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ('--gpus "device=GPU-b,GPU-a"', {"CUDA_VISIBLE_DEVICES": "GPU-a"}, "GPU-a"),
        ('--gpus "device=GPU-b,GPU-a"', {"CUDA_VISIBLE_DEVICES": "0,1"}, "GPU-b,GPU-a"),
        ('--gpus "device=GPU-b,GPU-a"', {"CUDA_VISIBLE_DEVICES": "1"}, "1 of GPU-b GPU-a"),
        ("--env CUDA_VISIBLE_DEVICES=7", {"CUDA_VISIBLE_DEVICES": "0"}, "7"),
        ("--ulimit memlock=-1 -e CUDA_VISIBLE_DEVICES=0 --gpus device=5", {}, "5"),
    ],
)
def test_a_meter_is_told_which_of_the_machine_s_gpus_a_container_sees(
    flags: str, variables: dict[str, str], visible: str | None
) -> None:
    allotted = allot(platform("cuda"), variables, LaunchSpec(), flags.split())
    assert allotted.visible_devices == visible


def test_before_there_is_an_engine_nothing_is_known_of_its_processes() -> None:
    context = meter_context(MeterEntry(name="m"), None, platform("cuda"))
    assert (context.pids, context.visible_devices, context.accelerators) == (None, None, None)


# -- stretches without load ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "kinds", "seconds"),
    [
        (UNSET, ["declared", "measured"], 10.0),
        (UNSET, ["declared", "estimated"], 0.0),  # they see no difference
        (UNSET, [], 0.0),
        (3.0, ["estimated"], 3.0),
        (0.0, ["measured"], 0.0),
        (3.0, [], 0.0),
    ],
)
def test_idle_stretches_are_for_meters_that_measure(
    asked: float | UnsetType, kinds: list[str], seconds: float
) -> None:
    infos = [msgspec.structs.replace(INFO, kind=kind) for kind in kinds]
    blind = msgspec.structs.replace(INFO, reason="no_permission")
    assert idle_s(Protocol(idle_s=asked), [*infos, blind]) == seconds


def test_their_length_is_told_before_there_is_an_engine() -> None:
    meters = [(MeterEntry(name="m"), Meter()), (MeterEntry(name="n"), Meter(broken=BROKEN))]
    assert idle_length_s(Protocol(), meters, platform("cpu")) == 10.0
    assert idle_length_s(Protocol(), meters[1:], platform("cpu")) == 0.0
    assert idle_length_s(Protocol(idle_s=0.0), meters, platform("cpu")) == 0.0


def test_a_stretch_without_load_is_read_as_a_window_is(tmp_path: Path) -> None:
    said: list[str] = []
    meters = open_all(meter := Meter())
    (idle,) = rest_bare(meters, Protocol(idle_s=0.2), tmp_path, said.append)
    assert idle.state == "bare"
    assert idle.end_ns - idle.start_ns == 200_000_000
    assert said == ["idle, before the engine starts"]
    times = [row.t_ns for row in store.readings(tmp_path)]
    assert times[0] < idle.start_ns  # something was let die down
    assert times[-1] >= idle.end_ns
    assert meter.sessions[0].closed


def test_without_such_stretches_meters_are_closed_and_nothing_is_kept(tmp_path: Path) -> None:
    meters = open_all(meter := Meter())
    assert rest_bare(meters, Protocol(idle_s=0.0), tmp_path, print) == []
    assert meter.sessions[0].closed
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_dies_while_it_is_idle_is_a_failed_launch() -> None:
    with Watch([]) as watch, pytest.raises(LaunchError, match="it died"):
        rest("loaded", 60.0, watch, lambda: "it died")


# -- what else ran ---------------------------------------------------------------------------------


def window(start_s: float, end_s: float, client_cpu_s: float = 0.0) -> Window:
    return Window(
        load_point=0,
        workload="w",
        load="l",
        start_ns=round(start_s * 1e9),
        end_ns=round(end_s * 1e9),
        discarded_ns=0,
        work_sha256="",
        prompts=1,
        client_cpu_s=client_cpu_s,
        loop_lag_p99_ms=0.0,
        send_lag_p99_ms=0.0,
    )


def test_what_neither_engine_nor_client_used_was_used_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    usage = [Usage(round(t * 1e9), 100 + 3.0 * t, 7 + 2.0 * t) for t in (0, 1, 2, 12, 13)]
    # 3 of 4 processors are busy: 2 with the engine, 0.5 with the client, 0.5 with something else
    assert bystanders(window(2, 12, 5.0), usage).others_cpu_share == pytest.approx(0.125)
    assert bystanders(window(2.5, 11.5, 4.5), usage).others_cpu_share == pytest.approx(0.125)
    assert bystanders(window(2, 14), usage).others_cpu_share is None  # nothing seen after its end


def test_a_busy_stranger_is_seen() -> None:
    # the engine is no session of these tests: another test's child that computed for long adds
    # all of that to them at the moment when it is waited for
    engine = subprocess.Popen(["sleep", "600"], start_new_session=True)
    busy = [sys.executable, "-c", "while True: pass"]
    stranger = subprocess.Popen(busy, start_new_session=True)
    its = Processes(stranger.pid)
    try:
        with Sampler([], engine.pid) as sampler:
            assert until(lambda: len(sampler.usage) >= 2, 60.0)
            start, before = time.monotonic(), its.cpu_seconds()
            assert until(lambda: its.cpu_seconds() - before >= 0.5, 60.0)
            end = time.monotonic()
    finally:
        for process in (engine, stranger):
            process.kill()
            process.wait()
    share = bystanders(window(start, end), sampler.usage).others_cpu_share
    assert share is not None
    # over a look more on either side
    seen = [look.t_ns for look in sampler.usage]
    first = max(at for at in seen if at <= round(start * 1e9))
    last = min(at for at in seen if at >= round(end * 1e9))
    assert share * (os.cpu_count() or 1) * (last - first) * 1e-9 >= 0.45


def test_a_server_whose_processes_cannot_be_seen_has_no_memory_and_no_usage() -> None:
    with Sampler(open_all(meter := Meter()), None) as sampler:
        time.sleep(0.05)
    assert meter.sessions[0].reads >= 2
    assert (sampler.peak_memory_bytes, sampler.usage) == (None, [])
