"""What past launches took, part by part: from ``launch.json`` and the plans they belong to.

Results of any machine and version may be named, so nothing in them is believed beyond reason.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import UNSET

from inferometer import journal_records
from inferometer.records import NOT_ENGINES
from inferometer.store import capacities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from inferometer.plan import Launch, LoadPoint, Search
    from inferometer.records import LaunchRecord, Window
    from inferometer.store import Store
    from inferometer.study import EngineEntry, ModelEntry

SETTLED = 1.2
"""A stretch without load, with what comes before it (:data:`inferometer.metering.SETTLE`)."""
LONGEST_S = 1e7
"""A part that took longer is damage."""
WARM_S = 10.0
"""Assumed: what comes before the load of a load point, its requests made and the warm-up sent."""
MOST_TPS = 1e12
"""A rate beyond that is damage."""
MOST_SD = 1.0
"""In log units: launches 2.7 times apart."""
RATE = "output_tok_s"
"""The metric whose spread between launches is asked for."""


class Place(NamedTuple):
    """One load point of a past launch: seconds before its load, and of one request."""

    point: LoadPoint
    before_s: float
    residence_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One whole past launch; a part is None where it cannot be told."""

    engine: EngineEntry
    model: ModelEntry
    here: bool
    """Whether on this machine."""
    round: int
    start_s: float | None
    """From the start to the first answer, and from the last window to the end."""
    probe_s: float | None
    soak_s: float | None
    cooling_s: float | None
    search_s: float | None
    """Of each search for capacity."""
    places: tuple[Place, ...]


class Found(NamedTuple):
    """Past values of one part, and in words which launches they are of."""

    values: list[float]
    words: str


class Scatter(NamedTuple):
    """The variance of one launch's log rate, its degrees of freedom, and whether no engine ran."""

    variance: float
    df: float
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """Every past launch that is known, and how rates spread between launches."""

    launches: tuple[Seen, ...] = ()
    spreads: tuple[Scatter, ...] = ()

    def knows(self, launch: Launch | Search) -> bool:
        """Say whether any past launch is of the same engine on the same model."""
        return any(_same_pair(seen, launch) for seen in self.launches)

    def of(self, launch: Launch | Search, told: Callable[[Seen], float | None]) -> Found | None:
        """Return what ``told`` finds in the launches most like a planned one; None: in none.

        Like it are those of its engine on its model: with the same settings on this machine
        first, then with others, then those of another machine, likewise.
        """
        known = [seen for seen in self.launches if _same_pair(seen, launch)]
        for here in (True, False):
            for settings in (True, False):
                values = [
                    value
                    for seen in known
                    if seen.here == here and (not settings or _same_settings(seen, launch))
                    for value in [told(seen)]
                    if value is not None
                ]
                if values:
                    return Found(values, _words(launch, len(values), settings=settings, here=here))
        return None

    def launch_sd(self, *, simulated: bool = False) -> float | None:
        """Return the standard deviation of one launch's rate in log units; None where unknown.

        Launches that differ by more than :data:`MOST_SD` say nothing more, and ``simulated`` ones
        nothing of measured ones, nor the other way round.
        """
        kept = [it for it in self.spreads if it.simulated == simulated]
        df = sum(it.df for it in kept)
        pooled = sum(it.variance * it.df for it in kept) / df if df else None
        return None if pooled is None else min(math.sqrt(pooled), MOST_SD)


def _same_pair(seen: Seen, launch: Launch | Search) -> bool:
    return seen.engine.name == launch.engine.name and _bare(seen.model) == _bare(launch.model)


def _bare(model: ModelEntry) -> ModelEntry:
    """Return a model without what says nothing of the model itself."""
    return msgspec.structs.replace(model, twin_of=None, quality=UNSET)


def _same_settings(seen: Seen, launch: Launch | Search) -> bool:
    one, other = (msgspec.structs.replace(it.engine, alias=None) for it in (seen, launch))
    return one == other


def _words(launch: Launch | Search, count: int, *, settings: bool, here: bool) -> str:
    many = "launch" if count == 1 else "launches"
    text = f"{count} past {many} of {launch.engine.name} on {launch.model.name}"
    text += "" if settings else ", with other settings"
    return text if here else f"{text}, on another machine"


def read(stores: Iterable[Store], host_sha256: str) -> Past:
    """Return what whole launches in results directories took; each launch counts once.

    Raises:
        UsageError: one is no results directory, or damaged.
    """
    found: list[Seen] = []
    spreads: list[Scatter] = []
    known: set[tuple[str, int, int]] = set()
    for store in stores:
        planned = {launch.id: launch for launch in store.plan().launches}
        fresh = []
        for record in store.launches():
            name = (record.id, record.started_ns, record.ended_ns)
            if record.status == "ok" and record.id in planned and name not in known:
                known.add(name)
                fresh.append((planned[record.id], record))
        if fresh:
            found += _seen(store, fresh, host_sha256)
            spreads += _spreads(store, {record.id: record for _, record in fresh})
    return Past(tuple(found), tuple(spreads))


def _seen(
    store: Store, launches: Sequence[tuple[Launch, LaunchRecord]], host_sha256: str
) -> Iterator[Seen]:
    """Yield the launches of one study, their parts told apart."""
    firsts: dict[tuple[str, str], list[float]] = {}
    for launch, record in launches:
        before = _before(record)
        if launch.round and before is not None:
            firsts.setdefault((launch.stack, launch.model.name), []).append(before)
    probed = store.plan().protocol.probe
    for launch, record in launches:
        windows = sorted(record.windows, key=lambda window: window.start_ns)
        first = _before(record)
        probe = None
        if probed and launch.round == 0 and first is not None:
            usual = firsts.get((launch.stack, launch.model.name))
            usual_s = statistics.median(usual) if usual else _usual(windows)
            # a quick probe is lost in what launches differ by
            probe, first = max(0.0, first - usual_s), min(first, usual_s)
        searches = len(capacities(store.folder(record.id)))
        after = _sound((record.ended_ns - windows[-1].end_ns) * 1e-9) if windows else None
        ready = None if record.ready_s is None else _sound(record.ready_s)
        yield Seen(
            engine=launch.engine,
            model=launch.model,
            here=record.host_sha256 == host_sha256,
            round=launch.round,
            start_s=None if ready is None else ready + (0.0 if searches else after or 0.0),
            probe_s=probe,
            soak_s=None if record.soak is None else _sound(record.soak.seconds),
            cooling_s=None if record.cooling is None else _sound(record.cooling.seconds),
            search_s=after / searches if searches and after is not None else None,
            places=tuple(_places(launch, windows, first)),
        )


def _places(launch: Launch, windows: Sequence[Window], first_s: float | None) -> Iterator[Place]:
    points = {point.index: point for point in launch.points}
    end_ns = 0
    for place, window in enumerate(windows):
        load_ns = window.start_ns - window.discarded_ns
        before_s = first_s if place == 0 else _sound((load_ns - end_ns) * 1e-9)
        end_ns = window.end_ns
        if before_s is not None and window.load_point in points:
            residence = None if window.residence_s is None else _sound(window.residence_s)
            yield Place(points[window.load_point], before_s, residence)


def _before(record: LaunchRecord) -> float | None:
    """Return what came before the first load beside start, soak, cooling and idle stretches, s."""
    if not record.windows:
        return None
    first = min(record.windows, key=lambda window: window.start_ns)
    took_s = (first.start_ns - first.discarded_ns - record.started_ns) * 1e-9
    idle_s = sum(idle.end_ns - idle.start_ns for idle in record.idles) * 1e-9 * SETTLED
    soak_s = record.soak.seconds if record.soak else 0.0
    cooling_s = record.cooling.seconds if record.cooling else 0.0
    return _sound(max(0.0, took_s - idle_s - soak_s - cooling_s - (record.ready_s or 0.0)))


def _usual(windows: Sequence[Window]) -> float:
    """Return what comes before a load point that is not the first, s; assumed where there is none.

    So is what is no probe told from it, in a study of one round.
    """
    gaps = [
        (later.start_ns - later.discarded_ns - one.end_ns) * 1e-9
        for one, later in pairwise(windows)
    ]
    return statistics.median(gaps) if gaps else WARM_S


def _sound(seconds: float) -> float | None:
    return seconds if 0 <= seconds < LONGEST_S else None


def _spreads(store: Store, records: Mapping[str, LaunchRecord]) -> Iterator[Scatter]:
    """Yield variances of one launch's log rate: from earlier studies, and as seen in this one.

    What was seen is a glance at each window, and differences between rounds are in it: on
    average no smaller than what the analysis finds. Those between nodes are not. Rounds on a
    server that was there already are no launches: they hardly spread.
    """
    for prior in store.priors():
        if prior.metric == RATE and prior.variance is not None and 0 <= prior.variance < MOST_TPS:
            yield Scatter(prior.variance, max(0.0, prior.df), prior.simulated)
    cells: dict[tuple[bool, str, str, str, str, str], dict[str, float]] = {}
    for event in journal_records.read(store.root):
        figure = event.figure
        record = records.get(figure.launch) if figure is not None else None
        if figure is None or record is None or "url" in record.environment:
            continue
        if figure.output_tps is not None and 0 < figure.output_tps < MOST_TPS:
            simulated = record.environment.get("kind") in NOT_ENGINES
            place = (figure.stack, figure.model, figure.workload, figure.load)
            own = cells.setdefault((simulated, *place, record.node or ""), {})
            own[figure.launch] = math.log(figure.output_tps)
    for (simulated, *_), logs in cells.items():
        if len(logs) > 1:
            yield Scatter(statistics.variance(logs.values()), len(logs) - 1, simulated)
