"""AMD's management library, as its Python binding ``amdsmi`` gives it (extra ``amd``).

Units: energy in uJ (accumulator x resolution), power in W, the power cap in uW. What a card does
not tell is the text ``N/A``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import threading
import time
from typing import TYPE_CHECKING, Any

from inferometer.records import Condition
from inferometer_plugins.meters.gpus import Gpu
from inferometer_plugins.meters.sensing import Unreadable, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WHOLE = "SPX"
"""The compute partition that is the whole device."""
_lock = threading.Lock()
_open: dict[Any, int] = {}
"""How often each module was started and not stopped: it does not count, and one stop ends all."""


@contextlib.contextmanager
def library() -> Iterator[Any]:
    """Give the module ``amdsmi``, initialised.

    Raises:
        Unreadable: it is not installed, does not fit the driver, or finds none.
    """
    smi = start()
    try:
        yield smi
    except smi.AmdSmiException as error:
        raise Unreadable("failed", f"amdsmi: {line(error)}") from error
    finally:
        stop(smi)


def start() -> Any:
    """Return ``amdsmi``, initialised once more.

    Raises:
        Unreadable: as :func:`library`.
    """
    try:
        # without its library the binding prints, then fails in one of several ways
        with contextlib.redirect_stdout(io.StringIO()):
            smi = importlib.import_module("amdsmi")
    except ModuleNotFoundError:
        raise Unreadable(
            "no_sensor", "amdsmi is not installed: pip install 'inferometer[amd]'"
        ) from None
    except Exception as error:
        raise Unreadable(
            "no_sensor", f"amdsmi cannot load ROCm's library, whose version it must match: {error}"
        ) from error
    with _lock:
        try:
            if not _open.get(smi):
                smi.amdsmi_init()
        except smi.AmdSmiException as error:
            raise Unreadable("no_sensor", f"amdsmi finds no driver: {line(error)}") from error
        _open[smi] = _open.get(smi, 0) + 1
    return smi


def stop(smi: Any) -> None:
    """End what one :func:`start` began."""
    with _lock:
        _open[smi] -= 1
        if not _open[smi]:
            with contextlib.suppress(smi.AmdSmiException):
                smi.amdsmi_shut_down()


def line(error: Exception) -> str:
    """Return an error of the binding on one line."""
    return clean(str(error))


def asked(smi: Any, question: Callable[..., Any], *about: Any) -> Any:
    """Return an answer, None where this card, driver or binding has none."""
    try:
        answer = question(*about)
    except (smi.AmdSmiException, AttributeError):
        return None
    return None if answer == "N/A" else answer


def told(answer: Any, *keys: str) -> float | None:
    """Return the first of ``keys`` that holds a number."""
    for key in keys:
        value = answer.get(key) if isinstance(answer, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return None


def gpus(smi: Any) -> list[Gpu]:
    """Return this machine's GPUs, numbered as the runtime numbers them where that is told."""
    handles = smi.amdsmi_get_processor_handles()
    lists = [asked(smi, smi.amdsmi_get_gpu_process_list, handle) for handle in handles]
    users = [None if listed is None else _users(listed) for listed in lists]
    if any(lists) and not any(users):  # a kernel that tells nobody's memory
        users = [None] * len(handles)
    found = [_gpu(smi, *each) for each in zip(handles, range(len(handles)), users, strict=True)]
    return sorted(found, key=lambda gpu: gpu.index)


def _users(listed: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    """Return the processes that hold memory on a GPU.

    ROCm's runtime opens every GPU of the machine, whichever the process may use, and all of them
    then list it.
    """
    held = [(one, told(one.get("memory_usage"), "vram_mem")) for one in listed]
    return tuple(int(one["pid"]) for one, vram in held if vram is None or vram > 0)


def _gpu(smi: Any, handle: Any, place: int, users: tuple[int, ...] | None) -> Gpu:
    asic = asked(smi, smi.amdsmi_get_gpu_asic_info, handle) or {}
    number = getattr(smi, "amdsmi_get_gpu_enumeration_info", None)
    index = told(asked(smi, number, handle), "hip_id") if number else None
    cap_uw = told(asked(smi, smi.amdsmi_get_power_cap_info, handle), "power_cap")
    parts = asked(smi, smi.amdsmi_get_gpu_compute_partition, handle)
    split = f"compute partition {parts}" if parts and parts not in {WHOLE, "UNKNOWN"} else ""
    return Gpu(
        handle=handle,
        uuid=unique(asic, smi.amdsmi_get_gpu_device_uuid(handle)),
        index=place if index is None else int(index),
        model=clean(str(asic.get("market_name", ""))),
        power_limit_w=cap_uw / 1e6 if cap_uw else None,
        pids=users,
        split=split,
    )


def unique(asic: dict[str, Any], uuid: str) -> str:
    """Return the name that ``ROCR_VISIBLE_DEVICES`` takes: ``GPU-`` and 16 hex digits."""
    serial = str(asic.get("asic_serial", ""))
    return f"GPU-{serial[2:].lower()}" if serial.startswith("0x") and int(serial, 16) else uuid


def condition(smi: Any, meter: str, gpu: Gpu) -> Condition:
    """Return the state of a GPU now."""
    handle, clocks = gpu.handle, smi.AmdSmiClkType
    cap_uw = told(asked(smi, smi.amdsmi_get_power_cap_info, handle), "power_cap")
    used = told(asked(smi, smi.amdsmi_get_gpu_activity, handle), "gfx_activity")
    return Condition(
        meter=meter,
        device=gpu.uuid,
        t_ns=time.monotonic_ns(),
        temperature_c=_temperature(smi, handle),
        power_limit_w=cap_uw / 1e6 if cap_uw else None,
        clock_mhz=told(asked(smi, smi.amdsmi_get_clock_info, handle, clocks.GFX), "clk"),
        memory_clock_mhz=told(asked(smi, smi.amdsmi_get_clock_info, handle, clocks.MEM), "clk"),
        utilisation=None if used is None else used / 100,
        throttled=_slowed(smi, handle),
    )


def _temperature(smi: Any, handle: Any) -> float | None:
    """Return the junction's: data-centre cards have no edge sensor."""
    kinds, now = smi.AmdSmiTemperatureType, smi.AmdSmiTemperatureMetric.CURRENT
    value = asked(smi, smi.amdsmi_get_temp_metric, handle, kinds.HOTSPOT, now)
    return None if value is None else float(value)


SLOWED: Sequence[tuple[str, str]] = (
    ("active_ppt_pwr", "power_cap"),
    ("active_prochot_thrm", "hardware_slowdown"),
    ("active_socket_thrm", "thermal"),
    ("active_vr_thrm", "thermal"),
    ("active_hbm_thrm", "thermal"),
)


def _slowed(smi: Any, handle: Any) -> list[str]:
    question = getattr(smi, "amdsmi_get_violation_status", None)
    status = asked(smi, question, handle) if question else None
    return sorted({word for key, word in SLOWED if status and status.get(key) is True})
