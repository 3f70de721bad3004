"""``amdsmi`` as its version 7 answers: names, units and ``N/A`` as in the published binding.

The binding itself cannot be imported without ROCm's library, so names are held to a list.
"""

from __future__ import annotations

import enum
import sys
import time
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


class AmdSmiException(Exception):  # noqa: N818 -- the binding's name
    pass


class ClkType(enum.IntEnum):
    GFX = 1
    MEM = 4


class TemperatureType(enum.IntEnum):
    HOTSPOT = 1


class TemperatureMetric(enum.IntEnum):
    CURRENT = 0


@dataclass
class Card:
    """One GPU; resolution and units as of an MI300X."""

    serial: str = "0x0AAA111100000000"
    name: str = "AMD Instinct MI300X"
    watts: float = 600.0
    tick_s: float = 0.01
    partition: str = "SPX"
    hip_id: int | None = None
    pids: tuple[int, ...] = ()
    opened_by: tuple[int, ...] = ()
    """Processes that have opened it and hold no memory on it."""
    resolution: float = 15.3
    power: dict[str, Any] = field(
        default_factory=lambda: {
            "socket_power": "N/A",
            "current_socket_power": 600,
            "average_socket_power": "N/A",
        }
    )

    def energy(self) -> dict[str, Any]:
        joules = int(time.monotonic() / self.tick_s) * self.tick_s * self.watts
        return {
            "energy_accumulator": int(joules * 1e6 / self.resolution),
            "counter_resolution": self.resolution,
            "timestamp": 0,
        }


@dataclass
class Driver:
    """The machine's cards. Like the library, one stop ends all that was started."""

    cards: list[Card]
    running: bool = False
    fail: bool = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = types.ModuleType("amdsmi")
        vars(module).update(
            AmdSmiException=AmdSmiException,
            AmdSmiClkType=ClkType,
            AmdSmiTemperatureType=TemperatureType,
            AmdSmiTemperatureMetric=TemperatureMetric,
            amdsmi_init=self._start,
            amdsmi_shut_down=self._stop,
            amdsmi_get_processor_handles=lambda: list(self.cards),
            amdsmi_get_gpu_device_uuid=lambda card: f"uuid-{card.serial}",
            amdsmi_get_gpu_asic_info=lambda card: {
                "market_name": card.name,
                "asic_serial": card.serial,
            },
            amdsmi_get_gpu_enumeration_info=self._numbers,
            amdsmi_get_gpu_compute_partition=lambda card: card.partition,
            amdsmi_get_gpu_process_list=lambda card: [
                {"pid": pid, "memory_usage": {"vram_mem": vram}}
                for pids, vram in ((card.pids, 1 << 30), (card.opened_by, 0))
                for pid in pids
            ],
            amdsmi_get_power_cap_info=lambda _: {"power_cap": 750_000_000},
            amdsmi_get_energy_count=self._energy,
            amdsmi_get_power_info=lambda card: card.power,
            amdsmi_get_gpu_activity=lambda _: {"gfx_activity": 88, "umc_activity": "N/A"},
            amdsmi_get_clock_info=lambda _, kind: {"clk": {1: 2100, 4: 1300}[kind]},
            amdsmi_get_temp_metric=lambda card, kind, metric: 55 + kind + metric,
            amdsmi_get_violation_status=lambda _: {
                "active_ppt_pwr": True,
                "active_socket_thrm": False,
                "active_prochot_thrm": "N/A",
            },
        )
        monkeypatch.setitem(sys.modules, "amdsmi", module)

    def _numbers(self, card: Card) -> dict[str, Any]:
        if card.hip_id is None:
            raise AmdSmiException
        return {"hip_id": card.hip_id, "hsa_id": "N/A"}

    def _energy(self, card: Card) -> dict[str, Any]:
        if not self.running:
            raise AmdSmiException("not initialised")
        return card.energy()

    def _start(self) -> None:
        if self.fail:
            raise AmdSmiException("Error code:\n\t34 | no driver")
        self.running = True

    def _stop(self) -> None:
        self.running = False
