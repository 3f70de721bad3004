"""What is kept of a launch that failed: the words of its log, or of the error that ended it."""

from __future__ import annotations

import re
import traceback
from collections import deque
from typing import TYPE_CHECKING

from inferometer import redact
from inferometer.engine import Unsupported
from inferometer.records import Failure
from inferometer.redact import plain

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.errors import LaunchError

LOG_TAIL_LINES = 200
EXCEPTION = re.compile(
    r"^(?:\([^)]*\)\s*)?(?:[A-Z]+ [\d\-: ]+\[[^\]]*\] )?((?:\w+\.)*\w*(?:Error|Exception)\b.*)"
)


def log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> list[str]:
    """Return the last lines of a log, without control characters."""
    if not log.is_file():
        return []
    with log.open(encoding="utf-8", errors="replace") as file:
        return [plain(line.rstrip("\n")) for line in deque(file, maxlen=lines)]


def first_exception(log: Path) -> str | None:
    """Return the first exception line of a log: the child's, which is the cause."""
    if not log.is_file():
        return None
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if found := EXCEPTION.match(plain(line.strip())):
                return found.group(1)[:500]
    return None


def failed(error: LaunchError | Unsupported, stage: str) -> Failure:
    """Return what is stored of a failed launch; ``stage`` is where an engine refuses."""
    if isinstance(error, Unsupported):
        return Failure(
            reason="unsupported",
            stage=stage,
            message=redact.text(error.message),
            hint=redact.text(error.remedy),
        )
    return Failure(
        reason=error.reason,
        stage=error.stage,
        message=redact.text(error.message),
        hint=error.hint,
        log_tail=redact.text("\n".join(error.log_tail)).splitlines(),
    )


def unforeseen(error: Exception) -> Failure:
    """Return what is stored of a launch that an unexpected error ended."""
    return Failure(
        reason="failed",
        stage="measure",
        message=redact.text(f"{type(error).__name__}: {error}"),
        hint="The engine's adapter or a meter raised this; report it to its author.",
        log_tail=[redact.text(line) for line in traceback.format_exception(error)[-20:]],
    )
