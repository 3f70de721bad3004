"""What several commands need: a study checked against the plugins, columns of text, outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferometer.errors import GateError, StudyError, closest
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer.engine import Unsupported
    from inferometer.plugins import Registry
    from inferometer.study import Study


def check_names(study: Study, registry: Registry, place: str) -> None:
    """Refuse engines, packaged models, meters and options that nobody knows, all at once.

    Raises:
        StudyError: names each by its key path.
    """
    problems = [
        *_unknown("engines", [entry.name for entry in study.engines], registry.engines()),
        *_unknown_models(study),
        *_unknown("meters", [entry.name for entry in study.meters], registry.meters()),
        *_options(study, registry),
    ]
    if not problems:
        return
    error = StudyError(place, problems)
    broken = [f"{row.module}: {row.problem}" for row in registry.problems()]
    if broken:
        error.hint = f"A plugin is broken, which may be why. {'; '.join(broken)}"
    raise error


def check_paths(study: Study, place: str) -> None:
    """Refuse models, interpreters and traces that are not there, before anything takes minutes.

    Raises:
        StudyError: names each by its key path.
    """
    problems = []
    for index, engine in enumerate(study.engines):
        if engine.python is not None and not Path(engine.python).expanduser().is_file():
            problems.append((f"engines[{index}].python", f"no file {engine.python}"))
    for index, model in enumerate(study.models):
        config = Path(model.path or "").expanduser() / "config.json"
        if model.path is not None and not config.is_file():
            problems.append((f"models[{index}].path", f"no file {config}"))
    for index, load in enumerate(study.loads):
        if load.trace is not None and not Path(load.trace).expanduser().is_file():
            problems.append((f"loads[{index}].trace", f"no file {load.trace}"))
    if problems:
        raise StudyError(place, problems)


def cannot_run(study: Study, registry: Registry) -> dict[str, Unsupported]:
    """Return the stacks that have no environment on this machine, with the reason and the remedy.

    Nothing is built, and an interpreter, an image or a server that the study names is taken at its
    word.
    """
    from inferometer import environment
    from inferometer.containers.image import program
    from inferometer.engine import Unsupported
    from inferometer.plan import stack_ids

    platform = environment.current_platform(environment.accelerator())
    found = {}
    for stack, entry in zip(stack_ids(study), study.engines, strict=True):
        engine = registry.engines()[entry.name]
        try:
            if entry.container is not None:
                program(entry.container)
                entry.image or engine.image(platform, entry.engine_version or "")
            elif entry.python is None and entry.url is None and not environment.own(engine):
                engine.requirements(platform)
        except Unsupported as error:
            found[stack] = error
    return found


def runs_in(study: Study, registry: Registry) -> dict[str, str]:
    """Return where each stack would run, in words."""
    from inferometer import environment
    from inferometer.engine import Unsupported
    from inferometer.plan import stack_ids

    platform = environment.current_platform(environment.accelerator())
    found = {}
    for stack, entry in zip(stack_ids(study), study.engines, strict=True):
        engine = registry.engines()[entry.name]
        words = "an environment built for it from locked requirements"
        if entry.python is not None:
            words = f"the interpreter {entry.python}"
        elif entry.url is not None:
            words = f"a server that is there already, {entry.url}"
        elif entry.container is not None:
            try:
                image = entry.image or engine.image(platform, entry.engine_version or "")
            except Unsupported:
                image = "no image known"
            words = f"a {entry.container} container of {image}"
        elif (python := environment.own(engine)) is not None:
            words = f"our own interpreter {python}: it is a stand-in"
        found[stack] = words
    return found


def columns(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield rows as aligned lines, two spaces between columns."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def fitted(rows: Sequence[Sequence[object]], width: int = 80) -> Iterator[str]:
    """Yield rows as :func:`columns` does, the last column wrapped so that lines fit ``width``.

    Words longer than a line, paths and commands, stay whole: they are there to be copied.
    """
    import textwrap

    table = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)][:-1]
    left = sum(widths) + 2 * len(widths)
    for *cells, last in table:
        begin = "".join(f"{cell.ljust(size)}  " for cell, size in zip(cells, widths, strict=True))
        lines = textwrap.wrap(
            last, max(width - left, 24), break_long_words=False, break_on_hyphens=False
        )
        for line in lines or [""]:
            yield f"{begin}{line}".rstrip()
            begin = " " * left


def as_json(document: object) -> str:
    """Return one indented JSON document."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def complain(registry: Registry) -> None:
    """Say on stderr which plugins are broken, and how."""
    for row in registry.problems():
        said = f"problem: {row.kind} {row.name} ({row.module}): {row.problem}"
        click.echo(plain(said), err=True)


def tell_outcome(result: Any, width: int = 24) -> None:
    """Print one check of a conformance kit, as soon as it is known; ids take ``width`` columns."""
    said = f"{result.words} {result.detail}".rstrip()
    row = (result.outcome.ljust(5), result.id.ljust(width), said)
    click.echo("\n".join(fitted([row])))


def unsaid(result: Any) -> None:
    """Print nothing yet: one document comes in the end."""
    del result


def counted(results: Sequence[Any]) -> str:
    """Return how many checks had which outcome: ``60 pass, 3 n/a``."""
    outcomes = [result.outcome for result in results]
    return ", ".join(f"{outcomes.count(word)} {word}" for word in dict.fromkeys(outcomes))


def conclude(name: str, results: Sequence[Any]) -> None:
    """Count the outcomes on stderr.

    Raises:
        GateError: a check failed.
    """
    click.echo(counted(results), err=True)
    if failed := sum(result.outcome == "fail" for result in results):
        raise GateError(
            f"{name}: {failed} of {len(results)} checks failed",
            hint="Each failed line says what was seen; mend it and check again.",
        )


def gigabytes(size_bytes: int) -> str:
    """Return bytes as ``3.1 GB`` or, below a tenth of one, ``12 MB``."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.0f} MB"


def _unknown(
    key: str, names: Iterable[str], known: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(names):
        if name not in known:
            near = closest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            listed = ", ".join(sorted(known)) or "none"
            kind = key.removesuffix("s")
            yield f"{key}[{index}].name", f"no {kind} named {name!r}{hint} (installed: {listed})"


def _unknown_models(study: Study) -> Iterator[tuple[str, str]]:
    from inferometer.packaged import PACKAGED

    for index, model in enumerate(study.models):
        if model.packaged is not None and model.packaged not in PACKAGED:
            near = closest(model.packaged, PACKAGED)
            hint = f"; did you mean {near!r}?" if near else ""
            text = f"no packaged model {model.packaged!r}{hint} (known: {', '.join(PACKAGED)})"
            yield f"models[{index}].packaged", text


def _options(study: Study, registry: Registry) -> Iterator[tuple[str, str]]:
    meters = registry.meters()
    for index, entry in enumerate(study.meters):
        known = meters[entry.name].options if entry.name in meters else None
        if known is None:
            continue
        for name, value in entry.options.items():
            key = f"meters[{index}].options.{name}"
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                yield key, f"meter {entry.name!r} has no such option (known: {listed})"
            elif not _is(value, known[name]):
                yield key, f"expected {known[name].__name__}, got {value!r}"


def _is(value: object, type_: type) -> bool:
    if isinstance(value, bool):
        return type_ is bool
    return isinstance(value, int | float if type_ is float else type_)
