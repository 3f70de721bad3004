"""NVIDIA's management library (NVML), as its Python binding ``pynvml`` gives it.

The binding comes with the distribution ``nvidia-ml-py`` and is imported only when a meter is asked
about. Names, units and limits are those of NVML's header: energy in mJ, power in mW.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import TYPE_CHECKING, Any

from inferometer.records import Condition
from inferometer_plugins.meters.gpus import Gpu
from inferometer_plugins.meters.sensing import Unreadable, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENERGY, POWER_INSTANT = 191, 186
"""Fields ``NVML_FI_DEV_ENERGY`` and ``NVML_FI_DEV_POWER_INSTANT``."""
SCOPE_GPU, SCOPE_MODULE = 0, 1
"""``NVML_POWER_SCOPE_GPU`` and ``_MODULE``: only Grace boards answer to the second."""
AMPERE, VOLTA, UNKNOWN = 7, 5, 0xFFFFFFFF
GA100 = 0x20
"""High byte of the PCI device numbers of A100, A800 and A30."""
_VALUE_TYPES = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
SLOWED = {
    0x02: "clocks_set",
    0x04: "power_cap",
    0x08: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "thermal",
    0x40: "thermal",
    0x80: "power_brake",
    0x200: "board_limit",
    0x400: "reliability",
}
"""Bits of the clock event reasons; idle (0x01) and the display's clocks (0x100) hold nothing."""
_ABSENT = ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded", "NVMLError_NotFound")
_UNSUPPORTED = ("NVMLError_NotSupported", "NVMLError_FunctionNotFound")


@contextlib.contextmanager
def library() -> Iterator[Any]:
    """Give the module ``pynvml``, initialised; the library counts how often it was.

    Raises:
        Unreadable: it is not installed, is another distribution's, or finds no driver.
    """
    nvml = start()
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise unreadable(nvml, error) from error
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def start() -> Any:
    """Return ``pynvml``, initialised once more.

    Raises:
        Unreadable: as :func:`library`.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise Unreadable("no_sensor", "pynvml is not installed: pip install nvidia-ml-py") from None
    if not hasattr(nvml, "_nvmlGetFunctionPointer"):
        raise Unreadable(
            "failed",
            "another distribution shadows the module of nvidia-ml-py: pip uninstall pynvml, then "
            "pip install --force-reinstall nvidia-ml-py",
        )
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise unreadable(nvml, error) from error
    return nvml


def unreadable(nvml: Any, error: Exception) -> Unreadable:
    """Return the reason code for an error of NVML's."""

    def one_of(names: tuple[str, ...]) -> bool:
        return any(isinstance(error, getattr(nvml, name, ())) for name in names)

    if one_of(_ABSENT):
        return Unreadable("no_sensor", f"no NVIDIA driver answers: {error}")
    if one_of(("NVMLError_NoPermission",)):
        return Unreadable("no_permission", f"NVML: {error}")
    if one_of(_UNSUPPORTED):
        return Unreadable("unsupported", f"NVML: {error}")
    if one_of(("NVMLError_GpuIsLost", "NVMLError_ResetRequired")):
        return Unreadable("device_lost", f"NVML: {error}")
    return Unreadable("failed", f"NVML: {error}")


def gpus(nvml: Any) -> list[Gpu]:
    """Return this machine's GPUs in PCI order, which is NVML's own."""
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        limit_mw = asked(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        mode = asked(nvml, nvml.nvmlDeviceGetMigMode, handle)
        held = asked(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle)
        found.append(
            Gpu(
                handle=handle,
                uuid=string(nvml.nvmlDeviceGetUUID(handle)),
                index=index,
                model=string(asked(nvml, nvml.nvmlDeviceGetName, handle) or ""),
                power_limit_w=limit_mw / 1e3 if limit_mw else None,
                pids=None if held is None else tuple(int(process.pid) for process in held),
                split="MIG is on" if mode and mode[0] == 1 else "",
            )
        )
    return found


def asked(nvml: Any, question: Callable[..., Any], *about: Any) -> Any:
    """Return an answer, None where this card, driver or binding has none."""
    try:
        return question(*about)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError, AttributeError):
        return None


def string(value: Any) -> str:
    """Return text; bindings before 12 gave bytes."""
    return clean(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def field(nvml: Any, handle: Any, number: int, scope: int = SCOPE_GPU) -> float:
    """Return one field's value, which is undefined unless its own return code is 0.

    Raises:
        NVMLError: the call or the field failed.
    """
    (answer,) = nvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])
    if answer.nvmlReturn != 0:
        raise nvml.NVMLError(answer.nvmlReturn)
    return float(getattr(answer.value, _VALUE_TYPES[answer.valueType]))


def is_module(nvml: Any, handle: Any, number: int, look: Callable[[], float]) -> bool:
    """Say whether ``look`` reads the whole module (GPU and host processor) and not the GPU alone.

    The header and its comments disagree on scope ids, and on Grace boards the plain calls cover
    the module: so both scopes of ``number`` are asked and compared with what ``look`` gives. Where
    they cannot be told apart it counts as the module.
    """
    module = asked(nvml, field, nvml, handle, number, SCOPE_MODULE)
    if not module:
        return False
    alone = asked(nvml, field, nvml, handle, number, SCOPE_GPU)
    if not alone:
        return True
    value = look()
    return bool(abs(value - module) <= abs(value - alone))


def condition(nvml: Any, meter: str, gpu: Gpu) -> Condition:
    """Return the state of a GPU now."""
    handle = gpu.handle
    used = asked(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    limit_mw = asked(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    return Condition(
        meter=meter,
        device=gpu.uuid,
        t_ns=time.monotonic_ns(),
        temperature_c=_either(nvml, ("TemperatureV", "Temperature"), handle, 0),
        power_limit_w=limit_mw / 1e3 if limit_mw else None,
        clock_mhz=asked(nvml, nvml.nvmlDeviceGetClockInfo, handle, 1),
        memory_clock_mhz=asked(nvml, nvml.nvmlDeviceGetClockInfo, handle, 2),
        utilisation=None if used is None else used.gpu / 100,
        throttled=_slowed(nvml, handle),
    )


def _either(nvml: Any, names: tuple[str, ...], *about: Any) -> Any:
    """Ask by the present name, then by the one that older drivers know."""
    for name in names:
        question = getattr(nvml, f"nvmlDeviceGet{name}", None)
        answer = None if question is None else asked(nvml, question, *about)
        if answer is not None:
            return answer
    return None


def _slowed(nvml: Any, handle: Any) -> list[str]:
    names = ("CurrentClocksEventReasons", "CurrentClocksThrottleReasons")
    bits = _either(nvml, names, handle) or 0
    return sorted({word for bit, word in SLOWED.items() if bits & bit})
