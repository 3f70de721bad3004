"""From measured cells to what a fleet is made of: each stack's capacity at the objectives."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, get_args

from msgspec.structs import replace

from inferometer.comparison import Value, worst_kind
from inferometer.comparison.costs import Fleet
from inferometer.contests import primary_meter
from inferometer.cost import fleet as fleets
from inferometer.cost import hour, margins, monthly, objectives, pricing, sites
from inferometer.cost.capacity import Capacity, Rate
from inferometer.cost.crossings import arguments
from inferometer.cost.demand import demand
from inferometer.cost.division import busy_shares
from inferometer.cost.scene import Lengths
from inferometer.cost.tornado import MachineHour
from inferometer.declared import Energy
from inferometer.errors import UsageError
from inferometer.matching.matches import matches
from inferometer.matching.pairs import match_words, pairs, subject
from inferometer.metrics.energy import read_meters
from inferometer.metrics.shares import baselines
from inferometer.workloads.lengths import draw
from inferometer.workloads.presets import PRESETS, Preset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Cell, Model
    from inferometer.comparison.costs import Demand
    from inferometer.cost.replicas import Case
    from inferometer.cost.scenario import Terms
    from inferometer.cost.scene import Scene

DRAWS = 4096
"""Of a preset's lengths, for their mean; stratified, so that it is good to 0.1 %."""


def fleet(scene: Scene) -> Fleet | None:
    """Return what carries the demand of the scenario; None where it has none.

    Raises:
        UsageError: the workload is neither of these results nor a preset.
    """
    entry = scene.case.scenario.fleet
    if entry is None:
        return None
    seen = [cell for cell in scene.cells if cell.workload == entry.workload and cell.launches]
    lengths = _lengths(scene, entry.workload, seen)
    wanted = demand(
        entry, input_tokens=lengths.input, output_tokens=lengths.output, slo=objectives.words(scene)
    )
    machines = _capacities(scene, wanted, measured=bool(seen))
    declared = scene.evidence.study.energy
    pue = _pue(scene)
    owned = [t.entry.name for t in scene.case.terms if t.entry.owned is not None]
    carbon = declared.carbon_g_per_kwh if isinstance(declared, Energy) else None
    cases = fleets.cases(
        wanted,
        entry,
        machines,
        hours=[terms.entry.name for terms in scene.case.terms],
        pue=pue,
        carbon_g_per_kwh=carbon,
        owned=owned,
    )
    rows = [fleets.row(case) for case in cases]
    response = scene.case.scenario.response
    return Fleet(
        demand=wanted,
        rows=rows,
        architectures=sites.architectures(rows, _pairs(scene.models)),
        site_mw=entry.site_mw,
        sites=sites.sites(machines, entry.site_mw, _by_hour(pue)) if entry.site_mw else [],
        margins=margins.margins(
            rows,
            wanted,
            entry,
            credits_=scene.case.scenario.credits,
            attempts=response.attempts if response else 1.0,
            owned=owned,
        ),
        tornados=[
            monthly.tornado(case, entry, _machine(scene, case)) for case in monthly.cheapest(cases)
        ],
        notes=fleets.notes(wanted, entry, machines, owned=bool(owned)),
    )


def _pue(scene: Scene) -> dict[str, Any]:
    """Return the PUE by hour: of an owned machine its own, else what the study declares."""
    return {fleets.NO_HOUR: _declared(scene, "pue")} | {
        terms.entry.name: terms.entry.owned.pue if terms.entry.owned else _declared(scene, "pue")
        for terms in scene.case.terms
    }


def _machine(scene: Scene, case: Case) -> MachineHour:
    """Return what the hour of a fleet's replica is computed with."""
    terms = scene.terms(case.hour)
    gpus, power_kw, surcharges = arguments(scene, terms, scene.by_id[case.machine.cell])
    return MachineHour(terms, gpus, power_kw, tuple(surcharges))


def _lengths(scene: Scene, workload: str, cells: Sequence[Cell]) -> Lengths:
    """Return the mean request: of these results, else of the preset of that name."""
    known = [scene.lengths[cell.id] for cell in cells if cell.id in scene.lengths]
    if known:
        return Lengths(
            statistics.fmean(one.input for one in known),
            statistics.fmean(one.output for one in known),
        )
    if workload not in get_args(Preset):
        names = {cell.workload for cell in scene.cells} | set(get_args(Preset))
        raise UsageError.unknown("workload", workload, names, place="[fleet] workload")
    use = PRESETS[workload]  # type: ignore[index]  # it is one of its keys
    means = [
        statistics.fmean(draw(lengths, DRAWS, workload)) for lengths in (use.input, use.output)
    ]
    return Lengths(*means)


def _capacities(scene: Scene, wanted: Demand, *, measured: bool) -> list[Capacity]:
    """Return what one replica of each stack and model carries."""
    idle = _idle_watts(scene)
    found = []
    for model in scene.models:
        for stack in scene.evidence.stacks:
            cells = [
                cell
                for cell in scene.cells
                if (cell.stack, cell.model) == (stack, model.name)
                and cell.launches
                and (not measured or cell.workload == wanted.workload)
            ]
            if cells:
                found.append(_capacity(scene, wanted, model, cells, idle, measured=measured))
    return found


def _capacity(
    scene: Scene,
    wanted: Demand,
    model: Model,
    cells: Sequence[Cell],
    idle: Mapping[tuple[str, str], float],
    *,
    measured: bool,
) -> Capacity:
    """Return the best load point at which the objectives are met; where none is, why."""
    carried = {cell.id: _carried(scene, cell, wanted, measured=measured) for cell in cells}
    good = [cell for cell in cells if objectives.met(scene, cell)]
    sound = [cell for cell in good if cell.valid and cell.refused is None] or good or cells
    best = max(sound, key=lambda cell: carried[cell.id].value or 0.0)
    capacity = carried[best.id]
    if not good and capacity.value is not None:
        words = f"at no load point was this met: {objectives.words(scene)}"
        capacity = replace(
            capacity, value=None, low=None, high=None, reason="slo_never_met", detail=words
        )
    power, meter = _power_kw(scene, best)
    records = scene.records(best)
    return Capacity(
        stack=best.stack,
        model=model.name,
        architecture=model.architecture,
        cell=best.id,
        requests_s=capacity,
        basis="measured" if measured else "from tokens",
        output_tok_s=best.values["output_tok_s"]
        if measured
        else _scaled(capacity, wanted.output_tokens, "tok/s"),
        total_tokens_per_request=wanted.input_tokens + wanted.output_tokens,
        it_power_kw=power,
        idle_power_kw=_idle_kw(scene, meter, idle.get((f"{best.stack}/{model.name}", meter))),
        gpus=pricing.reserved(records[0], scene.bills.ground),
        ranked=best.valid and best.refused is None,
        rates={terms.entry.name: _rate(scene, terms, best, idle) for terms in scene.case.terms},
    )


def _carried(scene: Scene, cell: Cell, wanted: Demand, *, measured: bool) -> Value:
    """Return requests/s at a load point: as seen, else from its machine-seconds per token.

    A request of the demand takes (input tokens x seconds per input token) + (output tokens x
    seconds per output token); the seconds of a token are its side's share of the bill's time. What
    other lengths do to them is not known, so there is no interval.
    """
    if measured:
        return cell.values["requests_s"]
    rates = [cell.values[name] for name in ("input_tok_s", "output_tok_s")]
    shares = busy_shares(scene.division(cell))
    if shares is None or not rates[0].value or not rates[1].value:
        reason = next((rate.reason for rate in rates if rate.reason), "no_division")
        return Value(value=None, unit="req/s", kind="estimated", reason=reason)
    seconds = (
        wanted.input_tokens * shares[0] / rates[0].value
        + wanted.output_tokens * shares[1] / rates[1].value
    )
    ratio = 1 / seconds / rates[1].value
    lengths = scene.lengths.get(cell.id)
    seen = f"{lengths.input:.4g} and {lengths.output:.4g}" if lengths else "other"
    words = (
        f"estimated from {cell.workload!r} ({seen} tokens in and out) for requests of "
        f"{wanted.input_tokens:.4g} and {wanted.output_tokens:.4g}: measure that workload"
    )
    return replace(
        _scaled(rates[1], ratio, "req/s"),
        low=None,
        high=None,
        kind=worst_kind(["estimated", rates[1].kind]),
        detail=words,
    )


def _scaled(value: Value, factor: float, unit: str) -> Value:
    def by(end: float | None) -> float | None:
        return None if end is None else end * factor

    return replace(value, value=by(value.value), low=by(value.low), high=by(value.high), unit=unit)


def _power_kw(scene: Scene, cell: Cell) -> tuple[Value, str]:
    """Return what one replica draws at a load point, and the meter that says so.

    Where no meter does, the power that an owned server is declared to have.
    """
    meters = scene.evidence.meters
    first = primary_meter(meters)
    for name in sorted(meters, key=lambda name: name != first):
        found = cell.values.get(f"mean_power_w@{name}")
        if found is None or found.value is None:
            continue
        value = _scaled(found, 1e-3, "kW")
        words, host_w = f"{name}, {meters[name].scope}", _declared(scene, "host_power_w")
        if meters[name].scope == "L0" and host_w:
            value = _beside(value, host_w / 1000)
            words += f" + {host_w:g} W of the host, declared"
        elif meters[name].scope == "L0":
            words += ": accelerators only, without their host"
        return replace(value, detail=words), name
    for terms in scene.case.terms:
        if terms.entry.owned is not None and terms.entry.owned.power_kw is not None:
            return _of_owned(scene, terms, cell, {})[0] or _no_watts("no meter has watts here"), ""
    return _no_watts("no meter has watts here"), ""


def _of_owned(
    scene: Scene, terms: Terms, cell: Cell, idle: Mapping[tuple[str, str], float]
) -> tuple[Value | None, float | None]:
    """Return what a bought machine draws under load and without work, in kW, as its bill has it.

    None and None of one that is rented.
    """
    owned = terms.entry.owned
    if owned is None:
        return None, None
    share = hour.share(owned, arguments(scene, terms, cell)[0])
    idle_kw = None if owned.idle_kw is None else owned.idle_kw * share
    if owned.meter is None:
        words = f"declared of {terms.entry.name!r}"
        kw = (owned.power_kw or 0.0) * share
        return Value(value=kw, unit="kW", kind="declared", detail=words), idle_kw
    found = cell.values.get(f"mean_power_w@{owned.meter}")
    if found is None or found.value is None:
        return _no_watts(f"meter {owned.meter!r} read nothing"), idle_kw
    value, words, host_kw = _scaled(found, 1e-3, "kW"), owned.meter, owned.host_kw * share
    if host_kw:
        value, words = _beside(value, host_kw), f"{words} + {host_kw:g} kW of the host, declared"
    watts = idle.get((f"{cell.stack}/{cell.model}", owned.meter))
    if idle_kw is None and watts is not None:
        idle_kw = watts / 1000 + host_kw
    return replace(value, detail=words), idle_kw


def _beside(value: Value, kw: float) -> Value:
    """Return metered power with a declared one beside it."""
    ends = {end: getattr(value, end) for end in ("value", "low", "high")}
    added = {name: None if end is None else end + kw for name, end in ends.items()}
    return replace(value, **added, kind=worst_kind([value.kind, "estimated"]))


def _no_watts(words: str) -> Value:
    return Value(value=None, unit="kW", kind="measured", reason="no_sensor", detail=words)


def _idle_watts(scene: Scene) -> dict[tuple[str, str], float]:
    """Return mean watts of loaded engines without requests, by stack/model and meter."""
    tables = scene.evidence.tables
    watts: dict[tuple[str, str], list[float]] = {}
    owners = {
        launch: f"{stack}/{model}"
        for launch, stack, model in tables.launches.select("launch", "stack", "model").iter_rows()
    }
    for (launch, meter, state), base in baselines(tables, read_meters(tables)).items():
        if state == "loaded" and base.watts is not None:
            watts.setdefault((owners[launch], meter), []).append(base.watts)
    return {key: statistics.fmean(values) for key, values in watts.items()}


def _idle_kw(scene: Scene, meter: str, watts: float | None) -> float | None:
    """Return a replica's watts without work, with the host's beside a meter that sees none."""
    if watts is None:
        return None
    alone = scene.evidence.meters[meter].scope == "L0"
    return (watts + ((_declared(scene, "host_power_w") or 0.0) if alone else 0.0)) / 1000


def _declared(scene: Scene, name: str) -> Any:
    energy = scene.evidence.study.energy
    return getattr(energy, name) if isinstance(energy, Energy) else None


def _rate(scene: Scene, terms: Terms, cell: Cell, idle: Mapping[tuple[str, str], float]) -> Rate:
    gpus, power_kw, surcharges = arguments(scene, terms, cell)
    kind = pricing.kind_of(terms, scene.bills.ground)
    if power_kw is None and hour.needs_power(terms):
        words = "the meter that it takes its watts from read nothing"
        missing = Value(value=None, unit="USD/h", kind=kind, reason="no_sensor", detail=words)
        return Rate(usd_per_paid_hour=missing, it_power_kw=_of_owned(scene, terms, cell, {})[0])
    draws, idle_kw = _of_owned(scene, terms, cell, idle)
    use = hour.use(terms, gpus=gpus, power_kw=power_kw, surcharges=surcharges)
    return Rate(
        usd_per_paid_hour=Value(value=use.at(1), unit="USD/h", kind=kind),
        running_usd_per_hour=use.running,
        it_power_kw=draws,
        idle_power_kw=idle_kw,
    )


def _pairs(models: Sequence[Model]) -> dict[tuple[str, str], str]:
    return {
        (dense.name, moe.name): match_words(dense, moe, matches(subject(dense), subject(moe)))
        for dense, moe in pairs(models)
    }


def _by_hour(pue: Mapping[str, float | None]) -> dict[str, float | None]:
    """Leave out what stands for no hour at all, where there is one."""
    return {name: own for name, own in pue.items() if name != fleets.NO_HOUR} or dict(pue)
