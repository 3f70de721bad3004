"""The parts of one launch: from the protocol, from past launches, else from stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from inferometer import pace
from inferometer.forecast.past import SETTLED, WARM_S
from inferometer.forecast.values import Part, Span, exactly, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.forecast.past import Past, Place, Seen
    from inferometer.plan import Launch, LoadPoint, Plan, Search
    from inferometer.study import Protocol


class Assumed(NamedTuple):
    """What a launch is assumed to take where no past one says, s."""

    start: Span
    probe: Span
    """The 16 fixed texts of the first round, scored and continued."""
    warm: Span
    """Before the load of a load point: its requests made, the warm-up answered."""


USUAL = Assumed(
    start=Span(10.0, 60.0, 300.0), probe=Span(1.0, 20.0, 120.0), warm=Span(0.5, WARM_S, 60.0)
)
"""An engine loads a small model in 10 to 60 s, and may compile for minutes, in its first requests
too."""
STAND_IN = Assumed(
    start=Span(0.5, 3.0, 15.0), probe=Span(0.2, 3.0, 60.0), warm=Span(0.2, 2.0, 30.0)
)
"""A stand-in for an engine loads nothing and compiles nothing."""
ATTACHED = Span(0.0, 1.0, 30.0)
"""Assumed: a server that someone else runs is there already."""
COOLING = Span(0.0, 10.0, 60.0)
"""Assumed, where there is an accelerator: none before a round's first launch, at most a minute."""
LONG_SOAK_S = 120.0
"""A soak ends when rates hold still, and here at the latest, or at its own least length."""
LONG_DISCARD_S = 60.0
"""Assumed at most, where nobody knows how long a request takes."""
OVER_S = 360.0
"""A search for capacity finishes the rate that is on when its minutes are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a forecast has to know of the machine that will measure."""

    accelerator: str = "cpu"
    idle_s: float = 0.0
    """Each stretch without load; 0: there is none."""
    soak_s: float = 0.0
    """The least length of a soak; 0: there is none."""
    stand_ins: frozenset[str] = frozenset()
    """Engines that load no model."""


def parts(plan: Plan, launch: Launch, machine: Machine, past: Past) -> list[Part]:
    """Return the parts of one planned launch, in their order."""
    found = [*_before(plan, launch, machine, past)]
    for point in launch.points:
        found += point_parts(plan.protocol, launch, point, machine, past)
    return [*found, *_searches(plan, launch, past)]


def _before(plan: Plan, launch: Launch, machine: Machine, past: Past) -> Iterator[Part]:
    """Yield what comes before the first load point."""
    protocol = plan.protocol
    heats = machine.accelerator != "cpu" and protocol.soak_s != 0
    if heats and not begins_round(plan, launch):
        words = "0 to 60 s, 10 s assumed"
        yield _told(past, launch, "cooling down", lambda seen: seen.cooling_s, (COOLING, words))
    if machine.idle_s:
        # before the engine and behind its start; of a server that runs already behind it only
        count = 2 if launch.engine.url is None else 1
        basis = "protocol.idle_s, or what the meters of now ask for"
        yield _said("without load", machine.idle_s * SETTLED * count, basis)
    yield start(launch, machine, past)
    if protocol.probe and launch.round == 0:
        usual = assumed(launch, machine).probe
        words = f"{usual.expected:.0f} s assumed in the first round"
        yield _told(past, launch, "probe", lambda seen: seen.probe_s, (usual, words))
    if machine.soak_s and any(point.load.closed for point in launch.points):
        least = Span(machine.soak_s, machine.soak_s, max(machine.soak_s, LONG_SOAK_S))
        words = "at least protocol.soak_s, until rates hold still"
        yield _told(past, launch, "soak", lambda seen: seen.soak_s, (least, words))


def assumed(launch: Launch | Search, machine: Machine) -> Assumed:
    """Return what is assumed of a launch's engine."""
    return STAND_IN if launch.engine.name in machine.stand_ins else USUAL


def begins_round(plan: Plan, launch: Launch) -> bool:
    """Say whether a launch is the first of its round, which nothing warmed up before."""
    before = launch.position - 1
    return before < 0 or plan.launches[before].round != launch.round


def start(launch: Launch | Search, machine: Machine, past: Past) -> Part:
    """Return the start of an engine, and its end."""
    if launch.engine.url is not None:  # what starting one took says nothing of it
        basis = f"a server that is there already; {ATTACHED.expected:.0f} s assumed"
        return Part(name="start and stop", seconds=ATTACHED, kind="estimated", basis=basis)
    usual = assumed(launch, machine).start
    words = f"{usual.expected:.0f} s assumed"
    return _told(past, launch, "start and stop", lambda seen: seen.start_s, (usual, words))


def point_parts(
    protocol: Protocol, launch: Launch | Search, point: LoadPoint, machine: Machine, past: Past
) -> list[Part]:
    """Return the warm-up, the discarded stretch and the window of one load point."""
    return [_warm_up(launch, point, machine, past), *_load(protocol, launch, point, past)]


def _warm_up(launch: Launch | Search, point: LoadPoint, machine: Machine, past: Past) -> Part:
    own = past.of(launch, lambda seen: place.before_s if (place := _at(seen, point)) else None)
    if own is not None:
        basis = f"{own.words}, at this load point"
        return Part(name="warm-up", seconds=spread(own.values), kind="derived", basis=basis)
    usual = assumed(launch, machine).warm
    words = f"{usual.expected:.0f} s a load point assumed"
    return _told(past, launch, "warm-up", _usual_before, (usual, words))


def _load(
    protocol: Protocol, launch: Launch | Search, point: LoadPoint, past: Past
) -> Iterator[Part]:
    """Yield the discarded stretch and the window, which hang on how long a request takes."""
    known = past.of(launch, lambda seen: place.residence_s if (place := _at(seen, point)) else None)
    around = None
    if known is not None:
        around = spread(known.values) + exactly(point.workload.think_s or 0.0)
    window = _window(protocol.window_s, around)
    basis = f"ten requests long, as in {known.words}" if known else _unknown(past, launch)
    if protocol.discard_s is not None:
        yield _said("discard", protocol.discard_s, f"protocol.discard_s = {protocol.discard_s:g}")
    elif around is not None and known is not None:
        basis_of = f"one request long, as in {known.words}"
        span = Span(
            pace.discard_s(around.low, window.low),
            pace.discard_s(around.expected, window.expected),
            pace.discard_s(around.high, window.high),
        )
        yield Part(name="discard", seconds=span, kind="derived", basis=basis_of)
    else:
        least = window.through(lambda length: pace.discard_s(0.0, length))
        span = Span(least.low, least.expected, max(least.high, LONG_DISCARD_S))
        words = f"{_unknown(past, launch)}; the least length assumed"
        yield Part(name="discard", seconds=span, kind="estimated", basis=words)
    if protocol.window_s is not None:
        yield _said("window", protocol.window_s, f"protocol.window_s = {protocol.window_s:g}")
    elif around is not None:
        yield Part(name="window", seconds=window, kind="derived", basis=basis)
    else:
        words = f"{basis}; {pace.SHORTEST_S:.0f} to {pace.LONGEST_S:.0f} s, the least assumed"
        yield Part(name="window", seconds=window, kind="estimated", basis=words)


def _window(asked_s: float | None, around: Span | None) -> Span:
    """Return the length of a window; ``around`` is how long a stream takes for a request, s."""
    if asked_s is not None:
        return exactly(asked_s)
    if around is None:
        return Span(pace.SHORTEST_S, pace.SHORTEST_S, pace.LONGEST_S)
    return around.through(pace.window_s)


def _searches(plan: Plan, launch: Launch, past: Past) -> Iterator[Part]:
    """Yield the searches for capacity behind the load points."""
    planned = plan.capacity
    if planned is None or not planned.wanted(launch):
        return
    most_s, count = planned.asked.minutes * 60, len(planned.workloads)
    usual = Span(most_s / 4, most_s, most_s + min(OVER_S, most_s / 3))
    words = f"capacity.minutes = {planned.asked.minutes:g}, all of them assumed"
    each = _told(past, launch, "capacity", lambda seen: seen.search_s, (usual, words))
    yield Part(name=each.name, seconds=each.seconds.times(count), kind=each.kind, basis=each.basis)


def _told(
    past: Past,
    launch: Launch | Search,
    name: str,
    told: Callable[[Seen], float | None],
    otherwise: tuple[Span, str],
) -> Part:
    """Return a part as past launches tell it, else as assumed, which words say."""
    found, (usual, words) = past.of(launch, told), otherwise
    if found is None:
        basis = f"{_unknown(past, launch)}; {words}"
        return Part(name=name, seconds=usual, kind="estimated", basis=basis)
    return Part(name=name, seconds=spread(found.values), kind="derived", basis=found.words)


def _said(name: str, seconds: float, basis: str) -> Part:
    return Part(name=name, seconds=exactly(seconds), kind="declared", basis=basis)


def _unknown(past: Past, launch: Launch | Search) -> str:
    pair = f"of {launch.engine.name} on {launch.model.name}"
    return f"past runs {pair} do not tell" if past.knows(launch) else f"no past run {pair}"


def _at(seen: Seen, point: LoadPoint) -> Place | None:
    """Return what a past launch says of the same workload at the same load."""
    same = (point.workload, point.load)
    return next((it for it in seen.places if (it.point.workload, it.point.load) == same), None)


def _usual_before(seen: Seen) -> float | None:
    """Return what came before a load point of a past launch on average, s."""
    found = [place.before_s for place in seen.places]
    return sum(found) / len(found) if found else None
