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
    name: str, callback: Callable[..., Any], words: str, *, required: bool = False
) -> Callable[[Any], Any]:
    return click.option(name, callback=callback, metavar="N", help=words, required=required)


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option(
        "--requests-per-day", callback=amount, metavar="N", required=True, help="250000, 1e6 or 1M."
    ),
    click.option(
        "--hourly",
        metavar="NAME|WEIGHTS",
        default="flat",
        show_default=True,
        help="How the day runs: flat, office, or 24 weights with commas, from midnight.",
    ),
    click.option(
        "--bursts",
        callback=numbers(3, 3),
        metavar="FACTOR,EVERY_S,LENGTH_S",
        help="Times of FACTOR times the traffic, every so often, so long in the mean.",
    ),
    click.option(
        "--workload",
        type=click.Choice(WORKLOADS),
        default="chat",
        show_default=True,
        help="Lengths of requests by name.",
    ),
    click.option(
        "--input-tokens",
        callback=lengths,
        metavar="N",
        help="Lengths of prompts instead: 512, 400-600.",
    ),
    click.option(
        "--output-tokens", callback=lengths, metavar="N", help="Lengths of answers instead."
    ),
    click.option("--replicas", type=click.IntRange(1, 32_767), help="Of each stack."),
    click.option(
        "--ttft-ms",
        callback=amount,
        metavar="X",
        help="Find the fewest replicas: limit of the TTFT.",
    ),
    click.option(
        "--tpot-ms", callback=amount, metavar="X", help="The same, of the time per output token."
    ),
    _typed("--e2e-ms", amount, "The same, end to end."),
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
    click.option(
        "--prefixes",
        callback=numbers(3, 3),
        metavar="COUNT,ZIPF,SHARE",
        help="COUNT shared beginnings, SHARE of each prompt, as often as Zipf's law has it.",
    ),
    click.option(
        "--cached-prefixes",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Shared beginnings that a replica keeps.",
    ),
    click.option(
        "--failures",
        callback=numbers(1, 2),
        metavar="EVERY_H[,REPAIR_MIN]",
        help="Each replica fails every so many hours in the mean; minutes to repair it (10).",
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
    click.option(
        "--price-per-hour", callback=amount, metavar="X", help="USD of one replica for one hour."
    ),
    click.option("--price", metavar="ID", help="A price of `inferometer prices`, by GPU-hour."),
    click.option(
        "--gpus", type=click.IntRange(1), default=1, show_default=True, help="Of one replica."
    ),
    click.option(
        "--usd-per-kwh", callback=amount, metavar="X", help="Of energy that the hour does not hold."
    ),
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
