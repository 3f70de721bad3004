"""A day of traffic on fleets of calibrated stacks: what each needs, and what it then does."""

from __future__ import annotations

import math
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict, replace

from inferometer.errors import UsageError
from inferometer.numbers import percent
from inferometer_plugins import fleet as fleets
from inferometer_plugins.fleet import Fleet, Slo, Traffic, simulate, smallest
from inferometer_plugins.simulate.money import Bill, Price, bill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from inferometer_plugins.calibration.file import Calibration
    from inferometer_plugins.fleet import Day, Summary
    from inferometer_plugins.simulator.loads import Lengths

    Floats = NDArray[np.float64]

KIND: Literal["simulated"] = "simulated"
HOUR_S = 3600.0
MINUTE = 60
"""Seconds."""
DRAWN = 100_000
"""Lengths that are drawn to see how long requests are."""
BELIEVED = 0.999
"""Of requests; the longest one in a thousand may lie beyond what was calibrated."""
ENERGY = {
    *("energy_j", "mean_w", "peak_w", "j_per_output_token"),
    *("idle_j", "busy_j", "booting_j", "down_j"),
}
"""Of a summary: nothing where no watts are known."""
TOK_S, JOULES = "output_tok_s", "energy_j_per_output_token"


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of every stack."""

    traffic: Traffic
    fleet: Fleet
    """But for its parameters, and where ``slo`` is asked for its number of replicas."""
    slo: Slo | None
    most: int
    price: Price
    seed: int
    workers: int = 1
    ranged: bool = True
    """Whether the fewest replicas are also found for faster and slower steps."""


class Figure(Struct, frozen=True, kw_only=True):
    """One figure of an answer, with the error that the calibration was seen to make with its like.

    ``value`` is None exactly when ``reason`` is set.
    """

    name: str
    title: str
    unit: str
    value: float | None
    kind: Literal["simulated"] = KIND
    calibrated: str | None = None
    """Metric of the calibration whose error speaks for it; None: nothing that was calibrated."""
    error_median: float | None = None
    error_largest: float | None = None
    """With each load point left out of the fit by itself."""
    error_points: int = 0
    workload_error_median: float | None = None
    workload_error_largest: float | None = None
    """With each workload left out whole: nearer to requests that were not measured."""
    reason: str | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What one stack needs and does."""

    file: str
    stack: str
    model: str
    basis: Literal["measured", "simulated"]
    calibrated: str
    """Day of the launches."""
    kind: Literal["simulated"] = KIND
    replicas: int | None
    """None: not even the most allowed meet the SLO."""
    why: str
    pace_error: float | None = None
    """The largest error of output tok/s, with workloads left out where that was tried."""
    replicas_faster: int | None = None
    """The fewest if every step is faster by ``pace_error``; None: not asked for, or none."""
    replicas_slower: int | None = None
    figures: list[Figure]
    bill: Bill | None
    extrapolated: list[str]
    """Where the fleet goes beyond what was calibrated."""
    remarks: list[str]
    summary: dict[str, object] | None


def answer(file: str, found: Calibration, question: Question) -> Answer:
    """Return what a calibrated stack needs for a day, and does then.

    Raises:
        UsageError: the question cannot be asked of this stack.

    """
    try:
        return _answer(file, found, question)
    except ValueError as error:
        raise UsageError(
            f"{file}: {found.label} cannot be asked that: {error}",
            hint="Ask for shorter requests, another fleet, or another calibration.",
        ) from error
    except (MemoryError, BrokenProcessPool) as error:
        raise UsageError(
            f"{file}: {found.label}: memory does not hold such a day: {error}",
            hint="A request takes some 80 bytes in each of --workers processes: ask for fewer of "
            "them, of replicas or of prefixes.",
        ) from error


def _answer(file: str, found: Calibration, question: Question) -> Answer:
    asked = replace(question.fleet, params=found.params)
    beyond = _lengths(found, question.traffic)
    begun = replace(_empty(file, found), replicas=asked.replicas, extrapolated=beyond)
    if question.slo is not None:
        begun = _fewest(begun, asked, found, question, question.slo)
    replicas = begun.replicas
    if replicas is None:
        return begun
    day = simulate(replace(asked, replicas=replicas), question.traffic, seed=question.seed)
    summary = day.summary()
    hours = summary.day_s / HOUR_S
    kwh = summary.energy_j / 3.6e6 if found.power.reason is None else None
    paid = bill(question.price, replicas, hours, kwh, summary.output_tokens)
    watts = _watts(found, summary, question.price.pue)
    said = (*_latencies(found, summary), *watts, *_money(paid))
    return replace(
        begun,
        figures=[_figure(found, one) for one in said],
        bill=paid,
        extrapolated=beyond + _in_flight(found, day),
        remarks=[*begun.remarks, *_unsaid(question, paid)],
        summary=_plain(summary, powered=found.power.reason is None),
    )


def _fewest(
    begun: Answer, asked: Fleet, found: Calibration, question: Question, slo: Slo
) -> Answer:
    """Return the fewest replicas, and how many more or fewer the calibration's error makes."""

    def least(slowdown: float) -> fleets.Answer:
        params = replace(found.params, slowdown=found.params.slowdown * slowdown)
        return smallest(
            replace(asked, params=params),
            question.traffic,
            _inside(slo, found.start_s),
            seed=question.seed,
            most=question.most,
            workers=question.workers,
        )

    own = least(1.0)
    begun = replace(begun, replicas=own.replicas, why=own.why)
    error = found.workload_error(TOK_S) or found.error(TOK_S)
    if error is None or not question.ranged:
        return begun
    return replace(
        begun,
        pace_error=error.largest,
        replicas_faster=least(1 / (1 + error.largest)).replicas,
        replicas_slower=least(1 + error.largest).replicas,
    )


def _inside(slo: Slo, start_s: float) -> Slo:
    """Return the SLO as the engine has to meet it: what precedes the first step is not its time."""
    limits = {
        name: limit - start_s
        for name in ("ttft_s", "e2e_s")
        if (limit := getattr(slo, name)) is not None
    }
    if any(limit <= 0 for limit in limits.values()):
        raise ValueError(f"{1e3 * start_s:.3g} ms pass before the first step alone")
    return replace(slo, **limits)


def _empty(file: str, found: Calibration) -> Answer:
    """Return an answer of which nothing is known but whose it is."""
    return Answer(
        file=file,
        stack=found.label,
        model=found.model,
        basis=found.basis,
        calibrated=found.origin.date[:10],
        replicas=None,
        why="as asked",
        figures=[],
        bill=None,
        extrapolated=[],
        remarks=_remarks(found),
        summary=None,
    )


def _plain(summary: Summary, *, powered: bool) -> dict[str, object]:
    """Return a summary as JSON has it: what is not finite, or hangs on unknown watts, is null."""
    unknown = set() if powered else ENERGY
    return {
        name: None
        if name in unknown or (isinstance(value, float) and not math.isfinite(value))
        else value
        for name, value in asdict(summary).items()
    }


def _unsaid(question: Question, paid: Bill | None) -> Iterator[str]:
    """Yield what an answer leaves out or adds that nobody would see."""
    if paid is not None and question.price.usd_per_kwh is not None and paid.energy_usd is None:
        yield "the bill is without energy: no watts are known"
    if question.fleet.cached_prefixes and question.traffic.prefixes:
        yield "what shared beginnings save is the fleet's own model: no error above speaks for it"


def _remarks(found: Calibration) -> list[str]:
    remarks = []
    if found.basis == "simulated":
        remarks.append("calibrated from simulated launches: this says nothing of an engine")
    assumed = [it.name for it in found.limits if it.origin == "assumed"]
    if assumed:
        remarks.append(f"assumed, for the engine did not tell: {', '.join(assumed)}")
    if found.power.kind not in {None, "measured"}:
        remarks.append(f"watts are of meter {found.power.meter}, {found.power.kind}")
    if found.power.note:
        remarks.append(found.power.note)
    if not found.errors:
        remarks.append("no load point was left out of the fit: its error is not known")
    return remarks


class _Said(NamedTuple):
    """A figure before its error stands beside it; ``of`` is the metric whose error it is."""

    name: str
    title: str
    unit: str
    value: float | None
    of: str
    reason: str = "no_price"


def _figure(found: Calibration, said: _Said) -> Figure:
    error, unseen = found.error(said.of), found.workload_error(said.of)
    known = said.value is not None and math.isfinite(said.value)
    nobody = said.value is not None and math.isnan(said.value)
    return Figure(
        name=said.name,
        title=said.title,
        unit=said.unit,
        value=said.value if known else None,
        reason=None if known else "too_few_samples" if nobody else said.reason,
        calibrated=said.of,
        error_median=error.median if error else None,
        error_largest=error.largest if error else None,
        error_points=error.points if error else 0,
        workload_error_median=unseen.median if unseen else None,
        workload_error_largest=unseen.largest if unseen else None,
    )


def _latencies(found: Calibration, summary: Summary) -> Iterator[_Said]:
    """Yield latencies in ms, from the send, and tokens."""
    late = "failed" if summary.lost > summary.unfinished else "fell_behind"  # if infinite
    for what, title in (("ttft", "TTFT"), ("tpot", "TPOT"), ("e2e", "E2E")):
        before_s = 0.0 if what == "tpot" else found.start_s
        for share in (50, 99):
            name = f"{what}_p{share}_ms"
            value = 1e3 * (float(getattr(summary, f"{what}_p{share}_s")) + before_s)
            yield _Said(name, f"{title} p{share}", "ms", value, name, late)
    yield _Said(TOK_S, "output tokens", "tok/s", summary.output_tok_s, TOK_S, "too_few_samples")


def _watts(found: Calibration, summary: Summary, pue: float) -> Iterator[_Said]:
    values: tuple[tuple[str, str, str, float], ...] = (
        ("power_mean_w", "power, mean of the day", "W", summary.mean_w),
        ("power_peak_w", "power, highest 5 min", "W", summary.peak_w),
        ("energy_kwh", "energy of the day", "kWh", summary.energy_j / 3.6e6),
        (JOULES, "energy per output token", "J/token", summary.j_per_output_token),
    )
    if pue > 1:
        facility = ("facility_kwh", f"energy of the facility, PUE {pue:g}", "kWh")
        values = (*values, (*facility, summary.energy_j / 3.6e6 * pue))
    reason = found.power.reason
    for name, title, unit, value in values:
        told = None if reason else value
        yield _Said(name, title, unit, told, JOULES, reason or "too_few_samples")


def _money(paid: Bill | None) -> Iterator[_Said]:
    total = paid.total_usd if paid else None
    each = paid.usd_per_mtok_output if paid else None
    yield _Said("usd_per_day", "bill of the day", "USD", total, TOK_S)
    yield _Said("usd_per_mtok_output", "bill per M output tokens", "USD/Mtok", each, TOK_S)


def _lengths(found: Calibration, traffic: Traffic) -> list[str]:
    """Say where requests are longer than those that were calibrated with."""
    rng = np.random.default_rng(0)
    beyond = []
    sides: Sequence[tuple[str, Lengths, int]] = (
        ("prompts", traffic.workload.prompt, found.reach.prompt_tokens),
        ("answers", traffic.workload.output, found.reach.output_tokens),
    )
    for what, lengths, most in sides:
        drawn = lengths.draw(rng, DRAWN)
        if np.quantile(drawn, BELIEVED) > 1.05 * most:
            share = percent(100 * float((drawn > most).mean()))
            beyond.append(f"{share} of the {what} are longer than {most} tokens")
    return beyond


def _in_flight(found: Calibration, day: Day) -> list[str]:
    """Say where replicas have more in flight than was calibrated, in the day's fullest minute."""
    known = np.isfinite(day.e2e_s)  # of a lost request nobody knows how long it was there
    ended_s = (day.at_s + day.e2e_s)[known]
    most = fullest(day.at_s[known], ended_s, day.day_s) / day.fleet.replicas
    if most <= 1.05 * found.reach.in_flight:
        return []
    return [
        f"up to {most:.3g} requests in flight a replica, {found.reach.in_flight:.3g} calibrated"
    ]


def fullest(at_s: Floats, ended_s: Floats, day_s: float) -> float:
    """Return the highest mean in flight of a minute: a burst lasts minutes, a window seconds."""
    seconds = np.arange(0.0, day_s)
    here = np.searchsorted(at_s, seconds, side="right")
    here -= np.searchsorted(np.sort(ended_s), seconds, side="right")
    begins = np.arange(0, len(here), MINUTE)
    counts = np.diff(np.append(begins, len(here)))
    return float((np.add.reduceat(here, begins) / counts).max())
