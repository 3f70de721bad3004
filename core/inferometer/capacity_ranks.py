"""Rankings at the SLO: by capacity, and by joules and dollars at each stack's own capacity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from inferometer import nodes, ranking
from inferometer.capacities import RATE, flag_of, limits_of, why, words
from inferometer.cells import served
from inferometer.comparison import Value, worst_kind
from inferometer.contests import METRIC, by_profile, no_meter, other_boundary, subjects, why_invalid
from inferometer.energy import agreement
from inferometer.metrics.catalogue import BY_ID
from inferometer.metrics.energy import early_meters, read_meters, stretch_accounts
from inferometer.ranking import Contest, Entrant
from inferometer.tables import is_simulated, model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.capacities import Found, Searches
    from inferometer.cells import Evidence
    from inferometer.comparison import Check, Kind, Model, Objective, Ranking
    from inferometer.contests import Field
    from inferometer.energy.account import Account
    from inferometer.records import LaunchRecord

    Joules = dict[tuple[str, int, str], Value]
    """By launch, load point of the probe, and meter."""

SAME_PRICE = 1e-6


def build_slo_rankings(
    field: Field, models: Sequence[Model], every: Searches | None
) -> list[Ranking]:
    """Return the rankings at the SLO: by capacity, and there by energy and by cost.

    Brackets that overlap are told apart by nothing, however alike the launches are: so much is
    added to what separates two stacks by capacity or by cost. By energy each stack is ranked at its
    own highest certified rate.
    """
    evidence = field.evidence
    planned = evidence.plan.capacity
    if planned is None or not every:
        return []
    served_at = _AtSlo(field, every, _joules(evidence, every), nodes.blocks(evidence.records))
    return [
        _at_slo(one, found)
        for model in models
        for workload in planned.workloads
        for objective, meter, primary, follows in subjects(evidence)
        for profile, stacks in by_profile(evidence)
        for one in [
            replace(
                served_at.contest(model, workload.name, objective, meter, stacks),
                primary=primary,
                follows_throughput=follows,
                profile=profile,
            )
        ]
        for found in ranking.rank(one, [served_at.entrant(one, it) for it in stacks])
    ]


@dataclass(frozen=True, slots=True)
class _AtSlo:
    """Everybody who could take part, and what their probes used."""

    field: Field
    every: Searches
    joules: Joules
    blocks: Mapping[str, int]
    """Of each launch."""

    @property
    def evidence(self) -> Evidence:
        return self.field.evidence

    def contest(
        self,
        model: Model,
        workload: str,
        objective: Objective,
        meter: str | None,
        stacks: Sequence[str],
    ) -> Contest:
        metric = RATE if objective == "throughput" else BY_ID[METRIC[objective]].info
        planned = self.evidence.plan.capacity
        assert planned is not None
        halves = {
            stack: _halves(self.every.get((stack, model.name, workload), ()), self.blocks)
            for stack in stacks
        }
        share = f"{planned.asked.share:.4%}".rstrip("0%").rstrip(".")
        return Contest(
            objective=objective,
            metric=metric.id,
            unit=metric.unit,
            higher_is_better=metric.direction == "higher",
            meter=meter,
            model=model.name,
            architecture=model.architecture,
            workload=workload,
            load=f"at the SLO: {share} % of requests within {words(limits_of(planned.slo))}",
            slack={} if objective == "energy" else halves,
        )

    def entrant(self, one: Contest, stack: str) -> Entrant:
        """Return what a stack enters with, or why it cannot."""
        evidence, found = self.evidence, self.every.get((stack, one.model, one.workload), ())
        entrant = Entrant(stack=stack, cell=f"{stack}/{one.model}/{one.workload}/slo")
        if not found or flag_of(found) is not None:
            reason, detail = why(evidence, stack, one.model, found)
            return replace(entrant, reason=reason, detail=detail)
        if wrong := self.invalid(one, stack):
            reason, detail = why_invalid(wrong)
            return replace(entrant, reason=reason, detail=detail)
        launches = [each.record.id for each in found]
        elsewhere = other_boundary(evidence, launches, one.meter) if one.meter else ""
        if elsewhere:
            return replace(entrant, reason="other_boundary", detail=elsewhere)
        values = {self.blocks[it.record.id]: self.value(one, it) for it in found if it.bracket}
        known = {block: it.value for block, it in values.items() if it.value is not None}
        kind = worst_kind(it.kind for it in values.values())
        refusal = self.field.refused.get((stack, one.model))
        entrant = replace(entrant, by_round=known, kind=kind, precision=served(found[0].record))
        if not known:
            first = next(iter(values.values()))
            return replace(entrant, reason=first.reason or "failed", detail=first.detail)
        if refusal is not None:
            return replace(entrant, reason=refusal.reason, detail=refusal.detail)
        return entrant

    def invalid(self, one: Contest, stack: str) -> list[Check]:
        """Return what fails for a stack at every load point of the workload, if it does."""
        whose = (stack, one.model, one.workload)
        mine = [
            it for it in self.field.cells.values() if (it.stack, it.model, it.workload) == whose
        ]
        if not mine or any(it.valid for it in mine):
            return []
        return [check for check in mine[0].checks if check.verdict == "fail"]

    def value(self, one: Contest, found: Found) -> Value:
        """Return what a launch enters with."""
        kind: Kind = "simulated" if is_simulated(found.record) else "measured"
        assert found.bracket is not None
        if one.objective == "throughput":
            low, high = found.bracket
            return Value(value=math.sqrt(low * high), unit=one.unit, kind=kind, n=1)
        probe = found.best
        if probe is None or not probe.output_tokens:
            text = "no tokens were counted at the highest rate that passed"
            return _none(one.unit, kind, "too_few_samples", text)
        if one.objective == "cost":
            price = _price(self.evidence, found.record)
            seconds = (probe.window.end_ns - probe.window.start_ns) * 1e-9
            return _over(price, probe.output_tokens / seconds * 3600 / 1e6, one.unit, kind)
        if one.meter is None:
            return _none(one.unit, kind, *no_meter(self.evidence.meters))
        place = (found.record.id, probe.window.load_point, one.meter)
        none = _none("J", kind, "no_sensor", "not in this launch")
        return _over(self.joules.get(place, none), probe.output_tokens, one.unit, kind)


def _none(unit: str, kind: Kind, reason: str, detail: str) -> Value:
    return Value(value=None, unit=unit, kind=kind, reason=reason, detail=detail)


def _over(whole: Value, amount: float, unit: str, kind: Kind) -> Value:
    """Return a value for each of ``amount``, in its own unit; or why there is none."""
    value = None if whole.value is None else whole.value / amount
    return msgspec.structs.replace(
        whole, value=value, unit=unit, kind=worst_kind([kind, whole.kind])
    )


def _halves(found: Sequence[Found], blocks: Mapping[str, int]) -> dict[int, float]:
    """Return half of a stack's bracket in each block that has one, in log units."""
    ends = {blocks[one.record.id]: one.bracket for one in found}
    return {r: math.log(it[1] / it[0]) / 2 for r, it in ends.items() if it is not None}


def _at_slo(contest: Contest, found: Ranking) -> Ranking:
    """Return a ranking as one at the SLO; where in its bracket a stack lies is not known."""
    entries = [
        msgspec.structs.replace(
            entry, probability_best=None, value=_anywhere(contest, entry.stack, entry.value)
        )
        for entry in found.entries
    ]
    return msgspec.structs.replace(found, at="slo", entries=entries)


def _anywhere(contest: Contest, stack: str, value: Value) -> Value:
    """Return a capacity with an interval that holds the mean bracket; others as they are."""
    halves = contest.slack.get(stack)
    if contest.objective != "throughput" or not halves or value.value is None:
        return value
    half = sum(halves.values()) / len(halves)
    low, high = value.value * math.exp(-half), value.value * math.exp(half)
    return msgspec.structs.replace(
        value, low=min(low, value.low or low), high=max(high, value.high or high)
    )


def _price(evidence: Evidence, record: LaunchRecord) -> Value:
    """Return what an hour of a launch cost, where that did not depend on the load."""
    price = evidence.price
    if price.value is None or evidence.one_price:
        return msgspec.structs.replace(price, kind=worst_kind(["estimated", price.kind]))
    rows = evidence.points.filter(
        pl.col("stack") == stack_id(record), pl.col("model") == model_name(record)
    ).filter(pl.col("value").is_not_null())
    bill = rows.filter(pl.col("metric") == METRIC["cost"])
    speed = rows.filter(pl.col("metric") == "output_tok_s")
    both = bill.join(speed, on=["launch", "load_point"], suffix="_speed")
    hours = [b * s * 3600 / 1e6 for b, s in both.select("value", "value_speed").iter_rows()]
    if len(hours) > 1 and max(hours) <= min(hours) * (1 + SAME_PRICE):
        kind = worst_kind(both["kind"].to_list())
        return Value(value=hours[0], unit="USD/h", kind=kind, n=1)
    text = "what an hour costs depends on the load here, and is not known at the SLO"
    return _none("USD/h", "estimated", "no_price", text)


def _joules(evidence: Evidence, every: Searches) -> Joules:
    """Return what every meter saw while each launch's highest certified rate was on."""
    known = read_meters(evidence.tables)
    early = early_meters(evidence.tables, known)
    told: Joules = {}
    for (stack, model, _), searches in every.items():
        for one in searches:
            probe = one.best
            if probe is None:
                continue
            window, launch = probe.window, one.record.id
            accounts = stretch_accounts(
                known,
                early,
                (launch, stack, model),
                (window.start_ns, window.end_ns),
                window.clock_step_ms,
            )
            seconds = (window.end_ns - window.start_ns) * 1e-9
            for each in agreement.settle(accounts, seconds):
                told[launch, window.load_point, each.info.name] = _spent(each, one.record)
    return told


def _spent(one: Account, record: LaunchRecord) -> Value:
    kind: Kind = "estimated" if one.info.kind == "declared" else one.info.kind
    run: Kind = "simulated" if is_simulated(record) else kind
    joules = one.joules
    return Value(
        value=joules.energy_j,
        unit="J",
        kind=worst_kind([kind, run]),
        n=int(joules.energy_j is not None),
        reason=joules.reason if joules.energy_j is None else None,
        detail=joules.detail,
    )
