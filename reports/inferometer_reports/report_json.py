"""``report.json``: the comparison as it stands, indented, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferometer_reports.escape import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Comparison


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.json``: fields in the order of the schema, free-form keys sorted."""
    try:
        compact = msgspec.json.encode(comparison, order="deterministic")
    except UnicodeEncodeError:  # text with lone surrogates, as the environment can hold
        clean = _encodable(msgspec.to_builtins(comparison))
        compact = msgspec.json.encode(clean, order="deterministic")
    return {"report.json": msgspec.json.format(compact, indent=2) + b"\n"}


def _encodable(value: Any) -> Any:
    """Return ``value`` with every string made valid UTF-8."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(str(key)): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value
