"""A server that someone else runs: where it is, what it says of itself, what cannot be known.

It is not started, not stopped and not restarted between rounds. What it was started with, and
whether it serves the weights that the study names, it does not say.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from inferometer.engine import Unsupported
from inferometer.loadgen.address import secrets, shown, target_of
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.engine import Engine
    from inferometer.loadgen.http import Target

ASK_S = 30.0
MODELS = "/v1/models"
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What bytes that are no JSON raise when they are decoded."""
Source = Literal["server", "study", ""]
PRECISION = "precision"
ELSEWHERE = "the server runs on another machine than this host's sensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is and what is known of it. The key is in ``target.headers`` alone.

    ``base`` stands before every path; ``model`` is the name that requests use; ``version_from``
    says who gave ``version``, empty when nobody did.
    """

    url: str
    target: Target
    base: str
    model: str = ""
    version: str = ""
    version_from: Source = ""
    served: Mapping[str, Any] = field(default_factory=dict)
    """What ``/v1/models`` says of the model."""

    @property
    def local(self) -> bool:
        """Say whether it is on this machine (a tunnel looks the same)."""
        if self.target.host == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.target.host).is_loopback
        return False

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what must be in no result: what is sent in the headers."""
        return secrets(self.target)

    @property
    def sha256(self) -> str:
        """Return the hash of what identifies it: equal hashes, the same server as far as seen."""
        return hashlib.sha256(json.dumps([self.url, self.model, self.version]).encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """Return what a launch record keeps of it."""
        return {
            "url": self.url,
            "served_model_name": self.model,
            "served_model": dict(self.served),
            "version_from": self.version_from,
            "declared": [PRECISION],
        }

    def get(self, path: str, *, timeout_s: float = ASK_S) -> tuple[int, bytes]:
        """GET a path below the base; raises OSError or HTTPException."""
        target = self.target
        return fetch(
            target.host,
            target.port,
            self.base + path,
            timeout_s=timeout_s,
            headers=target.headers,
            tls=target.tls.context() if target.tls is not None else None,
        )

    def get_json(self, path: str) -> object | None:
        """GET ``path`` and decode its JSON; None when the server has no such answer."""
        with suppress(OSError, http.client.HTTPException, *NO_JSON):
            status, body = self.get(path)
            if status == 200:
                return msgspec.json.decode(body, type=object)
        return None

    def ready(self, path: str) -> bool:
        """Say whether it answers: on the engine's own path, or with its models (gateways)."""
        for each in (path, MODELS):
            with suppress(OSError, http.client.HTTPException):
                if self.get(each, timeout_s=5.0)[0] == 200:
                    return True
        return False


def fetch(
    host: str,
    port: int,
    path: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """GET ``path``; return status and body (at most 8 MiB), all of it within ``timeout_s``.

    Raises OSError (TimeoutError among them) or HTTPException.
    """
    connection = (
        http.client.HTTPConnection(host, port, timeout=timeout_s)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    )
    late = threading.Event()
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        sock = connection.sock  # the connection lets go of it when the server closes

        def give_up() -> None:
            late.set()
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        # the socket's own timeout begins again with every byte of a server that dribbles
        timer = threading.Timer(timeout_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            answer = connection.getresponse()
            return answer.status, answer.read(8 << 20)
        finally:
            timer.cancel()
            if late.is_set():
                raise TimeoutError(f"no whole answer within {timeout_s:g} s")
    finally:
        connection.close()


def at(url: str, endpoint: str, api_key_env: str | None) -> Address:
    """Return the address that a study gives; ``endpoint`` is the adapter's path for requests.

    Raises:
        UsageError: no usable URL, or no key in that variable.
    """
    target = target_of(url, "completions", api_key_env=api_key_env, place="api_key_env =")
    base = urlsplit(url).path.rstrip("/").removesuffix("/completions").removesuffix("/v1")
    return Address(url=shown(url), target=replace(target, path=base + endpoint), base=base)


def look(address: Address, engine: Engine, *, model: str | None, version: str | None) -> Address:
    """Return ``address`` with the model's name and the version, asked from the server.

    ``model`` and ``version`` are the study's: the one must be served, the other is taken where the
    server does not say.

    Raises:
        Unsupported: it does not answer, does not serve ``model``, or serves several and none is
            named; or it says another version.
    """
    if not address.ready(engine.readiness.path):
        raise Unsupported(
            f"{engine.name}: no server answers at {address.url}",
            remedy="Start it there, or correct url; a key goes in api_key_env.",
        )
    served = _served(address)
    names = [str(entry["id"]) for entry in served]
    chosen = model or (names[0] if len(names) == 1 else None)
    if chosen is None or (names and chosen not in names):
        listed = plain(", ".join(names[:10])) or "no model that it names"
        raise Unsupported(
            f"{engine.name}: the server at {address.url} serves {listed}",
            remedy="Set served_model_name to what requests should ask for.",
        )
    told = _version(address, engine)
    if told and version and told.partition("+")[0] != version.partition("+")[0]:
        raise Unsupported(
            f"{engine.name}: the server at {address.url} is version {told}, not {version}",
            remedy="Correct engine_version, or leave it out.",
        )
    source: Source = "server" if told else "study" if version else ""
    entry = next((entry for entry in served if entry["id"] == chosen), {})
    keys = ("root", "max_model_len", "owned_by")
    facts: dict[str, Any] = {key: entry[key] for key in keys if key in entry}
    return replace(
        address,
        model=chosen,
        version=told or version or "",
        version_from=source,
        served=facts,
    )


def changed(address: Address, engine: Engine) -> str:
    """Return in words that the server is not what it was when it was looked at; empty if it is.

    It may be restarted with something else between two rounds, and nobody would tell us.
    """
    names = [str(entry["id"]) for entry in _served(address)]
    if names and address.model not in names:
        return f"the server at {address.url} does not serve {address.model} any more"
    told = _version(address, engine)
    if address.version_from == "server" and told != address.version:
        return f"the server at {address.url} was version {address.version}, now it says {told!r}"
    return ""


def _served(address: Address) -> Sequence[dict[str, Any]]:
    answer = address.get_json(MODELS)
    data = answer.get("data") if isinstance(answer, dict) else None
    entries = data if isinstance(data, list) else []
    return [e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str)]


def _version(address: Address, engine: Engine) -> str:
    """Return the version that one of the engine's own routes tells, else nothing."""
    paths = dict.fromkeys(("/version", *engine.resolved_configuration))
    for path in (path for path in paths if path != MODELS):
        answer = address.get_json(path.partition("#")[0])
        told = answer.get("version") if isinstance(answer, dict) else None
        if isinstance(told, str) and told:
            return plain(told)[:64]
    return ""
