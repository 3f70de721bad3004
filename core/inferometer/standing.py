"""How a run stands: what another shell is told, and what the live view shows.

Made of the plan, of what lies in the results directory and of what the run said of itself
(``events.jsonl``); nobody is asked who measures. Loads no table library.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from inferometer.errors import InferometerError
from inferometer.flights import InFlight, in_flight, nodes
from inferometer.journal_records import Event, Figure, Process, read
from inferometer.plan import wanted
from inferometer.study import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.look_records import Look
    from inferometer.plan import Launch, Plan
    from inferometer.store import Store

PROC = Path("/proc")
State = Literal["not begun", "running", "finished", "interrupted", "failed", "died", "unknown"]
OF_STAGES = {"stage", "launch", "launched"}
"""Behind a launch and at its end there is no stage."""
WARNINGS = 5
"""The latest ones that are told."""


class Verdicts(Struct, frozen=True, kw_only=True):
    """What the looks of a sequential study decided so far."""

    rounds: int
    """Behind the latest look."""
    ended: list[str]
    """Stacks that are launched no more."""
    undecided: list[str]
    """Pairs that are open, in words."""
    stop: str | None


class Standing(Struct, frozen=True, kw_only=True):
    """How a run stands at ``now_ns``; times are ns of the wall clock, unknown is None.

    ``done``, ``failed`` and ``left`` are launches and add up to ``planned``: of those that the
    looks of a sequential study leave to be made. A launch that failed is tried again by the next
    run.
    """

    study: str
    results: str
    state: State
    detail: str
    """Why it ended, or cannot be told."""
    now_ns: int
    begun_ns: int | None
    """When the latest run began."""
    last_ns: int | None
    """When it last said something: not inside a window, for nothing is written then."""
    pid: int | None
    planned: int
    done: int
    failed: int
    left: int
    launch: str
    """The launch in flight, in words; empty without, and where several nodes measure."""
    stage: str
    window_until_ns: int | None
    """When the window that is open, or about to open, closes."""
    nodes: list[InFlight] = []
    """What several nodes are making, by node; empty where one machine measures."""
    left_s: float | None
    """About how long what is left will take: each launch as those of its stack and model did."""
    at_most: bool
    """The study may stop earlier, when everything is decided."""
    figures: list[Figure]
    """Of all windows of all runs, in order."""
    verdicts: Verdicts | None
    """None where the study is judged once, behind its last round."""
    held_s: float
    """How long runs held the machine so far; of several, all together."""
    usd_per_hour: float | None
    cost_usd: float | None
    """Estimated: ``held_s`` at the declared price; None without a price (``no_price``)."""
    warnings: list[str]


class Known(NamedTuple):
    """What does not change while a study runs."""

    plan: Plan
    sequential: bool
    usd_per_hour: float | None


def known(store: Store) -> Known:
    """Read what is told of the study itself.

    Raises:
        UsageError: this is no results directory of ours.
    """
    plan = store.plan()
    try:
        study = parse(store.study_text(), str(store.root / "study.toml"))
    except InferometerError:  # written by another version: the plan is enough
        return Known(plan, sequential=False, usd_per_hour=None)
    price = study.price.usd_per_hour if study.price else None
    return Known(plan, sequential=isinstance(study.sequential, Struct), usd_per_hour=price)


def look(store: Store) -> Standing:
    """Return how the run in a results directory stands now.

    Raises:
        UsageError: this is no results directory of ours, or a file of it cannot be read.
    """
    return standing(store, known(store), read(store.root), time.time_ns())


def standing(store: Store, study: Known, events: Sequence[Event], now_ns: int) -> Standing:
    """Return how a run stands that said ``events``."""
    latest = _latest(events)
    looks = store.looks() if study.sequential else []
    launches = wanted(study.plan, looks)
    whole = store.whole_ids()
    done = {launch.id for launch in launches if launch.id in whole}
    failed = _failures(store, launches) - done
    state, detail = _state(latest)
    if not latest and (done or failed):
        state = "finished" if len(done) == len(launches) else "unknown"
        detail = "its runs were not written down"
    running = state == "running"
    own = [event for event in latest if not event.node]
    current = _current(own) if running else None
    flying = in_flight(latest) if running else []
    begun = {each.id: each.begun_ns for each in flying}
    begun |= {current.launch: current.t_ns} if current else {}
    held_s = sum(_held_s(run) for run in _runs(events))
    if running and latest:
        held_s += max(0, now_ns - latest[-1].t_ns) * 1e-9 * nodes(latest)
    price = study.usd_per_hour
    window = next((e for e in reversed(own) if e.what in {"window", "measured", "launch"}), None)
    stage = next((e for e in reversed(own) if e.what in OF_STAGES), None)
    left_s = _left_s(_to_come(launches, done, latest), launches, events, begun, now_ns)
    return Standing(
        study=study.plan.study,
        results=str(store.root),
        state=state,
        detail=detail,
        now_ns=now_ns,
        begun_ns=latest[0].t_ns if latest else None,
        last_ns=latest[-1].t_ns if latest else None,
        pid=latest[0].process.pid if latest and latest[0].process else None,
        planned=len(launches),
        done=len(done),
        failed=len(failed),
        left=len(launches) - len(done) - len(failed),
        launch=current.text if current else "",
        stage=stage.text if stage and stage.what == "stage" and running else "",
        window_until_ns=window.until_ns
        if window and window.what == "window" and window.until_ns > now_ns and running
        else None,
        nodes=flying,
        left_s=None if left_s is None else left_s / nodes(latest),
        at_most=study.sequential,
        figures=_figures(study.plan, events),
        verdicts=_verdicts(looks) if study.sequential else None,
        held_s=held_s,
        usd_per_hour=price,
        cost_usd=None if price is None else price * held_s / 3600,
        warnings=[event.text for event in latest if event.what == "warning"][-WARNINGS:],
    )


def _figures(plan: Plan, events: Iterable[Event]) -> list[Figure]:
    """Return what was seen in the windows of planned launches; trials are no part of a study."""
    planned = {launch.id for launch in plan.launches}
    seen = [event.figure for event in events if event.figure is not None]
    return [figure for figure in seen if figure.launch in planned]


def _runs(events: Iterable[Event]) -> list[list[Event]]:
    """Return the events of each run; those of one begin with ``begun``."""
    runs: list[list[Event]] = []
    for event in events:
        if event.what == "begun":
            runs.append([])
        if runs:
            runs[-1].append(event)
    return runs


def _latest(events: Sequence[Event]) -> list[Event]:
    runs = _runs(events)
    return runs[-1] if runs else []


def _held_s(run: Sequence[Event]) -> float:
    return max(0, run[-1].t_ns - run[0].t_ns) * 1e-9 * nodes(run)


def _state(run: Sequence[Event]) -> tuple[State, str]:
    """Return how a run stands, and the words for it."""
    if not run:
        return "not begun", "no run has said anything here"
    last, process = run[-1], run[0].process
    if last.what == "ended":
        states: dict[str, State] = {"finished": "finished", "interrupted": "interrupted"}
        return states.get(last.status, "failed"), last.text
    if process is None:
        return "unknown", "the run did not say which process it is"
    return _alive(process)


def _alive(process: Process) -> tuple[State, str]:
    """Return whether a process that did not say that it ended still runs, and the words for it."""
    here = this_process()
    same_boot = bool(process.boot) and process.boot == here.boot
    if process.host != here.host and not same_boot:
        return "unknown", "it runs, or ran, on another machine: ask there"
    if process.boot and here.boot and not same_boot:
        return "died", "the machine began anew since"
    if process.namespace != here.namespace:
        return "unknown", "it runs, or ran, in another container: ask there"
    now = started(process.pid)
    if process.started and now == process.started:
        return "running", ""
    if now is None and _hidden(process.pid):
        return "unknown", f"process {process.pid} is another user's: ask as that user, or as root"
    return "died", f"process {process.pid} is gone and did not say why"


def this_process() -> Process:
    """Return what tells the calling process from every other one, as far as it can be known."""
    pid = os.getpid()
    return Process(
        pid=pid,
        started=started(pid) or 0,
        boot=_boot(),
        namespace=_namespace(),
        host=hashlib.sha256(platform.node().encode()).hexdigest()[:16],
    )


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # hidden, as in some containers: the start of the process has to do
        return ""


def _namespace() -> int:
    try:
        return (PROC / "self/ns/pid").stat().st_ino
    except OSError:  # no such file in this kernel
        return 0


def started(pid: int) -> int | None:
    """Return when a process began, in clock ticks since the machine did (proc(5), field 22).

    None for one that is gone, or is a zombie: it has ended; and for one that may not be seen.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _hidden(pid: int) -> bool:
    """Say whether there is a process whose ``stat`` is not shown to us (proc(5), ``hidepid``)."""
    try:
        os.kill(pid, 0)  # sends nothing
    except PermissionError:
        return not os.access(PROC / str(pid) / "stat", os.R_OK)
    except (OSError, OverflowError):
        return False
    return False


def _failures(store: Store, launches: Sequence[Launch]) -> set[str]:
    """Return the planned launches of which a failed attempt is stored."""
    names = {path.name.rpartition("-")[0] for path in (store.root / "failed").glob("*-*")}
    return names & {launch.id for launch in launches}


def _current(run: Sequence[Event]) -> Event | None:
    """Return the beginning of the launch in flight."""
    last = next((e for e in reversed(run) if e.what in {"launch", "launched"}), None)
    return last if last is not None and last.what == "launch" else None


def _to_come(launches: Sequence[Launch], done: set[str], run: Iterable[Event]) -> list[Launch]:
    """Return what this run still has to make: a stack that failed on a model is not tried again."""
    failed = {
        event.launch for event in run if event.what == "launched" and event.status == "failed"
    }
    lost = {(each.stack, each.model.name) for each in launches if each.id in failed}
    return [
        each
        for each in launches
        if each.id not in done and (each.stack, each.model.name) not in lost
    ]


def _left_s(
    left: Sequence[Launch],
    launches: Sequence[Launch],
    events: Iterable[Event],
    begun: Mapping[str, int],
    now_ns: int,
) -> float | None:
    """Return about how long the launches that are ``left`` will take.

    Each as whole ones of its stack and model did on average, else as those of its stack, else as
    all; None before any is whole. What those in flight, which ``begun`` then, have taken already
    is taken off.
    """
    by_id = {launch.id: launch for launch in launches}
    times: dict[tuple[str, ...], list[float]] = {}
    for event in events:
        if event.what == "launched" and event.status == "ok" and event.launch in by_id:
            launch = by_id[event.launch]
            for key in ((launch.stack, launch.model.name), (launch.stack,), ()):
                times.setdefault(key, []).append(event.seconds)
    if not left:
        return 0.0
    if not times:
        return None
    total = 0.0
    for launch in left:
        keys = ((launch.stack, launch.model.name), (launch.stack,), ())
        seen = next(times[key] for key in keys if key in times)
        expected = sum(seen) / len(seen)
        if launch.id in begun:  # a clock that was set back adds nothing
            expected = max(0.0, expected - max(0, now_ns - begun[launch.id]) * 1e-9)
        total += expected
    return total


def _verdicts(looks: Sequence[Look]) -> Verdicts:
    if not looks:
        return Verdicts(rounds=0, ended=[], undecided=[], stop=None)
    last = looks[-1]
    ended = [stack for each in looks for stack in each.ended]
    return Verdicts(rounds=last.rounds, ended=ended, undecided=last.undecided, stop=last.stop)
