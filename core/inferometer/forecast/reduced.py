"""A study made smaller step by step, each step with what it loses.

The steps stand in a fixed order that no budget changes, so a larger budget never leaves less: fewer
rounds down to three, then load points between the ends of each kind, then shorter windows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from inferometer import pace
from inferometer.forecast.seen import LAUNCH_SD, detectable, half_width
from inferometer.plan import load_points
from inferometer.rules import LOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inferometer.forecast.values import Forecast
    from inferometer.study import LoadEntry, Study

    Forecasting = Callable[[Study], Forecast]

LEAST_ROUNDS = LOOKS[0]
"""Two rounds of two stacks leave one degree of freedom: an interval, but one that shows nothing
below a difference of 14 standard deviations of a launch."""
STEPS = 16
"""Windows shrink in so many steps at most, of 15 s at least."""
STEP_S = 15.0


class Step(Struct, frozen=True, kw_only=True):
    """One change to a study: what, and what is lost by it."""

    change: str
    loses: str


class Rung(NamedTuple):
    """A study made smaller, what it will take, and the steps that led there."""

    study: Study
    takes: Forecast
    steps: tuple[Step, ...]


def ladder(
    study: Study,
    forecasting: Forecasting,
    sd: float | None,
    spent: Callable[[Forecast], float],
) -> Iterator[Rung]:
    """Yield a study as it is, then ever smaller ones; the last is the least there is.

    ``sd``: of one launch in log units; None where nobody knows. A step that saves nothing of what
    is ``spent`` is not taken: on two machines three rounds last as long as four.
    """
    rung = Rung(study, forecasting(study), ())
    yield rung
    for make in (_rounds, _points, _windows):
        for less in make(rung, forecasting, sd):
            if spent(less.takes) < spent(rung.takes):
                yield less
                rung = less


# -- fewer rounds ----------------------------------------------------------------------------


def _rounds(rung: Rung, forecasting: Forecasting, sd: float | None) -> Iterator[Rung]:
    study, before = rung.study, rung.takes.rounds.expected
    for rounds in range(before - 1, LEAST_ROUNDS - 1, -1):
        less, change = _of_rounds(study, rounds, rung.takes)
        loses = _blunter(study, before, rounds, sd)
        if rounds == LEAST_ROUNDS and isinstance(study.sequential, Struct):
            loses += "; where launches take longer than expected it may end before its first look"
        step = Step(change=change, loses=loses)
        yield Rung(less, forecasting(less), (*rung.steps, step))


def _of_rounds(study: Study, rounds: int, takes: Forecast) -> tuple[Study, str]:
    """Return a study of so many rounds: of a sequential one the minutes that they take."""
    if isinstance(study.sequential, UnsetType):
        protocol = replace(study.protocol, rounds=rounds)
        change = f"rounds: {study.protocol.rounds} -> {rounds}"
        return replace(study, protocol=protocol), change
    minutes = launches_min(takes, rounds)
    asked = replace(study.sequential, minutes=minutes)
    was = study.sequential.minutes
    known = "unset" if was is None else f"{was:g}"
    change = f"sequential.minutes: for {rounds} rounds of {study.protocol.rounds} (was {known})"
    return replace(study, sequential=asked), change


def launches_min(takes: Forecast, rounds: int) -> float:
    """Return the minutes that the launches of the first rounds are expected to take, rounded up."""
    launches = [each for each in takes.launches if each.round < rounds]
    return math.ceil(sum(each.seconds.expected for each in launches) / 6) / 10


def _blunter(study: Study, before: int, after: int, sd: float | None) -> str:
    """Say what fewer rounds lose."""
    stacks, looking = len(study.engines), not isinstance(study.sequential, UnsetType)
    of = sd or LAUNCH_SD
    if stacks > 1:
        what = "smallest difference found (80 % power)"
        ends = [detectable(stacks, it, of, sequential=looking) for it in (before, after)]
    else:
        what = "half width of a 95 % interval"
        ends = [half_width(it, of) for it in (before, after)]
    wider, whose = " -> ".join(f"{it or 0:.1%}" for it in ends), "as past ones show"
    return (
        f"{what}: {wider}, at a standard deviation of {math.expm1(of):.1%} of one launch, "
        f"{whose if sd else 'assumed'}"
    )


# -- fewer load points -----------------------------------------------------------------------


class _Tried(NamedTuple):
    """A load dropped from a study, and the order in which it would be."""

    order: tuple[float, int]
    rung: Rung


def _points(rung: Rung, forecasting: Forecasting, sd: float | None) -> Iterator[Rung]:
    """Drop loads between the ends, first what takes the most time for each point lost."""
    del sd
    while open_ := droppable(rung.study):
        tried = [_without(rung, load, place, forecasting) for place, load in enumerate(open_)]
        rung = min(tried, key=lambda it: it.order).rung
        yield rung


def _without(rung: Rung, load: LoadEntry, place: int, forecasting: Forecasting) -> _Tried:
    study = rung.study
    less = replace(study, loads=tuple(each for each in study.loads if each != load))
    less = _minutes_again(less, rung.takes.rounds.expected, forecasting)
    points = len(load_points(study)) - len(load_points(less))
    takes = forecasting(less)
    gain_s = rung.takes.seconds.expected - takes.seconds.expected
    fewer = f"{points} load point{'' if points == 1 else 's'} less"
    step = Step(
        change=f"no load of {load.label}: {fewer} in each launch",
        loses=f"nothing is measured there; {_between(study, load)}",
    )
    # To the millisecond: a rounding must not tell apart what is alike.
    order = (-round(gain_s / max(1, points), 3), place)
    return _Tried(order, Rung(less, takes, (*rung.steps, step)))


def droppable(study: Study) -> list[LoadEntry]:
    """Return the loads that may be left out, those whose neighbours are nearest first.

    Of those alike the one in the middle: what stays lies evenly, on a logarithmic scale. The least
    and the greatest of the closed and of the open loops stay, and so do every trace and the load
    that ``[tuning]`` tunes for.
    """
    found: list[tuple[float, float, LoadEntry]] = []
    for kind in (_closed(study.loads), _open(study.loads)):
        middle = (len(kind) - 1) / 2
        for place in range(1, len(kind) - 1):
            gap = round(_offered(kind[place + 1]) / _offered(kind[place - 1]), 6)
            found.append((gap, abs(place - middle), kind[place]))
    kept = _tuned_for(study)
    return [load for *_, load in sorted(found, key=lambda it: it[:2]) if load != kept]


def _offered(load: LoadEntry) -> float:
    return float(load.concurrency or load.rate or 1.0)


def _closed(loads: Sequence[LoadEntry]) -> list[LoadEntry]:
    return sorted((it for it in loads if it.closed), key=_offered)


def _open(loads: Sequence[LoadEntry]) -> list[LoadEntry]:
    return sorted((it for it in loads if it.rate is not None), key=_offered)


def _tuned_for(study: Study) -> LoadEntry | None:
    if not isinstance(study.tuning, Struct):
        return None
    asked = study.tuning.concurrency
    closed = (load for load in study.loads if load.closed)
    return next((load for load in closed if asked in {None, load.concurrency}), None)


def _between(study: Study, load: LoadEntry) -> str:
    kind = _closed(study.loads) if load.closed else _open(study.loads)
    place = kind.index(load)
    ends = f"{kind[place - 1].label} and {kind[place + 1].label}"
    return f"what lies between {ends} is interpolated at best"


def _minutes_again(study: Study, rounds: int, forecasting: Forecasting) -> Study:
    """Return a study whose ``sequential.minutes``, if it has any, hold as many rounds as before."""
    asked = study.sequential
    if isinstance(asked, UnsetType) or asked.minutes is None:
        return study
    minutes = launches_min(forecasting(study), rounds)
    return replace(study, sequential=replace(asked, minutes=minutes))


# -- shorter windows -------------------------------------------------------------------------


def _windows(rung: Rung, forecasting: Forecasting, sd: float | None) -> Iterator[Rung]:
    """Shorten windows, but never below the shortest that is chosen where nobody says.

    Results named in ``sequential.earlier`` are of the same window, so theirs stays as it is.
    """
    del sd
    study, asked = rung.study, rung.study.sequential
    if isinstance(asked, Struct) and asked.earlier:
        return
    now_s = study.protocol.window_s
    for length_s in _lengths(rung):
        less = replace(study, protocol=replace(study.protocol, window_s=length_s))
        less = _minutes_again(less, rung.takes.rounds.expected, forecasting)
        takes = forecasting(less)
        if takes.seconds.expected >= rung.takes.seconds.expected:
            return
        was = "unset" if now_s is None else f"{now_s:g}"
        step = Step(change=f"window_s: {was} -> {length_s:g}", loses=_noisier(now_s, length_s))
        yield Rung(less, takes, (*rung.steps, step))


def _lengths(rung: Rung) -> Iterator[float]:
    now_s = rung.study.protocol.window_s
    if now_s is None:
        yield pace.SHORTEST_S
        return
    by = max(STEP_S, (now_s - pace.SHORTEST_S) / STEPS)
    length_s = now_s
    while length_s > pace.SHORTEST_S:
        length_s = max(length_s - by, pace.SHORTEST_S)
        yield length_s


def _noisier(now_s: float | None, length_s: float) -> str:
    if now_s is None:
        return "windows are no longer ten requests long where requests are slow"
    return f"noise within a window grows {math.sqrt(now_s / length_s):.2f}-fold"
