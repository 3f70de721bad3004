"""Hours to price, and a reader that recomputes the formula of a line."""

from __future__ import annotations

import ast
import operator
import random
import re
from collections.abc import Callable
from typing import Any

from inferometer.comparison.costs import Origin
from inferometer.cost.scenario import HourEntry, Owned, Surcharge, Terms
from inferometer.prices import Quote

ORIGIN = Origin(source="a price list", date="2026-11-01", age_days=1, stale=False)
SAYS: dict[str, Any] = {"source": "a price list", "date": "2026-11-01"}


def rented(price: float = 2.0, *, currency: str = "USD", usd: float = 1.0, **keys: Any) -> Terms:
    quote = Quote(
        id="q",
        gpu="H100",
        per_gpu_hour=price,
        currency=currency,
        contract="on-demand",
        region="anywhere",
        **SAYS,
    )
    return Terms(
        entry=HourEntry(name="rent", quote="q", **keys), quote=quote, origin=ORIGIN, usd=usd
    )


def owned(*, utilisation: float | None = 1.0, ranges: Any = None, **keys: Any) -> Terms:
    """A server of 8 at 280,320 USD over 4 years: 8 USD an hour and nothing else."""
    server: dict[str, Any] = {
        **SAYS,
        "gpus": 8,
        "server_usd": 280_320.0,
        "life_years": 4.0,
        "power_kw": 10.0,
        "pue": 1.0,
        "usd_per_kwh": 0.0,
    }
    entry = HourEntry(
        name="own",
        owned=Owned(**(server | keys)),
        utilisation=utilisation,
        ranges=ranges or {},
    )
    return Terms(entry=entry, quote=None, origin=ORIGIN)


def licence(usd: float = 0.5, *, per_gpu: bool = True) -> Surcharge:
    if per_gpu:
        return Surcharge(engine="any", what="licence", usd_per_gpu_hour=usd, **SAYS)
    return Surcharge(engine="any", what="licence", usd_per_hour=usd, **SAYS)


def any_rented(dice: random.Random) -> Terms:
    return rented(
        dice.uniform(0.1, 100),
        currency=dice.choice(["USD", "EUR"]),
        usd=dice.uniform(0.5, 2),
        discount=dice.choice([None, 0.0, dice.uniform(0, 0.9)]),
        interruptions_per_hour=dice.choice([None, dice.uniform(0, 1)]),
        lost_minutes=dice.uniform(0, 50),
        utilisation=dice.choice([None, 1.0, dice.uniform(0.01, 1)]),
        per=dice.choice(["gpu", "machine"]),
    )


def any_owned(dice: random.Random) -> Terms:
    power_kw = dice.uniform(0.1, 20)
    yearly = ("maintenance", "software", "on_call", "debugging", "patching")
    return owned(
        utilisation=dice.choice([1.0, dice.uniform(0.01, 1)]),
        gpus=dice.choice([None, 1, 4, 8, 16]),
        server_usd=dice.uniform(1, 1e6),
        network_usd=dice.choice([0.0, dice.uniform(0, 1e5)]),
        storage_usd=dice.choice([0.0, dice.uniform(0, 1e5)]),
        life_years=dice.uniform(1, 10),
        residual=dice.choice([0.0, dice.uniform(0, 0.9)]),
        cost_of_capital=dice.uniform(0, 0.3),
        power_kw=power_kw,
        idle_kw=dice.choice([None, 0.0, dice.uniform(0, power_kw)]),
        host_kw=dice.choice([0.0, dice.uniform(0, 3)]),
        pue=dice.uniform(1, 2),
        usd_per_kwh=dice.uniform(0, 1),
        demand_usd_per_kw_month=dice.choice([0.0, dice.uniform(0, 30)]),
        colocation_usd_per_kw_month=dice.choice([0.0, dice.uniform(0, 300)]),
        provisioned_kw=dice.choice([None, dice.uniform(0.1, 20)]),
        **{f"{name}_usd_per_year": dice.choice([0.0, dice.uniform(0, 1e5)]) for name in yearly},
    )


_DOES: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def recomputed(formula: str) -> float:
    """Return what a formula comes to: its numbers and signs, the words left out."""
    text = re.sub(r"(?<=\d),(?=\d)", "", formula.partition(";")[0])
    text = re.sub(r"\bx\b", "*", text)
    text = re.sub(r"(?<![\d.])[A-Za-z]+", "", text)
    return _value(ast.parse(text.strip(), mode="eval").body)


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp):
        return _DOES[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand)
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int | float)
    return node.value
