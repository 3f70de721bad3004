"""From the options of ``inferometer simulate fleet`` to the question that they ask."""

from __future__ import annotations

from typing import Any

from inferometer import api
from inferometer.errors import UsageError
from inferometer_plugins.fleet import (
    PATTERNS,
    Bursts,
    Failures,
    Fleet,
    Prefixes,
    RollingRestart,
    Slo,
    Traffic,
)
from inferometer_plugins.simulate.money import Price
from inferometer_plugins.simulate.planning import Question
from inferometer_plugins.simulator.loads import WORKLOADS, Uniform, Workload


def question(given: dict[str, Any]) -> Question:
    """Return what the options ask.

    Raises:
        UsageError: they do not go together, or a value is out of range.
    """
    slo = _slo(given)
    if (slo is None) == (given["replicas"] is None):
        raise UsageError(
            "give either --replicas, or a limit that is to be met (--ttft-ms, --tpot-ms, --e2e-ms)",
            hint="With a limit the fewest replicas that meet it are found.",
        )
    _together(given)
    try:
        return Question(
            traffic=Traffic(
                requests_per_day=given["requests_per_day"],
                workload=_workload(given),
                hourly=_hourly(given["hourly"]),
                bursts=_bursts(given["bursts"]),
                prefixes=_prefixes(given["prefixes"]),
            ),
            fleet=Fleet(
                replicas=given["replicas"] or 1,
                router=given["router"],
                boot_s=given["boot_s"],
                cached_prefixes=given["cached_prefixes"],
                failures=_failures(given["failures"]),
                restarts=_restarts(given["restart_at"]),
            ),
            slo=slo,
            most=given["most"],
            price=_price(given),
            seed=given["seed"],
            workers=given["workers"],
            ranged=given["ranged"],
        )
    except ValueError as error:
        raise UsageError(str(error), hint="See: inferometer simulate fleet --help") from error


def _together(given: dict[str, Any]) -> None:
    """Refuse what would say nothing without something else."""
    shared = given["prefixes"] is not None
    if given["cached_prefixes"] and not shared:
        raise UsageError(
            "--cached-prefixes without --prefixes keeps what no prompt has",
            hint="Say which beginnings prompts share: --prefixes COUNT,ZIPF,SHARE.",
        )
    if given["router"] == "prefix-aware" and not (shared and given["cached_prefixes"]):
        raise UsageError(
            "--router prefix-aware needs beginnings to go by, and replicas that keep them",
            hint="Give --prefixes COUNT,ZIPF,SHARE and --cached-prefixes N.",
        )


def _slo(given: dict[str, Any]) -> Slo | None:
    limits = {
        name.replace("_ms", "_s"): given[name] / 1e3
        for name in ("ttft_ms", "tpot_ms", "e2e_ms")
        if given[name] is not None
    }
    return Slo(share=given["share"], **limits) if limits else None


def _workload(given: dict[str, Any]) -> Workload:
    sides = (given["input_tokens"], given["output_tokens"])
    if sides == (None, None):
        return WORKLOADS[given["workload"]]
    if None in sides:
        raise UsageError(
            "--input-tokens and --output-tokens go together",
            hint="Give both, or --workload by name.",
        )
    prompt, output = (Uniform(most=high, low=low / high) for low, high in sides)
    return Workload(name="given", prompt=prompt, output=output)


def _hourly(given: str) -> tuple[float, ...]:
    if given in PATTERNS:
        return PATTERNS[given]
    try:
        return tuple(float(part) for part in given.split(","))
    except ValueError as error:
        names = ", ".join(PATTERNS)
        raise ValueError(f"--hourly {given!r} is none of {names} and no 24 numbers") from error


def _bursts(given: tuple[float, ...] | None) -> Bursts | None:
    if given is None:
        return None
    return Bursts(factor=given[0], every_s=given[1], length_s=given[2])


def _prefixes(given: tuple[float, ...] | None) -> Prefixes | None:
    if given is None:
        return None
    return Prefixes(count=int(given[0]), zipf=given[1], share=given[2])


def _failures(given: tuple[float, ...] | None) -> Failures | None:
    if given is None:
        return None
    return Failures(every_s=3600 * given[0], repair_s=60 * (*given, 10.0)[1])


def _restarts(hour: float | None) -> RollingRestart | None:
    return None if hour is None else RollingRestart(start_s=3600 * hour)


def _price(given: dict[str, Any]) -> Price:
    hourly, source = given["price_per_hour"], "as given"
    if given["price"] is not None:
        if hourly is not None:
            raise UsageError(
                "--price and --price-per-hour are two prices of one hour", hint="Give one."
            )
        book, quote = api.price(given["price"])
        if quote.currency != "USD":
            raise UsageError(
                f"price {quote.id!r} is in {quote.currency}", hint="Give --price-per-hour in USD."
            )
        hourly = quote.per_gpu_hour * (1 - quote.discount) * given["gpus"]
        source = f"{quote.id} of {book}, {quote.contract}, {quote.date}: {quote.source}"
    return Price(
        usd_per_replica_hour=hourly,
        source=source if hourly is not None else "",
        usd_per_kwh=given["usd_per_kwh"],
        pue=given["pue"],
    )
