"""Files that lie beside a report and are too large to be part of it."""

from __future__ import annotations

from msgspec import Struct


class DataFile(Struct, frozen=True, kw_only=True):
    """A file beside the report, by which its raw data can be checked."""

    name: str
    sha256: str
    bytes: int
    rows: int
    holds: str
    """What one row is, in words."""
