"""``inferometer status``: how the run in a results directory stands, told from another shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.standing import Standing


@click.command("status")
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(results: Path, as_json: bool) -> None:
    """Tell how the run in RESULTS stands: what is done, failed, left, and until when.

    It reads what the run wrote, asks nobody and disturbs nothing. Ends with 0 where it runs or all
    launches are whole, with 5 where it does not run and some are missing, with 4 where that cannot
    be told from here.
    """
    from inferometer import standing
    from inferometer.cli.common import as_json as document
    from inferometer.store import Store

    found = standing.look(Store(results))
    if as_json:
        click.echo(document(found))
    else:
        click.echo("\n".join(lines(found)))
    if found.state != "running" and found.done < found.planned:
        raise click.exceptions.Exit(4 if found.state == "unknown" else 5)


def lines(found: Standing) -> Iterator[str]:
    """Yield what a person reads."""
    from inferometer.cli.common import fitted
    from inferometer.redact import plain
    from inferometer.standing_words import means, rows

    yield f"{plain(found.study)}: {plain(found.results)}"
    yield from fitted(rows(found), 100)
    if table := means(found.figures):
        yield ""
        yield "seen so far, counted at a glance: no verdict"
        yield from (f"  {line}" for line in fitted(table, 98))
    if found.warnings:
        yield ""
        yield "latest warnings"
        yield from (f"  {line}" for text in found.warnings for line in plain(text).splitlines())
    if hint := _hint(found):
        yield ""
        yield hint


def _hint(found: Standing) -> str:
    """Return what to do next, where something is to be done."""
    import shlex

    from inferometer.redact import plain

    place = shlex.quote(plain(found.results))
    if found.state == "running":
        return ""
    if found.done == found.planned:
        return f"Report with: inferometer report {place}"
    if found.state == "unknown":
        return ""
    return "The same `inferometer run` command resumes; what is whole is not measured again."
