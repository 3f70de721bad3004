"""The machine's description: complete where it can be read, silent about people."""

from __future__ import annotations

import getpass
import json
import platform
import time
from pathlib import Path

import pytest

from inferometer import provenance

CPUINFO = "model name\t: Fast CPU\nflags\t\t: fpu avx2 avx512f hypervisor\n"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/cpuinfo", CPUINFO)
    write(tmp_path, "proc/sys/kernel/random/boot_id", "0000-boot\n")
    write(
        tmp_path, "proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t H200\nIRQ: 1\n"
    )
    version = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n"
    write(tmp_path, "proc/driver/nvidia/version", f"{version}GCC version:  gcc version 12.3.0\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    write(tmp_path, "sys/fs/cgroup/memory.max", str(2 * 2**30))
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    write(tmp_path, "etc/os-release", 'NAME="D"\nPRETTY_NAME="Debian 12"\n')
    write(tmp_path, "proc/self/cgroup", "0::/system.slice/docker-abc.scope\n")
    return tmp_path


def test_a_machine_is_described(root: Path) -> None:
    host = provenance.describe_host(root)
    expected = {
        "cpu_model": "Fast CPU",
        "cpu_flags": ["avx2", "avx512f"],
        "cores_quota": 1.5,
        "memory_gib": 2,
        "gpus": ["H200"],
        "gpu_driver": "570.86.15",
        "os": "Debian 12",
        "governor": "performance",
        "hypervisor": True,
        "container": "docker",
    }
    assert {key: host[key] for key in expected} == expected
    assert host["cores"] >= 1
    assert len(host["boot_sha256"]) == 64


def test_an_amd_driver_is_known_too(tmp_path: Path) -> None:
    write(tmp_path, "sys/module/amdgpu/version", "6.12.12\n")
    assert provenance.describe_host(tmp_path)["gpu_driver"] == "6.12.12"


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    host = provenance.describe_host(tmp_path)
    assert [host[key] for key in ("cores_quota", "governor", "container", "boot_sha256")] == [
        None
    ] * 4
    assert host["gpus"] == []
    assert host["cpu_flags"] == []


def test_nothing_names_a_person_or_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    host = provenance.describe_host()
    assert set(host) == {
        *("cpu_model", "cpu_flags", "cores", "cores_quota", "memory_gib", "gpus", "gpu_driver"),
        *("os", "kernel"),
        *("machine", "governor", "hypervisor", "container", "boot_sha256", "python"),
        "inferometer_version",
    }
    assert "hf_secret" not in json.dumps(host)
    assert not {platform.node(), getpass.getuser()} & {str(value) for value in host.values()}
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    assert boot_id.read_text().strip() not in json.dumps(host)


def test_only_a_different_machine_has_a_different_hash(root: Path) -> None:
    host = provenance.describe_host(root)
    same = {**host, "kernel": "other", "governor": None, "boot_sha256": "x", "python": "3.99"}
    assert provenance.host_sha256(same) == provenance.host_sha256(host)
    for key in provenance.IDENTITY:
        assert provenance.host_sha256({**host, key: "other"}) != provenance.host_sha256(host)


def test_the_clock_pair_dates_the_monotonic_clock() -> None:
    pair = provenance.clock_pair()
    assert abs(pair["wall_ns"] - time.time_ns()) < 5e9
    assert abs(pair["monotonic_ns"] - time.monotonic_ns()) < 5e9
