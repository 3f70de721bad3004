"""``inferometer simulate calibrate`` and ``fleet``. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from inferometer_plugins.simulate import asking

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("simulate")
def command() -> None:
    """Plan past the machines: everything that comes of it is simulated.

    Calibrate a simulated engine from stored results, then ask a fleet of it what carries a day of
    traffic. The error that the calibration was seen to make stands beside every answer.
    """


@command.command("calibrate")
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--stack", help="Which stack; needed where the results hold several.")
@click.option("--model", help="Which model; needed where the results hold several.")
@click.option(
    "--hold-out",
    multiple=True,
    metavar="POINT",
    help="A load point, 'chat at 8 streams', that the fit shall not see, to be predicted; again "
    "for more. Unset: each in turn.",
)
@click.option("--meter", help="Whose watts; unset: the first that does more than repeat the time.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The calibration file to write.",
)
@JSON
def calibrate(
    *,
    results: Path,
    stack: str | None,
    model: str | None,
    hold_out: tuple[str, ...],
    meter: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Fit a simulated engine to RESULTS, and say how wrong it is where it was not fitted.

    Reads stored results only. Each load point is predicted by a fit without it.
    """
    from inferometer_plugins.calibration import build, file, reading
    from inferometer_plugins.simulate import words

    found = build.calibrate(reading.read(results, stack, model), hold_out=hold_out, meter=meter)
    file.write(output, found)
    if as_json:
        click.echo(words.as_json(found))
        return
    click.echo("\n".join(words.calibration(found)))
    click.echo(f"wrote {output}", err=True)


@command.command("fleet")
@asking.options
@JSON
def fleet(*, files: tuple[Path, ...], as_json: bool, **given: Any) -> None:
    """Simulate a day of traffic on a fleet of each calibrated stack (FILES).

    With --replicas: what that many do. With a limit: the fewest replicas that meet it. Answers
    replicas, latencies, watts and dollars, with the error that each calibration was seen to make.
    """
    from inferometer_plugins.calibration import file
    from inferometer_plugins.fleet.compiling import COMPILED
    from inferometer_plugins.simulate import answers, planning, questions, words

    asked = questions.question(given)
    found = [(path, file.read(path)) for path in files]
    if not COMPILED:
        click.echo(
            "numba is not installed: plain Python says the same, more than a hundred times as "
            "slowly (pip install 'inferometer[fleet]')",
            err=True,
        )
    answered = [planning.answer(str(path), one, asked) for path, one in found]
    if as_json:
        click.echo(words.as_json(answers.document(asked, answered)))
    else:
        click.echo("\n".join(answers.text(asked, answered)))
