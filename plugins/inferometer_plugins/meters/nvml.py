"""NVIDIA GPUs by NVML: the energy counter, and power that is integrated. Two instruments."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.records import MeterInfo, Reading
from inferometer_plugins.meters import nvml_library as library
from inferometer_plugins.meters.gpus import choose, host_numbers
from inferometer_plugins.meters.sensing import (
    INSTRUMENTS,
    PROBE_S,
    Unreadable,
    described,
    stamped,
    update_ms,
    watched,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.meter import MeterContext, MeterSession
    from inferometer.records import Condition
    from inferometer_plugins.meters.gpus import Chosen, Gpu
    from inferometer_plugins.meters.sensing import Unit

VARIABLE = "CUDA_VISIBLE_DEVICES"
SEEN_SHARES = (
    ("A100", 0.25),
    ("H100 PCIe", 0.25),
    ("V100", 0.5),
    ("P100", 0.5),
    ("GTX 1080 Ti", 0.5),
    ("Quadro RTX 8000", 0.2),
    ("RTX 3090", 1.0),
    ("RTX 4090", 1.0),
    ("RTX 2080 Ti", 1.0),
)
"""Share of the time that the power sensor of a model looks at, from the measurements published
with Yang, Adamek and Armour, "Part-time power measurements", SC24. Others are not known."""


class Probe(NamedTuple):
    """How one GPU is read (mJ or mW), and what is known of the values."""

    look: Callable[[], float]
    method: str
    averaged_ms: float | None = None
    seen_share: float | None = None
    module: bool = False


@dataclass(frozen=True, slots=True)
class Nvml:
    """One of the two: ``J`` is the counter (Volta and newer), ``W`` power.

    Power is the instant reading where there is one, else NVML's plain reading.
    """

    name: str = "nvml"
    unit: Unit = "J"
    options: Mapping[str, type] = field(default_factory=dict)
    proc: Path = Path("/proc")
    probe_s: float = PROBE_S

    def info(self, context: MeterContext) -> MeterInfo:
        """Say which GPUs count, and whether they can be read."""
        instrument = INSTRUMENTS[self.unit]
        bare = MeterInfo(
            name=self.name,
            scope="L0",
            kind="measured",
            method=f"NVML energy {instrument} of each GPU under test",
            instrument=instrument,
            period_s=0.1,
            resolution=0.001,
            permission="none",
        )
        try:
            with library.library() as nvml:
                chosen = _survey(nvml, self, context)
                probes = [_PROBES[self.unit](nvml, gpu) for gpu in chosen.under_test]
                looks = [probe.look for probe in probes]
                period = update_ms(watched(looks, self.probe_s))
                return described(bare, **_facts(probes), **chosen.facts(), update_ms=period)
        except Unreadable as why:
            return described(bare, reason=why.reason, detail=why.detail)

    def open(self, context: MeterContext) -> MeterSession:
        """Begin.

        Raises:
            Unreadable: what :meth:`info` found is gone.
        """
        with contextlib.ExitStack() as ending:
            nvml = ending.enter_context(library.library())
            chosen = _survey(nvml, self, context)
            looks = {gpu.uuid: _PROBES[self.unit](nvml, gpu).look for gpu in chosen.under_test}
            kept = ending.pop_all()
        return _Session(self.name, nvml, chosen.under_test, looks, self.unit, kept)


def _counter(nvml: Any, gpu: Gpu) -> Probe:
    """Return how to read the counter.

    Raises:
        Unreadable: the GPU is older than Volta, or the counter stands at 0.
        NVMLError: the counter cannot be read.
    """
    age = library.asked(nvml, nvml.nvmlDeviceGetArchitecture, gpu.handle)
    if age is not None and age < library.VOLTA:
        raise Unreadable("unsupported", f"{gpu.model}: GPUs before Volta have no energy counter")

    def look() -> float:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle))

    if look() <= 0:
        raise Unreadable("unsupported", f"{gpu.uuid}: the energy counter stands at 0")
    module = library.is_module(nvml, gpu.handle, library.ENERGY, look)
    method = "NVML total energy counter (mJ since the driver was loaded) of each GPU"
    return Probe(look, method, module=module)


def _power(nvml: Any, gpu: Gpu) -> Probe:
    """Return how to read power.

    Raises:
        Unreadable: the reading is 0.
        NVMLError: power cannot be read.
    """

    def instant() -> float:
        return library.field(nvml, gpu.handle, library.POWER_INSTANT)

    def plain() -> float:
        return float(nvml.nvmlDeviceGetPowerUsage(gpu.handle))

    share = next((share for part, share in SEEN_SHARES if part in gpu.model), None)
    if library.asked(nvml, instant):
        module = library.is_module(nvml, gpu.handle, library.POWER_INSTANT, instant)
        method = "NVML instant power (field 186) of each GPU, integrated"
        return Probe(instant, method, seen_share=share, module=module)
    if plain() <= 0:
        raise Unreadable("unsupported", f"{gpu.uuid}: the power reading is 0 W")
    module = library.is_module(nvml, gpu.handle, library.POWER_INSTANT, plain)
    averaged_ms = _averaged_ms(nvml, gpu)
    mean = ", a mean over 1 s" if averaged_ms else ""
    method = f"NVML power reading of each GPU{mean}, integrated (it has no instant one)"
    # a mean over 1 s is another reading; without it the plain one is the instant one
    seen = None if averaged_ms else share
    return Probe(plain, method, averaged_ms=averaged_ms, seen_share=seen, module=module)


def _averaged_ms(nvml: Any, gpu: Gpu) -> float | None:
    """Return 1000 on Ampere and newer, except for GA100: NVML's header says so."""
    age = library.asked(nvml, nvml.nvmlDeviceGetArchitecture, gpu.handle)
    if age is None or age == library.UNKNOWN or age < library.AMPERE:
        return None
    pci = library.asked(nvml, nvml.nvmlDeviceGetPciInfo, gpu.handle)
    ga100 = pci is not None and pci.pciDeviceId >> 24 == library.GA100
    return None if ga100 else 1000.0


_PROBES: Mapping[Unit, Callable[[Any, Gpu], Probe]] = {"J": _counter, "W": _power}


def _survey(nvml: Any, meter: Nvml, context: MeterContext) -> Chosen:
    if context.accelerator != "cuda":
        raise Unreadable(
            "unsupported", f"sees NVIDIA GPUs, and the engine computes on {context.accelerator}"
        )
    numbers = host_numbers(meter.proc)
    return choose(library.gpus(nvml), context, variable=VARIABLE, same_numbers=numbers)


def _facts(probes: Sequence[Probe]) -> dict[str, Any]:
    """Return what holds of all GPUs' values together.

    Raises:
        Unreadable: some are read with their host processor, and some without.
    """
    if len({probe.module for probe in probes}) > 1:
        raise Unreadable("devices_unclear", "some GPUs are read with their host processor")
    averages = [probe.averaged_ms for probe in probes if probe.averaged_ms is not None]
    shares = [probe.seen_share for probe in probes if probe.seen_share is not None]
    return {
        "method": "; ".join(sorted({probe.method for probe in probes})),
        "boundary": "module" if probes[0].module else "",
        "averaged_ms": max(averages, default=None),
        "seen_share": min(shares) if len(shares) == len(probes) else None,
    }


@dataclass(slots=True)
class _Session:
    name: str
    nvml: Any
    gpus: Sequence[Gpu]
    looks: Mapping[str, Callable[[], float]]
    unit: Unit
    ending: contextlib.ExitStack

    def read(self) -> Sequence[Reading]:
        rows = []
        for device, look in self.looks.items():
            value, now = stamped(partial(self._asked, look))
            rows.append(
                Reading(meter=self.name, device=device, t_ns=now, value=value / 1e3, unit=self.unit)
            )
        return rows

    def _asked(self, look: Callable[[], float]) -> float:
        try:
            return look()
        except self.nvml.NVMLError as error:
            raise library.unreadable(self.nvml, error) from error

    def conditions(self) -> Sequence[Condition]:
        return [library.condition(self.nvml, self.name, gpu) for gpu in self.gpus]

    def close(self) -> None:
        self.ending.close()
