"""Study files for tests: tables written as TOML, and the tables most of them share."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

Table = dict[str, Any]

PRICE: Table = {
    "usd_per_hour": 2.0,
    "source": "test",
    "date": "2026-11-01",
    "contract": "assumed",
}
SHORT: Table = {"name": "short", "input_tokens": 32, "output_tokens": 8}
STREAMS: Table = {"concurrency": 4}
DECLARED: Table = {"name": "declared", "options": {"power_w": 50}}
CPU_TIME: Table = {"name": "cpu-time", "options": {"watts_per_busy_core": 10}}
RAPL: Table = {"name": "rapl"}


def oracle(*extra_args: str, **more: Any) -> Table:
    """Return an ``[[engines]]`` entry: the oracle of this interpreter."""
    words = {"extra_args": extra_args} if extra_args else {}
    return {"name": "oracle", "python": sys.executable, **words, **more}


def written(name: str, **tables: Table | Sequence[Table] | str) -> str:
    """Return a study as TOML: a table for a mapping, an array of tables for a sequence of them."""
    lines = [f"name = {_value(name)}"]
    for key, value in tables.items():
        if isinstance(value, str):
            lines.insert(1, f"{key} = {_value(value)}")
        elif isinstance(value, dict):
            lines += [f"\n[{key}]", *_rows(value)]
        else:
            for table in value:
                lines += [f"\n[[{key}]]", *_rows(table)]
    return "\n".join([*lines, ""])


def _rows(table: Table) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(_rows(value))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool | int | float | str):
        return json.dumps(value)
    return json.dumps(str(value))  # a path
