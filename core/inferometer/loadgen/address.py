"""From a URL to a target: base paths, keys from the environment, custom headers, TLS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from inferometer import __version__, redact, withheld
from inferometer.errors import UsageError
from inferometer.loadgen.http import Target, Tls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from urllib.parse import SplitResult

Endpoint = Literal["completions", "chat"]
PATHS: dict[Endpoint, str] = {"completions": "/completions", "chat": "/chat/completions"}
OURS = ("content-length", "transfer-encoding", "connection")
"""Headers that frame the request; they are not for others to set."""
PORTS = {"http": 80, "https": 443}


def target_of(
    url: str,
    endpoint: Endpoint,
    *,
    headers: Sequence[str] = (),
    api_key_env: str | None = None,
    insecure: bool = False,
    environ: Mapping[str, str] | None = None,
    place: str = "--api-key-env",
) -> Target:
    """Return where requests to ``url`` go.

    ``url`` may have a base path and may end in ``/v1`` or in the endpoint itself. ``headers`` are
    ``Name: value``. The key is read from the variable named ``api_key_env`` and sent as a bearer
    token; it is part of no message and of no ``repr``. ``place`` is what a person calls that.

    Raises:
        UsageError: no usable URL, a malformed header, or no such variable.
    """
    parts = _split(url, place)
    sent = {"user-agent": f"inferometer/{__version__}"}  # gateways refuse clients without one
    sent |= dict(_header(line) for line in headers)
    if api_key_env is not None:
        key = (os.environ if environ is None else environ).get(api_key_env, "")
        if not key.strip() or not _plain(key.strip()):
            raise UsageError(
                f"{place} {api_key_env}: that variable holds no usable key",
                hint=f"Set it first: export {api_key_env}=...",
            )
        withheld.learn([key.strip()])
        sent["authorization"] = f"Bearer {key.strip()}"
    return Target(
        host=parts.hostname or "",
        port=parts.port or PORTS[parts.scheme],
        path=_path(parts.path, endpoint) + (f"?{parts.query}" if parts.query else ""),
        headers=sent,
        tls=Tls(insecure) if parts.scheme == "https" else None,
    )


def shown(url: str) -> str:
    """Return ``url`` for eyes and files: without the query, which may hold a key."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def secrets(target: Target) -> tuple[str, ...]:
    """Return what of a target's headers must stay out of results, the longest first."""
    sent = [part for value in target.headers.values() for part in (value, value.split(" ")[-1])]
    own = f"inferometer/{__version__}"
    # anything shorter also occurs by chance
    found = {part for part in sent if len(part) > 5 and part != own}
    return tuple(sorted(found, key=len, reverse=True))


def _split(url: str, place: str) -> SplitResult:
    hint = "Write it as http://127.0.0.1:8000 or https://host/base/v1."
    named = repr(redact.text(url.partition("?")[0]))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{named}: not a usable URL: {error}", hint=hint) from error
    if parts.scheme not in PORTS or not parts.hostname or port == 0 or not _plain(url):
        raise UsageError(f"{named}: not a URL with http or https, a host and a port", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "a URL with a user or a password in it would end up in shell histories and logs",
            hint=f"Name an environment variable instead: {place} NAME.",
        )
    return parts


def _path(base: str, endpoint: Endpoint) -> str:
    base, end = base.rstrip("/"), PATHS[endpoint]
    if base.endswith(end):
        return base
    if base.rpartition("/")[2] == "v1":
        return base + end
    return f"{base}/v1{end}"


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or " " in name.strip() or not _plain(line):
        raise UsageError(
            f"--header {name.strip()!r}: not of the form 'Name: value'",
            hint="Write it in quotes: --header 'Name: value'.",
        )
    if name.strip().lower() in OURS:
        raise UsageError(
            f"--header {name.strip()!r}: set by the client itself", hint="Leave it out."
        )
    return name.strip().lower(), value.strip()


def _plain(text: str) -> bool:
    """Say whether ``text`` may stand in a request head: one line of Latin-1."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return not any(ord(letter) < 32 or ord(letter) == 127 for letter in text)
