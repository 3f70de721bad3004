"""The options of ``inferometer simulate fleet``. Importing this loads click alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferometer_plugins.simulate.options import amount, lengths, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTERS = ("round-robin", "least-loaded", "prefix-aware", "shared-queue")
WORKLOADS = ("chat", "reasoning", "1k/1k", "8k/1k")


def _typed(
    name: str, words: str, *, metavar: str = "X", callback: Callable[..., Any] = amount, **more: Any
) -> Callable[[Any], Any]:
    return click.option(name, callback=callback, metavar=metavar, help=words, **more)


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    _typed("--requests-per-day", "250000, 1e6 or 1M.", metavar="N", required=True),
    click.option(
        "--hourly",
        metavar="NAME|WEIGHTS",
        default="flat",
        show_default=True,
        help="How the day runs: flat, office, or 24 weights with commas, from midnight.",
    ),
    _typed(
        "--bursts",
        "Times of FACTOR times the traffic, every so often, so long in the mean.",
        callback=numbers(3, 3),
        metavar="FACTOR,EVERY_S,LENGTH_S",
    ),
    click.option(
        "--workload",
        type=click.Choice(WORKLOADS),
        default="chat",
        show_default=True,
        help="Lengths of requests by name.",
    ),
    _typed(
        "--input-tokens",
        "Lengths of prompts instead: 512, 400-600.",
        callback=lengths,
        metavar="N",
    ),
    _typed("--output-tokens", "Lengths of answers instead.", callback=lengths, metavar="N"),
    click.option("--replicas", type=click.IntRange(1, 32_767), help="Of each stack."),
    _typed("--ttft-ms", "Find the fewest replicas: limit of the TTFT."),
    _typed("--tpot-ms", "The same, of the time per output token."),
    _typed("--e2e-ms", "The same, end to end."),
    click.option(
        "--share",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.99,
        show_default=True,
        help="Of the requests that must be within each limit.",
    ),
    click.option(
        "--most",
        type=click.IntRange(1, 32_767),
        default=1024,
        show_default=True,
        help="Of replicas that are tried.",
    ),
    click.option(
        "--router",
        type=click.Choice(ROUTERS),
        default="least-loaded",
        show_default=True,
        help="Which replica a request goes to.",
    ),
    _typed(
        "--prefixes",
        "COUNT shared beginnings, SHARE of each prompt, as often as Zipf's law has it.",
        callback=numbers(3, 3),
        metavar="COUNT,ZIPF,SHARE",
    ),
    click.option(
        "--cached-prefixes",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Shared beginnings that a replica keeps.",
    ),
    _typed(
        "--failures",
        "Each replica fails every so many hours in the mean; minutes to repair it (10).",
        callback=numbers(1, 2),
        metavar="EVERY_H[,REPAIR_MIN]",
    ),
    click.option(
        "--restart-at",
        type=click.FloatRange(0, 24, max_open=True),
        metavar="HOUR",
        help="Restart every replica once, one after the other, from this hour on.",
    ),
    click.option(
        "--boot-s",
        type=click.FloatRange(0),
        default=120.0,
        show_default=True,
        help="Seconds from the start of a replica to its first request.",
    ),
    _typed("--price-per-hour", "USD of one replica for one hour."),
    click.option("--price", metavar="ID", help="A price of `inferometer prices`, by GPU-hour."),
    click.option(
        "--gpus", type=click.IntRange(1), default=1, show_default=True, help="Of one replica."
    ),
    _typed("--usd-per-kwh", "Of energy that the hour does not hold."),
    click.option(
        "--pue",
        type=click.FloatRange(1),
        default=1.0,
        show_default=True,
        help="Energy of the facility over that of its machines.",
    ),
    click.option(
        "--range/--no-range",
        "ranged",
        default=True,
        show_default=True,
        help="With a limit: also the fewest replicas if every step is faster, and slower, by the "
        "largest error of the calibration. Takes three times as long.",
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="Of traffic and chance."),
    click.option(
        "--workers",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Processes that try numbers of replicas.",
    ),
)


def options(function: Callable[..., None]) -> Callable[..., None]:
    """Put all options on a command."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
