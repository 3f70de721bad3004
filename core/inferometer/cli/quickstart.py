"""``inferometer quickstart``: choose, say why, measure, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferometer.cli import forecasting, speaking

if TYPE_CHECKING:
    from inferometer.study import Study


@click.command("quickstart")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/quickstart"),
    show_default=True,
    help="Results directory; the study is written beside it.",
)
@click.option("--yes", is_flag=True, help="Do not ask before beginning.")
@speaking.lang
def command(results: Path, yes: bool, lang: str) -> None:
    """Measure what this machine can, with nothing to prepare.

    Chooses engines, models and meters, says why, writes the study to quickstart.toml beside the
    results, runs it and reports. The same command resumes.
    """
    from inferometer import environment, provenance, quickstart
    from inferometer.cli.run import measure
    from inferometer.forecast.past import Past
    from inferometer.plugins import Registry

    registry = Registry()
    speaking.check(registry.renderers(), lang)
    host = provenance.describe_host()
    disk = quickstart.check_machine(host, environment.cache_root())
    study, reasons = quickstart.choose(registry, host)
    for line in (*reasons, disk):
        click.echo(line, err=True)
    view = forecasting.View(study, forecasting.machine(study, registry), Past())
    click.echo(forecasting.brief(view.forecast()), err=True)
    click.echo(f"({forecasting.NOT_COUNTED})", err=True)
    _confirm(yes)
    path = results.parent / "quickstart.toml"
    text = _write(path, study)
    click.echo(f"study: {path} (change it, then: inferometer run {path})", err=True)
    measure(study, text, results, registry, lang)


def _confirm(yes: bool) -> None:
    # Where nobody can answer, in a script or a CI job, the command line is the answer.
    if yes or not sys.stdin.isatty():
        return
    if not click.confirm("Begin?", default=True, err=True):
        raise click.exceptions.Exit(0)


def _write(path: Path, study: Study) -> str:
    """Write the study unless it stands there already; return its text."""
    from inferometer.errors import UsageError
    from inferometer.store import storage_errors, write_whole
    from inferometer.study import dump, read

    text = f"# Written by `inferometer quickstart`.\n{dump(study)}"
    if path.exists():
        if read(path) != text:
            raise UsageError(
                f"{path}: differs from what quickstart would write",
                hint=f"Run it with `inferometer run {path}`, or give --results in another folder.",
            )
        return text
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    return text
