"""What an importer owes: from the files of another tool to what it measured.

Bring one by the hook ``inferometer_importers``; see ``docs/reference/imported.md``. Files are
untrusted: an importer reads bytes, opens nothing itself, and says with :class:`ForeignFile` what is
wrong with them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from inferometer import redact
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.comparison import Imported, ImportedFigure, Value

LARGEST = 512 << 20
"""Bytes of all files that are read at once; parsed, they take about six times that in memory."""
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
"""How packed files begin."""


class ForeignFile(ValueError):  # noqa: N818 -- an answer, not a fault
    """A file is not of this format, or damaged; the message says how, without the file's name."""


@dataclass(frozen=True)
class Source:
    """A file as it was read. ``folder`` tells which files lie beside each other."""

    name: str
    folder: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


class Importer(Protocol):
    """Reads one tool's result files."""

    @property
    def name(self) -> str:
        """Return the format's name, for example ``guidellm``."""

    @property
    def tool(self) -> str:
        """Return the tool's own name and what of it is read, in a few words."""

    def read(self, sources: Sequence[Source]) -> Sequence[Imported]:
        """Return what the files hold, one for each load; see :func:`sealed` for what is added.

        The ``detail`` of a value names its file and the file's SHA-256.

        Raises:
            ForeignFile: a file is not of this format, or damaged.
        """


def sealed(found: Sequence[Imported], label: str, version: str) -> list[Imported]:
    """Return what an importer found as it is stored: every value says whose word it is.

    ``label`` and ``version`` are the person's; the file's own version goes first. No value keeps an
    interval or a number of launches, and no setting what looks like a key, whatever the importer
    says.

    Raises:
        ForeignFile: an id cannot be a file's name or is there twice, or a value is no finite
            number.
    """
    if len({one.id for one in found}) < len(found):
        raise ForeignFile("the importer gave one id twice")
    return [_sealed(one, label, version) for one in found]


def _sealed(found: Imported, label: str, version: str) -> Imported:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,100}", found.id):
        raise ForeignFile(f"the importer gave the id {found.id!r}")
    version = found.version or version
    origin = f"{found.tool} {version or '(version not said)'}"

    def signed(value: Value, id_: str) -> Value:
        if value.value is None or not math.isfinite(value.value):
            raise ForeignFile(f"the figure {id_!r} is no finite number")
        detail = f"{origin}, {value.detail}"
        return replace(value, kind="reported", n=0, low=None, high=None, detail=detail)

    def of(figure: ImportedFigure) -> ImportedFigure:
        again = figure.recomputed
        again = None if again is None else signed(again, figure.id)
        return replace(figure, value=signed(figure.value, figure.id), recomputed=again)

    figures = [of(figure) for figure in found.figures]
    setting = redact.capped(redact.tree(found.setting))
    made = replace(found, label=label, version=version, setting=setting, figures=figures)
    try:
        msgspec.json.encode(made)
    except UnicodeEncodeError as error:  # JSON can name half of a character
        raise ForeignFile(f"holds text that is none: {error.reason}") from error
    return made


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Read the files of one call.

    Raises:
        UsageError: one is no file or cannot be read, two are the same, or all are too large.
    """
    found: dict[str, Source] = {}
    left = LARGEST
    for path in paths:
        source = read_source(path, left)
        if source.sha256 in found:
            twin = found[source.sha256].name
            raise UsageError(f"{path}: has the content of {twin}", hint="Give each file once.")
        found[source.sha256] = source
        left -= len(source.content)
    return list(found.values())


def read_source(path: Path, most: int) -> Source:
    """Read one file of at most ``most`` bytes.

    Raises:
        UsageError: it is no file, is too large or cannot be read.
    """
    hint = "Give the tool's result file itself."
    try:
        if path.is_dir():
            raise UsageError(f"{path}: is a directory", hint=hint)
        if not path.is_file():
            raise UsageError(f"{path}: no such file", hint=hint)
        with path.open("rb") as file:
            content = file.read(most + 1)
        folder = str(path.parent.resolve())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint="Check the path.") from error
    if len(content) > most:
        raise UsageError(
            f"{path}: the files of one import are larger than {LARGEST >> 20} MiB",
            hint="Import one at a time, or export again without prompts and answers.",
        )
    return Source(path.name, folder, content)


def document(content: bytes) -> Any:
    """Return a JSON value; NaN and infinities, which tools write, are read as such.

    Raises:
        ForeignFile: it is no JSON.
    """
    for magic, packing in PACKED.items():
        if content.startswith(magic):
            raise ForeignFile(f"is packed ({packing}): unpack it first")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ForeignFile("nested too deeply") from error
    except ValueError as error:  # also no UTF-8, and numbers of thousands of digits
        raise ForeignFile(f"no JSON: {error}") from error


def table(value: Any, what: str) -> dict[str, Any]:
    """Return ``value``, which must be a JSON object.

    Raises:
        ForeignFile: it is not; ``what`` names it.
    """
    if not isinstance(value, dict):
        raise ForeignFile(f"{what} is no JSON object")
    return value


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else: also for a number in quotes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
