"""``inferometer doctor``: what is wrong with this machine, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.doctor.check import Check

SCHEMA = 1
"""Version of the ``--json`` document."""
WORDS = {"ok": "OK", "warn": "WARN", "fail": "FAIL", "skip": "-"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Where results would be written.",
)
def command(as_json: bool, results: Path) -> None:
    """Check this machine, and say what to mend.

    OK; WARN: it runs, but numbers may be worse or missing; FAIL: mend it first; -: does not apply
    here. Needs no network and changes nothing. Ends with 6 when a check failed.
    """
    from inferometer import environment
    from inferometer.cli import common
    from inferometer.doctor.check import Site
    from inferometer.doctor.examination import examine
    from inferometer.errors import MachineError

    checks = []
    for check in examine(Site(cache=environment.cache_root(), results=results)):
        checks.append(check)
        if not as_json:
            click.echo("\n".join(_lines(check)))
    if as_json:
        click.echo(common.as_json({"schema": SCHEMA, "checks": checks}))
    counted = {status: sum(check.status == status for check in checks) for status in WORDS}
    del counted["skip"]
    click.echo(", ".join(f"{n} {WORDS[status]}" for status, n in counted.items()), err=True)
    if counted["fail"]:
        raise MachineError(
            f"{counted['fail']} of {len(checks)} checks failed",
            hint="Each FAIL line says how to mend it.",
        )


def _lines(check: Check) -> Iterator[str]:
    from inferometer.cli.common import fitted

    said = f"{check.found.rstrip('.')}. {check.remedy}" if check.remedy else check.found
    return fitted([(WORDS[check.status].ljust(4), check.id.ljust(20), said)])
