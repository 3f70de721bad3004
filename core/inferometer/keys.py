"""The key of one launch: made for it, given to its server, sent with every request, never stored.

A server of ours listens on this machine alone, and still any program and any web page here could
ask it for work in the middle of a window. With a key of its own it answers nobody but us.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inferometer import withheld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from msgspec import UnsetType

    from inferometer.engine import ApiKey, Command

PREFIX = "ifm_"
"""Begins every key: what is left of one is known by it (:data:`inferometer.redact.VALUE`)."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A command whose server has its key; ``headers`` go with each request to it."""

    command: Command = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    """Where the key is while the engine starts and runs, if it is in a file."""


@contextmanager
def keyed(
    command: Command, how: ApiKey | None, folder: Path, inherit: Sequence[str] = ()
) -> Iterator[Keyed]:
    """Give ``command`` a new key as its engine takes one; a file with it goes in the end.

    One that the study hands on itself (``inherit``) is used as it is. A file is made in a folder of
    its own below ``folder``, for its owner alone to read.
    """
    if how is None or (how.flag and _given(how.flag, command.argv)):
        yield Keyed(command)
        return
    if how.variable and (own := os.environ.get(how.variable)) and how.variable in inherit:
        yield Keyed(command, bearer(own))
        return
    key = PREFIX + secrets.token_urlsafe(32)
    withheld.learn([key])
    if how.variable:
        yield Keyed(replace(command, env={**command.env, how.variable: key}), bearer(key))
        return
    place = folder / "key"
    place.mkdir(mode=0o700)
    try:
        descriptor = os.open(place / how.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(how.text.replace("{}", key))
        argv = (*command.argv, how.flag, str(place / how.file))
        yield Keyed(replace(command, argv=argv), bearer(key), place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def wanted(how: ApiKey | None, asked: bool | UnsetType) -> ApiKey | None:
    """Return ``how`` where a key is to be given; ``asked`` is what the study says of it."""
    if how is None or asked is False or (how.slows and asked is not True):
        return None
    return how


def bearer(key: str) -> dict[str, str]:
    """Return the headers that carry a key."""
    return {"authorization": f"Bearer {key}"}


def _given(flag: str, argv: Sequence[str]) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in argv)
