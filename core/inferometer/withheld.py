"""Secrets that this process knows by value, and how each may be written in somebody's text.

What an engine, a server or a plugin repeats need not look like a secret. So whoever reads one (a
variable that is handed on, the key of a launch, a user in a URL) tells it here, and every text
that is stored or printed is held against all of them. Nothing here is ever written down.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shlex
import sys
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HIDDEN = "[hidden]"
SHORTEST = 8
"""Characters of a secret that is looked for everywhere: a shorter one also occurs by chance."""
LONG = 20
"""Characters from which a word of small letters alone is taken for a secret, too."""
VARIABLE = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY"
    r"|AUTH_?KEY|_KEY|CREDENTIALS?|BEARER|AUTHORIZATION)$",
    re.IGNORECASE,
)
"""How names of variables end whose value is a secret."""
ORDINARY = re.compile(r"[a-z_-]+|[A-Z_-]+|\d+")
NUMBERS = re.compile(r"\d+(?:[.,:; ]\d+)+")
DEVICES = re.compile(r"DEVICES?$")
"""Names of variables that choose devices, whose names stand in every record."""
USER = re.compile(r"://(?:(?<!ssh://)|(?=[^/\s@:]*:))([^/\s@]+)@")
"""Who calls, in a URL; over SSH a name alone opens nothing, elsewhere it is often a token."""

_known: dict[str, None] = {}


def learn(values: Iterable[str]) -> None:
    """Have each of ``values`` hidden from now on, as far as it is long enough to be told apart."""
    _known.update(dict.fromkeys(value for value in values if len(value) >= SHORTEST))


@contextmanager
def lately() -> Iterator[None]:
    """Forget in the end what is learned meanwhile: the key of a launch opens nothing after it."""
    before = set(_known)
    try:
        yield
    finally:
        for value in _known.keys() - before:
            del _known[value]
        forms.cache_clear()
        _bytes.cache_clear()


def learn_variables(environ: Mapping[str, str] | None = None) -> None:
    """Learn the secrets of our environment: by the names of variables, and from URLs with users."""
    for name, value in (os.environ if environ is None else environ).items():
        if VARIABLE.search(name) and telling(value):
            learn([value.strip()])
        for user in USER.findall(value):
            learn(part for part in passwords(user) if telling(part))


def learn_named(names: Iterable[str]) -> None:
    """Learn the values of variables that are said to hold secrets.

    What is a path of this machine opens nothing, and stands in every command.
    """
    values = [os.environ.get(name, "").strip() for name in names]
    learn(value for value in values if not os.path.exists(value))


def opens(name: str) -> bool:
    """Say whether a variable that a study hands on is taken to hold a secret.

    One with the name of a secret is. What it holds else is none if it is an ordinary word or
    numbers, chooses devices, or is a part of where we are, as the user's name mostly is.
    """
    value = os.environ.get(name, "").strip()
    if VARIABLE.search(name):
        return True
    word = len(value) < LONG and ORDINARY.fullmatch(value)
    here = f"{os.path.expanduser('~')}/{sys.prefix}".split("/")
    return not (word or NUMBERS.fullmatch(value) or DEVICES.search(name) or value in here)


def passwords(user: str) -> list[str]:
    """Return what of a URL's ``user:password`` is a secret, as it stands and decoded."""
    name, colon, password = user.partition(":")
    secret = password if colon else name
    return [secret, unquote(secret), user] if colon else [secret, unquote(secret)]


def telling(value: str) -> bool:
    """Say whether a value can be looked for: an ordinary word would be hidden everywhere."""
    word = value.strip()
    return len(word) >= LONG or (len(word) >= SHORTEST and not re.fullmatch(r"[a-z]+|\d+", word))


def known() -> tuple[str, ...]:
    """Return every secret learned, the longest first."""
    return tuple(sorted(_known, key=len, reverse=True))


def hide(text: str) -> str:
    """Hide every secret that this process knows, however it is written in ``text``."""
    return hide_all(text, known()) if _known else text


def hide_all(text: str, secrets: tuple[str, ...]) -> str:
    """Hide each of ``secrets``, however it is written in ``text``."""
    for secret in secrets:
        for form in forms(secret):
            if form in text:
                text = text.replace(form, HIDDEN)
    return text


def holds(content: bytes) -> bool:
    """Say whether a known secret stands in ``content``, however it is written."""
    return any(form in content for secret in _known for form in _bytes(secret))


@lru_cache(maxsize=256)
def forms(secret: str) -> tuple[str, ...]:
    """Return ``secret`` as it may be written.

    Escaped for JSON, Python, HTML, a shell or a URL; in hexadecimal; and in base64 at each place
    that it may have within what was encoded.
    """
    escaped = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    escaped += [repr(secret)[1:-1], html.escape(secret), shlex.quote(secret)]
    in_url = [quote(secret, safe=""), quote(secret), quote_plus(secret)]
    in_url += [re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in in_url]
    raw = secret.encode("utf-8", "surrogateescape")
    found = [secret, *escaped, *in_url, raw.hex(), raw.hex().upper(), *_base64(raw)]
    long = {form for form in found if len(form) >= min(SHORTEST, len(secret))}
    return tuple(sorted(long, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=256)
def _bytes(secret: str) -> tuple[bytes, ...]:
    return tuple(form.encode("utf-8", "surrogateescape") for form in forms(secret))


def _base64(raw: bytes) -> list[str]:
    """Return the characters that are of ``raw`` alone, whatever was encoded around it."""
    found = []
    for before in range(3):
        bits = 8 * (before + len(raw))
        text = base64.b64encode(b"\0" * before + raw).decode()
        own = text[-(-8 * before // 6) : bits // 6]
        found += [own, own.translate(str.maketrans("+/", "-_"))]
    return [form for form in found if len(form) >= SHORTEST]
