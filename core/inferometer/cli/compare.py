"""``inferometer compare``: two results directories, number by number. Measures nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from inferometer.cli import common, versus
from inferometer.redact import plain

DIRECTORY = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("compare")
@click.argument("a", type=DIRECTORY)
@click.argument("b", type=DIRECTORY)
@versus.shared
@click.option(
    "--format",
    "form",
    default=versus.TEXT,
    show_default=True,
    help="text, md, html, or a plugin's format that can show this.",
)
@click.option("--out", type=FILE, metavar="FILE", help="Write it to this file instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead, with all lines.")
def command(
    *,
    a: Path,
    b: Path,
    pairs: tuple[str, ...],
    allow: tuple[str, ...],
    lang: str,
    form: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare the results in B with those in A: what differs, then the ratio of every number.

    A ratio is B over A with its 95 % interval. Where something differs that numbers hang on, no
    verdict is given unless --allow names it.
    """
    if form == versus.PAGE and not as_json and out is None and sys.stdout.isatty():
        raise click.UsageError("a page is no text for a terminal: give --out FILE")
    versus.check([a, b], lang)
    from inferometer.baseline import Asked, against
    from inferometer.baseline.margins import pairs_of

    found = against(Asked(baseline=a, current=b, allow=allow, pairs=pairs_of(pairs)))
    document = (
        f"{common.as_json(found)}\n".encode() if as_json else versus.rendered(found, form, lang)
    )
    if out is not None:
        versus.write(out, document)
        click.echo(f"written: {plain(str(out))}", err=True)
    else:
        versus.show(document, "json" if as_json else form)
