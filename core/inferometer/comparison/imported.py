"""What other tools measured, as a report shows it: beside our own results, never among them.

A client's file does not say how often the server was started, so its figures have no n and no
interval over launches, and no place: ``?``. See ``docs/reference/imported.md``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.value import Value


class ImportedFile(Struct, frozen=True, kw_only=True):
    """A file as it was read."""

    name: str
    """Without its folder, which is of the machine that imported it."""
    sha256: str
    bytes: int


class ImportedFigure(Struct, frozen=True, kw_only=True):
    """One number of another tool."""

    id: str
    """A metric's id where the quantity is defined as ours is; else a name of its own."""
    title: str
    value: Value
    """Kind ``reported``; ``detail`` names tool, version, file and SHA-256."""
    where: str
    """Where the file says it; empty where it was computed here from the file's requests."""
    definition: str
    as_ours: bool
    """Defined as ours for each request; over all requests of a run, for a file has no window."""
    recomputed: Value | None = None
    """The same from the file's requests, where it has them."""


class Imported(Struct, frozen=True, kw_only=True):
    """One measurement that another tool made: one load on one server."""

    id: str
    """From its first file's SHA-256 and its number among what that holds."""
    format: str
    """The importer's name."""
    tool: str
    version: str
    """Empty where neither the file nor the person says it."""
    label: str = ""
    """What the person says it is; declared."""
    files: list[ImportedFile]
    measured: str = ""
    """When, as the file says it; empty where it does not."""
    setting: dict[str, str] = {}
    """What the file says of server, model and load, in its own words."""
    figures: list[ImportedFigure]
    limits: list[str] = []
    """Why these figures are worth less than ours, a sentence each."""
    place: Literal["?"] = "?"
    """It is never ranked."""
