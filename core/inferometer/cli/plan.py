"""``inferometer plan``: what would run, in which order, and what it will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from inferometer.cli import forecasting

if TYPE_CHECKING:
    from inferometer.engine import Unsupported
    from inferometer.forecast.bill import Bill
    from inferometer.forecast.fit import Proposal
    from inferometer.forecast.values import Forecast, Span
    from inferometer.plan import Plan, Search
    from inferometer.plugins import Registry

LEFT_OUT = "conversations need a closed loop: a next turn waits for the answer"


class Shown(NamedTuple):
    """Everything that is printed of a plan."""

    plan: Plan
    forecast: Forecast
    bill: Bill
    searches: list[Span]
    """Seconds, of each search before the rounds."""
    idle_s: float
    left_out: list[str]
    unsupported: dict[str, Unsupported]
    places: dict[str, str]
    done: dict[str, Any]
    """Results of this plan that are there: directory, whole launches, seconds left; or empty."""
    remarks: list[str]


@click.command("plan")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "earlier",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="RESULTS",
    help="Past results that say how long launches take; may be given again. The study's own, and "
    "those that it names in [sequential], are read in any case.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="The study's own results, where they are not where run puts them.",
)
@click.option(
    "--machines",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Deal the rounds, in mirrored pairs, to so many machines.",
)
@click.option(
    "--accelerator",
    type=click.Choice(["cpu", "cuda", "rocm"]),
    help="Plan for a machine with this one instead of the one here.",
)
@click.option("--price", metavar="ID", help="Price of a GPU for an hour: see inferometer prices.")
@click.option(
    "--usd-per-hour",
    type=click.FloatRange(min=0, min_open=True, max=1e15),
    metavar="USD",
    help="Price of the whole machine for an hour; [price] of the study when not given.",
)
@click.option(
    "--budget",
    metavar="BUDGET",
    help="Propose a study that fits: 90m, 3h, '12 gpu-hours', 40usd.",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the study that fits the budget to this new file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(  # noqa: PLR0917 -- click hands options over by name
    study: Path,
    earlier: tuple[Path, ...],
    results: Path | None,
    machines: int,
    accelerator: str | None,
    price: str | None,
    usd_per_hour: float | None,
    budget: str | None,
    write: Path | None,
    as_json: bool,
) -> None:
    """Show what STUDY would run, for how long and for how much. Starts nothing.

    Every number is an estimate with a range and a reason: from past launches of the same engine
    and model where there are any, else assumed.
    """
    from inferometer import study as studies
    from inferometer.cli import common
    from inferometer.errors import GateError
    from inferometer.forecast.budget import parse
    from inferometer.plugins import Registry

    asked = parse(budget) if budget is not None else None
    forecasting.check(budget=budget, price=price, usd_per_hour=usd_per_hour, write=write)
    text = studies.read(study)
    loaded = studies.parse(text, str(study))
    registry = Registry()
    common.check_names(loaded, registry, str(study))
    rate = forecasting.rate(loaded, registry, price, usd_per_hour)
    machine = forecasting.machine(loaded, registry, accelerator)
    known = forecasting.known(loaded, study, earlier, results, machine.accelerator)
    view = forecasting.View(loaded, machine, known.past, machines, rate)
    found = _shown(view, registry, known)
    proposal = forecasting.proposed(view, asked) if asked is not None else None
    if as_json:
        click.echo(common.as_json(_document(found, proposal)))
    else:
        click.echo("\n".join([*_lines(found), *forecasting.fit_lines(found.forecast, proposal)]))
    if proposal is None or asked is None:
        return
    if not proposal.fits:
        least = forecasting.amount(proposal.used, proposal.unit)
        raise GateError(
            f"{study}: does not fit into {asked.text}: the least is {least}",
            hint="Raise the budget, or leave out an engine, a model or a workload; searches of "
            "[tuning] and [capacity] are as long as the study says.",
        )
    if write is not None:
        forecasting.write(write, proposal, study, text)


def _shown(view: forecasting.View, registry: Registry, known: forecasting.Known) -> Shown:
    """Gather everything that is printed of a study."""
    from inferometer import plan as plans
    from inferometer.cli import common
    from inferometer.forecast import bill, estimate

    study, machine = view.study, view.machine
    plan, found = plans.expand(study), view.forecast()
    return Shown(
        plan=plan,
        forecast=found,
        bill=bill.bill(found, view.rate),
        searches=[it.seconds for it in estimate.all_trials(plan, machine, view.past)],
        idle_s=machine.idle_s,
        left_out=plans.left_out(study),
        unsupported=common.cannot_run(study, registry),
        places=common.runs_in(study, registry),
        done=forecasting.done(known.own, plan, found),
        remarks=known.remarks,
    )


def _lines(found: Shown) -> list[str]:
    from inferometer.cli.common import columns

    plan = found.plan
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
    idle = found.idle_s
    return [
        f"study  {plan.study}",
        f"plan   {plan.sha256}",
        "",
        *map(_search_line, plan.searches, found.searches),
        *([""] if plan.searches else []),
        *columns(rows),
        "",
        *_capacity_lines(plan),
        *(f"{stack}: {place}" for stack, place in found.places.items()),
        *(f"not run: {pair} ({LEFT_OUT})" for pair in found.left_out),
        *([f"in each launch {idle:g} s without load, before and behind the start"] if idle else []),
        "",
        *forecasting.lines(found.forecast, found.bill, found.done),
        *found.remarks,
        *(f"cannot run here: {error}" for error in found.unsupported.values()),
    ]


def _search_line(search: Search, takes: Span) -> str:
    from inferometer.progress import duration

    tuning, point = search.tuning, search.point
    parts = [f"{tuning.trials} trials" if tuning.trials else ""]
    parts.append(f"{tuning.minutes:g} min" if tuning.minutes else "")
    budget = " or ".join(part for part in parts if part)
    return (
        f"tuning {search.stack} on {search.model.name}: at most {budget} for {tuning.objective}, "
        f"{point.workload.name} at {point.label}, at most about {duration(takes.expected)}"
    )


def _capacity_lines(plan: Plan) -> list[str]:
    planned = plan.capacity
    if planned is None:
        return []
    asked = planned.asked
    names = ", ".join(work.name for work in planned.workloads)
    launches = sum(map(planned.wanted, plan.launches))
    each = f"at most about {asked.minutes:g} min for each workload ({names})"
    range_ = f"{asked.low:g} to {asked.high:g} requests/s in {launches} launches"
    return [f"capacity at the SLO: {range_}, {each}"]


def _document(found: Shown, proposal: Proposal | None) -> dict[str, Any]:
    plan = found.plan
    document = {
        "sha256": plan.sha256,
        "study": plan.study,
        "estimate_s": found.forecast.wall.expected,
        "estimate": {"kind": "estimated", "forecast": found.forecast, "bill": found.bill},
        "done": found.done,
        "idle_s": found.idle_s,
        "protocol": plan.protocol,
        "not_run": found.left_out,
        "searches": plan.searches,
        "capacity": plan.capacity,
        "launches": plan.launches,
        "runs_in": found.places,
        "unsupported": {
            stack: {"reason": error.message, "remedy": error.remedy}
            for stack, error in found.unsupported.items()
        },
        "remarks": found.remarks,
    }
    return document if proposal is None else {**document, "budget": proposal}
