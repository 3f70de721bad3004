"""``inferometer verify``: whether results are what was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.verifying import Verified


@click.command("verify")
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(results: Path, as_json: bool) -> None:
    """Compute the hashes in RESULTS again, and tell what was cut, edited, mixed or left behind.

    It only reads, also while a run goes on. Ends with 0 where everything is what was written, with
    3 where something is not.
    """
    from inferometer.cli.common import as_json as document
    from inferometer.errors import GateError
    from inferometer.redact import plain
    from inferometer.verifying import verify

    found = verify(results)
    click.echo(document(found) if as_json else "\n".join(map(plain, lines(found))))
    if found.findings:
        count = len(found.findings)
        raise GateError(
            f"{results}: {count} thing{'s' if count != 1 else ''} wrong",
            hint="Each line on stdout names the file and the next step.",
        )


def lines(found: Verified) -> Iterator[str]:
    """Yield what a person reads: a line a finding, a line a note, and the sum."""
    for one in found.findings:
        yield f"{one.what}  {one.path}: {one.text}. {one.next}"
    for note in found.notes:
        yield f"note  {note}"
    what = "whole" if not found.findings else "not whole"
    state = ", a run goes on" if found.running else ""
    launches = f"{found.launches} launch{'es' if found.launches != 1 else ''}"
    attempts = f"{found.failed} failed attempt{'s' if found.failed != 1 else ''}"
    yield (
        f"{what}: {launches}, {attempts}; {found.files} files "
        f"({found.bytes} bytes) have the hash that was recorded (format {found.schema}){state}"
    )
    if found.head:
        yield f"head of sums.jsonl: {found.head}"
