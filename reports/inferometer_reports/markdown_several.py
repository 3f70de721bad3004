"""``report.md`` of several results directories: side by side first, then every group whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inferometer_reports import words_several as words
from inferometer_reports.escape import block, markdown, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison.several import Group, Several, SideBySide

_FENCE = re.compile(r"^(`{3,})")


def summary(several: Several) -> list[str]:
    """Return the title, what is apart and why, and a table for each question."""
    lines = [f"# {markdown(several.title) or 'Untitled studies'}", ""]
    banner = words.simulated(several)
    lines += [f"> **{markdown(banner)}**", ""] if banner else []
    for statement in words.head(several):
        lines += [f"**{markdown(statement.lead)}** {_long(statement.text)}", ""]
    lines += ["## Directories", "", *_directories(several), *_apart(several)]
    if several.tables:
        lines += ["## Groups side by side", "", words.SCOPE, ""]
        lines += _tables(several, several.tables, "###")
    return lines


def group(several: Several, found: Group, report: Sequence[str]) -> list[str]:
    """Return a group's section, with its own ``report`` below, one level deeper.

    ``report`` begins with its title and an empty line.
    """
    title = markdown(found.comparison.title) or "Untitled study"
    lines = [f"## Group {markdown(found.name)}: {title}", ""]
    sentences = [f"- {block(text)}" for text in words.pooled(found)]
    lines += [*sentences, ""] if sentences else []
    if found.tables:
        lines += ["### Its directories, each by itself", "", words.SCOPE, ""]
        lines += _tables(several, found.tables, "####")
    return [*lines, *_deeper(report[2:])]


def _long(text: str) -> str:
    """Escape a text that may be longer than a cell: sentence by sentence."""
    return " ".join(markdown(part) for part in re.split(r"(?<=[.;]) ", text))


def _directories(several: Several) -> list[str]:
    rows = [
        [
            markdown(part.name),
            markdown(found.name),
            f"{part.rounds} from {part.first_round}",
            str(part.seed),
            str(part.launches),
            markdown(part.created) or "n/a (unknown)",
            markdown(words.machine(part)),
            markdown(part.plan_sha256[:12]),
        ]
        for found in several.groups
        for part in found.parts
    ]
    header = ["Directory", "Group", "Rounds", "Seed", "Launches", "Last launch", "Machine", "Plan"]
    return table(header, rows)


def _apart(several: Several) -> list[str]:
    if not several.apart:
        return []
    rows = [
        [markdown(one.what), *(markdown(text) or "differs" for text in one.words)]
        for one in several.apart
    ]
    header = ["What differs", *(markdown(found.name) for found in several.groups)]
    return ["## What differs between groups", "", *table(header, rows)]


def _tables(several: Several, tables: Sequence[SideBySide], mark: str) -> list[str]:
    lines: list[str] = []
    for one in tables:
        rows = [
            [
                markdown(words.place(line)),
                markdown(line.stack),
                *(markdown(words.cell(figure)) for figure in line.figures),
            ]
            for line in one.lines
        ]
        header = ["Operating point", "Stack", *(markdown(name) for name in one.columns)]
        lines += [f"{mark} {markdown(words.title(several, one))}", "", *table(header, rows)]
    return lines


def _deeper(lines: Sequence[str]) -> Iterator[str]:
    """Yield a report's lines with every heading one level deeper, code blocks as they are."""
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        if found and not fence:
            fence = found[1]
        elif fence and line == fence:
            fence = ""
            yield line
            continue
        yield f"#{line}" if line.startswith("#") and not fence else line
