"""``inferometer bench``: one load on a server that is already there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferometer.cli import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

SERIES = {
    "ttft": "TTFT",
    "tpot": "TPOT",
    "itl": "ITL",
    "icl": "inter-chunk",
    "e2el": "E2E",
    "ttft_intended": "TTFT, intended",
    "e2el_intended": "E2E, intended",
}
AGAIN = "Nothing is resumed: the same command measures from the beginning."
STATISTICS = ("mean", "median", "std", "p90", "p99")


@click.command("bench")
@click.argument("url")
@click.option("--model", required=True, help="Model name, as the server knows it.")
@click.option(
    "--endpoint",
    type=click.Choice(["completions", "chat"]),
    default="completions",
    show_default=True,
)
@click.option("--concurrency", type=click.IntRange(min=1), help="Closed loop of so many streams.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Open loop, requests a second."
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "gamma", "constant"]),
    default="poisson",
    show_default=True,
    help="Gaps between the requests of --rate.",
)
@click.option(
    "--burstiness",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Shape of gamma arrivals: below 1 burstier than Poisson, above 1 more even.",
)
@click.option("--burst", is_flag=True, help="Send every request at once.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Replay times and lengths: Mooncake, BurstGPT, Azure or JSON lines.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    help="Cap of an open loop; a request that waits keeps its intended time.",
)
@click.option("--requests", type=click.IntRange(min=1), help="Send so many; 300 by default.")
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    help="Measure a window of so many seconds under load instead.",
)
@click.option(
    "--warmup-requests", type=click.IntRange(min=0), help="Answered before; not measured."
)
@click.option(
    "--input-tokens",
    default="128",
    show_default=True,
    help="A number, or a distribution such as uniform:min=100,max=200.",
)
@click.option("--output-tokens", default="128", show_default=True, help="Likewise.")
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path, exists=True),
    help="tokenizer.json, or the folder with it; without it prompts are so many words.",
)
@click.option("--seed", type=int, help="Of prompts and arrivals; a fresh one by default.")
@click.option("--header", "headers", multiple=True, help="'Name: value'; may be repeated.")
@click.option("--api-key-env", metavar="NAME", help="Environment variable that holds the API key.")
@click.option("--insecure", is_flag=True, help="Do not check the server's certificate.")
@click.option("--plain", is_flag=True, help="Send only fields of OpenAI's own API.")
@click.option(
    "--extra-body", default="{}", help="JSON object merged into each request; null removes."
)
@click.option(
    "--request-timeout",
    "request_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds.",
)
@hosts.option
@click.option("--json", "json_path", metavar="FILE|-", help="Write the result as JSON.")
def command(json_path: str | None, **flags: Any) -> None:
    """Measure the server at URL: latency, throughput, and whether they can be believed."""
    import msgspec

    from inferometer.bench import measure
    from inferometer.errors import Interrupted

    try:
        with hosts.opened(flags.pop("load_hosts"), flags.pop("token_file")) as flags["load_hosts"]:
            result = measure.measure(_options(flags))
    except KeyboardInterrupt:
        raise Interrupted("interrupted before a request had completed", hint=AGAIN) from None
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    if json_path == "-":
        click.echo(text.decode())
    else:
        for line in _table(result):
            click.echo(line)
        if json_path is not None:
            _write(Path(json_path), text + b"\n")
    _end(result)


def _end(result: dict[str, Any]) -> None:
    """Raise unless every request was sent and answered."""
    from inferometer.bench.measure import INTERRUPTED
    from inferometer.errors import IncompleteError, InconclusiveError, Interrupted

    broken = result["broken_off"]
    until = f"the figures are of the {result['completed']} requests completed until then"
    if broken == INTERRUPTED:
        raise Interrupted(f"interrupted; {until}", hint=AGAIN)
    hint = f"First of the errors: {next(iter(result['errors']), '')}"
    if not result["completed"]:
        raise InconclusiveError(f"no request completed, {result['failed']} failed", hint=hint)
    if broken:
        raise IncompleteError(f"{broken}; {until}", hint="Read the end of the server's own log.")
    if result["failed"]:
        ended = result["failed"] + result["completed"]
        raise IncompleteError(f"{result['failed']} of {ended} requests failed", hint=hint)


def _options(flags: dict[str, Any]) -> Any:
    """Return the checked options of a command line."""
    import secrets

    import msgspec

    from inferometer.bench.options import Options
    from inferometer.errors import UsageError

    if flags["seed"] is None:
        flags["seed"] = secrets.randbelow(2**31)
    if flags["tokenizer"] is not None and flags["tokenizer"].is_dir():
        flags["tokenizer"] /= "tokenizer.json"
    try:
        flags["extra_body"] = msgspec.json.decode(flags["extra_body"], type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"--extra-body: not a JSON object: {error}",
            hint="""Write it in quotes: --extra-body '{"top_k": 5}'.""",
        ) from error
    return Options(**flags)


def _write(path: Path, content: bytes) -> None:
    from inferometer.store import storage_errors, write_whole

    with storage_errors(path):
        write_whole(path, content)


def _table(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the readable form."""
    from inferometer.cli.common import columns

    yield f"{result['model_id']} at {result['url']}: {result['load']}"
    yield (
        f"{result['completed']} requests completed, {result['failed']} failed, "
        f"in {result['duration']:.2f} s"
    )
    yield ""
    for key, unit in (
        ("request_throughput", "requests/s"),
        ("output_throughput", "output tok/s"),
        ("total_token_throughput", "total tok/s"),
    ):
        yield f"{_shown(result[key])} {unit}"
    yield ""
    rows = [
        [label, *(_shown(result[f"{word}_{name}_ms"]) for word in STATISTICS)]
        for name, label in SERIES.items()
    ]
    yield from columns([["ms", *STATISTICS], *rows])
    for host in result["load_hosts"]:
        yield (
            f"{host['address']}: {host['requests']} requests, clock {host['offset_ms']:+.3f} ms "
            f"within {host['bound_ms']:.3f} ms of ours"
        )
    yield ""
    verdicts = [
        [check["verdict"], check["name"], check["value"], check["rule"]]
        for check in result["validity"]
    ]
    yield from columns(verdicts)
    if result["broken_off"]:
        yield f"Broken off: {result['broken_off']}."
    words = "can be believed" if result["valid"] else "is NOT valid: see the checks that failed"
    yield f"This load {words}. {result['cpu_seconds']:.1f} s CPU, seed {result['seed']}."


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
