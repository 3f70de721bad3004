"""``inferometer report``: stored results -> ranking -> files. Measures nothing."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from inferometer.cli import costing, manifest, speaking
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.renderer import Renderer
    from inferometer.store import Store

SEVERAL_OUT = Path("inferometer-report")
"""Where a report on several directories is written by default: it belongs to none of them."""
DATA = "raw data"
"""What stands for a format's name where a file is of none."""


@click.command("report")
@click.argument("results", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--format",
    "formats",
    help="Formats to write, separated by commas; by default all but figures and openmetrics.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to; report/ inside the results directory by default, "
    f"{SEVERAL_OUT}/ here for several.",
)
@click.option(
    "--cost",
    "scenario",
    type=click.Path(path_type=Path),
    metavar="SCENARIO.TOML",
    help="Price it with this scenario instead of the study's price.",
)
@click.option(
    "--weights",
    is_flag=True,
    help="Also show what weights of throughput, energy and cost would choose; it is no verdict.",
)
@speaking.lang
@costing.as_of("the day of the last launch, with --cost today,")
@costing.max_age
def command(
    *,
    results: tuple[Path, ...],
    formats: str | None,
    out: Path | None,
    scenario: Path | None,
    weights: bool,
    lang: str,
    day: date | None,
    max_price_age: int | None,
) -> None:
    """Rank the stored RESULTS and write the report; print its text on stdout.

    Several results directories are pooled where everything that shapes numbers agrees, and stand
    side by side where not.
    """
    from inferometer.plugins import Registry

    asked: dict[str, Any] = {"as_of": day, "max_price_age": max_price_age, "weights": weights}
    if len(results) > 1:
        able = _choose(_of_several(Registry().renderers(), formats), formats)
        able = speaking.in_language(able, lang, formats)
        _report_several(results, able, out or SEVERAL_OUT, scenario, asked)
        return
    from inferometer.store import Store

    store = Store(results[0])
    if not store.holds_only_imported():
        store.plan()  # a wrong directory is said before the analysis is imported
    chosen = speaking.in_language(_choose(Registry().renderers(), formats), lang, formats)
    from inferometer.analyze import analyze

    comparison = analyze(results[0], scenario, **asked)
    if comparison.costs is not None:
        costing.warn(comparison.costs)
    folder = out or results[0] / "report"
    comparison, data = _with_data(store, comparison)
    _show(render(comparison, chosen, folder, data), folder)


def _with_data(store: Store, comparison: Comparison) -> tuple[Comparison, dict[str, bytes]]:
    """Return the comparison with the files of raw data named in it, and their contents."""
    if store.holds_only_imported():
        return comparison, {}
    from msgspec.structs import replace

    from inferometer import rawdata, tables

    found = rawdata.files(tables.scan_requests(store))
    if not found:
        return comparison, {}
    named = replace(comparison, files=[file for file, _ in found])
    return named, {file.name: content for file, content in found}


def _report_several(
    results: tuple[Path, ...],
    chosen: Mapping[str, Renderer],
    folder: Path,
    scenario: Path | None,
    asked: Mapping[str, Any],
) -> None:
    """Report on several directories; ``asked`` are the other options of the analysis.

    Raises:
        IncompleteError: some could not be read; the others are reported.
    """
    from inferometer.errors import IncompleteError
    from inferometer.several import analyze_several

    found = analyze_several(results, scenario, **asked)
    for text in dict.fromkeys(
        text
        for group in found.groups
        if group.comparison.costs is not None
        for text in costing.warnings(group.comparison.costs)
    ):
        click.echo(f"warning: {plain(text)}", err=True)
    _show(render(found, chosen, folder), folder)
    if found.left_out:
        said = "; ".join(plain(item.detail) for item in found.left_out)
        raise IncompleteError(
            f"{len(found.left_out)} of {len(results)} results directories are left out: {said}",
            hint=found.left_out[0].fix,
        )


def _show(files: list[tuple[str, bytes]], folder: Path) -> None:
    text = [content for name, content in files if name == "text"]
    for content in text:
        click.echo(content, nl=not content.endswith(b"\n"))
    click.echo(f"report: {folder}", err=True)


def _of_several(known: Mapping[str, Renderer], formats: str | None) -> dict[str, Renderer]:
    """Return the renderers that can show several directories; name those that are left out."""
    from inferometer.errors import UsageError
    from inferometer.renderer import SeveralRenderer

    able: dict[str, Renderer] = {
        name: one for name, one in known.items() if isinstance(one, SeveralRenderer)
    }
    unable = sorted(known.keys() - able.keys())
    asked = {name.strip() for name in (formats or "").split(",")}
    for name in unable:
        if name in asked:
            raise UsageError(
                f"report format {name!r} shows one results directory only",
                hint=f"Give one directory, or of these formats: {', '.join(sorted(able))}.",
            )
        if formats is None:
            click.echo(f"left out: report format {name} shows one directory only", err=True)
    return able


def render(
    comparison: Comparison | Several,
    renderers: Mapping[str, Renderer],
    folder: Path,
    data: Mapping[str, bytes] | None = None,
) -> list[tuple[str, bytes]]:
    """Write every renderer's files into ``folder``; return ``(format, content)`` of each.

    Beside them are the files of ``data``, and a manifest of all of them. What an earlier report in
    one of these formats wrote and this one does not is removed. A renderer that fails does not keep
    the others from writing.

    Raises:
        InferometerError: a renderer failed, or two gave the same file; what is sound is written.
        StorageError: the folder cannot be written.
    """
    from inferometer.errors import InferometerError

    written: dict[Path, tuple[str, bytes]] = {}
    problems: list[str] = []
    whole = [] if data is None else [DATA]
    for file, content in (data or {}).items():
        _write(folder / file, content, DATA, written)
    for name, renderer in renderers.items():
        try:
            files = _rendered(renderer, comparison)
            for file, content in files.items():
                _write(_inside(folder, file), content, name, written)
            whole.append(name)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    manifest.write(folder, written, whole)
    if problems:
        raise InferometerError(
            f"formats that could not be rendered: {'; '.join(problems)}",
            hint=f"The others are in {folder}. Report this to the format's author.",
        )
    return list(written.values())


def _rendered(renderer: Renderer, comparison: Comparison | Several) -> dict[str, bytes]:
    """Call a stranger's code: what it raises is a ValueError, what it prints goes to stderr."""
    from inferometer.comparison.several import Several
    from inferometer.guests import stdout_to_stderr
    from inferometer.renderer import SeveralRenderer

    try:
        with stdout_to_stderr():
            if isinstance(comparison, Several):
                assert isinstance(renderer, SeveralRenderer)
                return dict(renderer.render_several(comparison))
            return dict(renderer.render(comparison))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _choose(known: Mapping[str, Renderer], formats: str | None) -> dict[str, Renderer]:
    from inferometer.errors import UsageError
    from inferometer.renderer import OnRequest

    if formats is None:
        return {
            name: one
            for name, one in known.items()
            if not (isinstance(one, OnRequest) and one.on_request)
        }
    names = [name.strip() for name in formats.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError.unknown("report format", name, known, place="--format")
    if not names:
        raise UsageError("--format names no format", hint=f"Known: {', '.join(sorted(known))}.")
    return {name: known[name] for name in names}


def _inside(folder: Path, file: str) -> Path:
    parts = PurePosixPath(file).parts
    if not file.isprintable():
        raise ValueError(f"file name {file!r} has control characters")
    if not parts or file.startswith("/") or ".." in parts:
        raise ValueError(f"file name {file!r} leads out of the report's folder")
    path = folder.joinpath(*parts)
    for parent in path.relative_to(folder).parents:
        if (folder / parent).is_symlink() and parent.parts:
            raise ValueError(f"file name {file!r}: {parent} is a link that may lead elsewhere")
    return path


def _write(path: Path, content: bytes, name: str, written: dict[Path, tuple[str, bytes]]) -> None:
    from inferometer.store import storage_errors, write_whole

    if path in written and written[path][1] != content:
        raise ValueError(f"{path.name} is also written by {written[path][0]}")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    written.setdefault(path, (name, content))
