"""What ``plan`` and ``quickstart`` say of time and money: where it comes from, and as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.forecast.bill import Bill, Rate
    from inferometer.forecast.budget import Budget
    from inferometer.forecast.fit import Proposal
    from inferometer.forecast.parts import Machine
    from inferometer.forecast.past import Past
    from inferometer.forecast.values import Forecast, Part, Span
    from inferometer.plan import Plan
    from inferometer.plugins import Registry
    from inferometer.store import Store
    from inferometer.study import Study

NOT_COUNTED = "not counted: engine environments, which are built once before that, and the report"

INTO_STUDY = "# What to change in the study; keys go into the tables that it has already."


class Known(NamedTuple):
    """What is known of past launches; ``own`` are the study's own results, where there are any."""

    past: Past
    own: Store | None
    remarks: list[str]


class View(NamedTuple):
    """A study, and all that its forecast depends on."""

    study: Study
    machine: Machine
    past: Past
    machines: int = 1
    rate: Rate | None = None

    def forecast(self) -> Forecast:
        """Return what the study's plan will take."""
        from inferometer.forecast.estimate import forecast

        return forecast(self.study, self.machine, self.past, self.machines)


def check(
    *, budget: str | None, price: str | None, usd_per_hour: float | None, write: Path | None
) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: names both.
    """
    from inferometer.errors import UsageError

    if price is not None and usd_per_hour is not None:
        raise UsageError(
            "--price and --usd-per-hour: one of a GPU, one of the machine", hint="Give one of them."
        )
    if write is not None and budget is None:
        raise UsageError("--write: there is nothing to write", hint="Give --budget as well.")
    if write is not None and write.exists():
        raise UsageError(f"{write}: exists", hint="Give --write another path.")


def machine(study: Study, registry: Registry, accelerator: str | None = None) -> Machine:
    """Return what a forecast has to know of this machine, or of one with ``accelerator``."""
    from typing import cast

    from inferometer import environment
    from inferometer.forecast.parts import Machine
    from inferometer.metering import chosen_meters, idle_length_s
    from inferometer.soak import soak_s

    platform = environment.current_platform(cast("Any", accelerator))
    meters = chosen_meters(study.meters, registry.meters())
    return Machine(
        accelerator=platform.accelerator,
        idle_s=idle_length_s(study.protocol, meters, platform),
        soak_s=soak_s(study.protocol, platform.accelerator),
        stand_ins=frozenset(
            name for name, engine in registry.engines().items() if engine.simulated
        ),
    )


def known(
    study: Study, path: Path, earlier: Sequence[Path], results: Path | None, accelerator: str
) -> Known:
    """Return what past results say: those named, the study's own, and those that it names.

    Results of machines without GPUs say nothing of one with them, nor the other way round.

    Raises:
        UsageError: one that the command line names is no results directory.
    """
    from msgspec import UnsetType

    from inferometer import plan as plans
    from inferometer import provenance
    from inferometer.errors import UsageError
    from inferometer.forecast import past
    from inferometer.store import Store

    own = results or Path("results") / f"{path.stem}-{plans.expand(study).sha256[:8]}"
    here = results is not None or (own / "plan.json").is_file()
    host = provenance.host_sha256(provenance.describe_host())
    stores, remarks = [], []
    asked = study.sequential
    named = () if isinstance(asked, UnsetType) else asked.earlier
    for folder in (*earlier, *([own] if here else []), *map(Path, named)):
        store = Store(folder)
        try:
            store.plan()
        except UsageError as error:
            if folder in {*earlier, results}:
                raise
            remarks.append(f"{folder} is left out here: {error.message}")
            continue
        if _alike(store, accelerator):
            stores.append(store)
        else:
            remarks.append(f"{folder} is left out here: measured on another kind of machine")
    return Known(past.read(stores, host), Store(own) if here else None, remarks)


def _alike(store: Store, accelerator: str) -> bool:
    """Say whether results may be of a machine with ``accelerator``; of AMD's nothing is told."""
    if accelerator == "rocm" or not (store.root / "host.json").is_file():
        return True
    return bool(store.host().get("gpus")) == (accelerator == "cuda")


def rate(
    study: Study, registry: Registry, price: str | None, usd_per_hour: float | None
) -> Rate | None:
    """Return the price to reckon with: the command line's, else the study's.

    Raises:
        UsageError: no book has a price of this id.
    """
    import datetime as dt

    from inferometer import prices
    from inferometer.forecast import bill

    today = dt.datetime.now(dt.UTC).date()
    if usd_per_hour is not None:
        return bill.typed(usd_per_hour)
    if price is not None:
        listed = prices.listed(registry.price_books().values())
        return bill.of_book(prices.find(price, listed), today)
    return None if study.price is None else bill.of_study(study.price, today)


def done(own: Store | None, plan: Plan, found: Forecast) -> dict[str, Any]:
    """Return what of a plan is whole already, and about how long the rest takes.

    The rest is without what looks of a sequential study ended.
    """
    if own is None or own.plan().sha256 != plan.sha256:
        return {}
    from inferometer.plan import wanted

    whole = {launch.id for launch in plan.launches} & own.whole_ids()
    left = {launch.id for launch in wanted(plan, own.looks())}
    counted = [
        each for each in found.launches if each.round < found.rounds.expected and each.id in left
    ]
    left_s = sum(each.seconds.expected for each in counted if each.id not in whole)
    return {"results": str(own.root), "launches": len(whole), "left_s": left_s}


def proposed(view: View, asked: Budget) -> Proposal:
    """Return the study that fits a budget.

    Raises:
        UsageError: nothing of the plan is counted in the budget's unit here.
    """
    from inferometer.forecast.fit import fitted

    return fitted(
        view.study, asked, view.machine, view.past, machines=view.machines, rate=view.rate
    )


def write(path: Path, proposal: Proposal, source: Path, text: str) -> None:
    """Write the study that fits to a new file; as it stands where nothing changes.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    import click

    from inferometer.errors import UsageError
    from inferometer.study import dump

    said = f"wrote {path}; next: inferometer plan {path}"
    if proposal.steps:
        head = f"# Made from {source.name} by `inferometer plan --budget`; comments are lost.\n"
        text = head + "".join(f"# {step.change}\n" for step in proposal.steps)
        text += dump(proposal.study)
        said = f"wrote {path}, without the comments of {source}; next: inferometer plan {path}"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", hint="Give --write another path."
        ) from error
    click.echo(said, err=True)


# -- as text ---------------------------------------------------------------------------------


def lines(found: Forecast, cost: Bill, whole: dict[str, Any]) -> list[str]:
    """Return a forecast as text: how long, of what, and what it costs."""
    from inferometer.cli.common import fitted
    from inferometer.progress import duration

    rows = [("part", "in all", "range", "kind", "from")]
    rows += [_row(parts) for parts in _grouped(found.parts)]
    several = (
        f"{found.machines} machines: {_about(found.wall)} from beginning to end, each pair of "
        "mirrored rounds on one of them"
    )
    left = ""
    if whole:
        there = f"{whole['launches']} of them are whole in {whole['results']}"
        left = f"{there}: about {duration(whole['left_s'])} left"
    return [
        f"{_count(found)}, {_about(found.seconds)}",
        *([left] if whole else []),
        *(f"  {line}" for line in fitted(rows, 118)),
        *([several] if found.machines > 1 else []),
        _hours(found),
        _money(cost),
        NOT_COUNTED,
    ]


def brief(found: Forecast) -> str:
    """Return a forecast in one line."""
    return f"{_count(found)}, {_about(found.seconds)}; assumed, from no past run"


def _count(found: Forecast) -> str:
    counted = sum(each.round < found.rounds.expected for each in found.launches)
    many = f"{counted} launches"
    rounds, planned = found.rounds, 1 + max(each.round for each in found.launches)
    if rounds.expected < planned:
        said = f"about {rounds.expected} of {planned} rounds fit into its minutes"
    elif rounds.low < planned:
        said = f"{planned} rounds at most"
    else:
        return many
    best = f", decided after {rounds.low} at best" if rounds.low < rounds.expected else ""
    return f"{many} ({said}{best})"


def _about(span: Span) -> str:
    from inferometer.progress import duration

    low, high = duration(span.low), duration(span.high)
    expected = duration(span.expected)
    range_ = "" if low == high else f"{low} to {high}; "
    return f"about {expected} ({range_}estimated)"


def _grouped(parts: Sequence[Part]) -> list[list[Part]]:
    """Group parts by name and kind, in order."""
    found: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        found.setdefault((part.name, part.kind), []).append(part)
    return list(found.values())


def _row(parts: Sequence[Part]) -> tuple[str, str, str, str, str]:
    from inferometer.forecast.values import total
    from inferometer.progress import duration

    span = total(part.seconds for part in parts)
    ends = [duration(span.low), duration(span.high)]
    basis = parts[0].basis
    others = len(parts) - 1
    basis += f"; and {others} more like it" if others else ""
    range_ = "" if ends[0] == ends[1] else " to ".join(ends)
    return parts[0].name, duration(span.expected), range_, parts[0].kind, basis


def _hours(found: Forecast) -> str:
    from inferometer.numbers import number

    hours = found.gpu_hours
    if not hours.high:
        return "GPU-hours: 0, no launch occupies a GPU: the machine has none"
    each = [number(value, grouped=True) for value in (hours.expected, hours.low, hours.high)]
    return f"GPU-hours: about {each[0]} ({each[1]} to {each[2]}; estimated)"


def _money(cost: Bill) -> str:
    from inferometer.numbers import number

    if cost.amount is None or cost.rate is None:
        return (
            f"cost: n/a ({cost.reason}): give --usd-per-hour, --price ID, or [price] in the study"
        )
    span, of = cost.amount, cost.rate
    each = [number(value, grouped=True) for value in (span.expected, span.low, span.high)]
    dated = "" if of.date is None else f", {of.date}{' (stale)' if of.stale else ''}"
    return (
        f"cost: about {each[0]} {of.currency} ({each[1]} to {each[2]}; estimated) at "
        f"{number(of.amount)} {of.currency} an hour of a {of.per} ({of.source}{dated})"
    )


def amount(value: float, unit: str) -> str:
    """Return what a budget is counted in, as text."""
    from inferometer.numbers import money, number
    from inferometer.progress import duration

    if unit == "s":
        return duration(value)
    return f"{number(value, grouped=True)} GPU-hours" if unit == "gpu-hours" else money(value)


def fit_lines(found: Forecast, proposal: Proposal | None) -> list[str]:
    """Return what fits a budget as text: the steps, what each loses, and TOML to paste."""
    if proposal is None:
        return []
    asked = amount(proposal.budget, proposal.unit)
    takes = amount(proposal.used, proposal.unit)
    if proposal.fits and not proposal.steps:
        return ["", f"budget {asked}: fits as it is, about {takes} expected"]
    verdict = "fits with these changes" if proposal.fits else "does not fit; the least there is"
    steps = [
        line for step in proposal.steps for line in (f"  {step.change}", f"    loses: {step.loses}")
    ]
    time = f"instead of {_about(found.seconds)}, {_about(proposal.forecast.seconds)}"
    return [
        "",
        f"budget {asked}: {verdict}, about {takes} expected",
        f"  {time} of machine time",
        *steps,
        *(["", INTO_STUDY, proposal.changes.rstrip()] if proposal.changes else []),
    ]
