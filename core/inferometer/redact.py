"""Keep secrets out of results, logs and reports: one place that knows what looks like one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HIDDEN = "[hidden]"
LONGEST = 2000
"""Characters that a record keeps of a text which a server or a stranger's code made."""
NAME = re.compile(
    r"(?:^|[_\-.])(?:(?:api|access|private|secret)[_\-]?key|token|secret|password|passwd"
    r"|credentials?|auth(?:orization)?)$",
    re.IGNORECASE,
)
VALUE = re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_\-]{16,}|Bearer\s+\S+)")
USER = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""Who calls, and often the password, in a URL."""


def plain(value: str) -> str:
    """Return ``value`` without terminal control sequences: an engine's words are untrusted."""
    value = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", value)
    return "".join(char for char in value if char in "\t\n" or char.isprintable())


def capped(value: Any) -> Any:
    """Cut each text of a JSON value to :data:`LONGEST` characters, and say so in it.

    To be called last: of a secret that is cut in two, the half that stays is not recognised.
    """
    if isinstance(value, dict):
        return {key: capped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [capped(item) for item in value]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]} [cut: {len(value)} characters]"
    return value


def looks_secret(name: str, value: str) -> bool:
    """Say whether a setting has the name or the value of a key, a token or a password."""
    return bool(NAME.search(name.lstrip("-")) or VALUE.search(value))


def text(value: str) -> str:
    """Hide anything in ``value`` that has the shape of a key or a token, and a URL's user."""
    return USER.sub(HIDDEN, VALUE.sub(HIDDEN, value))


def without(value: Any, secrets: Sequence[str]) -> Any:
    """Hide each of ``secrets`` wherever it stands in the texts of a JSON value."""
    if isinstance(value, dict):
        return {without(key, secrets): without(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
    return value


def argv(parts: list[str]) -> list[str]:
    """Hide the values of secret-looking flags (``--api-key X``, ``--hf-token=X``)."""
    shown: list[str] = []
    hide_next = False
    for part in parts:
        flag, equals, _ = part.partition("=")
        if hide_next:
            shown.append(HIDDEN)
        elif flag.startswith("-") and equals and NAME.search(flag.lstrip("-")):
            shown.append(f"{flag}={HIDDEN}")
        else:
            shown.append(text(part))
        hide_next = part.startswith("-") and not equals and bool(NAME.search(part.lstrip("-")))
    return shown


def tree(value: Any) -> Any:
    """Hide secrets in a JSON value, by key and by shape."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if NAME.search(str(key)) and item else tree(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [tree(item) for item in value]
    return text(value) if isinstance(value, str) else value
