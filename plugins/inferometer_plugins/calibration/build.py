"""From stored results to a calibration: fit, hold out, predict, say how wrong that was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

import inferometer
from inferometer.errors import InconclusiveError, UsageError
from inferometer_plugins.calibration import file, fitting, power
from inferometer_plugins.calibration.file import (
    Calibration,
    HeldOut,
    Limit,
    Origin,
    Parameter,
    PowerFit,
)
from inferometer_plugins.calibration.holding import Fit, held_out, reach, unpredicted
from inferometer_plugins.calibration.reading import told
from inferometer_plugins.simulator.model import Params

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer_plugins.calibration.fitting import Window
    from inferometer_plugins.calibration.power import Watts
    from inferometer_plugins.calibration.reading import Load, Stack

USUAL = Params()
"""Whose limits are assumed where an engine does not tell its own."""


def calibrate(
    stack: Stack, *, hold_out: Sequence[str] = (), meter: str | None = None
) -> Calibration:
    """Return the calibration of a stack.

    Args:
        stack: its windows.
        hold_out: load points in words (``chat at 8 streams``) that the fit shall not see. Empty:
            the fit sees all, and each, then each workload, is predicted by one without it.
        meter: whose watts; None: the first that does more than repeat the time.

    Raises:
        UsageError: no such load point or meter.
        InconclusiveError: the windows do not tell the parameters apart.

    """
    limits, chosen = _limits(stack), _meter(stack, meter)
    windows = fitting.prepared(stack.windows, _limit(limits, "budget"))
    kept, apart = _divided(windows, stack.loads, hold_out)
    whole = _fit(kept, stack, limits, chosen)

    def without(loads: Sequence[Load]) -> list[HeldOut]:
        """Return load points as a fit without all of them has them."""
        numbers = {load.index for load in loads}
        rest = [it for it in kept if it.seen.load.index not in numbers]
        try:
            fit = _fit(rest, stack, limits, chosen)
        except InconclusiveError as error:
            return [unpredicted(load, error.message) for load in loads]
        fitted = reach([it.seen for it in rest])
        seen = {load: [it.seen for it in windows if it.seen.load == load] for load in loads}
        return [held_out(stack, load, mine, fit, fitted) for load, mine in seen.items()]

    found = without(apart) if hold_out else [it for load in apart for it in without([load])]
    unseen: list[HeldOut] = []
    if not hold_out:
        for name in dict.fromkeys(load.workload for load in apart):
            unseen += without([load for load in apart if load.workload == name])
    return Calibration(
        stack=stack.stack,
        label=stack.label,
        model=stack.model,
        basis="simulated" if stack.simulated else "measured",
        origin=_origin(stack),
        params=whole.params,
        start_s=whole.law.start_s,
        parameters=_parameters(whole),
        residual_share=whole.law.residual_share,
        limits=limits,
        power=_power(whole.watts),
        reach=reach([it.seen for it in kept]),
        used=list(dict.fromkeys(it.seen.load.words for it in kept)),
        refused=stack.refused,
        held_out=found,
        errors=file.summary(found),
        workload_errors=file.summary(unseen),
    )


def _fit(
    windows: Sequence[Window], stack: Stack, limits: Sequence[Limit], meter: str | None
) -> Fit:
    """Return everything that some windows say."""
    law = fitting.law(windows)
    params = Params(
        law=law.linear,
        budget=_limit(limits, "budget"),
        max_seqs=_limit(limits, "max_seqs"),
        kv_tokens=next(it.value for it in limits if it.name == "kv_tokens"),
        power=power.NOTHING,
        noise=fitting.noise(windows, law.linear),
    )
    watts = power.fit(windows, params, law.start_s, stack.cells, meter)
    return Fit(replace(params, power=watts.power), law, watts)


def _limits(stack: Stack) -> list[Limit]:
    """Return what the engine told of its limits, and else what is assumed."""
    names = {
        "max_seqs": ("max_num_seqs", USUAL.max_seqs),
        "budget": ("max_num_batched_tokens", USUAL.budget),
        "kv_tokens": ("kv_cache_tokens", USUAL.kv_tokens),
    }
    found = []
    for name, (setting, usual) in names.items():
        value = told(stack, setting)
        sound = isinstance(value, int) and not isinstance(value, bool) and value > 0
        found.append(
            Limit(
                name=name,  # type: ignore[arg-type] # the keys above
                value=value if sound else usual,
                origin="told" if sound else "assumed",
            )
        )
    budget = _limit(found, "budget")
    if _limit(found, "max_seqs") >= budget:  # the simulated one keeps a token for prompts
        found[0] = Limit(name="max_seqs", value=budget - 1, origin="assumed")
    return found


def _limit(limits: Sequence[Limit], name: str) -> int:
    value = next(it.value for it in limits if it.name == name)
    assert value is not None
    return value


def _divided(
    windows: Sequence[Window], loads: Sequence[Load], hold_out: Sequence[str]
) -> tuple[list[Window], list[Load]]:
    """Return the windows that are fitted and the load points that are predicted."""
    known = {load.words: load for load in loads}
    for name in hold_out:
        if name not in known:
            raise UsageError.unknown("load point", name, known, place="--hold-out")
    if not hold_out:
        return list(windows), list(loads)
    apart = [known[name] for name in dict.fromkeys(hold_out)]
    numbers = {load.index for load in apart}
    kept = [it for it in windows if it.seen.load.index not in numbers]
    if not kept:
        raise UsageError(
            "every load point is held out, so that none is left to fit", hint="Hold out fewer."
        )
    return kept, apart


def _meter(stack: Stack, meter: str | None) -> str | None:
    if meter is None:
        return power.meter_of(stack.meters)
    if meter not in stack.meters:
        raise UsageError.unknown("meter", meter, stack.meters, place="--meter")
    return meter


def _origin(stack: Stack) -> Origin:
    return Origin(
        study=stack.study,
        plan_sha256=stack.plan_sha256,
        launches=[record.id for record in stack.records],
        date=stack.created,
        host=stack.host,
        inferometer_version=inferometer.__version__,
    )


def _parameters(fit: Fit) -> list[Parameter]:
    law, noise, watts = fit.law, fit.params.noise, fit.params.power
    linear = law.linear
    values = (
        ("a_s", linear.a_s, "s per step"),
        ("b_s", linear.b_s, "s per decoding sequence"),
        ("c_s", linear.c_s, "s per token of context"),
        ("d_s", linear.d_s, "s per prompt token"),
        ("start_s", law.start_s, "s before the first step"),
    )
    found = [
        Parameter(name=name, value=value, unit=unit, error=error)
        for (name, value, unit), error in zip(values, law.errors_s, strict=True)
    ]
    found += [
        Parameter(name=name, value=getattr(noise, name), unit="of a step's time")
        for name in ("launch_sd", "slow_sd", "step_sd")
    ]
    powers = ("base_w", "busy_w", "prefill_w", "batch_w") if fit.watts.reason is None else ()
    return found + [Parameter(name=it, value=getattr(watts, it), unit="W") for it in powers]


def _power(watts: Watts) -> PowerFit:
    return PowerFit(
        meter=watts.meter,
        kind=watts.kind,
        residual_share=watts.residual_share,
        reason=watts.reason,
        detail=watts.detail,
        note=watts.note,
    )
