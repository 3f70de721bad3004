"""A fault, what Inferometer must say of it, and what it said: values, and how they are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.running import Run

DONE = "[2/2]"
"""What is said on the way by a run that gets to its last launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a run with a fault must come to."""

    exit: int
    """Exit code of the command; below 0 the signal that ended it."""
    launch: str = "ok"
    """Of the stack with the fault: ``ok``, ``STAGE: REASON`` of its failure, or ``none``."""
    others: str = "ok"
    """The stack beside it: ``ok`` when its launch is whole and all its requests are."""
    request: str = ""
    """Status that some of its requests have, other than ``ok`` and ``cut``."""
    meter: str = ""
    """Reason of the meter with the fault."""
    check: str = ""
    """A check and its verdict, or a figure and why it is absent: ``loop lag: fail``."""
    says: str
    """Words that a person finds: on stderr, in a failure, a request or a meter."""

    def brief(self) -> str:
        """Return its codes in one line."""
        return _brief(self.exit, self.launch, self.request, self.meter, self.check)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run came to, in the words of :class:`Expected`."""

    exit: int
    launch: str
    others: str
    request: str
    meter: str
    checks: frozenset[str]
    said: str
    out: str
    err: str
    left: tuple[str, ...]
    """Processes, files, locks and ports that are still there."""

    def brief(self, wanted: Expected) -> str:
        """Return its codes in one line, and the check that was looked for."""
        check = wanted.check if wanted.check in self.checks else ""
        return _brief(self.exit, self.launch, self.request, self.meter, check)


def _brief(code: int, *codes: str) -> str:
    return f"exit {code}: {', '.join(filter(None, codes))}"


def nothing(_run: Run) -> None:
    """Let the run be."""


def as_it_is(_run: Run) -> AbstractContextManager[None]:
    """Change nothing beforehand."""
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, how it is put in, and what must come of it.

    It is in the first of two stacks that a study compares, or in what both of them share.
    """

    name: str
    what: str
    """What happens, for the table in the docs."""
    expected: Expected
    engine: tuple[str, ...] = ()
    """Options of the oracle that stands for the first stack."""
    entry: Mapping[str, Any] = field(default_factory=dict)
    """Keys of its ``[[engines]]`` table."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    streams: int = 2
    meter: str = ""
    """The fault of a meter that is read beside."""
    plugin: str = ""
    """A stranger's plugin: its module's text."""
    inside: tuple[str, ...] = ()
    """Faults of :mod:`tests.faults.program`."""
    limits: Mapping[int, int] = field(default_factory=dict)
    """Of the process, by number (``setrlimit``)."""
    bound: bool = False
    """Take from root what lets it write anywhere."""
    before: Callable[[Run], AbstractContextManager[None]] = as_it_is
    beside: Callable[[Run], None] = nothing
    """Acts while the run goes on."""
    words: tuple[str, ...] = ()
    """Another command line than that of ``run``."""
    resumes: bool = False
    """Run again without the fault: what was finished stays, the rest is measured."""


def disagreements(expected: Expected, found: Found) -> list[str]:
    """Return in words where they differ."""
    wrong = [
        f"{name}: expected {wanted!r}, found {seen!r}"
        for name in ("exit", "launch", "others", "request", "meter")
        if (wanted := getattr(expected, name)) != (seen := getattr(found, name))
    ]
    if expected.check and expected.check not in found.checks:
        wrong.append(f"check: expected {expected.check!r}, found {sorted(found.checks)}")
    if not expected.says or expected.says not in found.said:
        wrong.append(f"says: expected {expected.says!r}, found {found.said[-2000:]!r}")
    if "Traceback" in found.err:
        wrong.append(f"a traceback: {found.err[-3000:]}")
    lines = found.err.splitlines()
    errors = [at for at, line in enumerate(lines) if line.startswith("error:")]
    if errors and (len(errors) > 1 or len(lines) > errors[0] + 2):
        wrong.append(f"more than an error and its hint: {lines[errors[0] :]}")
    strange = sorted({char for char in found.said if not (char.isprintable() or char in "\n\t")})
    wrong += [f"control characters: {strange!r}"] if strange else []
    return [*wrong, *(f"left: {what}" for what in found.left)]


def others_than(expected: Expected) -> Iterator[Expected]:
    """Yield expectations that are wrong in one place each."""
    for name in ("launch", "others", "request", "meter"):
        yield dataclasses.replace(expected, **{name: getattr(expected, name) + "?"})
    yield dataclasses.replace(expected, exit=expected.exit + 1)
    yield dataclasses.replace(expected, says=expected.says + " never said")
    yield dataclasses.replace(expected, says="")
    yield dataclasses.replace(expected, check="no such check: fail")
