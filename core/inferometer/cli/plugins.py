"""``inferometer plugins``: what is installed and what is wrong with it; new ones, and checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferometer.scaffold import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group(
    "plugins",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List what plugins bring and what is wrong, write a new one, or check one."""
    if context.invoked_subcommand is None:
        _list(as_json)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(as_json: bool) -> None:
    """List engines, meters, price books, formats and commands, and what is wrong."""
    _list(as_json)


@command.command("new", short_help="Write the distribution of a new plugin.")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="What it brings.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="The folder to write, new or empty; left out: one called NAME, here.",
)
def new(name: str, kind: str, directory: Path | None) -> None:
    """Write a working distribution called NAME: module, test, README, workflow.

    It is a toy that passes its conformance as it stands. Nothing is overwritten.
    """
    from inferometer import scaffold

    names = scaffold.named(name)
    _refuse_taken(names.name, kind)
    folder = directory or Path(names.distribution)
    texts = scaffold.distribution(names, kind)
    scaffold.write(folder, texts)
    for path in texts:
        click.echo(folder / path)
    click.echo(f"next: inferometer plugins check {folder}", err=True)


@command.command("check", short_help="Check a plugin, and say what is missing.")
@click.argument("plugin")
@click.option(
    *("--option", "-o", "pairs"),
    multiple=True,
    metavar="KEY=VALUE",
    help="An option for its meters and executors; may be given again.",
)
@click.option(
    *("--sample", "samples"),
    multiple=True,
    type=click.Path(path_type=Path),
    help="A sound file for its importers; may be given again.",
)
@click.option("--all", "everything", is_flag=True, help="Tell also what passes or has no subject.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    plugin: str,
    pairs: tuple[str, ...],
    samples: tuple[Path, ...],
    everything: bool,
    as_json: bool,
) -> None:
    """Check PLUGIN, a folder or an installed distribution, in a process of its own.

    Everything it brings is put through the conformance of its kind, in seconds or a minute.
    Ends with 3 when a check failed.
    """
    from importlib import import_module

    from inferometer.cli import common

    kit = import_module("inferometer.testing.plugins")
    click.echo(f"checking {plugin} in a process of its own", err=True)
    found = kit.check(plugin, options=_options(pairs), samples=samples)
    if as_json:
        click.echo(common.as_json(found))
    else:
        _tell(found, everything)
    common.conclude(plugin, [told.result for told in found])


def _tell(found: Sequence[Any], everything: bool) -> None:
    from inferometer.cli import common

    for of, results in _by_subject(found).items():
        click.echo(f"{of}: {common.counted(results)}")
        shown = [
            result
            for result in results
            if everything or result.outcome in {"fail", "known"} or _to_do(of, result)
        ]
        width = max((len(each.id) for each in shown), default=0)
        for result, others in _by_cause(shown):
            common.tell_outcome(result, width)
            if others:
                same = ", ".join(each.id for each in others)
                click.echo("\n".join(common.fitted([("", "", f"for the same reason: {same}")])))


def _by_cause(results: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
    """Return each result with the later failures that say the same: one cause may fail dozens."""
    causes: dict[object, tuple[Any, list[Any]]] = {}
    for result in results:
        cause = result.detail if result.outcome == "fail" and result.detail else result.id
        if cause in causes:
            causes[cause][1].append(result)
        else:
            causes[cause] = (result, [])
    return list(causes.values())


def _refuse_taken(name: str, kind: str) -> None:
    """Refuse a name that something of Inferometer's own has, or that no command can have."""
    from inferometer.cli import COMMANDS
    from inferometer.command import Command, unsound
    from inferometer.errors import UsageError
    from inferometer.plugins import Registry

    said = ""
    if kind == "workload":
        said = unsound(Command(name, "A command.", "module:command"), COMMANDS)
    elif any(
        (row.kind, row.name, row.distribution) == (kind, name, "inferometer")
        for row in Registry().report()
    ):
        said = f"{kind} {name!r} comes with Inferometer"
    if said:
        hint = "Choose another name for the distribution: the thing is called after it."
        raise UsageError(f"NAME: {said}", hint=hint)


def _to_do(of: str, result: Any) -> bool:
    """Say whether what has no subject is a thing to do: of the plugin as a whole, or an option."""
    return result.outcome == "n/a" and result.detail and (of == "plugin" or result.id == "options")


def _by_subject(found: Sequence[Any]) -> dict[str, list[Any]]:
    subjects: dict[str, list[Any]] = {}
    for told in found:
        subjects.setdefault(told.of, []).append(told.result)
    return subjects


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    """Return ``key=value`` words; a value that reads as TOML is what it reads as, else text."""
    import tomllib

    from inferometer.errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair}: no value", hint="Write --option KEY=VALUE.")
        try:
            found[key] = tomllib.loads(f"it = {text}")["it"]
        except tomllib.TOMLDecodeError:
            found[key] = text
    return found


def _list(as_json: bool) -> None:
    from inferometer.cli import COMMANDS, common
    from inferometer.plugins import Registry

    rows = Registry(taken=COMMANDS).report()
    if as_json:
        click.echo(common.as_json(rows))
        return
    table = [("kind", "name", "distribution", "module")]
    table += [
        (row.kind, row.name, f"{row.distribution} {row.version}".strip(), row.module)
        for row in rows
    ]
    click.echo("\n".join(common.columns(table)))
    for row in rows:
        where = f"{row.kind} {row.name} ({row.module})"
        if row.problem:
            click.echo(f"problem: {where}: {row.problem}")
        if row.deprecated:
            click.echo(f"deprecated: {where}: {row.deprecated}")
