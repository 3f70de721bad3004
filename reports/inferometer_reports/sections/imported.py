"""What other tools measured: a section of its own, never a ranking."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import point, whole
from inferometer_reports.blocks import Datum, Fold, Heading, Table, item, say
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison, Imported, ImportedFigure, Value
    from inferometer_reports.blocks import Block

INTRODUCTION = later(
    "Numbers from files of other tools, as those files say them (rep.: reported). They are not "
    "ranked, neither among themselves nor with ours (place ?), and none has an interval."
)
SIDE_BY_SIDE = {
    "ttft_ms": later("TTFT, ms"),
    "tpot_ms": later("TPOT, ms"),
    "e2e_ms": later("E2E, ms"),
    "run_output_tok_s": later("Output tok/s of the run"),
    "run_output_tok_s_gpu": later("Output tok/s per GPU of the run"),
    "finished_requests": later("Finished requests"),
    "failed_requests": later("Failed requests"),
}
"""Figures of the table over all measurements; of a column that none has there is none."""
MODELS = ("model", "model_id")
"""What files call the model."""
LOADS = (
    *("type", "streams", "concurrency", "max_concurrency", "conc", "rate", "request_rate"),
    *("isl", "osl"),
)
"""What files call the load."""
NOT_TOLD = later("not told")
OPEN = 3
"""Measurements whose figures lie open; of more they are folded."""
MOST = 24
"""Measurements whose figures are shown; those of all are in report.json."""
COUNTS = {"requests", "tokens"}


def alone(comparison: Comparison) -> list[Block]:
    """Return the whole report of a directory where nothing was measured."""
    title = Heading(1, line(comparison.title) or tr("Untitled study"))
    return [title, *(say(line(note)) for note in comparison.notes), *section(comparison.imported)]


def section(found: Sequence[Imported]) -> list[Block]:
    """Return the section; nothing where nothing was imported."""
    if not found:
        return []
    names = _names(found)
    blocks: list[Block] = [
        Heading(2, tr("Imported")),
        say(tr(INTRODUCTION)),
        _side_by_side(found, names),
    ]
    for one, name in zip(found[:MOST], names, strict=False):
        title, about = line(f"{name}: {_tool(one)}"), [*_about(one), _figures(one)]
        blocks += [Fold(title, about)] if len(found) > OPEN else [Heading(3, title), *about]
    if len(found) > MOST:
        rest = len(found) - MOST
        blocks.append(
            say(tr("The figures of {rest} more are in report.json, under imported.", rest=rest))
        )
    return blocks


def _names(found: Sequence[Imported]) -> list[str]:
    """Return the person's label of each measurement, its id with it where several have that."""
    times = Counter(one.label for one in found)
    return [
        (f"{one.label} ({one.id})" if times[one.label] > 1 else one.label) if one.label else one.id
        for one in found
    ]


def _side_by_side(found: Sequence[Imported], names: Sequence[str]) -> Table:
    """Return one row a measurement, with the figures that most tools tell."""
    figures = [{figure.id: figure for figure in one.figures} for one in found]
    told = [id_ for id_ in SIDE_BY_SIDE if any(id_ in of for of in figures)]
    header = [
        tr("Place"),
        tr("Measurement"),
        tr("Tool"),
        tr("Model"),
        tr("Load, as the file says it"),
    ]
    header += [tr(SIDE_BY_SIDE[id_]) for id_ in told]
    rows = [
        [
            one.place,
            line(name),
            line(_tool(one)),
            next((line(one.setting[it]) for it in MODELS if it in one.setting), tr(NOT_TOLD)),
            _load(one) or tr(NOT_TOLD),
            *(_datum(one, of[id_]) if id_ in of else tr(NOT_TOLD) for id_ in told),
        ]
        for one, name, of in zip(found, names, figures, strict=True)
    ]
    return Table(header, rows)


def _load(one: Imported) -> str:
    return line(", ".join(f"{name} {one.setting[name]}" for name in LOADS if name in one.setting))


def _tool(one: Imported) -> str:
    return f"{one.tool} {one.version or tr('(version not said)')}"


def _about(one: Imported) -> list[Block]:
    about = [item(tr("Place: {place}", place=one.place))]
    for file in one.files:
        sha256 = line(file.sha256)
        about.append(
            item(
                tr(
                    "File: {file}, {bytes} bytes, SHA-256 {sha256}",
                    file=line(file.name),
                    bytes=file.bytes,
                    sha256=sha256,
                )
            )
        )
    if one.measured:
        about.append(item(tr("Measured: {day}", day=line(one.measured))))
    said = ", ".join(f"{line(name)} {line(text)}" for name, text in one.setting.items())
    if said:
        about.append(item(tr("Setting, as the file says it: {said}", said=said)))
    return [*about, *(item(line(text)) for text in one.limits)]


def _figures(one: Imported) -> Table:
    again = any(figure.recomputed is not None or not figure.where for figure in one.figures)
    header = [
        tr("Figure"),
        tr("Value"),
        tr("Unit"),
        tr("Defined as ours"),
        tr("Definition"),
        tr("Where the file says it"),
    ]
    if again:
        header.insert(2, tr("From its requests"))
    return Table(header, [_row(one, figure, again=again) for figure in one.figures])


def _row(one: Imported, figure: ImportedFigure, *, again: bool) -> list[str]:
    said = _datum(one, figure) if figure.where else tr("not in the file")
    here = figure.recomputed if figure.where else figure.value
    cells = [said, *([tr("not computed") if here is None else _shown(here)] if again else [])]
    return [
        line(tr(figure.title)),
        *cells,
        line(figure.value.unit),
        tr("yes, of each request") if figure.as_ours else tr("no"),
        line(figure.definition),
        line(figure.where) or tr("nowhere: computed from its requests"),
    ]


def _datum(one: Imported, figure: ImportedFigure) -> Datum:
    return Datum(_shown(figure.value), figure.value, f"{one.id}#{figure.id}")


def _shown(value: Value) -> str:
    return line(whole(value) if value.unit in COUNTS else point(value))
