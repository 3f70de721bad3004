"""What the NVIDIA management library says of the GPUs, asked once, and what follows from it.

Source of names and units: NVML's header (energy in mJ, power in mW, memory in bytes). Reading
needs no privilege; what a card or a container does not give is an answer like any other.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inferometer.doctor.check import Probe, fail, gib, ok, skip, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inferometer.doctor.check import Finding, Site

VENDOR = "0x10de"
DISPLAY = ("0x0300", "0x0302")
"""PCI classes of GPUs: with and without a display output."""
POWER_INSTANT = 186
"""``NVML_FI_DEV_POWER_INSTANT``: not averaged over a second, unlike the power reading."""
LEAST_LIFE_S = 0.5
"""The energy counter is looked at twice so far apart; drivers move it every 0.1 s or so."""
BUSY_BYTES = 2 << 30
"""Memory in use on an idle data-centre GPU is far below."""
SLOWED = {
    0x02: "clocks are locked or set",
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
"""Bits of the clock event reasons that slow a GPU down; idle and sync boost do not count."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A question that this GPU or driver does not answer, with NVML's word for it."""

    why: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; ``values`` has an answer or a :class:`Refused` for each of :data:`QUESTIONS`."""

    index: int
    values: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """Return the answer, or None where it was refused."""
        value = self.values[name]
        return None if isinstance(value, Refused) else value

    def why(self, name: str) -> str:
        """Return why there is no answer."""
        value = self.values[name]
        return value.why if isinstance(value, Refused) else ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The driver's version, the CUDA version it serves, and the GPUs."""

    driver: str
    cuda: str
    gpus: tuple[Gpu, ...]


def _instant(nvml: Any, gpu: Any) -> int:
    (answer,) = nvml.nvmlDeviceGetFieldValues(gpu, [POWER_INSTANT])
    if answer.nvmlReturn != 0:
        raise nvml.NVMLError(answer.nvmlReturn)
    return int(answer.value.uiVal)


def _reasons(nvml: Any, gpu: Any) -> int:
    # The older name is the only one of older drivers.
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu))
    except nvml.NVMLError:
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))


def _processes(nvml: Any, gpu: Any) -> list[int]:
    return [int(process.pid) for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)]


QUESTIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "name": lambda nvml, gpu: _string(nvml.nvmlDeviceGetName(gpu)),
    "memory": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
    "used": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
    "mig": lambda nvml, gpu: nvml.nvmlDeviceGetMigMode(gpu)[0],
    "mode": lambda nvml, gpu: nvml.nvmlDeviceGetComputeMode(gpu),
    "energy_mj": lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu),
    "instant_mw": _instant,
    "power_mw": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu),
    "limit_mw": lambda nvml, gpu: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu),
    "default_limit_mw": lambda nvml, gpu: nvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu),
    "persistence": lambda nvml, gpu: nvml.nvmlDeviceGetPersistenceMode(gpu),
    "reasons": _reasons,
    "sm_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, 1),
    "most_sm_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetMaxClockInfo(gpu, 1),
    "processes": _processes,
    "energy_later_mj": lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu),
}
"""What each GPU is asked; clock type 1 is the streaming multiprocessors'."""


@dataclass(slots=True)
class Eyes:
    """Looks at the GPUs once, for all checks; where that hangs, later checks do not wait again."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: Seen | Finding | None = None

    def seen(self, site: Site) -> Seen | Finding:
        """Return the GPUs, or the finding that says why there are none to look at."""
        if not self._lock.acquire(blocking=False):
            return fail("the driver did not answer", "Look at `dmesg` for Xid errors; reboot.")
        try:
            if self._seen is None:
                self._seen = look(site)
            return self._seen
        finally:
            self._lock.release()


def look(site: Site) -> Seen | Finding:
    """Ask the driver everything; a :class:`Finding` says why it could not be asked."""
    driver = site.text("proc/driver/nvidia/version")
    if driver is None:
        if on_bus(site):
            remedy = "Install NVIDIA's driver, or load it (`sudo modprobe nvidia`)."
            return fail("an NVIDIA GPU is on the bus, its driver is not loaded", remedy)
        return skip("no NVIDIA GPU")
    try:
        nvml = site.nvml()
    except ImportError:
        return fail("nvidia-ml-py is not installed", "Run `pip install nvidia-ml-py`.")
    if not hasattr(nvml, "_nvmlGetFunctionPointer"):
        remedy = "Run `pip uninstall pynvml` and `pip install --force-reinstall nvidia-ml-py`."
        return fail("another distribution shadows the module of nvidia-ml-py", remedy)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return fail(f"the driver cannot be asked: {error}", _init_remedy(str(error)))
    try:
        return _ask(nvml)
    finally:
        nvml.nvmlShutdown()


def _init_remedy(said: str) -> str:
    if "mismatch" in said.lower():
        return "The driver was updated under the running kernel module: reboot."
    if "Not Found" in said:
        return "Start the container with its GPUs (docker: --gpus all), or install the driver."
    return "Check `nvidia-smi`; in a container, start it with its GPUs (docker: --gpus all)."


def _ask(nvml: Any) -> Seen:
    cuda = int(nvml.nvmlSystemGetCudaDriverVersion())
    handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    first = [_values(nvml, handle, later=False) for handle in handles]
    time.sleep(LEAST_LIFE_S if handles else 0.0)
    return Seen(
        driver=_string(nvml.nvmlSystemGetDriverVersion()),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}",
        gpus=tuple(
            Gpu(index, {**early, **_values(nvml, handle, later=True)})
            for index, (early, handle) in enumerate(zip(first, handles, strict=True))
        ),
    )


def _values(nvml: Any, handle: Any, *, later: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        if ("later" in name) is later:
            try:
                found[name] = question(nvml, handle)
            except (nvml.NVMLError, AttributeError) as error:  # an older binding lacks some
                found[name] = Refused(str(error))
    return found


def _string(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def on_bus(site: Site) -> bool:
    """Say whether the PCI bus has an NVIDIA GPU, driver or not."""
    for device in (site.root / "sys/bus/pci/devices").glob("*"):
        place = str(device.relative_to(site.root))
        kind = site.text(f"{place}/class") or ""
        if site.text(f"{place}/vendor") == VENDOR and kind.startswith(DISPLAY):
            return True
    return False


# -- what follows from it ----------------------------------------------------------------


def driver(seen: Seen) -> Finding:
    """Name the driver."""
    return ok(f"NVIDIA driver {seen.driver}, CUDA {seen.cuda}")


def gpus(seen: Seen) -> Finding:
    """Give names, memory and number."""
    kinds: dict[str, int] = {}
    for gpu in seen.gpus:
        kind = f"{gpu.get('name') or 'unknown'}, {gib(gpu.get('memory') or 0)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    said = "; ".join(f"{count} x {kind}" for kind, count in kinds.items())
    if not kinds:
        return fail("the driver sees no GPU", "Check `nvidia-smi -L` and CUDA_VISIBLE_DEVICES.")
    if len(kinds) > 1:
        return warn(
            said, "Keep one kind in CUDA_VISIBLE_DEVICES: unequal GPUs wait for each other."
        )
    return ok(said)


def mig(seen: Seen) -> Finding:
    """Look for multi-instance mode: the sensor is the whole card's."""
    split = _where(seen, lambda gpu: bool(gpu.get("mig")))
    if split:
        remedy = (
            "Run `sudo nvidia-smi -mig 0`, or do without joules: power is not told by instance."
        )
        return warn(f"MIG is on: {split}", remedy)
    return ok("off" if any(gpu.get("mig") == 0 for gpu in seen.gpus) else "these GPUs have none")


def compute_mode(seen: Seen) -> Finding:
    """Say whether several processes may use a GPU."""
    if barred := _where(seen, lambda gpu: gpu.get("mode") == 2):
        return fail(f"compute is prohibited: {barred}", "Run `sudo nvidia-smi -c DEFAULT`.")
    if alone := _where(seen, lambda gpu: gpu.get("mode") in {1, 3}):
        remedy = "Run `sudo nvidia-smi -c DEFAULT`: engines of several processes may not start."
        return warn(f"one process at a time: {alone}", remedy)
    return ok("shared (default)")


def energy(seen: Seen) -> Finding:
    """Look at the energy counter, the first instrument of joules."""
    remedy = "Energy of these GPUs is then integrated from power, or is not to be had."
    if none := _where(seen, lambda gpu: gpu.get("energy_mj") is None):
        why = next(gpu.why("energy_mj") for gpu in seen.gpus if gpu.get("energy_mj") is None)
        return warn(f"no total energy counter ({why}): {none}", remedy)
    still = _where(seen, lambda gpu: gpu.get("energy_later_mj") == gpu.get("energy_mj"))
    if still:
        return warn(f"the energy counter did not move in {LEAST_LIFE_S:g} s: {still}", remedy)
    return ok("total energy counter, and it moves")


def power(seen: Seen) -> Finding:
    """Look at instant power, the second instrument, and a lowered power limit."""
    if none := _where(seen, lambda gpu: gpu.get("power_mw") is None):
        why = next(gpu.why("power_mw") for gpu in seen.gpus if gpu.get("power_mw") is None)
        remedy = "Nothing checks the energy counter then: joules are called uncorroborated."
        return warn(f"no power reading ({why}): {none}", remedy)
    watts = ", ".join(f"{_either(gpu) / 1e3:.0f} W" for gpu in seen.gpus)
    lowered = _where(
        seen, lambda gpu: (gpu.get("limit_mw") or 0) < (gpu.get("default_limit_mw") or 0)
    )
    if lowered:
        remedy = "Run `sudo nvidia-smi -pl WATTS` with the card's default, or say so in the study."
        return warn(f"{watts} now; the power limit is below the default: {lowered}", remedy)
    if averaged := _where(seen, lambda gpu: gpu.get("instant_mw") is None):
        remedy = "Use a newer driver: the reading is an average over a second on most GPUs."
        return warn(f"{watts} now; no instant power: {averaged}", remedy)
    return ok(f"{watts} now, instant reading")


def _either(gpu: Gpu) -> float:
    instant = gpu.get("instant_mw")
    return float(gpu.get("power_mw") if instant is None else instant)


def clocks(seen: Seen) -> Finding:
    """Look at persistence, what slows the clocks down now, and where they stand."""
    now = ", ".join(
        f"{gpu.get('sm_mhz') or '?'} of {gpu.get('most_sm_mhz') or '?'} MHz" for gpu in seen.gpus
    )
    slowed = sorted({why for gpu in seen.gpus for why in _slowed(gpu.get("reasons") or 0)})
    if slowed:
        remedy = "Cool the machine, raise the power limit, or `sudo nvidia-smi -rgc` to unlock; "
        return warn(f"{now}; held back by {', '.join(slowed)}", f"{remedy}or keep it and say so.")
    if off := _where(seen, lambda gpu: gpu.get("persistence") == 0):
        remedy = "Run `sudo nvidia-smi -pm 1`: else the driver unloads between launches."
        return warn(f"{now}; persistence mode is off: {off}", remedy)
    if silent := _where(seen, lambda gpu: gpu.get("reasons") is None):
        remedy = "Use a newer driver: a throttled run would go unseen."
        return warn(f"{now}; reasons for slow clocks are not told: {silent}", remedy)
    return ok(f"{now}, nothing holds them back")


def _slowed(reasons: int) -> Iterator[str]:
    return (word for bit, word in SLOWED.items() if reasons & bit)


def neighbours(seen: Seen) -> Finding:
    """Look for other processes on the GPUs."""
    taken = [
        f"GPU {gpu.index}: {gib(gpu.get('used') or 0)}{_by(gpu.get('processes') or [])}"
        for gpu in seen.gpus
        if gpu.get("processes") or (gpu.get("used") or 0) > BUSY_BYTES
    ]
    if taken:
        remedy = "Stop them, or choose other GPUs with CUDA_VISIBLE_DEVICES: they share what is "
        return warn(f"in use: {'; '.join(taken)}", f"{remedy}measured, joules too.")
    return ok("no other process")


def _by(processes: list[int]) -> str:
    return f", processes {', '.join(map(str, processes))}" if processes else ""


def _where(seen: Seen, holds: Callable[[Gpu], bool]) -> str:
    found = [str(gpu.index) for gpu in seen.gpus if holds(gpu)]
    return f"GPU {', '.join(found)}" if found else ""


FOLLOWING: Mapping[str, Callable[[Seen], Finding]] = {
    "gpu-driver": driver,
    "gpus": gpus,
    "gpu-mig": mig,
    "gpu-compute-mode": compute_mode,
    "gpu-energy": energy,
    "gpu-power": power,
    "gpu-clocks": clocks,
    "gpu-processes": neighbours,
}


def probes() -> Iterator[Probe]:
    """Yield the checks of the GPUs, which share one look."""
    eyes = Eyes()
    for id_, follows in FOLLOWING.items():
        yield Probe(id_, lambda site, id_=id_, follows=follows: _of(eyes, site, id_, follows))  # type: ignore[misc]


def _of(eyes: Eyes, site: Site, id_: str, follows: Callable[[Seen], Finding]) -> Finding:
    seen = eyes.seen(site)
    if isinstance(seen, Seen):
        return follows(seen)
    # The reason stands once, in the first line.
    if seen.status == "fail" and id_ != "gpu-driver":
        return skip("see gpu-driver")
    return seen
