"""What building environments and fetching models share: running tools, their logs, their errors.

A tool's whole output goes to a log; a person sees one line of progress at a time, and of a failure
its first meaningful line, the log's path and the next step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform as host
import re
import shutil
import signal
import subprocess
from typing import IO, TYPE_CHECKING

import filelock

from inferometer.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferometer.engine import Requirements
    from inferometer.errors import MachineError

DROPPED = re.compile(
    r"PYTHON.*|VIRTUAL_ENV|__PYVENV_LAUNCHER__|CONDA_PREFIX"
    r"|PIP_(TARGET|PREFIX|ROOT|USER|CONSTRAINT|REQUIREMENT|EDITABLE|DRY_RUN|REQUIRE_VIRTUALENV"
    r"|PYTHON|PYTHON_VERSION|PLATFORM|ABI|IMPLEMENTATION|LOG|QUIET|VERBOSE|REQUIRE_HASHES)"
)
"""Variables that would lead an interpreter or pip away from the environment it was started in."""

LEAST_FREE = 8 << 20
"""Bytes; a disk with less is taken to be full."""


def clean_variables(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a foreign interpreter: all but those that would mislead it.

    Proxies, certificates, HOME, PATH and pip's index settings stay.
    """
    variables = os.environ if base is None else base
    kept = {name: value for name, value in variables.items() if not DROPPED.fullmatch(name)}
    # A "user = true" in pip's configuration makes every install into a venv fail.
    return kept | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@contextlib.contextmanager
def held(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file; call ``waiting`` once if another process has it. The system frees it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_logged(
    argv: Sequence[str | Path],
    *,
    log: IO[str],
    line: Callable[[str], None],
    variables: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
) -> int:
    """Run a command to its end and return its exit status.

    Every line of stderr (and of stdout, unless ``stdout`` takes it) goes to ``log`` and to
    ``line``. The child is killed with all it started if this is interrupted.
    """
    log.write(f"$ {' '.join(map(str, argv))}\n")
    log.flush()
    process = subprocess.Popen(
        [str(part) for part in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.STDOUT if stdout is None else subprocess.PIPE,
        env=clean_variables() | dict(variables or {}),
        cwd="/",
        start_new_session=True,
        text=True,
        errors="replace",
    )
    stream = process.stdout if stdout is None else process.stderr
    assert stream is not None
    try:
        with stream:
            for text in stream:
                log.write(text)
                log.flush()
                line(text.rstrip())
        return process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def install(
    venv: Path,
    home: Path,
    requirements: Requirements,
    log: IO[str],
    progress: Callable[[str], None],
    *,
    python: Path,
) -> None:
    """Create the venv and install the lock; ask the optional index only for what is missing.

    Pins with hashes are installed with ``--require-hashes``, on their own: one without any would
    have pip refuse them all.

    Raises:
        EnvironmentBuildError: it could not be installed; names log and remedy.
    """
    name = requirements.distribution
    progress(f"{name}: creating an environment in {venv}")
    output = PipOutput(name, requirements.lock, progress)
    if run_logged([python, "-m", "venv", venv], log=log, line=output):
        raise output.error(EnvironmentBuildError, home / "build.log")
    command: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "install", "--no-deps"]
    command += ["--only-binary=:all:", "--progress-bar=off"]
    for options, pins in parted(requirements.lock):
        file = home / "part.txt"
        file.write_text(pins, encoding="utf-8")
        pip: list[str | Path] = [*command, *options, "-r", file]
        output = PipOutput(name, pins, progress)
        status = run_logged(pip, log=log, line=output)
        if status and output.missing and requirements.optional_index:
            progress(
                f"{name}: {output.missing} is not on the usual indexes; asking the optional one"
            )
            pip += ["--extra-index-url", requirements.optional_index]
            output = PipOutput(name, pins, progress)
            status = run_logged(pip, log=log, line=output)
        file.unlink()
        if status:
            raise output.error(EnvironmentBuildError, home / "build.log")


def parted(lock: str) -> list[tuple[list[str], str]]:
    """Return pip's options and the pins of each part of a lock: those without hashes first."""
    lines = [line for line in lock.replace("\\\n", " ").splitlines() if line.split("#")[0].strip()]
    always = [line for line in lines if line.startswith("-")]
    hashed = [line for line in lines if "--hash=" in line]
    bare = [line for line in lines if line not in {*always, *hashed}]
    parts = [(list[str](), bare), (["--require-hashes"], hashed)]
    return [(each, "\n".join([*always, *pins, ""])) for each, pins in parts if pins]


class PipOutput:
    """Reads pip line by line: reports progress, and remembers what went wrong first."""

    def __init__(self, name: str, pins: str, progress: Callable[[str], None]) -> None:
        self.name = name
        self.progress = progress
        self.total = sum(1 for line in pins.splitlines() if "==" in line.split("#")[0])
        self.seen = 0
        self.missing = ""
        """The first pin that no index had."""
        self.fault = ""
        self.last = "no message"
        self.offline = False
        self.full = False

    def __call__(self, line: str) -> None:
        """Take one line of output."""
        if line.startswith(("Collecting ", "Processing ")):
            self.seen += 1
            self.progress(f"{self.name}: fetching {self.seen}/{self.total} {line.split()[1]}")
        elif line.startswith("Installing collected packages"):
            self.progress(f"{self.name}: installing {self.total} distributions")
        self.offline |= "connection broken by" in line or "NameResolutionError" in line
        self.full |= "No space left on device" in line or "Disk quota exceeded" in line
        if found := re.search(r"No matching distribution found for (\S+)", line):
            self.missing = self.missing or found[1]
        if re.match(r"(ERROR|Error|error|OSError)\b", line) and "from versions:" not in line:
            self.fault = self.fault or line
        self.last = line or self.last

    def error(self, kind: type[MachineError], log: Path) -> MachineError:
        """Return the failure: the first meaningful line, the log, and the next step."""
        # ensurepip does not say why it failed; what it left still fills the disk at this point.
        if self.full or shutil.disk_usage(log.parent).free < LEAST_FREE:
            return disk_full(kind, log.parent)
        fault = self.fault or self.last
        hint = "Read the log."
        if self.offline:
            fault = f"a package index could not be reached ({fault})"
            hint = "Check the network, the proxy and `pip config list`, then run again."
        elif self.missing:
            hint = (
                f"No configured index has {self.missing} for Python {host.python_version()} on "
                f"{host.system()} {host.machine()}: check `pip config list`."
            )
        return kind(
            f"{self.name}: cannot be installed: {fault} (log: {log})",
            hint=f"{hint} Or name an interpreter of your own with `python` in the study.",
        )


def disk_full(kind: type[MachineError], place: Path) -> MachineError:
    """Return the error for a disk without room for an environment or a model."""
    return kind(
        f"{place}: no space left on this disk; nothing half-built is kept",
        hint="Free some 6 GB, or set INFEROMETER_CACHE to a folder on a larger disk.",
    )


@contextlib.contextmanager
def cache_errors(kind: type[MachineError], place: Path) -> Iterator[None]:
    """Turn operating-system errors about a place in the cache into one a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_full(kind, place) from error
        raise kind(
            f"{error.filename or place}: cannot be prepared: {error.strerror or error}",
            hint="Fix the permissions, or set INFEROMETER_CACHE to a folder you can write.",
        ) from error
