"""``inferometer plan``: what would run, in which order, for about how long."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferometer import pace

if TYPE_CHECKING:
    from inferometer.engine import Unsupported
    from inferometer.plan import Launch, Plan, Search
    from inferometer.plugins import Registry
    from inferometer.study import Study

START_S = 60.0
"""Assumed: an engine loads a small model in 10 to 60 s, and may compile in its first requests."""
WARM_S = 10.0
"""Assumed: warm-up before a load point."""
PROBE_S = 20.0
"""Assumed: the 16 fixed texts of the first round."""
ASSUMED = (
    f"estimate: {START_S:.0f} s to start an engine, {WARM_S:.0f} s to warm up each load point, "
    f"{PROBE_S:.0f} s to probe in the first round, {pace.SHORTEST_S:.0f} s for each window whose "
    "length is not set; engine environments are built once before that"
)

LEFT_OUT = "conversations need a closed loop: a next turn waits for the answer"


@click.command("plan")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(study: Path, as_json: bool) -> None:
    """Show what STUDY would run, and for how long. Starts nothing."""
    import msgspec

    from inferometer import plan as plans
    from inferometer import study as studies
    from inferometer.cli.common import cannot_run, check_names, runs_in
    from inferometer.plugins import Registry

    loaded = studies.load(study)
    registry = Registry()
    check_names(loaded, registry, str(study))
    plan = plans.expand(loaded)
    unsupported, places = cannot_run(loaded, registry), runs_in(loaded, registry)
    idle = idle_s(loaded, registry)
    if as_json:
        document = _document(plan, idle, plans.left_out(loaded), unsupported, places)
        text = msgspec.json.format(msgspec.json.encode(document), indent=1)
        click.echo(text.decode())
    else:
        click.echo("\n".join(_lines(plan, idle, plans.left_out(loaded), unsupported, places)))


def idle_s(study: Study, registry: Registry) -> float:
    """Return the length of each stretch without load, if the meters are then what they are now."""
    from inferometer import environment
    from inferometer.metering import chosen_meters, idle_length_s

    meters = chosen_meters(study.meters, registry.meters())
    return idle_length_s(study.protocol, meters, environment.current_platform())


def estimate_s(plan: Plan, idle: float) -> float:
    """Return the assumed length of a plan in seconds; an estimate, and to be called one.

    ``idle`` is that of :func:`idle_s`.
    """
    from inferometer import environment
    from inferometer.metering import SETTLE
    from inferometer.soak import soak_s

    soak = soak_s(plan.protocol, environment.current_platform().accelerator)
    searches = sum(search_s(plan, search) for search in plan.searches)
    # before the engine and behind it, of a server that runs already behind it only
    stretches = sum(2 if launch.engine.url is None else 1 for launch in plan.launches)
    launches = sum(_launch_s(plan, launch, soak) for launch in plan.launches)
    return searches + launches + stretches * idle * (1 + SETTLE) + capacity_s(plan)


def capacity_s(plan: Plan) -> float:
    """Return the most seconds of offered load that the searches for capacity may take in all."""
    planned = plan.capacity
    if planned is None:
        return 0.0
    launches = sum(map(planned.wanted, plan.launches))
    return launches * len(planned.workloads) * planned.asked.minutes * 60


def search_s(plan: Plan, search: Search) -> float:
    """Return the most seconds a search is assumed to take: its budget, and one trial that ends."""
    tuning = search.tuning
    trial_s = START_S + _point_s(plan, search.window_s(plan.protocol))
    by_trials = trial_s * tuning.trials if tuning.trials else math.inf
    return min(by_trials, tuning.minutes * 60 + trial_s if tuning.minutes else math.inf)


def _launch_s(plan: Plan, launch: Launch, soak_s: float) -> float:
    """Return how long a launch is assumed to take; ``soak_s`` is the least of a soak."""
    protocol = plan.protocol
    probe = PROBE_S if protocol.probe and launch.round == 0 else 0.0
    soak = soak_s if any(point.load.closed for point in launch.points) else 0.0
    window_s = protocol.window_s or pace.SHORTEST_S
    return START_S + probe + soak + len(launch.points) * _point_s(plan, window_s)


def _point_s(plan: Plan, window_s: float) -> float:
    """Return how long a load point with such a window is assumed to take."""
    discard_s = plan.protocol.discard_s
    if discard_s is None:
        discard_s = pace.discard_s(0.0, window_s)
    return WARM_S + discard_s + window_s


def _lines(
    plan: Plan,
    idle: float,
    left_out: list[str],
    unsupported: dict[str, Unsupported],
    places: dict[str, str],
) -> list[str]:
    from inferometer.cli.common import columns
    from inferometer.progress import duration

    rows = [("", "round", "launch", "stack", "model", "load points")]
    rows += [
        (
            str(launch.position + 1),
            str(launch.round + 1),
            launch.id,
            launch.stack,
            launch.model.name,
            ", ".join(f"{point.workload.name} at {point.label}" for point in launch.points),
        )
        for launch in plan.launches
    ]
    return [
        f"study  {plan.study}",
        f"plan   {plan.sha256}",
        "",
        *(_search_line(plan, search) for search in plan.searches),
        *([""] if plan.searches else []),
        *columns(rows),
        "",
        *_capacity_lines(plan),
        *(f"{stack}: {place}" for stack, place in places.items()),
        *(f"not run: {pair} ({LEFT_OUT})" for pair in left_out),
        *([f"in each launch {idle:g} s without load, before and behind the start"] if idle else []),
        f"{len(plan.launches)} launches, about {duration(estimate_s(plan, idle))}",
        f"({ASSUMED})",
        *(f"cannot run here: {error}" for error in unsupported.values()),
    ]


def _search_line(plan: Plan, search: Search) -> str:
    from inferometer.progress import duration

    tuning, point = search.tuning, search.point
    parts = [f"{tuning.trials} trials" if tuning.trials else ""]
    parts.append(f"{tuning.minutes:g} min" if tuning.minutes else "")
    budget = " or ".join(part for part in parts if part)
    return (
        f"tuning {search.stack} on {search.model.name}: at most {budget} for {tuning.objective}, "
        f"{point.workload.name} at {point.label}, at most about {duration(search_s(plan, search))}"
    )


def _capacity_lines(plan: Plan) -> list[str]:
    from inferometer.progress import duration

    planned = plan.capacity
    if planned is None:
        return []
    asked = planned.asked
    names = ", ".join(work.name for work in planned.workloads)
    launches = sum(map(planned.wanted, plan.launches))
    each = f"at most about {asked.minutes:g} min for each workload ({names})"
    range_ = f"{asked.low:g} to {asked.high:g} requests/s in {launches} launches"
    return [f"capacity at the SLO: {range_}, {each}, {duration(capacity_s(plan))} in all"]


def _document(
    plan: Plan,
    idle: float,
    left_out: list[str],
    unsupported: dict[str, Unsupported],
    places: dict[str, str],
) -> dict[str, Any]:
    return {
        "sha256": plan.sha256,
        "study": plan.study,
        "estimate_s": estimate_s(plan, idle),
        "idle_s": idle,
        "estimate_assumes": ASSUMED,
        "protocol": plan.protocol,
        "not_run": left_out,
        "searches": plan.searches,
        "capacity": plan.capacity,
        "launches": plan.launches,
        "runs_in": places,
        "unsupported": {
            stack: {"reason": error.message, "remedy": error.remedy}
            for stack, error in unsupported.items()
        },
    }
