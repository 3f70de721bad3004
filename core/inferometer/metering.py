"""Meters around a launch: what each may look at, which can be read, and what runs beside them."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import UNSET

from inferometer import guests, redact, store
from inferometer.containers import devices
from inferometer.devices import DeviceMemory
from inferometer.errors import InferometerError, LaunchError, MachineError, UsageError
from inferometer.meter import MeterContext
from inferometer.processes import Session, machine_cpu_seconds
from inferometer.records import Idle, MeterInfo
from inferometer.watch import Opened, Watch, fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Literal, Self

    from inferometer.engine import LaunchSpec, Platform
    from inferometer.meter import EnergyMeter
    from inferometer.records import Window
    from inferometer.study import MeterEntry, Protocol

    Meters = Sequence[tuple[MeterEntry, EnergyMeter]]

PERIOD_S = 0.5
"""Between two looks at processors and memory."""
IDLE_S = 10.0
"""Of a stretch without load, where a measuring meter can be read and the study does not say."""
SETTLE = 0.2
"""Before such a stretch, as a share of it: what came before dies down."""
VISIBLE = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "rocm": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}


class Usage(NamedTuple):
    """CPU seconds used until ``t_ns`` (monotonic): by the whole machine, and by the engine."""

    t_ns: int
    machine_s: float
    engine_s: float


class Allotted(NamedTuple):
    """What an engine was given, as in :class:`~inferometer.meter.MeterContext`."""

    visible_devices: str | None = None
    accelerators: int | None = None


UNKNOWN = Allotted()


class Sampler:
    """A :class:`~inferometer.watch.Watch` over ``meters``, and looks at processors and memory.

    ``watch``, ``usage``, ``peak_memory_bytes`` and ``devices`` are complete after the context has
    ended.
    """

    def __init__(
        self, meters: Sequence[Opened], session_id: int | None, accelerator: str = "cpu"
    ) -> None:
        self.watch = Watch(meters)
        self._session = session = None if session_id is None else Session(session_id)
        self.devices = DeviceMemory(session_id, lambda _: session.alive() if session else [])
        self._accelerator = accelerator
        self.usage: list[Usage] = []
        self.peak_memory_bytes: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def _run(self) -> None:
        next_look = time.monotonic()
        while not self._stop.wait(max(0.0, next_look - time.monotonic())):
            self._look()
            next_look += PERIOD_S

    def _look(self) -> None:
        machine = machine_cpu_seconds()
        if self._session is not None:
            engine, memory = self._session.used()
            if memory is not None:
                self.peak_memory_bytes = max(self.peak_memory_bytes or 0, memory)
            if machine is not None:
                self.usage.append(Usage(time.monotonic_ns(), machine, engine))
        self.devices.look()

    def __enter__(self) -> Self:
        self.devices.open(self._accelerator)
        self._thread.start()
        self.watch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        self.devices.close()
        self.watch.__exit__(kind, error, trace)


def meter_context(
    entry: MeterEntry,
    session_id: int | None,
    platform: Platform,
    allotted: Allotted = UNKNOWN,
) -> MeterContext:
    """Return what a meter may look at during this launch, or before it without ``session_id``."""
    session = None if session_id is None else Session(session_id)

    def seconds() -> float:
        if session is None:
            raise LookupError("the engine's processes cannot be seen")
        return session.cpu_seconds()

    return MeterContext(
        accelerator=platform.accelerator,
        session_id=session_id,
        cpu_seconds=seconds,
        pids=None if session is None else session.alive,
        visible_devices=allotted.visible_devices,
        accelerators=allotted.accelerators,
        options=entry.options,
    )


def allot(
    platform: Platform,
    variables: Mapping[str, str],
    spec: LaunchSpec,
    flags: Sequence[str] = (),
) -> Allotted:
    """Return what an engine is given that gets ``variables`` and is to serve as ``spec`` says.

    ``flags`` are those of the runtime of its container, which may choose devices, too.
    """
    names = VISIBLE.get(platform.accelerator, ())
    variables = {**variables, **devices.variables(flags)}
    visible = next((variables[name] for name in names if name in variables), None)
    visible = devices.outside(flags, visible)
    replicas = spec.pipeline_parallel_size * spec.data_parallel_size
    return Allotted(visible, spec.tensor_parallel_size * replicas)


def opened(
    meters: Meters,
    context_of: Callable[[MeterEntry], MeterContext],
    elsewhere: str = "",
    nodes: int = 1,
) -> list[Opened]:
    """Open what can be read of a study's meters; a plugin that breaks is named, as one that cannot.

    ``elsewhere`` and ``nodes`` are those of :func:`seen_from`.
    """
    return [_opened(meter, context_of(entry), elsewhere, nodes) for entry, meter in meters]


def _opened(meter: EnergyMeter, context: MeterContext, elsewhere: str, nodes: int) -> Opened:
    info = seen_from(_described(meter, context), elsewhere, nodes)
    try:
        with guests.within():
            return Opened(info, meter.open(context) if info.reason is None else None)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a plugin's fault must not end the run
        return Opened(_failed(info, error))


def _described(meter: EnergyMeter, context: MeterContext) -> MeterInfo:
    """Return what a meter says of itself, without secrets, or that it broke.

    It is held to the record's types: a stranger's may be anything.
    """
    try:
        with guests.within():
            told = meter.info(context)
        said = msgspec.convert(msgspec.to_builtins(told), MeterInfo)
        method, detail = (redact.capped(redact.text(one)) for one in (said.method, said.detail))
        return msgspec.structs.replace(said, method=method, detail=detail)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- as above
        return _failed(MeterInfo(name=meter.name, scope="L0", kind="measured", method=""), error)


def _failed(info: MeterInfo, error: BaseException) -> MeterInfo:
    reason, detail = fault(error)
    return msgspec.structs.replace(info, reason=reason, detail=detail)


def seen_from(info: MeterInfo, elsewhere: str, nodes: int = 1) -> MeterInfo:
    """Return ``info``, unreadable where the engine runs ``elsewhere`` (words; empty: it is here).

    On several ``nodes`` this one's sensors would count a part. What the study declares holds
    wherever that is.
    """
    if info.kind == "declared" or info.reason is not None:
        return info
    if nodes > 1:
        words = f"the engine ran on {nodes} nodes, and meters see one"
        return msgspec.structs.replace(info, reason="device_lost", detail=words)
    if not elsewhere:
        return info
    return msgspec.structs.replace(info, reason="no_sensor", detail=elsewhere)


def broken(info: MeterInfo, watch: Watch) -> MeterInfo:
    """Return ``info``, with a reason where the meter failed while it was read."""
    if found := watch.faults.get(info.name):
        return msgspec.structs.replace(info, reason=found.reason, detail=found.detail)
    if remark := watch.remarks.get(info.name):
        return msgspec.structs.replace(info, detail="; ".join(filter(None, (info.detail, remark))))
    return info


def idle_s(protocol: Protocol, infos: Sequence[MeterInfo]) -> float:
    """Return how long each stretch without load is to be, of meters that say ``infos``; 0: none.

    Only what measures sees a difference, so without it there is none unless the study says so.
    """
    readable = [info for info in infos if info.reason is None]
    if protocol.idle_s is not UNSET:
        return protocol.idle_s if readable else 0.0
    return IDLE_S if any(info.kind == "measured" for info in readable) else 0.0


def idle_length_s(protocol: Protocol, meters: Meters, platform: Platform) -> float:
    """Return :func:`idle_s` as far as it can be told before there is any engine."""
    if protocol.idle_s == 0:
        return 0.0
    told = [_described(each, meter_context(entry, None, platform)) for entry, each in meters]
    return idle_s(protocol, told)


def rest(
    state: Literal["bare", "loaded"],
    seconds: float,
    watch: Watch,
    dead: Callable[[], str | None] = lambda: None,
) -> Idle:
    """Let everything settle, then wait for ``seconds`` while ``watch`` reads the meters.

    Raises:
        LaunchError: ``dead`` said why the server is gone.
    """
    start_ns = time.monotonic_ns() + round(SETTLE * seconds * 1e9)
    end_ns = start_ns + round(seconds * 1e9)
    watch.window_set(start_ns, end_ns)
    while (left_ns := end_ns - time.monotonic_ns()) > 0:
        if reason := dead():
            raise LaunchError(reason, hint="Read the engine's log.", stage="serve")
        time.sleep(min(PERIOD_S, left_ns * 1e-9))
    return Idle(state=state, start_ns=start_ns, end_ns=end_ns)


def rest_bare(
    meters: Sequence[Opened], protocol: Protocol, folder: Path, say: Callable[[str], None]
) -> list[Idle]:
    """Read and close ``meters``, those that can be read without an engine, before there is one.

    They are opened again for the engine: which devices it uses is only known then.
    """
    seconds = idle_s(protocol, [meter.info for meter in meters])
    found = []
    with Watch(meters) as watch:
        if seconds:
            say("idle, before the engine starts")
            found.append(rest("bare", seconds, watch))
    if seconds:
        keep(folder, watch)
    return found


def keep(folder: Path, watch: Watch) -> None:
    """Store what meters said, behind what they said before."""
    store.append_lines(folder / "readings.jsonl", watch.readings)
    if watch.conditions:
        store.append_lines(folder / "conditions.jsonl", watch.conditions)


def bystanders(window: Window, usage: Sequence[Usage]) -> Window:
    """Return ``window`` with the share of the machine that neither engine nor client used.

    Over the stretch between the samples just around the window, for which the client's use in the
    window stands. Unchanged where no two samples bound it.
    """
    before = [seen for seen in usage if seen.t_ns <= window.start_ns]
    after = [seen for seen in usage if seen.t_ns >= window.end_ns]
    if not before or not after:
        return window
    first, last = before[-1], after[0]
    seconds = (last.t_ns - first.t_ns) * 1e-9
    client_s = window.client_cpu_s * seconds / ((window.end_ns - window.start_ns) * 1e-9)
    busy_s = last.machine_s - first.machine_s - (last.engine_s - first.engine_s) - client_s
    share = max(0.0, busy_s / seconds / (os.cpu_count() or 1))
    return msgspec.structs.replace(window, others_cpu_share=share)


def chosen_meters(
    entries: Sequence[MeterEntry], available: dict[str, EnergyMeter]
) -> list[tuple[MeterEntry, EnergyMeter]]:
    """Return the study's meters.

    Raises:
        UsageError: a meter or one of its options is unknown.
        MachineError: a meter breaks when it is asked what it is.
    """
    chosen = []
    for entry in entries:
        if entry.name not in available:
            raise UsageError.unknown("meter", entry.name, available, place="[[meters]] name")
        meter = available[entry.name]
        for option in entry.options:
            if option not in meter.options:
                raise UsageError.unknown(
                    f"option of meter {entry.name!r}", option, meter.options, place="[[meters]]"
                )
        # options are looked at now, not when the first engine has started
        try:
            with guests.within():
                meter.info(MeterContext(session_id=0, cpu_seconds=float, options=entry.options))
        except InferometerError:
            raise
        except (Exception, SystemExit) as error:
            raise MachineError(
                f"meter {entry.name!r} broke: {type(error).__name__}: {error}",
                hint="Report it to the author of the meter, and leave the meter out.",
            ) from error
        chosen.append((entry, meter))
    return chosen
