"""Other tools' figures in a report: one table over all, each measurement by itself, no place."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from inferometer.comparison import Imported, ImportedFigure, ImportedFile, Value
from inferometer_reports import markdown
from inferometer_reports.blocks import Fold, Heading, Paragraph, Table
from inferometer_reports.html.writer import Writer
from inferometer_reports.sections import imported

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTILE = '\x1b[31m=cmd|"<script>alert(1)</script>`](x) | y'


def figure(id_: str, value: float, *, where: str = "there", unit: str = "ms") -> ImportedFigure:
    told = Value(value=value, unit=unit, kind="reported", detail="d")
    return ImportedFigure(
        id=id_, title=id_, value=told, where=where, definition="of it", as_ours=True
    )


def measurement(
    number: int,
    *figures: ImportedFigure,
    label: str = "",
    setting: Mapping[str, str] = MappingProxyType({}),
) -> Imported:
    return Imported(
        id=f"tool-{number}",
        format="tool",
        tool="Tool",
        version="1.0",
        files=[ImportedFile(name="f.json", sha256="ab", bytes=3)],
        figures=list(figures),
        label=label,
        setting=dict(setting),
    )


def test_what_was_imported_stands_side_by_side() -> None:
    found = [
        measurement(1, figure("ttft_ms", 40), label="mine", setting={"conc": "8", "model": "m"}),
        measurement(2, figure("finished_requests", 1071, unit="requests"), label="mine"),
        measurement(3, figure("ttft_ms", 50, where=""), figure("odd_ms", 1)),
    ]
    (table, *_) = (one for one in imported.section(found) if isinstance(one, Table))
    assert table == Table(
        [
            *("Place", "Measurement", "Tool", "Model", "Load, as the file says it"),
            *("TTFT, ms", "Finished requests"),
        ],
        [
            ["?", "mine (tool-1)", "Tool 1.0", "m", "conc 8", "40.0 rep.", "not told"],
            ["?", "mine (tool-2)", "Tool 1.0", "not told", "not told", "not told", "1,071 rep."],
            ["?", "tool-3", "Tool 1.0", "not told", "not told", "50.0 rep.", "not told"],
        ],
    )


def test_a_few_lie_open_and_many_are_folded_and_most_are_counted() -> None:
    found = [measurement(n, figure("ttft_ms", 40)) for n in range(30)]
    few, many = imported.section(found[:3]), imported.section(found)
    assert [one.text for one in few if isinstance(one, Heading)][1] == "tool-0: Tool 1.0"
    assert not [one for one in few if isinstance(one, Fold)]
    folded = [one for one in many if isinstance(one, Fold)]
    assert len(folded) == imported.MOST == 24
    last = many[-1]
    assert isinstance(last, Paragraph)
    assert last.parts == ("The figures of 6 more are in report.json, under imported.",)


def test_hostile_words_are_only_words_in_both_outputs() -> None:
    one = measurement(
        1, figure(HOSTILE, 40, where=HOSTILE), label=HOSTILE, setting={"conc": HOSTILE}
    )
    blocks = imported.section([one])
    page = str(Writer("t").write(blocks))
    text = "\n".join(markdown.lines(blocks))
    for said in (page, text):
        assert "<script" not in said
        assert "\x1b" not in said
    assert "&lt;script&gt;" in page
    rows = [line for line in text.splitlines() if line.startswith("| ?")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [6]


def test_every_number_of_the_page_leads_to_its_result() -> None:
    page = str(Writer("t").write(imported.section([measurement(1, figure("ttft_ms", 40))])))
    assert page.count('data-cell="tool-1"') == 2
    assert page.count("40.0 rep.") == 2
