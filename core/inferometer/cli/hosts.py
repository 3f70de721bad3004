"""Options about load hosts that several commands share."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.loadgen.far import Host

VARIABLE = "INFEROMETER_LOAD_TOKEN"
HELP = "Send it from there: HOST:PORT,... of `inferometer loadhost`, or NAME=COUNT of a plugin."

F = TypeVar("F", bound="Callable[..., Any]")


def token_file(command: F) -> F:
    """Add the option that says where the token is."""
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"File with the load hosts' token; without it {VARIABLE} holds it.",
    )(command)


def option(command: F) -> F:
    """Add the options of a command that can send a load from elsewhere."""
    return click.option("--load-hosts", metavar="WHERE", help=HELP)(token_file(command))


def token(file: Path | None) -> bytes:
    """Return the token of a file, or of the variable. Raises UsageError."""
    from inferometer.errors import UsageError
    from inferometer.loadgen import handshake

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
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise UsageError(
            f"{file}: no token can be read: {why}",
            hint="Give the path of a file that holds the token and nothing else.",
        ) from error
    return handshake.checked(text, str(file))


def address_of(text: str, place: str, *, least_port: int = 1) -> tuple[str, int]:
    """Return host and port of ``host:port``. Raises UsageError."""
    from inferometer.errors import UsageError

    name, _, port = text.strip().rpartition(":")
    if not name or not port.isdecimal() or not least_port <= int(port) <= 65535:
        raise UsageError(
            f"{place} {text}: not of the form HOST:PORT",
            hint="For example 10.0.0.5:7433; what a plugin starts is NAME=COUNT, as in ray=2.",
        )
    return name.strip("[]"), int(port)


@contextmanager
def opened(where: str | None, file: Path | None) -> Iterator[tuple[Host, ...]]:
    """Yield the load hosts of ``--load-hosts``; none when it was not given.

    Raises:
        UsageError: it cannot be read, or there is no token.
        MachineError: a plugin cannot start them.
    """
    from inferometer.loadgen.far import Host

    names = [part.strip() for part in (where or "").split(",") if part.strip()]
    given = [name for name in names if "=" not in name]
    for name in given:
        address_of(name, "--load-hosts")
    known = token(file) if given else b""
    with ExitStack() as stack:
        found = [Host(name, known) for name in given]
        for name in names:
            if name not in given:
                found += stack.enter_context(_started(name))
        yield tuple(found)


@contextmanager
def _started(named: str) -> Iterator[list[Host]]:
    """Have a plugin start load hosts, with a token of their own."""
    from inferometer.errors import UsageError
    from inferometer.loadgen.far import Host
    from inferometer.plugins import Registry

    name, _, count = named.partition("=")
    known = Registry().load_hosts()
    if name not in known:
        raise UsageError.unknown("way to start load hosts", name, known, place="--load-hosts")
    if not count.isdecimal() or not 0 < int(count) <= 1000:
        raise UsageError(
            f"--load-hosts {named}: {count!r} is no number of hosts",
            hint=f"For example {name}=2.",
        )
    secret = secrets.token_hex(16)
    with known[name].start(int(count), secret) as addresses:
        yield [Host(address, secret.encode()) for address in addresses]
