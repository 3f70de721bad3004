"""The answer and the rankings for a terminal of 100 columns, and the same as ``report.txt``.

Foreign text is never read as Rich markup: it enters as :class:`rich.text.Text`, made printable.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inferometer.comparison import OBJECTIVES
from inferometer.language import tr
from inferometer.numbers import with_interval
from inferometer_reports import console_several, console_versus, instruments, words
from inferometer_reports.escape import line
from inferometer_reports.html import answer
from inferometer_reports.view import (
    ARCHITECTURE_WORDS,
    ARCHITECTURES,
    View,
    by_place,
    key_of,
    place_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from inferometer.comparison import Comparison, Ranking
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus

WIDTH = 100


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.txt``: the summary as plain text."""
    return _file(lambda console: print_summary(comparison, console))


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return ``report.txt`` of several results directories: side by side, then every group."""

    def show(console: Console) -> None:
        console_several.print_head(several, console, WIDTH)
        for group in several.groups:
            console_several.print_group(several, group, console, WIDTH)
            print_summary(group.comparison, console)

    return _file(show)


def render_versus(versus: Versus) -> Mapping[str, bytes]:
    """Return ``report.txt`` of one results directory against a baseline."""
    return _file(lambda console: console_versus.print_versus(versus, console, WIDTH))


def _file(show: Callable[[Console], None]) -> Mapping[str, bytes]:
    file = StringIO()
    console = Console(
        file=file, width=WIDTH, color_system=None, force_terminal=False, emoji=False, _environ={}
    )
    show(console)
    lines = [text.rstrip() for text in file.getvalue().splitlines()]
    return {"report.txt": ("\n".join(lines) + "\n").encode()}


def print_summary(comparison: Comparison, console: Console) -> None:
    """Print the answers, how sure they are, and one table of all primary rankings."""
    view = View(comparison)
    console.print(Text(line(comparison.title), style="bold"))
    if comparison.imported and not comparison.stacks:
        statement = words.imported(view)
        console.print(_text(statement) if statement else Text())
        return
    console.print(_text(words.label(view)))
    console.print(_text(words.kinds(view)))
    banner = words.banner(view)
    if banner:
        console.print(Text(banner, style="bold reverse"))
    console.print()
    told = answer.sentences(view)
    for statement in told.told:
        console.print(_text(statement))
    for note in told.notes:
        console.print(Text(note))
    console.print()
    for statement in words.context(view):
        console.print(_text(statement))
    console.print()
    for statement in told.left_out:
        console.print(_text(statement))
    if told.left_out:
        console.print()
    for architecture in ARCHITECTURES:
        for objective in OBJECTIVES:
            _print_rankings(view, view.rankings(objective, architecture), console)


def _text(statement: words.Statement) -> Text:
    return Text.assemble((line(statement.lead), "bold"), " ", line(statement.text))


def _print_rankings(view: View, rankings: Iterable[Ranking], console: Console) -> None:
    for ranking in rankings:
        if ranking.entries:
            console.print(_table(view, ranking))


def _table(view: View, ranking: Ranking) -> Table:
    architecture = ARCHITECTURE_WORDS[ranking.architecture]
    title = f"{tr(ranking.objective).capitalize()}, {architecture}"
    title += f"{view.profile_words(ranking.profile)}: {line(ranking.model)}, "
    title += f"{line(ranking.workload)}, {line(ranking.load)}"
    table = Table(
        box=SIMPLE_HEAD,
        title=Text(title, style="bold"),
        title_justify="left",
        width=WIDTH,
        pad_edge=False,
    )
    key = key_of(ranking.metric, ranking.meter)
    value = Text(line(view.metric_title(key)))
    info = instruments.meter(view, ranking.meter)
    if info is not None:
        how = line(
            tr("Energy {kind}: {method}", kind=tr(instruments.kind(info)), method=info.method)
        )
        table.title = Text.assemble((title, "bold"), f"\n{how}")
    for header, ratio in (
        (tr("Place"), 0),
        (tr("Stack"), 3),
        (value, 3),
        ("n", 0),
        (tr("Ratio to best"), 3),
    ):
        table.add_column(header, ratio=ratio or None, overflow="fold")
    mixed = len({entry.precision for entry in ranking.entries}) > 1
    for entry in by_place(ranking):
        precision = f", {line(entry.precision)}" if mixed else ""
        cells = [
            place_words(ranking, entry),
            line(view.label(entry.stack)) + precision,
            instruments.figure(view, entry.cell, key, entry.value),
        ]
        cells += [str(entry.value.n), with_interval(entry.ratio_to_best)]
        table.add_row(*(Text(cell) for cell in cells))
    return table
