"""The tables of ``docs/reference/conformance.md`` are the checks themselves.

Write them again: ``UPDATE_DOCS=1 python -m pytest tests/conformance/test_docs.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferometer.testing import conformance

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def filled(page: str, name: str, checks: Sequence[Any]) -> str:
    rows = "".join(f"| `{check.id}` | {check.words} |\n" for check in checks)
    table = f"| check | what holds |\n|---|---|\n{rows}"
    mark = re.compile(rf"(<!-- {name}: begin [^\n]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert len(mark.findall(page)) == 1
    return mark.sub(lambda found: found[1] + table + found[2], page)


def test_the_tables_are_the_checks() -> None:
    page = PAGE.read_text(encoding="utf-8")
    right = filled(page, "checks", conformance.CHECKS)
    right = filled(right, "live checks", conformance.LIVE_CHECKS)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(right, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == right
