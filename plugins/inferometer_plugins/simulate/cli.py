"""``inferometer simulate calibrate`` and ``fleet``. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path

import click

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
