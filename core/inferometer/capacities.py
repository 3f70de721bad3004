"""Capacity at the SLO, from the searches that launches stored: brackets and flags."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inferometer import stats
from inferometer.capacity_records import CapacityProbe, CapacitySearch
from inferometer.cells import absent
from inferometer.comparison import MetricInfo, Value
from inferometer.comparison.capacities import Capacity, LaunchCapacity, OfferedRate
from inferometer.reasons import listing
from inferometer.tables import is_simulated, model_name, read_rows, stack_id

if TYPE_CHECKING:
    from inferometer.cells import Evidence
    from inferometer.comparison import Kind, Model
    from inferometer.comparison.capacities import Flag
    from inferometer.declared import Slo
    from inferometer.records import LaunchRecord
    from inferometer.store import Store

RATE = MetricInfo(
    id="capacity_requests_s",
    title="Capacity at the SLO",
    unit="req/s",
    direction="higher",
    formula="geometric mean of the highest rate certified to meet the SLO and the lowest certified "
    "to miss it",
)
BEYOND = {"above_range", "below_range"}
NAMES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A launch's search."""

    record: LaunchRecord
    search: CapacitySearch

    @property
    def bracket(self) -> tuple[float, float] | None:
        """Return both ends, where there are both and no flag."""
        passes, fails = self.search.passes, self.search.fails
        if passes is None or fails is None or self.search.flag is not None:
            return None
        return (passes, fails) if 0 < passes < fails else None  # a file says what it likes

    @property
    def best(self) -> CapacityProbe | None:
        """Return the probe of the highest rate that passed."""
        passed = [p for p in self.search.probes if p.outcome == "pass"]
        return max((p for p in passed if p.rate == self.search.passes), key=_rate, default=None)


def _rate(probe: CapacityProbe) -> float:
    return probe.rate


Key = tuple[str, str, str]
"""Stack, model, workload."""
Searches = Mapping[Key, Sequence[Found]]


def read(stores: Sequence[Store], evidence: Evidence) -> Searches | None:
    """Return every stored search of whole launches; None of pooled directories.

    Capacity is not pooled: rates are certified launch by launch, and each directory has its own.

    Raises:
        UsageError: a file is damaged.
    """
    if len(stores) > 1 or evidence.plan.capacity is None:
        return None
    every: dict[Key, list[Found]] = {}
    for record in evidence.records:
        for search in read_rows(stores[0].folder(record.id), "capacity", CapacitySearch):
            key = (stack_id(record), model_name(record), search.workload)
            every.setdefault(key, []).append(Found(record=record, search=search))
    return every


def metrics(every: Searches | None) -> list[MetricInfo]:
    """Return the metrics of what was searched."""
    return [RATE] if every else []


def build_capacities(
    evidence: Evidence, models: Sequence[Model], every: Searches | None
) -> list[Capacity]:
    """Return what was found of each stack, model and workload that was to be searched."""
    planned = evidence.plan.capacity
    if planned is None or every is None:
        return []
    return [
        _capacity(evidence, stack, model, work.name, every.get((stack, model.name, work.name), ()))
        for model in models
        for work in planned.workloads
        for stack in evidence.stacks
    ]


def limits_of(slo: Slo) -> dict[str, float]:
    """Return the limits of an SLO, in ms."""
    return {name: limit for name in NAMES if (limit := getattr(slo, name)) is not None}


def words(limits: Mapping[str, float]) -> str:
    """Return an SLO in words."""
    return listing(f"{NAMES.get(name, name)} <= {limit:g} ms" for name, limit in limits.items())


def _capacity(
    evidence: Evidence, stack: str, model: Model, workload: str, found: Sequence[Found]
) -> Capacity:
    planned = evidence.plan.capacity
    assert planned is not None
    flag = flag_of(found)
    reason, detail = why(evidence, stack, model.name, found)
    # what the others' mean would be too low or too high for is no number either
    brackets = [one.bracket for one in found if one.bracket and flag not in BEYOND]
    kind: Kind = "simulated" if any(is_simulated(one.record) for one in found) else "measured"

    def value(numbers: Sequence[float]) -> Value:
        if not numbers:
            return Value(value=None, unit=RATE.unit, kind=kind, reason=reason, detail=detail)
        seen = stats.estimate(numbers)
        return Value(
            value=seen.value, unit=RATE.unit, kind=kind, n=seen.n, low=seen.low, high=seen.high
        )

    passes, fails = value([low for low, _ in brackets]), value([high for _, high in brackets])
    return Capacity(
        stack=stack,
        model=model.name,
        architecture=model.architecture,
        workload=workload,
        slo=words(limits_of(planned.slo)),
        share=planned.asked.share,
        confidence=min((one.search.confidence for one in found), default=0.95),
        low=planned.asked.low,
        high=planned.asked.high,
        passes=passes,
        fails=fails,
        rate=_within(value([math.sqrt(low * high) for low, high in brackets]), passes, fails),
        flag=flag,
        launches=[_launch(one) for one in found],
    )


def _within(rate: Value, passes: Value, fails: Value) -> Value:
    """Return ``rate`` with an interval that holds the mean bracket: it may lie anywhere in it."""
    if rate.value is None or passes.value is None or fails.value is None:
        return rate
    low, high = rate.low or passes.value, rate.high or fails.value
    text = "anywhere in the bracket" if rate.n < 2 else ""
    ends = (min(low, passes.value), max(high, fails.value))
    return msgspec.structs.replace(rate, low=ends[0], high=ends[1], detail=text)


def flag_of(found: Sequence[Found]) -> Flag | None:
    """Return the commonest flag where no more than half of the launches have a bracket.

    One launch beyond the range is enough: its capacity is known to be above (or below) all that was
    offered, and the others' mean without it would be too low (or too high).
    """
    beyond = [one.search.flag for one in found if one.search.flag in BEYOND]
    if beyond:
        return Counter(beyond).most_common(1)[0][0]
    flags = Counter(one.search.flag or "ill_posed" for one in found if one.bracket is None)
    if not flags or 2 * flags.total() < len(found):
        return None
    return flags.most_common(1)[0][0]


def why(evidence: Evidence, stack: str, model: str, found: Sequence[Found]) -> tuple[str, str]:
    """Return reason and detail of a stack without a bracket."""
    if not found:
        if any((stack_id(r), model_name(r)) == (stack, model) for r in evidence.records):
            return "not_run", "no launch was searched"
        return absent(evidence, stack, model)
    flag = flag_of(found) or "ill_posed"
    without = [one for one in found if one.bracket is None]
    if flag in BEYOND:
        without = [one for one in without if one.search.flag == flag]
    words = f"in {len(without)} of {len(found)} launches"
    failures = [one.search.failure for one in found if one.search.failure and flag == "failed"]
    return flag, f"{words}: {failures[0]}" if failures else words


def _launch(one: Found) -> LaunchCapacity:
    search = one.search
    return LaunchCapacity(
        launch=one.record.id,
        round=one.record.round,
        passes=search.passes,
        fails=search.fails,
        flag=search.flag,
        minutes=search.seconds / 60,
        design_effect=search.design_effect,
        rates=[
            OfferedRate(
                rate=probe.rate,
                outcome=probe.outcome,
                good=probe.good,
                bad=probe.bad,
                missed=probe.missed,
                seconds=(probe.window.end_ns - probe.window.start_ns) * 1e-9,
            )
            for probe in search.probes
        ],
    )
