"""``report.json``: the comparison as it stands, indented, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferometer_reports.escape import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.json``: fields in the order of the schema, free-form keys sorted."""
    return _file(comparison)


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return ``report.json`` of several results directories, in the same way."""
    return _file(several)


def render_versus(versus: Versus) -> Mapping[str, bytes]:
    """Return ``report.json`` of one results directory against a baseline, in the same way."""
    return _file(versus)


def _file(found: Comparison | Several | Versus) -> Mapping[str, bytes]:
    try:
        compact = msgspec.json.encode(found, order="deterministic")
    except UnicodeEncodeError:  # text with lone surrogates, as the environment can hold
        clean = _encodable(msgspec.to_builtins(found))
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
