"""Several results directories: side by side first, then every group whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import tr, trs
from inferometer_reports import words_several as words
from inferometer_reports.blocks import Heading, Quote, Strong, Table, deeper, item, say
from inferometer_reports.escape import line, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison.several import Group, Several, SideBySide
    from inferometer_reports.blocks import Block


def summary(several: Several) -> list[Block]:
    """Return the title, what is apart and why, and a table for each question."""
    blocks: list[Block] = [Heading(1, line(several.title) or tr("Untitled studies"))]
    banner = words.simulated(several)
    blocks += [Quote(banner)] if banner else []
    for statement in words.head(several):
        blocks.append(say(Strong(statement.lead), " ", sentences(statement.text)))
    blocks += [Heading(2, tr("Directories")), _directories(several), *_apart(several)]
    if several.tables:
        blocks += [Heading(2, tr("Groups side by side")), say(tr(words.SCOPE))]
        blocks += _tables(several, several.tables, 3)
    return blocks


def group(several: Several, found: Group, report: Sequence[Block]) -> list[Block]:
    """Return a group's section, with its own ``report`` below, one level deeper.

    ``report`` begins with its title.
    """
    title = line(found.comparison.title) or tr("Untitled study")
    blocks: list[Block] = [
        Heading(2, tr("Group {found}: {title}", found=line(found.name), title=title))
    ]
    blocks += [item(line(text)) for text in words.pooled(found)]
    if found.tables:
        blocks += [Heading(3, tr("Its directories, each by itself")), say(tr(words.SCOPE))]
        blocks += _tables(several, found.tables, 4)
    return [*blocks, *deeper(report[1:], 1)]


def _directories(several: Several) -> Table:
    rows = [
        [
            line(part.name),
            line(found.name),
            tr("{rounds} from {first}", rounds=part.rounds, first=part.first_round),
            str(part.seed),
            str(part.launches),
            line(part.created) or tr("n/a (unknown)"),
            line(words.machine(part)),
            line(part.plan_sha256[:12]),
        ]
        for found in several.groups
        for part in found.parts
    ]
    header = trs(
        "Directory", "Group", "Rounds", "Seed", "Launches", "Last launch", "Machine", "Plan"
    )
    return Table(header, rows)


def _apart(several: Several) -> list[Block]:
    if not several.apart:
        return []
    rows = [
        [line(one.what), *(line(text) or tr("differs") for text in one.words)]
        for one in several.apart
    ]
    header = [tr("What differs"), *(line(found.name) for found in several.groups)]
    return [Heading(2, tr("What differs between groups")), Table(header, rows)]


def _tables(several: Several, tables: Sequence[SideBySide], level: int) -> list[Block]:
    blocks: list[Block] = []
    for one in tables:
        rows = [
            [
                line(words.place(found)),
                line(found.stack),
                *(line(words.cell(figure)) for figure in found.figures),
            ]
            for found in one.lines
        ]
        header = [tr("Operating point"), tr("Stack"), *(line(name) for name in one.columns)]
        blocks += [Heading(level, line(words.title(several, one))), Table(header, rows)]
    return blocks
