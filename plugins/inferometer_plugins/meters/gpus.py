"""Which of a machine's GPUs are under test: the same rules for every vendor.

Idle GPUs of a node that are counted in, or busy ones left out, are the most common silent error
of energy figures. So a GPU counts where the engine holds a context on it, or where it is all that
the engine can see; the number found must be the number asked for; everything else is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferometer.records import Device
from inferometer_plugins.meters.sensing import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.meter import MeterContext

FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel's fixed inode number of the machine's own process numbers (PROC_PID_INIT_INO)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as its library tells of it."""

    handle: Any
    uuid: str
    index: int
    """Its number in the variable that names visible devices."""
    model: str = ""
    power_limit_w: float | None = None
    pids: tuple[int, ...] | None = None
    """Processes that hold a context on it, in the machine's numbering; None: not told."""
    split: str = ""
    """Why its sensor speaks for several instances; empty for a whole GPU."""
    left_out: str = ""
    """Why another GPU's sensor speaks for it; empty where it has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """GPUs under test, the others, and what could not be made sure of."""

    under_test: tuple[Gpu, ...]
    others: tuple[Gpu, ...]
    doubt: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what :class:`inferometer.records.MeterInfo` keeps of them."""
        devices = [_device(gpu, "") for gpu in self.under_test]
        devices += [_device(gpu, "not under test") for gpu in self.others]
        return {"devices": devices, "detail": self.doubt}


def _device(gpu: Gpu, left_out: str) -> Device:
    return Device(
        name=gpu.uuid,
        model=gpu.model,
        index=gpu.index,
        power_limit_w=gpu.power_limit_w,
        left_out=left_out or gpu.left_out,
    )


def host_numbers(proc: Path) -> bool:
    """Say whether our process numbers are the machine's own, which drivers speak of.

    In a container they are others: a driver shows none, or foreign ones.
    """
    try:
        return os.readlink(proc / "self" / "ns" / "pid") == FIRST_PID_NAMESPACE
    except OSError:
        return False


def choose(
    gpus: Sequence[Gpu], context: MeterContext, *, variable: str, same_numbers: bool
) -> Chosen:
    """Return the GPUs under test.

    ``variable`` names what ``context.visible_devices`` was read from; ``same_numbers`` is
    :func:`host_numbers`.

    Raises:
        Unreadable: they are not known (``devices_unclear``), more or fewer than asked for
            (``device_extra``, ``device_lost``), split (``mig``) or used by others
            (``shared_device``).
    """
    if not gpus:
        raise Unreadable("no_sensor", "the driver sees no GPU")
    ours = set(context.pids()) if context.pids is not None and same_numbers else None
    held = [gpu for gpu in gpus if ours and ours & set(gpu.pids or ())]
    seen = _visible(gpus, context.visible_devices, variable)
    if not held:
        _sure_of_visible(gpus, seen, context, variable)
    found = _used(held, seen, context.accelerators)
    _counted(found, context.accelerators, variable)
    if split := [gpu for gpu in found if gpu.split]:
        raise Unreadable("mig", f"{split[0].uuid}: {split[0].split}; the sensor is the whole GPU's")
    doubt = _alone(found, ours, sure=len(held) == len(found))
    kept = {gpu.uuid for gpu in found}
    others = tuple(gpu for gpu in gpus if gpu.uuid not in kept)
    return Chosen(under_test=tuple(found), others=others, doubt=doubt)


def _used(held: list[Gpu], seen: list[Gpu], asked: int | None) -> list[Gpu]:
    """Return the GPUs that the engine holds.

    All that it sees, where it holds some of them and was asked to use them all: workers may run
    outside its session (MPI, Ray), and a GPU that is reserved and idle counts.
    """
    kept = {gpu.uuid for gpu in seen}
    part = len(held) < len(seen) == asked and all(gpu.uuid in kept for gpu in held)
    return seen if part else held or seen


def _visible(gpus: Sequence[Gpu], words: str | None, variable: str) -> list[Gpu]:
    """Return what the engine can see; like the runtimes, stop at the first wrong name."""
    if words is None:
        return list(gpus)
    seen: list[Gpu] = []
    for word in (part.strip() for part in words.split(",")):
        if word.startswith("MIG-"):
            raise Unreadable("mig", f"{variable} names a part of a GPU ({word}): it has no sensor")
        named = [gpu for gpu in gpus if _means(word, gpu)]
        if len(named) != 1 or named[0] in seen:
            break
        seen += named
    return seen


def _means(word: str, gpu: Gpu) -> bool:
    if word.isdecimal():
        return gpu.index == int(word)
    return len(word) > 4 and gpu.uuid.lower().startswith(word.lower())


def _sure_of_visible(
    gpus: Sequence[Gpu], seen: Sequence[Gpu], context: MeterContext, variable: str
) -> None:
    words = context.visible_devices
    if not seen:
        raise Unreadable("devices_unclear", f"{variable}={words!r} names no GPU of this machine")
    by_number = words is not None and any(word.strip().isdecimal() for word in words.split(","))
    if by_number and len(gpus) > 1 and len({gpu.model for gpu in gpus}) > 1:
        raise Unreadable(
            "devices_unclear",
            "GPUs of several models, which runtimes number in their own order: "
            f"name them by UUID in {variable}",
        )
    if words is None and len(gpus) > 1 and context.accelerators != len(gpus):
        asked = "" if context.accelerators is None else f" and asked for {context.accelerators}"
        raise Unreadable(
            "devices_unclear",
            f"the engine sees all {len(gpus)} GPUs{asked}, and the driver does not say which it "
            f"uses: set {variable}",
        )


def _counted(found: Sequence[Gpu], asked: int | None, variable: str) -> None:
    if asked is None or asked == len(found):
        return
    said = f"{len(found)} GPUs found under test, the engine was asked to use {asked}"
    if len(found) > asked:
        raise Unreadable("device_extra", f"{said}: set {variable} to those it shall use")
    raise Unreadable("device_lost", said)


def _alone(found: Sequence[Gpu], ours: set[int] | None, *, sure: bool) -> str:
    """Refuse GPUs that others compute on; return what is not known of that.

    Where contexts are there and none is the engine's, they may be the engine's under numbers of
    another namespace: nobody is accused then.
    """
    if ours is None:
        return "whether others use these GPUs is not known: process numbers cannot be compared here"
    if any(gpu.pids is None for gpu in found):
        return "whether others use these GPUs is not known: the driver does not say"
    strangers = {gpu.uuid: sorted(set(gpu.pids or ()) - ours - {os.getpid()}) for gpu in found}
    shared = [uuid for uuid, pids in strangers.items() if pids]
    if shared and (sure or not ours):
        pids = ", ".join(map(str, strangers[shared[0]]))
        raise Unreadable("shared_device", f"{shared[0]} is used by other processes too: {pids}")
    if shared:
        return "whether others use these GPUs is not known: no context on them is the engine's"
    return ""
