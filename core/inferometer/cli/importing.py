"""``inferometer import``: what other tools measured -> a results directory. Ranks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Importer


@click.command("import")
@click.argument("format_", metavar="FORMAT")
@click.argument(
    "files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE..."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Results directory to put them into; made where there is none.",
)
@click.option("--label", default="", help="What was measured, as the report shall call it.")
@click.option("--tool-version", default="", help="The tool's version, where its file lacks it.")
def command(
    *, format_: str, files: tuple[Path, ...], results: Path, label: str, tool_version: str
) -> None:
    """Import what another tool measured, to stand beside our own results and never among them.

    FORMAT is aiperf, guidellm, inferencex, sglang-bench, vllm-bench, or one that a plugin brings.
    Figures that are defined as ours have our names, others have names of their own. A client's
    file does not tell launches, so nothing of it is ranked. The same files again replace what is
    there. `inferometer report` shows them in a section of their own.
    """
    from inferometer.cli import common
    from inferometer.errors import UsageError
    from inferometer.plugins import Registry
    from inferometer.store import Store

    registry = Registry()
    known = registry.importers()
    if format_ not in known:
        common.complain(registry)
        raise UsageError.unknown("import format", format_, known)
    found = read(known[format_], files, label=label, version=tool_version)
    store = Store(results)
    with store.writing():
        for one in found:
            store.put_imported(one)
    for one in found:
        click.echo(plain(_line(one)))
    click.echo(f"imported: {results}; show it: inferometer report {results}", err=True)


def read(
    importer: Importer, files: Sequence[Path], *, label: str = "", version: str = ""
) -> list[Imported]:
    """Read files with an importer; ``label`` and ``version`` are the person's word.

    Raises:
        UsageError: a file cannot be read, is not of the format, or the importer failed.
    """
    from inferometer.errors import UsageError
    from inferometer.guests import stdout_to_stderr
    from inferometer.importer import ForeignFile, read_sources, sealed

    sources = read_sources(files)
    named = ", ".join(str(path) for path in files)
    try:
        with stdout_to_stderr():
            return sealed(list(importer.read(sources)), label, version)
    except ForeignFile as error:
        raise UsageError(
            f"{named}: no file of format {importer.name}: {_short(error)}",
            hint=f"This format is {importer.tool}.",
        ) from error
    except Exception as error:
        raise UsageError(
            f"{named}: importer {importer.name} failed: {type(error).__name__}: {_short(error)}",
            hint="The file may be damaged; if it is not, tell the importer's author.",
        ) from error


def _short(error: Exception) -> str:
    """Return what an importer said of a file, which may quote as much of it as it likes."""
    text = str(error)
    return text if len(text) <= 300 else f"{text[:299]}\N{HORIZONTAL ELLIPSIS}"


def _line(one: Imported) -> str:
    as_ours = sum(figure.as_ours for figure in one.figures)
    again = sum(figure.recomputed is not None for figure in one.figures)
    said = f"{one.id}: {one.tool} {one.version or '(version not said)'}"
    said += f", {len(one.figures)} figures, {as_ours} defined as ours"
    return f"{said}, {again} computed again from requests" if again else said
