"""AMD Instinct GPUs by amdsmi: the energy accumulator, and socket power that is integrated."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.records import MeterInfo, Reading
from inferometer_plugins.meters import amd_library as library
from inferometer_plugins.meters.gpus import Chosen, choose, host_numbers
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
    from inferometer_plugins.meters.gpus import Gpu
    from inferometer_plugins.meters.sensing import Unit

VARIABLE = "ROCR_VISIBLE_DEVICES"
PAIRED = "MI250"
"""Two dies in one package: the even one's sensor is the package's, the odd one's stands at 0."""
BROKEN = "MI100"
"""Its accumulator does not count energy."""
OWN_PROCESSES = "whether other users use these GPUs is not known: only root sees their processes"
METHODS: Mapping[Unit, str] = {
    "J": "amdsmi energy accumulator x resolution of each GPU",
    "W": "amdsmi socket power of each GPU, integrated",
}


@dataclass(frozen=True, slots=True)
class Amd:
    """One of the two: ``J`` is the accumulator times its resolution, ``W`` socket power."""

    name: str = "amd"
    unit: Unit = "J"
    options: Mapping[str, type] = field(default_factory=dict)
    proc: Path = Path("/proc")
    probe_s: float = PROBE_S

    def info(self, context: MeterContext) -> MeterInfo:
        """Say which GPUs count, and whether they can be read."""
        bare = MeterInfo(
            name=self.name,
            scope="L0",
            kind="measured",
            method=METHODS[self.unit],
            instrument=INSTRUMENTS[self.unit],
            period_s=0.1,
            permission="none, but /dev/kfd must be accessible (groups video or render)",
        )
        try:
            with library.library() as smi:
                chosen = _survey(smi, self, context)
                read = [gpu for gpu in chosen.under_test if not gpu.left_out]
                looks = [partial(_LOOKS[self.unit], smi, gpu) for gpu in read]
                period = update_ms(watched(looks, self.probe_s))
                step = max(_step(smi, gpu, self.unit) for gpu in read)
                return described(bare, **chosen.facts(), update_ms=period, resolution=step)
        except Unreadable as why:
            return described(bare, reason=why.reason, detail=why.detail)

    def open(self, context: MeterContext) -> MeterSession:
        """Begin.

        Raises:
            Unreadable: what :meth:`info` found is gone.
        """
        with contextlib.ExitStack() as ending:
            smi = ending.enter_context(library.library())
            chosen = _survey(smi, self, context)
            kept = ending.pop_all()
        read = [gpu for gpu in chosen.under_test if not gpu.left_out]
        return _Session(self.name, smi, chosen.under_test, read, self.unit, kept)


def joules(smi: Any, gpu: Gpu) -> float:
    """Return the accumulator in J; older bindings call it ``power``."""
    answer = smi.amdsmi_get_energy_count(gpu.handle)
    count = library.told(answer, "energy_accumulator", "power")
    step_uj = library.told(answer, "counter_resolution")
    if count is None or not step_uj:
        raise Unreadable("unsupported", f"{gpu.uuid}: no energy accumulator")
    return count * step_uj / 1e6


def watts(smi: Any, gpu: Gpu) -> float:
    """Return socket power: cards fill in one name or another and say N/A for the rest."""
    answer = smi.amdsmi_get_power_info(gpu.handle)
    power = library.told(answer, "current_socket_power", "socket_power", "average_socket_power")
    if power is None:
        raise Unreadable("unsupported", f"{gpu.uuid}: socket power is N/A")
    return power


def _step(smi: Any, gpu: Gpu, unit: Unit) -> float:
    """Return the smallest step: watts come whole, joules in steps of the resolution."""
    if unit == "W":
        return 1.0
    answer = smi.amdsmi_get_energy_count(gpu.handle)
    return (library.told(answer, "counter_resolution") or 0.0) / 1e6


_LOOKS: Mapping[Unit, Callable[[Any, Gpu], float]] = {"J": joules, "W": watts}


def _survey(smi: Any, meter: Amd, context: MeterContext) -> Chosen:
    """Return the GPUs under test; the second die of a package is left out.

    Raises:
        Unreadable: as :func:`inferometer_plugins.meters.gpus.choose`, or a sensor speaks for a die
            that is not under test, or reads 0.
    """
    if context.accelerator != "rocm":
        raise Unreadable(
            "unsupported", f"sees AMD GPUs, and the engine computes on {context.accelerator}"
        )
    numbers = host_numbers(meter.proc)
    chosen = choose(library.gpus(smi), context, variable=VARIABLE, same_numbers=numbers)
    look = _LOOKS[meter.unit]
    if meter.unit == "J" and any(BROKEN in gpu.model for gpu in chosen.under_test):
        raise Unreadable("unsupported", f"the accumulator of {BROKEN} does not count energy")
    mute = {
        gpu.uuid
        for gpu in (*chosen.under_test, *chosen.others)
        if PAIRED in gpu.model and not look(smi, gpu)
    }
    marked = []
    for gpu in chosen.under_test:
        if gpu.uuid not in mute and not look(smi, gpu):
            raise Unreadable("unsupported", f"{gpu.uuid}: the sensor reads 0")
        partner = _partner(gpu, (*chosen.under_test, *chosen.others))
        if gpu.uuid in mute and (partner is None or partner not in chosen.under_test):
            raise Unreadable("unsupported", f"{gpu.uuid}: the other die of its package is read")
        if partner is not None and partner.uuid in mute and partner not in chosen.under_test:
            raise Unreadable(
                "device_extra",
                f"{gpu.uuid} is read with {partner.uuid}, which is not under test",
            )
        spoken = f"contained in {partner.uuid}" if gpu.uuid in mute and partner else ""
        marked.append(replace(gpu, left_out=spoken))
    doubt = chosen.doubt or ("" if os.geteuid() == 0 else OWN_PROCESSES)
    return replace(chosen, under_test=tuple(marked), doubt=doubt)


def _partner(gpu: Gpu, gpus: Sequence[Gpu]) -> Gpu | None:
    """Return the other die of a package: numbers 0 and 1, 2 and 3, ..."""
    if PAIRED not in gpu.model:
        return None
    return next((one for one in gpus if one.index == gpu.index ^ 1), None)


@dataclass(slots=True)
class _Session:
    name: str
    smi: Any
    gpus: Sequence[Gpu]
    read_gpus: Sequence[Gpu]
    unit: Unit
    ending: contextlib.ExitStack

    def read(self) -> Sequence[Reading]:
        rows = []
        for gpu in self.read_gpus:
            value, now = stamped(partial(_LOOKS[self.unit], self.smi, gpu))
            rows.append(
                Reading(meter=self.name, device=gpu.uuid, t_ns=now, value=value, unit=self.unit)
            )
        return rows

    def conditions(self) -> Sequence[Condition]:
        return [library.condition(self.smi, self.name, gpu) for gpu in self.gpus]

    def close(self) -> None:
        self.ending.close()
