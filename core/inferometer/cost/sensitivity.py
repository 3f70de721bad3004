"""What moves a cost that rests on more than the hour: own over an API's, and an answer's.

Each table varies all that its figure is made of. Of an answer on a measured model that is the
two prices per million tokens, which stand for the hour and its throughput.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import structs

from inferometer.comparison.costs import Tornado
from inferometer.cost.evens import api_list_usd
from inferometer.cost.inputs import LEAST, Input
from inferometer.cost.inputs import MOST as UNDER_ONE
from inferometer.cost.swings import interval, swings
from inferometer.cost.tornado import of_machine, with_values
from inferometer.prices import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferometer.comparison.costs import ResponseCost
    from inferometer.comparison.value import Value
    from inferometer.cost.scenario import Api, Response, Step
    from inferometer.cost.scene import Lengths
    from inferometer.cost.tornado import MachineHour

    Make = Callable[[Response, Mapping[str, float]], ResponseCost]
    """A response and the measured prices that are not as they are -> its cost."""

RATE = "requests_s"
NOTHING = 1e-100
"""USD: a ratio to less than this is no number."""


def of_api(
    api: Api,
    machine: MachineHour,
    *,
    cell: str,
    exchange_usd: float,
    tokens: Lengths,
    requests_s: Value,
) -> Tornado | None:
    """Return what moves the cost of a request on the machine over that at the API.

    ``tokens`` are those of the mean request, ``requests_s`` what the cell completes. A rate of
    exchange that the hour's price has too moves both. None where there is no such ratio.

    Raises:
        UsageError: as :func:`inferometer.cost.hour.bill`.
    """
    done = requests_s.value
    if not done or api_list_usd(api, *tokens) < NOTHING:
        return None
    quote = machine.terms.quote
    same = quote is not None and quote.currency == api.currency
    rate = "exchange" if same else f"exchange.{api.currency}"
    varied = of_machine(machine) | {RATE: Input(RATE, done, requests_s.unit, 0, math.inf)}
    varied |= {f"apis.{name}": one for name, one in _of_api(api, tokens).items()}
    if api.currency != "USD" and not same:
        varied[rate] = Input(rate, exchange_usd, f"USD per {api.currency}", LEAST, math.inf)

    def ratio(values: Mapping[str, float]) -> float:
        own = with_values(machine, values).usd() / (values.get(RATE, done) * 3600)
        other = structs.replace(api, **_under(values, "apis."))
        listed = api_list_usd(other, *tokens) * values.get(rate, exchange_usd)
        return own / (listed * (1 - other.discount))

    return Tornado(
        hour=machine.terms.entry.name,
        cell=cell,
        metric="own_over_api",
        unit="ratio",
        base=ratio({}),
        swings=swings(varied, ratio, machine.terms.entry.ranges | interval(RATE, requests_s)),
        of=api.name,
    )


def of_response(entry: Response, make: Make, prices: Mapping[str, Value]) -> Tornado | None:
    """Return what moves the cost of an accepted response; None where that is not known.

    ``prices`` are those of a measured model per million tokens, each over its interval.
    """
    base = make(entry, {})
    if base.usd.value is None:
        return None
    varied = _of_response(entry)
    ranges: dict[str, tuple[float, float]] = {}
    taken = {"usd_per_mtok_input": _fresh(entry), "usd_per_mtok_output": _made(entry)}
    for name, value in prices.items():
        if value.value is not None and taken[name]:
            varied[name] = Input(name, value.value, value.unit, 0, math.inf)
            ranges |= interval(name, value)

    def usd(values: Mapping[str, float]) -> float:
        steps = tuple(
            structs.replace(step, **_under(values, f"steps.{index}."))
            for index, step in enumerate(entry.steps)
        )
        own = _under(values, "response.")
        return make(structs.replace(entry, steps=steps, **own), values).usd.value or 0.0

    return Tornado(
        hour=base.hour or "",
        cell=base.at,
        metric="usd_per_response",
        unit="USD",
        base=base.usd.value,
        swings=swings(varied, usd, ranges),
    )


def _under(values: Mapping[str, float], prefix: str) -> dict[str, Any]:
    """Return the values whose key begins so, by the rest of it."""
    return {
        key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)
    }


def _of_api(api: Api, tokens: Lengths) -> dict[str, Input]:
    """Return what the list says, by field; what would leave nothing to pay is out of reach."""
    price = f"{api.currency}/Mtok"
    found: dict[str, tuple[float, str, float, float]] = {
        "input_per_mtok": (api.input_per_mtok, price, 0, MOST),
        "output_per_mtok": (api.output_per_mtok, price, 0, MOST),
        "discount": (api.discount, "share", 0, UNDER_ONE),
    }
    if api.cached_input_per_mtok is not None and api.cached_share:
        paid = api.cached_input_per_mtok or api.output_per_mtok * tokens.output
        most = 1 if paid else max(UNDER_ONE, api.cached_share)
        found["cached_input_per_mtok"] = (api.cached_input_per_mtok, price, 0, MOST)
        found["cached_share"] = (api.cached_share, "share of the input", 0, most)
    return {name: Input(f"apis.{name}", *rest) for name, rest in found.items()}


def _of_response(entry: Response) -> dict[str, Input]:
    """Return what a response takes, by key; a step without attempts of its own has none to vary."""
    found: dict[str, tuple[float, str, float, float]] = {
        "attempts": (entry.attempts, "per response", 1, MOST),
        "input_tokens": (entry.input_tokens, "tokens", entry.cached_tokens, MOST),
        "cached_tokens": (entry.cached_tokens, "tokens", 0, entry.input_tokens),
        "output_tokens": (entry.output_tokens, "tokens", 0, MOST),
        "reasoning_tokens": (entry.reasoning_tokens, "tokens", 0, MOST),
    }
    taken = {
        "input_per_mtok": _fresh(entry),
        "cached_input_per_mtok": entry.cached_tokens,
        "output_per_mtok": _made(entry),
    }
    for name, tokens in taken.items():
        if tokens and (price := getattr(entry, name)) is not None:
            found[name] = (price, "USD/Mtok", 0, MOST)
    inputs = {f"response.{name}": Input(name, *rest) for name, rest in found.items()}
    for index, step in enumerate(entry.steps):
        inputs |= {f"steps.{index}.{name}": one for name, one in _of_step(step).items()}
    return inputs


def _fresh(entry: Response) -> float:
    """Return the input tokens that are not cached."""
    return entry.input_tokens - entry.cached_tokens


def _made(entry: Response) -> float:
    """Return the tokens that are generated."""
    return entry.output_tokens + entry.reasoning_tokens


def _of_step(step: Step) -> dict[str, Input]:
    found = {
        "tokens": Input(f"{step.name}: tokens", step.tokens, "tokens", 0, MOST),
        "per_mtok": Input(f"{step.name}: per_mtok", step.per_mtok, "USD/Mtok", 0, MOST),
    }
    if step.attempts is not None:
        name = f"{step.name}: attempts"
        found["attempts"] = Input(name, step.attempts, "per response", 1, MOST)
    return found
