"""Keep secrets out of results, logs and reports: one place that knows what looks like one.

Those that are known are hidden by value (:mod:`inferometer.withheld`), the others by their shape
and by the names they stand behind.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from inferometer import withheld

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

HIDDEN = withheld.HIDDEN
LONGEST = 2000
"""Characters that a record keeps of a text which a server or a stranger's code made."""
NAME = re.compile(
    r"(?:^|[_\-.])(?:(?:api|access|private|secret)[_\-]?key|token|secret|password|passwd"
    r"|credentials?|auth(?:orization)?)$",
    re.IGNORECASE,
)
VALUE = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_\-]{16,}|Bearer\s+(?!\[hidden)[^\s\"',;)}\]]+"
    r"|ifm_[A-Za-z0-9_\-]{32,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|gh[opsur]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{16,}|xox[abeoprs]-[A-Za-z0-9\-]{10,}"
    r"|AIza[A-Za-z0-9_\-]{30,}|nvapi-[A-Za-z0-9_\-]{20,}|pypi-AgE[A-Za-z0-9_\-]{20,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+)"
)
"""Keys and tokens by how those who give them out write them; ``ifm_`` begins a launch's own."""
PEM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
NAMED = re.compile(
    r"((?:api|access|private|secret)[_-]?key|(?:hf|hub|auth|access|api|bearer)[_-]?token|password"
    r"|passwd|client[_-]?secret)([\"']?\s*[=:]\s*[\"']?)(?!None\b|null\b|true\b|false\b|\[)"
    r"[^\s\"',;)}\]]{6,}",
    re.IGNORECASE,
)
"""A setting with the name of a secret, as programs print theirs: ``api_key='...'``."""
USER = re.compile(r"(?<=://)(?:(?<!ssh://)|(?=[^/\s@:]*:))[^/\s@]+(?=@)")
"""Who calls, and often the password, in a URL; ``git`` in ``ssh://git@host`` is no secret."""
BLOCK = 4 << 20
"""Characters of a log that are looked at together."""
LARGEST = 1 << 16
"""Characters of a private key in text, at most."""


def plain(value: str) -> str:
    """Return ``value`` for a terminal or a page: an engine's words are untrusted.

    Control sequences and what turns the direction of writing go, known secrets are hidden.
    """
    value = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", value)
    value = "".join(char for char in value if char in "\t\n" or char.isprintable())
    return withheld.hide(value)


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


def certain(value: str) -> str:
    """Hide what is known, and anything with the shape of a key or a token, and a URL's user."""
    return USER.sub(HIDDEN, VALUE.sub(HIDDEN, PEM.sub(HIDDEN, withheld.hide(value))))


def text(value: str) -> str:
    """Hide the same, and what stands behind the name of a secret."""
    return NAMED.sub(rf"\1\2{HIDDEN}", certain(value))


def without(value: Any, secrets: Sequence[str]) -> Any:
    """Hide each of ``secrets`` wherever it stands in the texts of a JSON value."""
    if isinstance(value, dict):
        return {without(key, secrets): without(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, secrets) for item in value]
    return withheld.hide_all(value, tuple(secrets)) if isinstance(value, str) else value


def encoded(content: bytes) -> bytes:
    """Return a JSON text whose strings hold no known secret; most hold none and stay as they are.

    The last gate before a file: whoever made the value should have hidden it already.
    """
    if not withheld.holds(content):
        return content
    import msgspec  # noqa: PLC0415 -- `--help` needs this module, and not that one

    return msgspec.json.encode(without(msgspec.json.decode(content), withheld.known()))


def logs(folder: Path) -> None:
    """Hide secrets in the logs of a launch."""
    for path in folder.glob("*.log"):
        log(path)


def log(path: Path) -> None:
    """Hide secrets in a log that is whole now: known ones by value, the others by shape.

    Until then it is its owner's alone to read; what an adapter looks for in it was found before.
    """
    temporary = path.with_name(f".{path.name}.hidden")
    with (
        path.open(encoding="utf-8", errors="surrogateescape", newline="") as source,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as target,
    ):
        target.writelines(text(block) for block in _blocks(source))
    temporary.replace(path)


def _blocks(source: IO[str]) -> Iterator[str]:
    """Yield whole lines together, so that a key over several lines is seen as one."""
    while block := source.read(BLOCK):
        block += source.readline(BLOCK)
        opened = block.rfind("-----BEGIN ")
        while opened >= 0 and "-----END " not in block[opened:] and len(block) < opened + LARGEST:
            line = source.readline(LARGEST)
            if not line:
                break
            block += line
        yield block


def error(raised: BaseException) -> str:
    """Return a traceback without secrets."""
    return text("".join(traceback.format_exception(raised)))


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


class Guarded:
    """A stream of text that lets no known secret through, whoever writes to it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, said: str) -> int:
        """Write what is left of ``said``."""
        self._stream.write(withheld.hide(said))
        return len(said)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Let nothing that is printed here hold a known secret: plugins and threads print as well."""
    withheld.learn_variables()
    before, raised = (sys.stdout, sys.stderr), threading.excepthook

    def tell(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            sys.stderr.write(error(args.exc_value))

    sys.stdout, sys.stderr = (cast("TextIO", Guarded(each)) for each in before)
    threading.excepthook = tell
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        threading.excepthook = raised
