"""Quux as a workload of Inferometer: requests that come in bursts and begin alike.

``inferometer quux WORKLOAD_FILE`` writes a trace, which a study names and every stack replays. Put
what your traffic is like in place of the bursts.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import click

from inferometer import hookimpl
from inferometer.command import Command

BLOCK = 512
"""Tokens of a beginning that is shared or not as a whole."""


@click.command("quux")
@click.argument("workload_file", type=click.Path(path_type=Path))
@click.option("--seed", default=1, show_default=True, help="Of everything that is drawn.")
@click.option("--minutes", default=10.0, show_default=True, help="Length of the trace.")
@click.option("--size", default=8, show_default=True, help="Requests of a burst, on average.")
@click.option("--every", default=5.0, show_default=True, help="Seconds between bursts, on average.")
def command(workload_file: Path, seed: int, minutes: float, size: int, every: float) -> None:
    """Write a trace of bursts, as of agents that ask many things at once, to WORKLOAD_FILE."""
    rows = sorted(bursts(random.Random(seed), minutes * 60, size, every), key=lambda row: row[0])
    lines = [
        {"time_s": round(time_s, 3), "input_tokens": prompt, "output_tokens": answer}
        | {"prefix_hash": [f"agent-{agent}"]}
        for time_s, prompt, answer, agent in rows
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    workload_file.write_text(text, encoding="utf-8")
    click.echo(f"wrote {len(lines)} requests to {workload_file}", err=True)


def bursts(
    draw: random.Random, length_s: float, size: int, every_s: float
) -> Iterator[tuple[float, int, int, int]]:
    """Yield (seconds, prompt tokens, answer tokens, agent) of each request, burst by burst."""
    time_s = 0.0
    while time_s < length_s:
        agent = draw.randrange(20)
        for _ in range(max(1, round(draw.expovariate(1 / size)))):
            prompt = BLOCK + max(16, round(draw.lognormvariate(5.5, 0.7)))
            answer = min(max(8, round(draw.lognormvariate(4.5, 0.6))), 1024)
            yield time_s + draw.random() * 0.2, prompt, answer, agent
        time_s += draw.expovariate(1 / every_s)


@hookimpl
def inferometer_commands() -> list[Command]:
    """Return the commands of this plugin."""
    return [Command("quux", "Write a trace of bursts of requests.", "inferometer_quux:command")]
