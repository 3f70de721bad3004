"""Whole numbers for fleets: a replica that carries 2 requests/s, draws 10 kW and costs 4 USD/h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer.comparison import Kind, Value
from inferometer.cost.capacity import Capacity, Rate
from inferometer.cost.demand import demand
from inferometer.cost.scenario import FleetEntry

if TYPE_CHECKING:
    from inferometer.comparison.costs import Demand

HOUR = "rented"
A_MILLION = 1e6


def value(number: float, low: float | None = None, high: float | None = None, n: int = 3) -> Value:
    """A measured number; without ends it is exact, as a declared one is."""
    kind: Kind = "measured" if low is not None else "declared"
    n = n if low is not None else 0
    return Value(value=number, unit="", kind=kind, n=n, low=low, high=high)


def absent(reason: str) -> Value:
    return Value(value=None, unit="", kind="measured", reason=reason, detail=f"why {reason}")


def rate(usd: float = 4.0, running: float = 0.0) -> Rate:
    return Rate(usd_per_paid_hour=value(usd), running_usd_per_hour=running)


def machine(**changes: Any) -> Capacity:
    return Capacity(
        **{
            "stack": "vllm",
            "model": "dense",
            "architecture": "dense",
            "cell": "vllm|dense|0",
            "requests_s": value(2),
            "basis": "measured",
            "output_tok_s": value(1000),
            "total_tokens_per_request": 500.0,
            "it_power_kw": value(10),
            "gpus": 8,
            "rates": {HOUR: rate()},
            **changes,
        }
    )


def entry(**changes: Any) -> FleetEntry:
    return FleetEntry(**{"workload": "support-bot", "requests_per_day": A_MILLION, **changes})


def made_demand(fleet: FleetEntry) -> Demand:
    return demand(fleet, input_tokens=300, output_tokens=200, slo="ttft 500 ms")
