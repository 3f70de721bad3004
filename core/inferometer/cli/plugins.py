"""``inferometer plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import click


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """List engines, meters, price books, formats and commands, and what is wrong."""
    import msgspec

    from inferometer.cli import COMMANDS
    from inferometer.cli.common import columns
    from inferometer.plugins import Registry

    rows = Registry(taken=COMMANDS).report()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
        return
    table = [("kind", "name", "distribution", "module")]
    table += [
        (row.kind, row.name, f"{row.distribution} {row.version}".strip(), row.module)
        for row in rows
    ]
    click.echo("\n".join(columns(table)))
    for row in rows:
        if row.problem:
            click.echo(f"problem: {row.kind} {row.name} ({row.module}): {row.problem}")
