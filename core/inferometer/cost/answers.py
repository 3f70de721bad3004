"""What a buyer asks of one cell: against an API, own against rent, and per accepted response."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import worst_kind
from inferometer.cost import evens, hour, pricing, reading, sensitivity
from inferometer.cost.crossings import arguments
from inferometer.cost.division import busy_shares
from inferometer.cost.response import response
from inferometer.cost.tornado import MachineHour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inferometer.comparison import Cell, Kind, Value
    from inferometer.comparison.costs import ApiEven, OwnOrRent, PricedCell, ResponseCost, Tornado
    from inferometer.cost.scenario import Api, Response
    from inferometer.cost.scene import Scene
    from inferometer.cost.sensitivity import Make

PER_MTOK = ("usd_per_mtok_input", "usd_per_mtok_output")
"""Of a cell, by metric: what a million tokens of each side cost."""


class _Joules(NamedTuple):
    """Per token of one cell, divided as its bill is."""

    input: float | None = None
    output: float | None = None
    kind: Kind = "estimated"


def apis(scene: Scene) -> list[ApiEven]:
    """Return every API against the cheapest cell of each model and workload, at every hour."""
    return [
        _api(scene, api, one)
        for api in scene.case.scenario.apis
        for terms in scene.case.terms
        for one in scene.cheapest(terms.entry.name)
        if one.cell in scene.lengths
    ]


def own_or_rent(scene: Scene) -> list[OwnOrRent]:
    """Return every owned hour against every rented one, for the machine that was measured.

    Watts that are metered are those of the first cell that has them.
    """
    owned = [terms for terms in scene.case.terms if terms.entry.owned is not None]
    rented = [terms for terms in scene.case.terms if terms.entry.owned is None]
    measured = [cell for cell in scene.cells if cell.launches]
    found = []
    for own in owned:
        seen = [arguments(scene, own, cell)[:2] for cell in measured] or [(None, None)]
        gpus, power_kw = next((one for one in seen if one[1] is not None), seen[0])
        if power_kw is None and hour.needs_power(own):
            continue
        found += [evens.own_or_rent(own, rent, gpus=gpus, power_kw=power_kw) for rent in rented]
    return found


def responses(scene: Scene) -> list[ResponseCost]:
    """Return the cost of an accepted response on the cheapest cells, or at declared prices."""
    entry = scene.case.scenario.response
    return [] if entry is None else [make(entry, {}) for make, _ in _ways(scene, entry)]


def tornados(scene: Scene) -> list[Tornado]:
    """Return what moves own over API, and the cost of a response, where these are known."""
    entry = scene.case.scenario.response
    found = [
        _api_tornado(scene, api, one)
        for api in scene.case.scenario.apis
        for terms in scene.case.terms
        for one in scene.cheapest(terms.entry.name)
        if one.cell in scene.lengths
    ]
    if entry is not None:
        found += [sensitivity.of_response(entry, *way) for way in _ways(scene, entry)]
    return [one for one in found if one is not None]


def _ways(scene: Scene, entry: Response) -> Iterator[tuple[Make, dict[str, Value]]]:
    """Yield how a response is priced, with the measured prices per million tokens in it."""
    if entry.output_per_mtok is not None:
        yield _at_declared, {}
        return
    for terms in scene.case.terms:
        for one in scene.cheapest(terms.entry.name):
            priced = {name: one.values[name] for name in PER_MTOK}
            yield partial(_at_measured, one, _joules(scene, scene.by_id[one.cell], one)), priced


def _at_declared(entry: Response, _: Mapping[str, float]) -> ResponseCost:
    cached = entry.cached_input_per_mtok
    return response(
        entry,
        at=entry.source or "declared prices",
        hour=None,
        input_usd=entry.input_per_mtok,
        cached_usd=entry.input_per_mtok if cached is None else cached,
        output_usd=entry.output_per_mtok,
    )


def _at_measured(
    one: PricedCell, joules: _Joules, entry: Response, prices: Mapping[str, float]
) -> ResponseCost:
    """Price a response on a cell; ``prices`` go before its own."""
    input_usd, output_usd = (prices.get(name, one.values[name].value) for name in PER_MTOK)
    return response(
        entry,
        at=one.cell,
        hour=one.hour,
        input_usd=input_usd,
        cached_usd=0.0,
        output_usd=output_usd,
        input_j=joules.input,
        output_j=joules.output,
        cached_share=one.division.cached_tokens_share or 0.0,
        kind=one.values["usd_per_mtok_output"].kind,
        energy_kind=joules.kind,
    )


def _api(scene: Scene, api: Api, one: PricedCell) -> ApiEven:
    cell, terms = scene.by_id[one.cell], scene.terms(one.hour)
    gpus, power_kw, surcharges = arguments(scene, terms, cell)
    lengths = scene.lengths[one.cell]
    return evens.api_even(
        api,
        origin=reading.of_api(api, scene.case.scenario, scene.case.as_of),
        exchange_usd=_exchange_usd(scene, api),
        hour=one.hour,
        cell=one.cell,
        input_tokens=lengths.input,
        output_tokens=lengths.output,
        requests_s=cell.values["requests_s"],
        machine=hour.use(terms, gpus=gpus, power_kw=power_kw, surcharges=surcharges),
        used=hour.utilisation(terms.entry),
    )


def _api_tornado(scene: Scene, api: Api, one: PricedCell) -> Tornado | None:
    cell, terms = scene.by_id[one.cell], scene.terms(one.hour)
    gpus, power_kw, surcharges = arguments(scene, terms, cell)
    return sensitivity.of_api(
        api,
        MachineHour(terms, gpus, power_kw, tuple(surcharges)),
        cell=one.cell,
        exchange_usd=_exchange_usd(scene, api),
        tokens=scene.lengths[one.cell],
        requests_s=cell.values["requests_s"],
    )


def _exchange_usd(scene: Scene, api: Api) -> float:
    exchange = scene.case.scenario.exchange.get(api.currency)
    return exchange.usd if exchange else 1.0


def _joules(scene: Scene, cell: Cell, one: PricedCell) -> _Joules:
    """Divide a cell's joules between input and output by the shares of its bill."""
    found = scene.metered(cell, "energy_j_per_output_token")
    shares = busy_shares(one.division)
    rates = [cell.values[name].value for name in ("input_tok_s", "output_tok_s")]
    if found is None or shares is None or not rates[0] or not rates[1]:
        return _Joules()
    value, _ = found
    watts = (value.value or 0.0) * rates[1]
    kind = worst_kind([value.kind, pricing.division_kind(one.division)])
    return _Joules(watts * shares[0] / rates[0], watts * shares[1] / rates[1], kind)
