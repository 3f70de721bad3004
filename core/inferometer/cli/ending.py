"""How a command ends when it did not succeed: one line that says what, one what to do, a code.

No traceback is shown: that of a bug goes into a file, which the line names.
"""

from __future__ import annotations

import errno
import os
import select
import shlex
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING

import click

from inferometer.errors import InferometerError, Interrupted, MachineError, StorageError, UsageError
from inferometer.redact import plain, text

if TYPE_CHECKING:
    from collections.abc import Sequence

READER_GONE = 128 + 13
"""Whoever read standard output went away, as ``head`` does: what SIGPIPE would have ended with."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PipeError(Exception):
    """A pipe broke: standard output, or one of our own; the cause is the error itself."""


def ended(error: BaseException, words: Sequence[str]) -> int:
    """Say how a command ended, and return the exit code."""
    if isinstance(error, PipeError):
        if _reader_gone():
            return READER_GONE
        error = error.__cause__ or error
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    ours = _ours(error)
    if isinstance(ours, Interrupted) and not ours.hint:
        ours.hint = f"Resume with: {shlex.join(['inferometer', *words])}"
    click.echo(f"error: {text(plain(ours.message))}", err=True)
    if ours.hint:
        click.echo(f"hint: {text(plain(ours.hint))}", err=True)
    return ours.exit_code


def _ours(error: BaseException) -> InferometerError:
    match error:
        case InferometerError():
            return error
        case click.Abort() | KeyboardInterrupt():
            return Interrupted("interrupted; what is finished is kept")
        case click.ClickException():
            return _mistyped(error)
        case MemoryError():
            hint = "Free memory, then run the same command again."
            return MachineError("not enough memory on this machine", hint=hint)
        case SystemExit():
            said = f"something called sys.exit({error.code!r}), which is for us to do"
            hint = "It was an engine's adapter, a meter or another plugin: tell its author."
            return MachineError(said, hint=hint)
    found = _of_machine(error) if isinstance(error, OSError) else None
    return found or _bug(error)


def _of_machine(error: OSError) -> InferometerError | None:
    """Return what the system says of a file, or None where it names none."""
    if error.errno in FULL:
        name = os.fsdecode(error.filename or "a file, or the standard output")
        hint = "Free space, then run the same command again."
        return StorageError(f"{name}: {error.strerror}", hint=hint)
    if not error.filename:
        return None
    hint = "See whether it is there, and who may use it."
    return MachineError(f"{os.fsdecode(error.filename)}: {error.strerror}", hint=hint)


def _mistyped(error: click.ClickException) -> UsageError:
    """Return what click says of a command line as one of ours."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "inferometer"
    said = " ".join(error.format_message().split())
    return UsageError(said.rstrip("."), hint=f"See: {path} --help")


def _bug(error: BaseException) -> InferometerError:
    what = " ".join(text(f"{type(error).__name__}: {error}").split())
    told = text("".join(traceback.format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="inferometer-bug-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(told)
    except OSError:  # no folder for it: better shown than lost
        click.echo(plain(told), err=True)
        path = "the lines above"
    hint = f"Report it, with {path}; what is finished is kept."
    return InferometerError(f"this is a bug in inferometer: {what[:300]}", hint=hint)


def _reader_gone() -> bool:
    """Say whether nobody reads standard output; then nothing more is written to it.

    Else the interpreter would try once more when it ends.
    """
    try:
        descriptor = sys.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, 0)
        if not any(event & select.POLLERR for _, event in poll.poll(0)):
            return False
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    except (OSError, ValueError):  # it is no file
        return False
    return True
