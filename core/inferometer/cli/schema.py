"""``inferometer schema``: JSON Schemas of study files and others, for editors and programs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schema")
@click.argument("name", type=click.Choice(["study", "cost", "price-book", "results"]))
@click.option(
    *("--output", "-o"),
    type=click.Path(path_type=Path),
    help="Write it into this file; left out: print it.",
)
def command(name: str, output: Path | None) -> None:
    """Print the JSON Schema of NAME, as editors and programs of drafts 4 to 2020-12 read it.

    It says what the types of the keys say. `inferometer plan` says the rest.
    """
    from inferometer import schema
    from inferometer.errors import UsageError

    text = schema.text(name)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{output}: cannot be written: {error.strerror}", hint="Give a path that can."
        ) from error
    click.echo(f"wrote {output}", err=True)
