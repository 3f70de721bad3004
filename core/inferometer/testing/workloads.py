"""The conformance kit of commands that write a workload: the file must be one that a study takes.

In a pytest file::

    from inferometer.testing import workloads

    test_workload = workloads.suite(command)

where ``command`` is the click command. It takes the file to write, ``WORKLOAD_FILE``, and an option
``--seed``; whatever else it takes has a default. Without pytest, :func:`run`.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import chdir, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferometer.errors import UsageError
from inferometer.testing.check import (
    Check,
    Failed,
    NotApplicable,
    cases,
    check,
    checks_of,
    known_of,
    need,
    printed,
    ran,
)
from inferometer.workloads import datasets, traces

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from inferometer.testing.check import Result
    from inferometer.workloads.datasets import Pair
    from inferometer.workloads.traces import Trace

ARGUMENT = "workload_file"
"""By this argument a command is known to write a workload."""
NAME = "workload.jsonl"
LEAST = 16
"""Requests: fewer are no traffic."""


@dataclass(frozen=True)
class Kit:
    """One command, and its known failures by check id."""

    command: click.Command
    known: Mapping[str, str] = field(default_factory=dict)

    def written(self, seed: int = 1) -> bytes:
        """Return what it writes; each seed is asked for once."""
        return _written(self.command, seed)

    def trace(self) -> Trace:
        """Return what it writes as a trace; there is nothing to check where it is none."""
        try:
            found: Trace = _read(self.written(), traces.read)
        except UsageError as error:
            raise NotApplicable("it writes lengths and no trace") from error
        return found


def run(
    command: click.Command,
    *,
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Check a command that writes a workload.

    ``known`` are the reasons of failures by check id (left out: the command's own
    ``known_failures``), ``only`` names the checks to run, ``told`` gets each result at once.

    Raises:
        UsageError: there is no such check.
    """
    return ran(CHECKS, Kit(command, known_of(command, known)), only, told)


def suite(command: click.Command, *, known: Mapping[str, str] | None = None) -> Callable[..., None]:
    """Return a pytest function with one case for each check; the arguments are those of `run`."""
    return cases(CHECKS, lambda: nullcontext(Kit(command, known_of(command, known))))


def makes_one(command: click.Command) -> bool:
    """Say whether a command writes a workload."""
    return any(parameter.name == ARGUMENT for parameter in command.params)


# -- checks --------------------------------------------------------------------------------------


@check
def takes_a_file_and_a_seed(kit: Kit) -> None:
    """It takes the file to write and a seed, and has defaults for whatever else it takes."""
    parameters = {parameter.name: parameter for parameter in kit.command.params}
    need(ARGUMENT in parameters, "it has no argument WORKLOAD_FILE")
    need("seed" in parameters, "it has no option --seed")
    wanting = [name for name, it in parameters.items() if it.required and name != ARGUMENT]
    need(not wanting, f"it needs {', '.join(map(str, wanting))}")


@check
def a_study_takes_the_file(kit: Kit) -> None:
    """The file is a trace for ``[[loads]]``, or lengths for ``[[workloads]]``."""
    try:
        _read(kit.written(), traces.read)
    except UsageError as refused:
        try:
            _read(kit.written(), _lengths)
        except UsageError as also:
            said = f"as a trace: {refused.message}; as lengths: {also.message}"
            raise Failed(said) from also


@check
def every_request_counts(kit: Kit) -> None:
    """No request of it is skipped: each has a prompt and an answer."""
    trace = kit.trace()
    need(not trace.skipped, f"{trace.skipped} rows have no prompt or no answer")


@check
def enough_to_load_a_server(kit: Kit) -> None:
    """It has requests enough to be traffic."""
    try:
        found = len(_read(kit.written(), traces.read).rows)
    except UsageError:
        found = len(_read(kit.written(), _lengths))
    need(found >= LEAST, f"{found} requests, fewer than {LEAST}")


@check
def same_seed_same_bytes(kit: Kit) -> None:
    """The same seed writes the same bytes: everybody can write the file that results name."""
    _written.cache_clear()
    first = kit.written()
    _written.cache_clear()
    need(first == kit.written(), "the file differs from call to call")


@check
def another_seed_another_file(kit: Kit) -> None:
    """Another seed writes other bytes: what is drawn follows it."""
    need(kit.written(1) != kit.written(2), "the seed changes nothing")


@check
def writes_that_file_alone(kit: Kit) -> None:
    """It writes the file it is told to, and no other."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        _call(kit.command, Path(folder, NAME), 1)
        need(os.listdir() == [NAME], f"it wrote {', '.join(sorted(os.listdir())) or 'nothing'}")


@check
def prints_nothing(kit: Kit) -> None:
    """Nothing goes to stdout, which is for results."""
    with tempfile.TemporaryDirectory() as folder, printed() as written:
        _call(kit.command, Path(folder, NAME), 1)
    need(not written, f"printed {b''.join(written)[:60]!r}")


@cache
def _written(command: click.Command, seed: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _call(command, Path(folder, NAME), seed)
        with suppress(FileNotFoundError):
            return Path(folder, NAME).read_bytes()
    raise Failed("it writes no file")


def _call(command: click.Command, path: Path, seed: int) -> None:
    words = [str(path), "--seed", str(seed)]
    command.main(words, prog_name=command.name, standalone_mode=False)


def _read(content: bytes, reader: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, NAME)
        path.write_bytes(content)
        return reader(path)


def _lengths(path: Path) -> list[Pair]:
    return datasets.read(path, lambda text: len(text.split()))


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
"""In the order in which they run and are told."""
