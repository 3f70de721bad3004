"""A whole plan's forecast: every launch, the searches and looks beside them, dealt to machines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from inferometer import blocks
from inferometer import plan as plans
from inferometer.forecast import parts as launch_parts
from inferometer.forecast.values import (
    Forecast,
    LaunchForecast,
    Part,
    Rounds,
    Span,
    merged,
    total,
)
from inferometer.rules import LOOKS, WITH_PRIOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inferometer.declared import Sequential
    from inferometer.forecast.parts import Machine
    from inferometer.forecast.past import Past
    from inferometer.plan import Launch, Plan, Search
    from inferometer.study import EngineEntry, Study

LOOK = Span(1.0, 4.0, 30.0)
"""Assumed: the analysis between two rounds of a sequential study."""


class _On(NamedTuple):
    """On how many machines how many rounds are made."""

    machines: int
    rounds: Rounds


def forecast(study: Study, machine: Machine, past: Past, machines: int = 1) -> Forecast:
    """Return what a study's plan will take on ``machines`` machines like ``machine``."""
    plan = plans.expand(study)
    known: dict[tuple[object, ...], list[Part]] = {}
    launches = [
        LaunchForecast(
            id=launch.id,
            round=launch.round,
            stack=launch.stack,
            model=launch.model.name,
            gpus=gpus(launch.engine, machine.accelerator),
            seconds=total(part.seconds for part in found),
            parts=found,
        )
        for launch in plan.launches
        for found in [_parts(plan, launch, machine, past, known=known)]
    ]
    rounds = _rounds(study, launches)
    beside = [*all_trials(plan, machine, past), *_looks(study, rounds)]
    tuned = total(part.seconds for part in beside)
    share = _share_held(study, launches, rounds)
    seconds = _capped(_summed(launches, rounds, lambda launch: launch.seconds), share) + tuned
    hours = _summed(launches, rounds, lambda it: it.seconds.times(it.gpus / 3600))
    hours = _capped(hours, share)
    for search in plan.searches:
        each = trials(plan, search, machine, past).seconds
        hours += each.times(gpus(search.engine, machine.accelerator) / 3600)
    expected = [launch for launch in launches if launch.round < rounds.expected]
    return Forecast(
        seconds=seconds,
        wall=tuned + _capped(_dealt(study, plan, launches, _On(machines, rounds)), share),
        machines=machines,
        gpu_hours=hours,
        rounds=rounds,
        parts=merged([*(part for launch in expected for part in launch.parts), *beside]),
        launches=launches,
    )


def _parts(
    plan: Plan,
    launch: Launch,
    machine: Machine,
    past: Past,
    *,
    known: dict[tuple[object, ...], list[Part]],
) -> list[Part]:
    """Return a launch's parts, looked up in the past once for all launches alike."""
    searched = plan.capacity is not None and plan.capacity.wanted(launch)
    first = launch_parts.begins_round(plan, launch)
    key = (launch.stack, launch.model.name, launch.round == 0, first, searched)
    if key not in known:
        known[key] = launch_parts.parts(plan, launch, machine, past)
    return known[key]


def gpus(engine: EngineEntry, accelerator: str) -> int:
    """Return how many accelerators a launch occupies; 0 on a machine without."""
    if accelerator == "cpu":
        return 0
    replicas = engine.pipeline_parallel_size * engine.data_parallel_size
    return engine.tensor_parallel_size * replicas


def trials(plan: Plan, search: Search, machine: Machine, past: Past) -> Part:
    """Return the search of one ``tuned`` stack on one model: at least one trial, at most all."""
    tuning = search.tuning
    protocol = replace(plan.protocol, window_s=search.window_s(plan.protocol))
    found = [
        launch_parts.start(search, machine, past),
        *launch_parts.point_parts(protocol, search, search.point, machine, past),
    ]
    trial = total(part.seconds for part in found)

    def most(trial_s: float) -> float:
        by_trials = trial_s * tuning.trials if tuning.trials else math.inf
        return min(by_trials, tuning.minutes * 60 + trial_s if tuning.minutes else math.inf)

    span = Span(trial.low, most(trial.expected), most(trial.high))
    basis = "at most what [tuning] allows, at least one trial"
    return Part(name="trials", seconds=span, kind="estimated", basis=basis)


def all_trials(plan: Plan, machine: Machine, past: Past) -> list[Part]:
    """Return the searches of all ``tuned`` stacks."""
    return [trials(plan, search, machine, past) for search in plan.searches]


def _looks(study: Study, rounds: Rounds) -> list[Part]:
    first = _looked_from(study)
    if first is None:
        return []
    counts = [max(0, each - first + 1) for each in (rounds.low, rounds.expected, rounds.high)]
    low, expected, high = (count * each for count, each in zip(counts, _ends(LOOK), strict=True))
    basis = f"{LOOK.expected:.0f} s assumed for the analysis between two rounds"
    return [Part(name="looks", seconds=Span(low, expected, high), kind="estimated", basis=basis)]


def _looked_from(study: Study) -> int | None:
    """Return behind which round a study is first looked at; None: it is judged once.

    ``minutes`` may end it behind any round, verdicts behind those that its level is for.
    """
    asked = study.sequential
    if isinstance(asked, UnsetType):
        return None
    return _first_verdict(asked) if asked.minutes is None else 1


def _first_verdict(asked: Sequential) -> int:
    """Return behind which round it may be decided: earlier studies may give a prior."""
    return WITH_PRIOR if asked.earlier else LOOKS[0]


def _ends(span: Span) -> tuple[float, float, float]:
    return span.low, span.expected, span.high


def _rounds(study: Study, launches: Sequence[LaunchForecast]) -> Rounds:
    """Return how many rounds to count: of a sequential study those that its minutes hold.

    It may end earlier, after its first look; how early nobody knows, so that is its least.
    """
    planned, asked = study.protocol.rounds, study.sequential
    if not isinstance(asked, Struct):
        return Rounds(low=planned, expected=planned, high=planned)
    held = _held(asked, planned, launches)
    return Rounds(low=min(_first_verdict(asked), held), expected=held, high=held)


def _held(asked: Sequential, planned: int, launches: Sequence[LaunchForecast]) -> int:
    """Return how many rounds fit into ``sequential.minutes``; the first always begins."""
    if asked.minutes is None:
        return planned
    spent, held = 0.0, 0
    for round_ in range(planned):
        spent += sum(each.seconds.expected for each in launches if each.round == round_)
        # sums of whole seconds are as exact as they are long; a rounding is no round too many
        if spent > asked.minutes * 60 * (1 + 1e-9):
            break
        held += 1
    return max(1, held)


def _share_held(study: Study, launches: Sequence[LaunchForecast], rounds: Rounds) -> float:
    """Return the share of launches at their greatest that a sequential study has minutes for.

    The first round is made in any case, however long it takes.
    """
    asked = study.sequential
    if not isinstance(asked, Struct) or asked.minutes is None:
        return 1.0
    most = sum(it.seconds.high for it in launches if it.round < rounds.high)
    first = sum(it.seconds.high for it in launches if it.round == 0)
    return min(1.0, max(asked.minutes * 60, first) / most)


def _capped(span: Span, share: float) -> Span:
    return Span(span.low, span.expected, max(span.expected, span.high * share))


def _summed(
    launches: Sequence[LaunchForecast], rounds: Rounds, of: Callable[[LaunchForecast], Span]
) -> Span:
    """Return the sum over the launches that each of the three counts."""
    spans = [(launch.round, of(launch)) for launch in launches]
    return Span(
        sum(span.low for round_, span in spans if round_ < rounds.low),
        sum(span.expected for round_, span in spans if round_ < rounds.expected),
        sum(span.high for round_, span in spans if round_ < rounds.high),
    )


def _dealt(study: Study, plan: Plan, launches: Sequence[LaunchForecast], on: _On) -> Span:
    """Return when the last of several machines is done, launches dealt to them as ``run`` does.

    Pairs of mirrored rounds, in order, each to the machine that has the fewest. But a first round
    that decides on the length of windows is made before all others, and so is every round behind
    which a sequential study is looked at: then more machines save nothing.
    """
    spans = {each.id: each.seconds for each in launches}

    def last(count: int, end: Callable[[Span], float]) -> float:
        dealer = blocks.Dealer([str(place) for place in range(min(on.machines, count))])
        done_s = 0.0
        for rounds in blocks.segments(
            count,
            windows_known=study.protocol.window_s is not None,
            looked_from=_looked_from(study),
        ):
            hands = dealer.deal(it for it in plan.launches if it.round in rounds)
            done_s += max(sum(end(spans[it.id]) for it in hand) for hand in hands.values())
        return done_s

    return Span(
        last(on.rounds.low, lambda span: span.low),
        last(on.rounds.expected, lambda span: span.expected),
        last(on.rounds.high, lambda span: span.high),
    )
