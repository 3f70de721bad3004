"""Options about load hosts that several commands share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inferometer.errors import UsageError
from inferometer.loadgen import handshake
from inferometer.loadgen.far import Host

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "INFEROMETER_LOAD_TOKEN"


def token(file: Path | None) -> bytes:
    """Return the token of a file, or of the variable. Raises UsageError."""
    if file is None:
        if VARIABLE not in os.environ:
            raise UsageError(
                f"no token: the variable {VARIABLE} is not set",
                hint="Set it to the same secret on every machine, or name a --token-file.",
            )
        return handshake.checked(os.environ[VARIABLE], VARIABLE)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: no token can be read: {error}") from error
    return handshake.checked(text, str(file))


def address_of(text: str, place: str, *, least_port: int = 1) -> tuple[str, int]:
    """Return host and port of ``host:port``. Raises UsageError."""
    name, _, port = text.strip().rpartition(":")
    if not name or not port.isdecimal() or not least_port <= int(port) <= 65535:
        raise UsageError(
            f"{place} {text}: not of the form HOST:PORT", hint="For example 10.0.0.5:7433."
        )
    return name.strip("[]"), int(port)


def hosts_of(text: str, file: Path | None) -> tuple[Host, ...]:
    """Return the hosts of a list with commas. Raises UsageError."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        address_of(name, "--load-hosts")
    known = token(file)
    return tuple(Host(name, known) for name in names)
