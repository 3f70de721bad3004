"""Searches before the rounds: launch trials of ``tuned`` stacks until nothing is left to try.

What is tried next, and what wins, says :mod:`inferometer.tuning`. A trial is a launch like any
other, in a results directory of its own (``tuning/<stack>/<model>``), so that the analysis of the
rounds never sees it. Its prompts are those of no round, the same for every trial.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from inferometer.plan import Launch, digest
from inferometer.scores import score
from inferometer.tuning import Found, Trial, exhausted, untried, walk

if TYPE_CHECKING:
    from inferometer.engine import Setting
    from inferometer.measure import Bench
    from inferometer.plan import Search
    from inferometer.store import Store
    from inferometer.tuning import Settings

ROUND = 1_000_000
"""Stands for the round where prompts are drawn: no study has as many."""


def tune(bench: Bench) -> dict[tuple[str, str], Settings]:
    """Make or finish every search of the plan; return the settings by stack and model.

    A search that is finished is not made again, nor is a trial of one that was interrupted. One
    in which no trial succeeded is, like a launch that failed.
    """
    return {
        (search.stack, search.model.name): _search(bench, search) for search in bench.plan.searches
    }


def _search(bench: Bench, search: Search) -> Settings:
    store = bench.results.search(search.stack, search.model.name)
    known = store.found()
    if known is not None and (known.chosen is not None or _used(bench, search)):
        return known.settings
    try:
        knobs = bench.knobs(_launch(search, 1, ()))
    except Exception:  # noqa: BLE001 -- the launches of the rounds fail the same way and say why
        return ()
    if known is not None:
        store.set_aside()
    trials = store.trials()
    own = _bench(bench, search, store)
    while True:
        best, settings = walk(knobs, trials)
        stopped = exhausted(search.tuning, trials)
        if settings is None or stopped is not None:
            break
        trials.append(_trial(own, _launch(search, len(trials) + 1, settings), search))
        store.put_trials(trials)
    if settings is None:
        stopped = "disturbed" if best is None and trials[-1].settings == () else "finished"
    assert stopped is not None
    found = Found(
        settings=best.settings if best else (),
        chosen=best.number if best else None,
        stopped=stopped,
        knobs={knob.name: knob.why for knob in knobs},
        left=untried(knobs, trials),
    )
    store.put_found(found)
    bench.progress.note(f"tuned {search.stack} on {search.model.name}: {words(found.settings)}")
    return found.settings


def _used(bench: Bench, search: Search) -> bool:
    """Say whether a launch of the rounds rests on a search already."""
    key = (search.stack, search.model.name)
    return any(
        bench.results.finished(launch.id)
        for launch in bench.plan.launches
        if (launch.stack, launch.model.name) == key
    )


def words(settings: tuple[Setting, ...]) -> str:
    """Return settings as one line."""
    return ", ".join(map(str, settings)) or "the engine's defaults"


def _launch(search: Search, number: int, settings: Settings) -> Launch:
    digits = digest((search, settings))[:8]
    return Launch(
        id=f"t{number}-{search.stack}-{search.model.name}-{digits}",
        round=ROUND,
        position=number - 1,
        stack=search.stack,
        engine=search.engine,
        model=search.model,
        points=(search.point,),
        settings=settings,
    )


def _bench(bench: Bench, search: Search, store: Store) -> Bench:
    """Return the bench with the window and the directory of a search."""
    protocol = bench.plan.protocol
    # what is compared is gross energy, which needs no baseline
    protocol = msgspec.structs.replace(
        protocol, window_s=search.window_s(protocol), idle_s=0.0, soak_s=0.0
    )
    plan = msgspec.structs.replace(bench.plan, protocol=protocol, capacity=None)
    return replace(bench, plan=plan, results=store)


def _trial(bench: Bench, launch: Launch, search: Search) -> Trial:
    """Measure one trial; one that was whole when a run was killed is read instead."""
    number = launch.position + 1
    bench.progress.note(
        f"tuning {launch.stack} on {launch.model.name}, trial {number}: {words(launch.settings)}"
    )
    record = bench.results.whole(launch.id) or bench.measure(launch)
    seen = score(bench.results.folder(launch.id), record, search.tuning)
    said = f"{seen.value:.4g} {seen.unit}" if seen.value is not None else seen.detail
    bench.progress.note(f"  trial {number}: {said}")
    return Trial(
        number=number,
        settings=launch.settings,
        launch=launch.id,
        score=seen,
        took_s=(record.ended_ns - record.started_ns) * 1e-9,
    )
