"""Every wrong input of the table in ``docs/reference/errors.md`` ends as the table says.

``UPDATE_GOLDEN=1`` writes the table anew; read what changed in it.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from inferometer import cli

from .bad_input import CASES, Case

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "errors.md"
BEGIN = "<!-- made by tests/unit/core/test_bad_input.py -->\n"
ALL = [case for cases in CASES.values() for case in cases]
CODES = {1, 2, 3, 4, 5, 6, 130}


def row(case: Case, code: int, message: str, hint: str) -> str:
    cells = (case.what, f"`{case.words}`", str(code), message, hint)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def ended(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> str:
    """Run a case; return its row of the table."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("INFEROMETER_LOAD_TOKEN", raising=False)
    case.make()
    capfd.readouterr()
    code = cli.main(shlex.split(case.words))
    said = capfd.readouterr().err.replace(f"{folder}{os.sep}", "")
    assert "Traceback" not in said
    ours = said[said.index("error: ") :].replace("`", "'").splitlines()
    assert len(ours) >= 2, said
    assert ours[-1].startswith("hint: "), said
    assert len(ours) == 2 or re.search(r": \d+ problems?$", ours[0]), said
    assert code in CODES
    shown = " <br> ".join(f"`{line.strip().removeprefix('error: ')}`" for line in ours[:-1])
    return row(case, code, known(shown), f"`{known(ours[-1].removeprefix('hint: '))}`")


def known(text: str) -> str:
    """Leave out what is installed here and may not be elsewhere."""
    text = re.sub(r"(\((?:installed|known): |Known: )[\w, -]{30,}(\)|\.)", r"\1…\2", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "…", text)


def written(rows: dict[str, list[str]]) -> str:
    lines = []
    for title, found in rows.items():
        lines += [f"\n## {title}\n", "| what is wrong | typed | code | message | next step |"]
        lines += ["|---|---|---|---|---|", *found]
    return "\n".join(lines) + "\n"


@pytest.mark.skipif("UPDATE_GOLDEN" in os.environ, reason="the table is being written")
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.what.replace(" ", "-"))
def test_it_ends_as_the_table_says(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert ended(case, tmp_path, monkeypatch, capfd) in PAGE.read_text().splitlines()


def test_the_table_has_these_cases_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len({case.what for case in ALL}) == len(ALL)
    head, _, table = PAGE.read_text().partition(BEGIN)
    if "UPDATE_GOLDEN" in os.environ:
        rows: dict[str, list[str]] = {}
        for title, cases in CASES.items():
            for place, case in enumerate(cases):
                folder = tmp_path / title / str(place)
                folder.mkdir(parents=True)
                rows.setdefault(title, []).append(ended(case, folder, monkeypatch, capfd))
        PAGE.write_text(head + BEGIN + written(rows))
        return
    listed = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]
    assert [it for it in listed if it in {case.what for case in ALL}] == [it.what for it in ALL]
    assert table.count("\n| ") == len(ALL) + len(CASES)
