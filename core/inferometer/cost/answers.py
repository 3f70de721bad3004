"""What a buyer asks of one cell: against an API, own against rent, and per accepted response."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import worst_kind
from inferometer.cost import evens, hour, pricing, reading
from inferometer.cost.crossings import arguments
from inferometer.cost.division import busy_shares
from inferometer.cost.response import response

if TYPE_CHECKING:
    from inferometer.comparison import Cell, Kind
    from inferometer.comparison.costs import ApiEven, OwnOrRent, PricedCell, ResponseCost
    from inferometer.cost.scenario import Api
    from inferometer.cost.scene import Scene


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
    if entry is None:
        return []
    if entry.output_per_mtok is not None:
        cached = entry.cached_input_per_mtok
        return [
            response(
                entry,
                at=entry.source or "declared prices",
                hour=None,
                input_usd=entry.input_per_mtok,
                cached_usd=entry.input_per_mtok if cached is None else cached,
                output_usd=entry.output_per_mtok,
            )
        ]
    found = []
    for terms in scene.case.terms:
        for one in scene.cheapest(terms.entry.name):
            joules = _joules(scene, scene.by_id[one.cell], one)
            found.append(
                response(
                    entry,
                    at=one.cell,
                    hour=one.hour,
                    input_usd=one.values["usd_per_mtok_input"].value,
                    cached_usd=0.0,
                    output_usd=one.values["usd_per_mtok_output"].value,
                    input_j=joules.input,
                    output_j=joules.output,
                    cached_share=one.division.cached_tokens_share or 0.0,
                    kind=one.values["usd_per_mtok_output"].kind,
                    energy_kind=joules.kind,
                )
            )
    return found


def _api(scene: Scene, api: Api, one: PricedCell) -> ApiEven:
    cell, terms = scene.by_id[one.cell], scene.terms(one.hour)
    gpus, power_kw, surcharges = arguments(scene, terms, cell)
    lengths = scene.lengths[one.cell]
    exchange = scene.case.scenario.exchange.get(api.currency)
    return evens.api_even(
        api,
        origin=reading.of_api(api, scene.case.scenario, scene.case.as_of),
        exchange_usd=exchange.usd if exchange else 1.0,
        hour=one.hour,
        cell=one.cell,
        input_tokens=lengths.input,
        output_tokens=lengths.output,
        requests_s=cell.values["requests_s"],
        machine=hour.use(terms, gpus=gpus, power_kw=power_kw, surcharges=surcharges),
        used=hour.utilisation(terms.entry),
    )


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
