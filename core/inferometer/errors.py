"""Errors a person can act on, and the exit code each one ends the program with.

    InferometerError                1  a bug, or something nobody foresaw
    |-- UsageError                  2  a flag, a study or another input is wrong
    |   `-- StudyError              2  every problem of one study file, by key path
    |-- GateError                   3  a check that was asked for did not pass
    |-- InconclusiveError           4  the numbers asked for cannot be had from these results
    |-- IncompleteError             5  some launches failed, or some results; the rest is there
    `-- MachineError                6  this machine cannot do what was asked
        |-- EnvironmentBuildError   6  an engine's environment could not be built
        |-- LaunchError             5  an engine did not start, or died (one launch is lost)
        `-- StorageError            6  the results directory cannot be written
    Interrupted                   130  Ctrl-C or SIGTERM; what is finished stays, `run` resumes

The codes are those of ``docs/reference/exit-codes.md``. Each message names the thing, the place
and the next step; ``hint`` holds the next step.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class InferometerError(Exception):
    """Base of every error this program raises on purpose.

    ``hint`` is the next step, in the imperative; ``exit_code`` ends the process.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(InferometerError):
    """The request itself is wrong: a flag, a name, a file that is not there."""

    exit_code = 2

    @classmethod
    def unknown(cls, kind: str, name: str, known: Iterable[str], *, place: str = "") -> UsageError:
        """``name`` is no ``kind``; suggest the nearest of ``known``."""
        names = sorted(known)
        where = f" ({place})" if place else ""
        near = closest(name, names)
        listed = ", ".join(names) or "none"
        hint = f"Did you mean {near!r}? " if near else ""
        return cls(f"no {kind} named {name!r}{where}", hint=f"{hint}Known: {listed}.")


class StudyError(UsageError):
    """Every problem found in one study file.

    ``problems`` are ``(key path, message)``, in file order. ``lines`` are the lines of key paths;
    a key that the file lacks has the line of the table that lacks it.
    """

    def __init__(
        self,
        path: str,
        problems: Sequence[tuple[str, str]],
        lines: Mapping[str, int] | None = None,
    ) -> None:
        said = [f"{path}: {len(problems)} problem{'s' if len(problems) != 1 else ''}"]
        said += [f"  {_line(key, lines or {})}{key}: {text}" for key, text in problems]
        super().__init__("\n".join(said), hint="Correct the keys named above.")
        self.problems = tuple(problems)


class GateError(InferometerError):
    """What was checked did not pass; the findings are on stdout."""

    exit_code = 3


class InconclusiveError(InferometerError):
    """The results do not hold what the answer needs."""

    exit_code = 4


class IncompleteError(InferometerError):
    """Some launches failed; everything else is stored and reported."""

    exit_code = 5


class MachineError(InferometerError):
    """This machine cannot do what was asked."""

    exit_code = 6


class EnvironmentBuildError(MachineError):
    """An engine's environment could not be built."""


class LaunchError(MachineError):
    """An engine did not start, never got ready, or died.

    ``reason`` is a word of the missing-value vocabulary or a failure class of the adapter;
    ``stage`` is ``start``, ``load``, ``ready`` or ``serve``; ``log_tail`` holds the last lines.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        reason: str = "failed",
        stage: str = "start",
        log_tail: Sequence[str] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.stage = stage
        self.log_tail = tuple(log_tail)


class StorageError(MachineError):
    """The results directory cannot be written."""


class Interrupted(InferometerError):  # noqa: N818 -- it is an ending, not a fault
    """Stopped by the person or the system; what is finished is kept."""

    exit_code = 130


def words(error: Exception, most: int = 300) -> str:
    """Return what a library says of somebody's file, which it may quote at length, as one line."""
    said = " ".join(str(error).split())
    return said if len(said) <= most else f"{said[: most - 3]}..."


def _line(key: str, lines: Mapping[str, int]) -> str:
    while key and key not in lines:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return f"line {lines[key]}, " if key else ""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the member of ``known`` nearest to ``name``, or None when none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
