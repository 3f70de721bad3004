"""The real binding with a driver of our own behind it: its error classes, structures and names."""

from __future__ import annotations

import sys
import time
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pynvml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

HOPPER, AMPERE, PASCAL = 9, 7, 4


def missing(code: int = pynvml.NVML_ERROR_NOT_SUPPORTED) -> Any:
    raise pynvml.NVMLError(code)


@dataclass
class Card:
    """One GPU; what raises when it is asked for is not there. Counters tick every ``tick_s``."""

    uuid: str = "GPU-0aaa1111-0000-0000-0000-000000000000"
    name: str = "NVIDIA H200"
    architecture: int = HOPPER
    pci: int = 0x233510DE
    watts: float = 500.0
    tick_s: float = 0.02
    pids: tuple[int, ...] = ()
    mig: int | None = 0
    reasons: int = 0
    instant: bool = True
    old_names: bool = False
    lost: int = 0
    """An NVML error code that everything but its name gives."""
    energy_mj: Callable[[], int] | None = None
    fields: Mapping[tuple[int, int], Callable[[], int]] = field(default_factory=dict)
    """Answers by field and scope beside instant power."""

    def answer(self, value: Any) -> Any:
        return missing(self.lost) if self.lost else value

    def counted_mj(self) -> int:
        self.answer(0)
        if self.energy_mj is not None:
            return self.energy_mj()
        ticks = int(time.monotonic() / self.tick_s)
        return int(ticks * self.tick_s * self.watts * 1e3)

    def power_mw(self) -> int:
        self.answer(0)
        wave = int(time.monotonic() / self.tick_s) % 7
        return int(self.watts * 1e3) + wave


@dataclass
class Driver:
    """The machine's cards, and how often the library was started and not stopped."""

    cards: list[Card]
    starts: int = 0
    fail: int = 0
    """An NVML error code that starting gives."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        module = types.ModuleType("pynvml")
        vars(module).update({key: value for key, value in vars(pynvml).items() if key[:2] != "__"})
        for name, function in self.functions().items():
            assert hasattr(pynvml, name), f"the real binding has no {name}"
            setattr(module, name, function)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return module

    def functions(self) -> dict[str, Any]:
        return {
            "nvmlInit": self._start,
            "nvmlShutdown": self._stop,
            "nvmlDeviceGetCount": lambda: len(self.cards),
            "nvmlDeviceGetHandleByIndex": lambda index: self.cards[index],
            "nvmlDeviceGetUUID": lambda card: card.uuid,
            "nvmlDeviceGetName": lambda card: card.name,
            "nvmlDeviceGetArchitecture": lambda card: card.architecture,
            "nvmlDeviceGetPciInfo": lambda card: pynvml.nvmlPciInfo_t(pciDeviceId=card.pci),
            "nvmlDeviceGetEnforcedPowerLimit": lambda card: card.answer(700_000),
            "nvmlDeviceGetMigMode": lambda card: missing() if card.mig is None else [card.mig, 0],
            "nvmlDeviceGetComputeRunningProcesses": _processes,
            "nvmlDeviceGetTotalEnergyConsumption": lambda card: card.counted_mj(),
            "nvmlDeviceGetPowerUsage": lambda card: card.power_mw(),
            "nvmlDeviceGetFieldValues": _fields,
            "nvmlDeviceGetUtilizationRates": lambda card: card.answer(
                pynvml.c_nvmlUtilization_t(gpu=75, memory=5)
            ),
            "nvmlDeviceGetClockInfo": lambda card, kind: card.answer({1: 1755, 2: 3201}[kind]),
            "nvmlDeviceGetTemperatureV": lambda card, _: (
                missing() if card.old_names else card.answer(61)
            ),
            "nvmlDeviceGetTemperature": lambda card, sensor: card.answer(60 + sensor),
            "nvmlDeviceGetCurrentClocksEventReasons": lambda card: (
                missing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND) if card.old_names else card.reasons
            ),
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: card.reasons,
        }

    def _start(self) -> None:
        if self.fail:
            missing(self.fail)
        self.starts += 1

    def _stop(self) -> None:
        self.starts -= 1


def _processes(card: Card) -> list[Any]:
    return [pynvml.nvmlFriendlyObject({"pid": pid, "usedGpuMemory": 1}) for pid in card.pids]


def _fields(card: Card, asked: list[tuple[int, int]]) -> list[Any]:
    answers = []
    for number, scope in asked:
        value = pynvml.c_nvmlFieldValue_t(fieldId=number, scopeId=scope)
        known: dict[tuple[int, int], Callable[[], int]] = dict(card.fields)
        if card.instant:
            known.setdefault((pynvml.NVML_FI_DEV_POWER_INSTANT, 0), card.power_mw)
        if (number, scope) in known:
            value.valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
            value.value.ullVal = known[number, scope]()
        else:
            value.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
            value.value.ullVal = 12345  # undefined, and must not be taken
        answers.append(value)
    return answers
