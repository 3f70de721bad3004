"""What a check is, where it looks, and how it is kept from spoiling the others."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from inferometer.installing import clean_variables
from inferometer.plugins import Registry
from inferometer.redact import plain, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
DEADLINE_S = 10.0
"""For one check. What it waits for itself ends sooner."""
Status = Literal["ok", "warn", "fail", "skip"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the examination. ``skip`` is what does not apply here; ``found`` says why."""

    id: str
    status: Status
    found: str
    remedy: str = ""


class Finding(NamedTuple):
    """What a probe found; :func:`ok` and its neighbours make it."""

    status: Status
    found: str
    remedy: str = ""


def ok(found: str) -> Finding:
    """Say that there is nothing to mend."""
    return Finding("ok", found)


def warn(found: str, remedy: str) -> Finding:
    """Say that it runs, but numbers may be worse, or some cannot be had."""
    return Finding("warn", found, remedy)


def fail(found: str, remedy: str) -> Finding:
    """Say that it does not run until this is mended."""
    return Finding("fail", found, remedy)


def skip(found: str, remedy: str = "") -> Finding:
    """Say that it does not apply here; ``remedy`` where somebody may want it to."""
    return Finding("skip", found, remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where probes look. Tests put files and modules of their own here."""

    root: Path = Path("/")
    """Where ``proc``, ``sys``, ``dev``, ``etc`` and ``run`` stand."""
    cache: Path = Path()
    results: Path = Path()
    """Folder that results would be written to; need not exist."""
    registry: Registry = field(default_factory=Registry)
    nvml: Callable[[], Any] = lambda: import_module("pynvml")
    """Imports the NVIDIA management library's bindings, or raises ``ImportError``."""

    def text(self, path: str) -> str | None:
        """Return the stripped text of a file under ``root``; None if missing, barred or empty."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip() or None
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return the whole number in a file under ``root``; None if there is none."""
        found = self.text(path) or ""
        return int(found) if found.lstrip("-").isdigit() else None


class Probe(NamedTuple):
    """A check by name, not made yet."""

    id: str
    look: Callable[[Site], Finding]


class Late(Exception):  # noqa: N818 -- an answer that did not come
    """What was asked did not return in time."""


def within(deadline_s: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises, ``SystemExit`` too.

    One that does not return is left behind in a thread that dies with the process.

    Raises:
        Late: it did not return in time.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 -- raised again where it was asked
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(deadline_s)
    if errors:
        raise errors[0]
    if not answers:
        raise Late(f"no answer within {deadline_s:g} s")
    return answers[0]


def made(probe: Probe, site: Site, deadline_s: float = DEADLINE_S) -> Check:
    """Return the check of one probe: also if it raises, and also if it does not return."""
    try:
        status, said, remedy = within(deadline_s, lambda: probe.look(site))
    except KeyboardInterrupt:
        raise
    except Late as late:
        status, said, remedy = fail(
            str(late), "Look for what hangs: a driver, a mount or a daemon; then retry."
        )
    except BaseException as error:  # noqa: BLE001 -- its own line must not cost the others
        raised = f"could not be looked at: {type(error).__name__}: {error}".rstrip(": ")
        status, said, remedy = fail(raised, "Report this line with what is unusual here.")
    return Check(id=probe.id, status=status, found=text(plain(said)), remedy=text(plain(remedy)))


def asked(argv: Sequence[str], timeout_s: float = 5.0) -> subprocess.CompletedProcess[str]:
    """Run a program that reads and ends; raises ``OSError`` or ``TimeoutExpired``."""
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=clean_variables(),
        cwd="/",
        timeout=timeout_s,
        check=False,
    )


def gib(size_bytes: float) -> str:
    """Return bytes as ``23.5 GiB``."""
    return f"{size_bytes / 2**30:.1f} GiB"
