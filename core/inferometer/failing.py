"""What is kept of a launch that failed: the words of its log, or of the error that ended it."""

from __future__ import annotations

import os
import re
import traceback
from typing import TYPE_CHECKING

from inferometer import redact
from inferometer.engine import Unsupported
from inferometer.records import Failure
from inferometer.redact import plain

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.errors import LaunchError

LOG_TAIL_LINES = 200
LOG_BYTES = 4 << 20
"""Most that is read of a log at either end: an engine may print for ever, and on one line."""
LINE = 2000
"""Most characters of a line."""
EXCEPTION = re.compile(
    r"^(?:\([^)]*\)\s*)?(?:[A-Z]+ [\d\-: ]+\[[^\]]*\] )?((?:\w+\.)*\w*(?:Error|Exception)\b.*)"
)


def log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> list[str]:
    """Return the last lines of a log, without control characters, and each cut to its end."""
    kept = _lines(log, from_end=True)[-lines:]
    return [plain(line[-LINE:]) for line in kept]


def first_exception(log: Path) -> str | None:
    """Return the first exception line of a log: the child's, which is the cause.

    Of a long log, at its beginning or else near its end.
    """
    for line in (*_lines(log), *_lines(log, from_end=True)):
        if found := EXCEPTION.match(plain(line[:LINE].strip())):
            return found.group(1)[:500]
    return None


def _lines(log: Path, *, from_end: bool = False) -> list[str]:
    """Return the lines of the first or last :data:`LOG_BYTES` of a log; none of one not there."""
    try:
        with log.open("rb") as file:
            if from_end:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def failed(error: LaunchError | Unsupported, stage: str) -> Failure:
    """Return what is stored of a failed launch; ``stage`` is where an engine refuses."""
    if isinstance(error, Unsupported):
        return Failure(
            reason="unsupported",
            stage=stage,
            message=plain(redact.text(error.message)),
            hint=redact.text(error.remedy),
        )
    return Failure(
        reason=error.reason,
        stage=error.stage,
        message=plain(redact.text(error.message)),
        hint=error.hint,
        log_tail=redact.text("\n".join(error.log_tail)).splitlines(),
    )


def unforeseen(error: BaseException) -> Failure:
    """Return what is stored of a launch that an unexpected error ended."""
    return Failure(
        reason="failed",
        stage="measure",
        message=plain(redact.text(f"{type(error).__name__}: {error}")),
        hint="The engine's adapter or a meter raised this; report it to its author.",
        log_tail=[redact.text(line) for line in traceback.format_exception(error)[-20:]],
    )
