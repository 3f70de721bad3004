"""Checks of what a meter says of itself, before anything is read."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.meter import EnergyMeter
from inferometer.records import MeterInfo
from inferometer.redact import plain
from inferometer.testing.check import (
    Failed,
    applies,
    check,
    checks_of,
    complete_check,
    name_check,
    need,
)
from inferometer.testing.meters.kit import Kit, within
from inferometer.testing.meters.world import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.testing.check import Check

STEADY = ("name", "scope", "kind", "method", "instrument", "boundary", "period_s", "permission")
"""What must not change between two looks at a meter that nobody touched."""

ODD_DEVICES = (
    *(("", None), ("0", 1), ("0", 1000), ("0,1,2,3", None), ("GPU-4f1c", 1), ("MIG-4f1c", 1)),
    *(("none", None), ("99", 1), (",", None), ("-1", 0)),
)
"""What may stand in ``CUDA_VISIBLE_DEVICES``, and how many the engine was to use."""


complete: Check[Kit] = complete_check(EnergyMeter, lambda kit: kit.meter)
name: Check[Kit] = name_check(
    lambda kit: kit.meter, "in a study, in a table and in a file name", longest=40
)


@check
def frozen(kit: Kit) -> None:
    """It is a value that nobody can change."""
    try:
        kit.meter.name = kit.meter.name  # type: ignore[misc]
    except AttributeError:
        return
    raise Failed("its name can be set: make it a frozen dataclass")


@check
def info_is_a_record(kit: Kit) -> None:
    """What it says is a ``MeterInfo`` with valid scope, kind and instrument."""
    with kit.there() as context:
        info = kit.meter.info(context)
        need(isinstance(info, MeterInfo), f"is {type(info).__name__}")
        try:
            again = msgspec.json.decode(msgspec.json.encode(info), type=MeterInfo)
        except msgspec.ValidationError as error:
            raise Failed(str(error)) from error
        need(again == info, "does not survive being written and read")


@check
def info_is_named(kit: Kit) -> None:
    """It goes by the same name wherever it speaks."""
    with kit.there() as context:
        told = kit.meter.info(context).name
        need(told == kit.meter.name, f"info says {told!r}, the study {kit.meter.name!r}")


@check
def info_repeats(kit: Kit) -> None:
    """Asked twice, it says the same."""
    with kit.there() as context:
        first, second = _steady(kit.meter.info(context)), _steady(kit.meter.info(context))
        changed = [key for key, value in first.items() if second[key] != value]
        need(not changed, f"changed: {', '.join(changed)}")


@check
def info_is_plain(kit: Kit) -> None:
    """Its words are one line each, without control characters."""
    with kit.there() as context:
        info = kit.meter.info(context)
        said = [info.method, info.boundary, info.permission, info.detail]
        said += [word for each in info.devices for word in (each.name, each.model, each.left_out)]
        odd = [word for word in said if plain(word) != word or "\n" in word or len(word) > 400]
        need(not odd, f"{odd[:1]!r}")


@check
def method_is_said(kit: Kit) -> None:
    """It says in a sentence what is read or assumed, and from where."""
    with kit.there() as context:
        method = kit.meter.info(context).method
        need(len(method.split()) >= 3, f"method is {method!r}")


@check
def instrument_is_said(kit: Kit) -> None:
    """It says whether it is a counter of joules, a reading of watts, or a model."""
    with kit.there() as context:
        need(kit.meter.info(context).instrument, "instrument is empty")


@check
def models_are_not_measurements(kit: Kit) -> None:
    """What it computes is no measurement, and what it measures is no model."""
    with kit.there() as context:
        info = kit.meter.info(context)
        model = info.instrument == "model"
        need(not (info.kind == "measured" and model), "kind is measured, instrument is model")
        wrong = info.kind in {"declared", "estimated"} and info.instrument in {"counter", "power"}
        need(not wrong, f"kind is {info.kind}, instrument is {info.instrument}")


@check
def constants_are_labelled(kit: Kit) -> None:
    """A constant wattage says that its J/token follows throughput; a measurement never does."""
    with kit.there() as context:
        info = kit.meter.info(context)
        if info.kind == "declared":
            need(info.follows_throughput, "a declared constant without follows_throughput")
        if info.kind == "measured":
            need(not info.follows_throughput, "measured, and yet it follows throughput")


@check
def permission_is_said(kit: Kit) -> None:
    """It says what reading it takes: ``none``, ``root``, a group, an account."""
    with kit.there() as context:
        need(kit.meter.info(context).permission.strip(), "permission is empty")


@check
def resolution_is_said(kit: Kit) -> None:
    """The smallest step of a sensor that counts is told."""
    with kit.readable() as (_, info):
        counts = info.kind == "measured" and info.instrument == "counter"
        applies(counts, "it is no sensor that counts")
        need(info.resolution is not None, "resolution is not told")


@check
def numbers_make_sense(kit: Kit) -> None:
    """Periods, means, shares and steps are possible ones."""
    with kit.there() as context:
        info = kit.meter.info(context)
        need(0.001 <= info.period_s <= 60, f"period_s is {info.period_s}")
        for key in ("update_ms", "averaged_ms", "resolution"):
            value = getattr(info, key)
            need(value is None or 0 < value < 1e7, f"{key} is {value}")
        need(info.seen_share is None or 0 < info.seen_share <= 1, f"seen_share {info.seen_share}")
        for each in info.devices:
            limit = each.power_limit_w
            need(limit is None or 1 <= limit < 1e6, f"{each.name}: limit of {limit} W")


@check
def devices_are_listed(kit: Kit) -> None:
    """It lists the devices it covers, each by a name of its own, and one of them counts."""
    with kit.readable() as (_, info):
        names = [each.name for each in info.devices]
        need(all(each.strip() for each in names), "a device has no name")
        need(len(set(names)) == len(names), f"a name stands twice: {names}")
        need([each for each in info.devices if not each.left_out], "no device counts")


@check
def reasons_are_known_words(kit: Kit) -> None:
    """Where it cannot be read it gives one of the known reasons, and explains it."""
    with kit.there() as context:
        _explained(kit.meter.info(context))
    for scene in (kit.world.absent, kit.world.forbidden):
        if scene is not None:
            with kit.there() as context, scene():
                _explained(kit.meter.info(context))


@check
def absence_is_a_reason(kit: Kit) -> None:
    """Without its sensor, driver or file it says ``no_sensor`` or ``unsupported``."""
    applies(kit.world.absent is not None, "this world cannot take the sensor away")
    assert kit.world.absent is not None
    with kit.there() as context, kit.world.absent():
        reason = kit.meter.info(context).reason
        need(reason in {"no_sensor", "unsupported"}, f"reason is {reason!r}")


@check
def lack_of_permission_is_a_reason(kit: Kit) -> None:
    """Where reading is forbidden it says ``no_permission``."""
    applies(kit.world.forbidden is not None, "this world cannot forbid reading")
    assert kit.world.forbidden is not None
    with kit.there() as context, kit.world.forbidden():
        reason = kit.meter.info(context).reason
        need(reason == "no_permission", f"reason is {reason!r}")


@check
def answers_before_the_engine(kit: Kit) -> None:
    """It answers before the engine has started: no process, no CPU seconds yet."""
    with kit.there() as context:
        early = replace(context, session_id=0, cpu_seconds=_none_yet, pids=list)
        kit.meter.info(early)


@check
def answers_without_processes(kit: Kit) -> None:
    """It answers where the engine's processes cannot be seen: somebody else runs the server."""
    with kit.there() as context:
        kit.meter.info(replace(context, session_id=None, cpu_seconds=_none_yet, pids=None))


@check
def answers_on_every_accelerator(kit: Kit) -> None:
    """Whatever the engine computes on, it answers: readable, or with a reason."""
    with kit.there() as context:
        for accelerator in ("cpu", "cuda", "rocm"):
            changed: Any = {"accelerator": accelerator}
            _explained(kit.meter.info(replace(context, **changed)))


@check
def answers_for_any_devices(kit: Kit) -> None:
    """However the engine's devices are named, even wrongly, it answers."""
    with kit.there() as context:
        for devices, count in ODD_DEVICES:
            changed = replace(context, visible_devices=devices, accelerators=count)
            _explained(kit.meter.info(changed))


@check
def asking_is_quick(kit: Kit) -> None:
    """It answers, and opens, in the time that a start may take."""
    with kit.readable() as (context, info):
        began = time.monotonic()
        kit.meter.info(context)
        within("info", began, kit.world.patience_s)
        began = time.monotonic()
        with kit.session(context, info):
            within("open", began, kit.world.patience_s)


@check
def asking_changes_nothing(kit: Kit) -> None:
    """Neither asking nor reading sets a power limit, a clock, a file or a mode."""
    applies(kit.world.state is not None, "this world cannot tell whether something was changed")
    assert kit.world.state is not None
    with kit.readable() as (context, info):
        before = kit.world.state()
        kit.meter.info(context)
        with kit.session(context, info) as opened:
            opened.looks()
        need(kit.world.state() == before, f"was {before!r}, is {kit.world.state()!r}")


# -- inside ----------------------------------------------------------------------------------


def _steady(info: MeterInfo) -> Mapping[str, object]:
    devices = [(each.name, each.left_out) for each in info.devices]
    return {**{key: getattr(info, key) for key in STEADY}, "devices": devices}


def _explained(info: MeterInfo) -> None:
    if info.reason is not None:
        need(info.reason in REASONS, f"reason {info.reason!r} is none of {sorted(REASONS)}")
        need(info.detail.strip(), f"{info.reason}, and no detail")


def _none_yet() -> float:
    raise LookupError("there is no engine yet")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
