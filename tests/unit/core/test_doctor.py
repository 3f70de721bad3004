"""Each check against made-up machines: files, a fake NVML, fake programs on PATH."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import re
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from inferometer import cli, environment, inventory, packaged
from inferometer.doctor import host, limits, nvidia, software
from inferometer.doctor.check import Check, Finding, Probe, Site, made, ok
from inferometer.doctor.examination import examine
from inferometer.engine import Adapter, Requirements, Unsupported
from inferometer.plugins import Registry, Row

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
GIB = 2**30


def write(root: Path, **files: str) -> Path:
    """Write files; ``__`` in a name stands for ``/``."""
    for name, text in files.items():
        put(root, name.replace("__", "/"), text)
    return root


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def program(folder: Path, name: str, script: str) -> None:
    """Put an executable on the PATH that ``folder`` is."""
    put(folder, name, f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Return the only folder on PATH besides the shell's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    return folder


# -- one line each -----------------------------------------------------------------------


def test_a_probe_that_raises_or_exits_is_its_own_failed_line() -> None:
    def ends(_: Site) -> Finding:
        raise SystemExit(3)

    check = made(Probe("x", ends), Site())
    assert (check.id, check.status) == ("x", "fail")
    assert check.found == "could not be looked at: SystemExit: 3"
    assert check.remedy


def test_a_probe_that_hangs_is_left_behind() -> None:
    gone = threading.Event()

    def hangs(_: Site) -> Finding:
        gone.wait(20)
        return ok("late")

    began = time.monotonic()
    check = made(Probe("x", hangs), Site(), deadline_s=0.1)
    gone.set()
    assert time.monotonic() - began < 10
    assert check.status == "fail"
    assert check.found == "no answer within 0.1 s"


def test_words_of_others_are_cleaned_and_secrets_hidden() -> None:
    secret = "hf_" + "a" * 20
    check = made(Probe("x", lambda _: ok(f"\x1b[31mred {secret}")), Site())
    assert check.found == "red [hidden]"


# -- the machine -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look", "files", "status", "said"),
    [
        (host.governor, {}, "skip", "not told"),
        (host.governor, {"governor": "performance\n"}, "ok", "performance"),
        (host.governor, {"governor": "powersave\n"}, "warn", "powersave"),
        (host.busy, {"proc__loadavg": "0.01 0 0 1/2 3"}, "ok", "load average 0.01"),
        (host.busy, {"proc__loadavg": "999 0 0 1/2 3"}, "warn", "load average 999"),
        (host.busy, {}, "skip", "no /proc/loadavg"),
        (host.processor, {"sys__fs__cgroup__cpu.max": "max 100000"}, "ok", "cores"),
        (host.processor, {"sys__fs__cgroup__cpu.max": "50000 100000"}, "warn", "pays for 0.5"),
        (
            host.processor,
            {
                "sys__fs__cgroup__cpu__cpu.cfs_quota_us": "25000",
                "sys__fs__cgroup__cpu__cpu.cfs_period_us": "100000",
            },
            "warn",
            "pays for 0.25",
        ),
        (host.memory, {"sys__fs__cgroup__memory.max": "1073741824"}, "warn", "limited to 1.0 GiB"),
        (host.powercap, {}, "warn", "no RAPL package zone"),
        (host.powercap, {"sys__class__powercap__intel-rapl:0__energy_uj": "5"}, "ok", "1 RAPL"),
        (host.clock, {"source": "tsc\n"}, "ok", "source tsc"),
        (host.clock, {"source": "hpet\n"}, "warn", "source hpet"),
        (
            host.system,
            {".dockerenv": "", "etc__os-release": 'PRETTY_NAME="X"'},
            "ok",
            "in a docker",
        ),
    ],
)
def test_the_machine_is_read_from_files(
    look: Callable[[Site], Finding],
    files: dict[str, str],
    status: str,
    said: str,
    tmp_path: Path,
) -> None:
    long = {
        "governor": "sys__devices__system__cpu__cpu0__cpufreq__scaling_governor",
        "source": "sys__devices__system__clocksource__clocksource0__current_clocksource",
    }
    write(tmp_path, **{long.get(name, name): text for name, text in files.items()})
    found = look(Site(root=tmp_path))
    assert found.status == status, found
    assert said in found.found
    assert bool(found.remedy) == (status not in {"ok", "skip"})


def test_counters_that_only_root_may_read(tmp_path: Path, monkeypatch: Patch) -> None:
    write(tmp_path, **{"sys__class__powercap__intel-rapl:0__energy_uj": "5"})
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = host.powercap(Site(root=tmp_path))
    assert found.status == "warn"
    assert "chmod a+r" in found.remedy


def test_little_memory_and_used_swap(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=2 * GIB)
    )
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(total=4 * GIB, used=GIB))
    assert host.memory(Site(root=tmp_path))[:2] == ("warn", "2.0 GiB of 16.0 GiB available")
    assert host.swap(Site())[:2] == ("warn", "1.0 GiB of 4.0 GiB in use")


@pytest.mark.parametrize(
    ("state", "status"), [(None, "skip"), ((0x40, 16_000_000), "warn"), ((0x2001, 700), "ok")]
)
def test_the_time_service(state: object, status: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(host, "kernel_clock", lambda: state)
    assert host.time_service(Site()).status == status


def test_the_kernels_own_clock_state_has_a_sane_error() -> None:
    state = host.kernel_clock()
    assert state is None or 0 <= state[1] <= 100_000_000


def test_a_python_without_ensurepip(monkeypatch: Patch) -> None:
    assert host.python(Site()).status == "ok"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert host.python(Site()).status == "fail"


# -- limits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "status", "said"),
    [
        ("32768 60999", "ok", "28232 ephemeral ports from 32768"),
        ("32768 33767", "warn", "1000 ephemeral ports"),
        ("10000 60999", "warn", "may take the ports engines are given"),
    ],
)
def test_ports(span: str, status: str, said: str, tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/net/ipv4/ip_local_port_range", span)
    found = limits.port(Site(root=tmp_path))
    assert found.status == status
    assert said in found.found


def test_a_loopback_that_does_not_work(monkeypatch: Patch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    found = limits.port(Site())
    assert found.status == "fail"
    assert "127.0.0.1" in found.found


@pytest.mark.parametrize(
    ("soft", "hard", "status"),
    [
        (1024, 1024, "fail"),
        (1024, 1_048_576, "warn"),
        (65536, 65536, "ok"),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, "ok"),
    ],
)
def test_open_files(soft: int, hard: int, status: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    assert limits.descriptors(Site()).status == status


def test_shared_memory(tmp_path: Path, monkeypatch: Patch) -> None:
    site = Site(root=tmp_path)
    assert limits.shared_memory(site).status == "fail"
    (tmp_path / "dev" / "shm").mkdir(parents=True)
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: SimpleNamespace(free=60 << 20, total=64 << 20)
    )
    found = limits.shared_memory(site)
    assert found.status == "warn"
    assert "--shm-size" in found.remedy
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert limits.shared_memory(site).status == "fail"


def test_disks(tmp_path: Path, monkeypatch: Patch) -> None:
    site = Site(cache=tmp_path / "a" / "cache", results=tmp_path / "results")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 * GIB))
    assert limits.cache(site)[:2] == ("warn", f"5.0 GiB free for {site.cache}")
    assert limits.results(site).status == "ok"
    assert not site.results.exists()
    (tmp_path / "a").write_text("in the way")
    assert limits.cache(site).status == "fail"


# -- GPUs --------------------------------------------------------------------------------


class NVMLError(Exception):
    """As the real one: its text is the library's word."""


class Card:
    """One GPU's answers; an exception among them is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * GIB, used=GIB // 2),
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetComputeMode": 0,
            "nvmlDeviceGetFieldValues": 70_500,
            "nvmlDeviceGetPowerUsage": 71_000,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetCurrentClocksEventReasons": 1,
            "nvmlDeviceGetClockInfo": 345,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetComputeRunningProcesses": [],
        } | answers
        self.energy = 1000
        self.moves = True

    def __call__(self, name: str) -> Any:
        if name == "nvmlDeviceGetTotalEnergyConsumption" and name not in self.answers:
            self.energy += 35_000 * self.moves
            return self.energy
        value = self.answers[name]
        if isinstance(value, Exception):
            raise value
        if name == "nvmlDeviceGetFieldValues":
            return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=value))]
        return value


class Nvml:
    """A stand-in for the module: each function of a device is looked up in its card."""

    def __init__(self, *cards: Card, init: Exception | None = None) -> None:
        self.cards, self.init, self.open = cards, init, 0
        self.functions: dict[str, Any] = {
            "NVMLError": NVMLError,
            "_nvmlGetFunctionPointer": None,
            "nvmlInit": self.begin,
            "nvmlShutdown": self.end,
            "nvmlDeviceGetCount": lambda: len(cards),
            "nvmlDeviceGetHandleByIndex": lambda index: cards[index],
            "nvmlSystemGetDriverVersion": lambda: b"580.65.06",
            "nvmlSystemGetCudaDriverVersion": lambda: 13000,
        }

    def __getattr__(self, name: str) -> Any:
        if name in self.functions:
            return self.functions[name]
        if name.startswith("nvmlDevice"):
            return lambda card, *_: card(name)
        raise AttributeError(name)

    def begin(self) -> None:
        if self.init:
            raise self.init
        self.open += 1

    def end(self) -> None:
        self.open -= 1


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: Patch) -> Callable[[Any], dict[str, Check]]:
    """Return a function that examines a machine with this NVML."""
    monkeypatch.setattr(nvidia, "LEAST_LIFE_S", 0.01)
    put(tmp_path, "proc/driver/nvidia/version", "NVRM version: 580.65.06")

    def look(nvml: Any) -> dict[str, Check]:
        def load() -> Any:
            if isinstance(nvml, Exception):
                raise nvml
            return nvml

        site = Site(root=tmp_path, nvml=load)
        return {probe.id: made(probe, site) for probe in nvidia.probes()}

    return look


def test_sound_gpus(gpus: Callable[[Any], dict[str, Check]]) -> None:
    nvml = Nvml(Card(), Card())
    checks = gpus(nvml)
    assert {check.status for check in checks.values()} == {"ok"}
    assert checks["gpu-driver"].found == "NVIDIA driver 580.65.06, CUDA 13.0"
    assert checks["gpus"].found == "2 x NVIDIA H100 80GB HBM3, 80.0 GiB"
    assert checks["gpu-power"].found == "70 W, 70 W now, instant reading"
    assert nvml.open == 0, "the library is left as it was found"


@pytest.mark.parametrize(
    ("answers", "id_", "status", "said"),
    [
        ({"nvmlDeviceGetName": "NVIDIA L4"}, "gpus", "warn", "1 x NVIDIA H100"),
        ({"nvmlDeviceGetMigMode": [1, 1]}, "gpu-mig", "warn", "MIG is on: GPU 1"),
        ({"nvmlDeviceGetComputeMode": 3}, "gpu-compute-mode", "warn", "one process at a time"),
        ({"nvmlDeviceGetComputeMode": 2}, "gpu-compute-mode", "fail", "prohibited: GPU 1"),
        (
            {"nvmlDeviceGetTotalEnergyConsumption": NVMLError("Not Supported")},
            "gpu-energy",
            "warn",
            "no total energy counter (Not Supported): GPU 1",
        ),
        (
            {"nvmlDeviceGetTotalEnergyConsumption": 5},
            "gpu-energy",
            "warn",
            "did not move in 0.01 s: GPU 1",
        ),
        (
            {"nvmlDeviceGetPowerUsage": NVMLError("Insufficient Permissions")},
            "gpu-power",
            "warn",
            "no power reading (Insufficient Permissions): GPU 1",
        ),
        (
            {"nvmlDeviceGetEnforcedPowerLimit": 350_000},
            "gpu-power",
            "warn",
            "below the default: GPU 1",
        ),
        (
            {"nvmlDeviceGetFieldValues": NVMLError("Not Supported")},
            "gpu-power",
            "warn",
            "70 W, 71 W now; no instant power: GPU 1",
        ),
        (
            {"nvmlDeviceGetCurrentClocksEventReasons": 0x40 | 0x04},
            "gpu-clocks",
            "warn",
            "held back by heat (hardware), power cap",
        ),
        ({"nvmlDeviceGetPersistenceMode": 0}, "gpu-clocks", "warn", "persistence mode is off"),
        (
            {
                "nvmlDeviceGetCurrentClocksEventReasons": NVMLError("Function Not Found"),
                "nvmlDeviceGetCurrentClocksThrottleReasons": 0x80,
            },
            "gpu-clocks",
            "warn",
            "power brake",
        ),
        (
            {"nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=77)]},
            "gpu-processes",
            "warn",
            "GPU 1: 0.5 GiB, processes 77",
        ),
        (
            {"nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * GIB, used=40 * GIB)},
            "gpu-processes",
            "warn",
            "GPU 1: 40.0 GiB",
        ),
    ],
)
def test_a_gpu_that_is_not_sound_is_named(
    answers: dict[str, Any],
    id_: str,
    status: str,
    said: str,
    gpus: Callable[[Any], dict[str, Check]],
) -> None:
    checks = gpus(Nvml(Card(), Card(**answers)))
    assert checks[id_].status == status
    assert said in checks[id_].found
    assert checks[id_].remedy
    assert {check.status for name, check in checks.items() if name != id_} == {"ok"}


@pytest.mark.parametrize(
    ("nvml", "said", "remedy"),
    [
        (ImportError("no pynvml"), "nvidia-ml-py is not installed", "pip install nvidia-ml-py"),
        (SimpleNamespace(), "another distribution shadows", "pip uninstall pynvml"),
        (Nvml(init=NVMLError("NVML Shared Library Not Found")), "Not Found", "--gpus all"),
        (Nvml(init=NVMLError("NVML/RM version mismatch.")), "mismatch", "reboot"),
    ],
)
def test_a_driver_that_cannot_be_asked_is_one_failed_line(
    nvml: Any, said: str, remedy: str, gpus: Callable[[Any], dict[str, Check]]
) -> None:
    checks = gpus(nvml)
    assert checks["gpu-driver"].status == "fail"
    assert said in checks["gpu-driver"].found
    assert remedy in checks["gpu-driver"].remedy
    others = {check.found for name, check in checks.items() if name != "gpu-driver"}
    assert others == {"see gpu-driver"}


def test_a_driver_that_hangs_is_waited_for_once(
    gpus: Callable[[Any], dict[str, Check]], monkeypatch: Patch
) -> None:
    gone = threading.Event()
    nvml = Nvml(Card())
    monkeypatch.setattr(nvml, "nvmlInit", lambda: gone.wait(30))
    monkeypatch.setattr(made, "__defaults__", (0.2,))
    began = time.monotonic()
    checks = gpus(nvml)
    gone.set()
    assert time.monotonic() - began < 10
    assert checks["gpu-driver"].found == "no answer within 0.2 s"
    assert checks["gpus"].found == "see gpu-driver"


def test_the_library_has_every_function_that_is_called() -> None:
    nvml = importlib.import_module("pynvml")
    called = set(re.findall(r"nvml\.((?:_?nvml|NVML)\w+)", inspect.getsource(nvidia)))
    assert len(called) > 20
    assert [name for name in called if not hasattr(nvml, name)] == []
    assert hasattr(nvml, "_nvmlGetFunctionPointer")
    assert nvml.NVML_FI_DEV_POWER_INSTANT == nvidia.POWER_INSTANT
    assert nvml.NVML_CLOCK_SM == 1


def test_a_gpu_without_its_driver(tmp_path: Path) -> None:
    site = Site(root=tmp_path)
    probe = next(nvidia.probes())
    assert made(probe, site).found == "no NVIDIA GPU"
    bus = "sys/bus/pci/devices/0000:01:00.0"
    put(tmp_path, f"{bus}/vendor", "0x10de\n")
    put(tmp_path, f"{bus}/class", "0x040300\n")  # a GPU's sound
    assert made(next(nvidia.probes()), site).status == "skip"
    put(tmp_path, f"{bus}/class", "0x030200\n")
    check = made(next(nvidia.probes()), site)
    assert check.status == "fail"
    assert "modprobe nvidia" in check.remedy


def test_an_amd_gpu(tmp_path: Path, monkeypatch: Patch) -> None:
    site = Site(root=tmp_path)
    assert software.amd(site).status == "skip"
    put(tmp_path, "dev/kfd", "")
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    assert software.amd(site).status == "warn"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert software.amd(site).status == "ok"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert software.amd(site).status == "fail"


# -- containers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "gpu", "status", "said"),
    [
        ("""echo '{"ServerVersion": "28.2.2", "Runtimes": {"runc": {}}}'""", False, "ok", "28.2.2"),
        (
            """echo '{"ServerVersion": "28.2.2", "Runtimes": {"nvidia": {}}}'""",
            True,
            "ok",
            "with GPU support",
        ),
        (
            """echo '{"ServerVersion": "28.2.2", "Runtimes": {"runc": {}}}'""",
            True,
            "warn",
            "without GPU support",
        ),
        (
            """echo '{"ServerVersion": "", "ServerErrors": ["permission denied on the socket"]}'""",
            False,
            "warn",
            "permission denied",
        ),
        (
            """echo '{"ServerVersion": ""}'; echo 'Cannot connect to the daemon' >&2; exit 1""",
            False,
            "warn",
            "Cannot connect",
        ),
        ("echo broken >&2; exit 7", False, "warn", "docker info: broken"),
    ],
)
def test_docker(
    script: str, gpu: bool, status: str, said: str, *, path: Path, tmp_path: Path
) -> None:
    program(path, "docker", script)
    root = tmp_path / "root"
    if gpu:
        put(root, "proc/driver/nvidia/version", "x")
    found = software.docker(Site(root=root))
    assert found.status == status
    assert said in found.found
    assert bool(found.remedy) == (status == "warn")


def test_podman_needs_a_device_description_for_gpus(path: Path, tmp_path: Path) -> None:
    site = Site(root=tmp_path / "root")
    assert software.podman(site)[:2] == ("skip", "not installed")
    program(path, "podman", """echo '{"version": {"Version": "5.4.0"}}'""")
    assert software.podman(site)[:2] == ("ok", "podman 5.4.0")
    put(site.root, "proc/driver/nvidia/version", "x")
    assert "nvidia-ctk cdi generate" in software.podman(site).remedy
    put(site.root, "etc/cdi/nvidia.yaml", "x")
    assert software.podman(site)[:2] == ("ok", "podman 5.4.0, with GPU support")


def test_apptainer(path: Path) -> None:
    assert software.apptainer(Site()).status == "skip"
    program(path, "singularity", "echo singularity-ce version 4.3.0")
    assert software.apptainer(Site()).status == "skip"  # `container = "apptainer"` calls no other
    program(path, "apptainer", "echo apptainer version 1.4.5")
    assert "apptainer version 1.4.5" in software.apptainer(Site()).found
    program(path, "apptainer", "echo no squashfs >&2; exit 1")
    assert software.apptainer(Site()).status == "warn"


def test_a_program_that_hangs_is_killed(path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(software, "asked", asked_briefly)
    program(path, "docker", "exec /bin/sleep 60")
    began = time.monotonic()
    found = software.docker(Site())
    assert time.monotonic() - began < 20
    assert found.status == "warn"
    assert "did not end in time" in found.found


def asked_briefly(argv: Any) -> Any:
    from inferometer.doctor.check import asked  # noqa: PLC0415 -- the real one, not the patched

    return asked(argv, timeout_s=0.2)


# -- ours --------------------------------------------------------------------------------


class Engine(Adapter):
    """Installs one pin, or nothing."""

    name = "tiny"
    distributions = ("tiny",)

    def __init__(self, *, here: bool = True) -> None:
        self.here = here

    def requirements(self, platform: object) -> Requirements:
        if not self.here:
            raise Unsupported("tiny: not here", remedy="Elsewhere.")
        return Requirements(lock="a==1", distribution="tiny")


def test_environments(tmp_path: Path) -> None:
    site = Site(cache=tmp_path)
    look: Any = software._environment
    assert look(Engine(here=False), site) == Finding(
        "skip", "no environment here: tiny: not here", "Elsewhere."
    )
    assert look(Engine(), site)[:2] == ("skip", "not built")
    requirements = Engine().requirements(None)
    home = environment.home_of(requirements, environment.current_platform(), tmp_path)
    program(home / "venv-x" / "bin", "python", "echo '(3, 11)'")
    assert look(Engine(), site).status == "warn"
    (home / "complete.json").write_text('{"venv": "venv-x", "version": "2.0"}')
    assert look(Engine(), site).status == "ok"
    assert look(Engine(), site).found.startswith("2.0, 0.0 GiB in ")
    program(home / "venv-x" / "bin", "python", "echo no libpython >&2; exit 127")
    found = look(Engine(), site)
    assert found.status == "fail"
    assert "no libpython" in found.found
    assert "engines remove tiny" in found.remedy


def test_an_environment_that_takes_long_to_count_is_no_failure(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """80,000 files of an engine on a network's disk."""
    home = environment.home_of(
        Engine().requirements(None), environment.current_platform(), tmp_path
    )
    program(home / "venv-x" / "bin", "python", "echo '(3, 11)'")
    (home / "complete.json").write_text('{"venv": "venv-x", "version": "2.0"}')
    counted = threading.Event()
    monkeypatch.setattr(software, "SIZE_S", 0.05)
    monkeypatch.setattr(inventory, "size_bytes", lambda _: counted.wait(60) and 0)
    look: Any = software._environment
    found = made(
        Probe("engine-tiny", lambda site: look(Engine(), site)), Site(cache=tmp_path), 30.0
    )
    counted.set()
    assert (found.status, found.found) == ("ok", f"2.0, too many files to count, in {home}")


def test_a_tokenizer_gives_the_text_back(
    tmp_path: Path, path_of: Callable[[str], Path], monkeypatch: Patch
) -> None:
    site = Site(cache=tmp_path)
    assert software.tokenizer(site).status == "skip"
    monkeypatch.setattr(packaged, "available", lambda name, cache: tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(path_of("bytes").read_bytes())
    found = software.tokenizer(site)
    assert found.status == "ok"
    assert "from files alone" in found.found
    (tmp_path / "tokenizer.json").write_bytes(path_of("metaspace").read_bytes())
    assert software.tokenizer(site).status == "fail"
    (tmp_path / "tokenizer.json").write_text("{")
    assert made(Probe("tokenizer", software.tokenizer), site).status == "fail"


class Broken(Registry):
    """A registry with one broken plugin, and two engines of one name."""

    def report(self) -> list[Row]:
        return [
            Row(kind="plugin", name="x", distribution="d", version="1", module="m", problem="bad")
        ]

    def engines(self) -> dict[str, Any]:
        raise Unsupported("two plugins bring one name")


def test_broken_plugins_are_named_and_end_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(host, "PROBES", ())
    monkeypatch.setattr(limits, "PROBES", ())
    checks = {check.id: check for check in examine(Site(root=tmp_path, registry=Broken([])))}
    assert checks["plugins"].status == "fail"
    assert "plugin x (m): bad" in checks["plugins"].found
    assert checks["engines"].found == "two plugins bring one name"


def test_a_plugin_that_hangs_is_waited_for_and_left_behind(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    gone = threading.Event()

    class Hanging(Registry):
        def engines(self) -> dict[str, Any]:
            gone.wait(30)
            return {}

    monkeypatch.setattr(host, "PROBES", ())
    monkeypatch.setattr(limits, "PROBES", ())
    monkeypatch.setattr("inferometer.doctor.examination.DEADLINE_S", 0.2)
    checks = {check.id: check for check in examine(Site(root=tmp_path, registry=Hanging([])))}
    gone.set()
    assert checks["engines"].found == "no answer within 0.2 s"


# -- the command -------------------------------------------------------------------------


def examined(*checks: Check, monkeypatch: Patch) -> None:
    monkeypatch.setattr("inferometer.doctor.examination.examine", lambda _: iter(checks))


FINE = Check(id="clock", status="ok", found="monotonic")
BAD = Check(id="disk", status="fail", found="x" * 30 + " full.", remedy="Free some. " * 5)
ODD = Check(id="swap", status="warn", found="used", remedy="Free it.")
NONE = Check(id="gpus", status="skip", found="no NVIDIA GPU")


def test_each_line_has_a_word_and_the_remedy(capsys: Capture, monkeypatch: Patch) -> None:
    examined(FINE, ODD, NONE, monkeypatch=monkeypatch)
    assert cli.main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "OK    clock                 monotonic",
        "WARN  swap                  used. Free it.",
        "-     gpus                  no NVIDIA GPU",
    ]
    assert err == "1 OK, 1 WARN, 0 FAIL\n"


def test_a_failed_check_ends_with_6_and_every_line_fits(
    capsys: Capture, monkeypatch: Patch
) -> None:
    examined(FINE, BAD, monkeypatch=monkeypatch)
    assert cli.main(["doctor"]) == 6
    out, err = capsys.readouterr()
    assert "FAIL  disk" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "error: 1 of 2 checks failed" in err


def test_json_is_one_object_with_the_same_keys_for_every_check(
    capsys: Capture, monkeypatch: Patch
) -> None:
    examined(FINE, BAD, NONE, monkeypatch=monkeypatch)
    assert cli.main(["doctor", "--json"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"schema", "checks"}
    assert document["schema"] == 1
    assert [list(check) for check in document["checks"]] == [
        ["id", "status", "found", "remedy"]
    ] * 3


def test_every_check_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "doctor.md"
    rows = re.findall(r"^\| `([\w-]+)` \|.*\|$", page.read_text(), re.MULTILINE)
    probes = [*host.PROBES, *limits.PROBES, *nvidia.probes(), *software.PROBES]
    assert rows == [*(probe.id for probe in probes), "engine-NAME"]


def test_this_machine_is_examined_and_left_as_it_was(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor", "--json"]) in {0, 6}
    checks = json.loads(capsys.readouterr().out)["checks"]
    ids = [check["id"] for check in checks]
    assert len(ids) == len(set(ids)) >= 30
    assert {"clock", "rapl", "gpu-energy", "docker", "plugins", "engine-vllm"} <= set(ids)
    assert not any("could not be looked at" in check["found"] for check in checks)
    assert not any("no answer" in check["found"] for check in checks)
    assert all(check["remedy"] for check in checks if check["status"] in {"warn", "fail"})
    assert list(tmp_path.iterdir()) == []
