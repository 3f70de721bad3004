"""One model in the making: its scripts, its log, and the folder that appears when it is whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from inferometer.errors import MachineError, UsageError
from inferometer.installing import clean_variables, run_logged
from inferometer.model import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SCRIPTS = Path(__file__).parents[1] / "scripts"
NEEDED = ("torch", "transformers", "safetensors")
"""Modules without which an interpreter can make no model."""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A model in the making, by the interpreter that has torch."""

    name: str
    python: Path
    log: IO[str]
    progress: Callable[[str], None]

    def run(self, script: str, *arguments: object) -> dict[str, Any]:
        """Run one of :data:`SCRIPTS` and return the JSON object it prints.

        Raises:
            MachineError: it failed; names its last words and the log.
        """
        tail = ["no message"]

        def line(text: str) -> None:
            if text.startswith("progress: "):
                self.progress(f"{self.name}: {text.removeprefix('progress: ')}")
            elif text.strip():
                tail.append(text.removeprefix("error: "))

        argv = [str(self.python), str(SCRIPTS / script), *map(str, arguments)]
        with tempfile.TemporaryFile() as stdout:
            status = run_logged(argv, log=self.log, line=line, variables=OFFLINE, stdout=stdout)
            stdout.seek(0)
            printed = stdout.read()
        try:
            if status == 0:
                answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
                return answer
        except (ValueError, IndexError):
            tail.append("printed no result")
        raise MachineError(
            f"{self.name}: {script} failed: {tail[-1]} (status {status}, log: {self.log.name})",
            hint="Is there enough memory and disk? Read the log, then run again.",
        )


def has(python: Path, modules: Sequence[str] = NEEDED) -> bool:
    """Say whether an interpreter has ``modules``. Imports nothing heavy."""
    code = (
        "import importlib.util as u, sys; "
        f"sys.exit(not all(u.find_spec(name) for name in {tuple(modules)!r}))"
    )
    try:
        done = subprocess.run(
            [str(python), "-c", code],
            env=clean_variables(),
            cwd="/",
            capture_output=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def log_of(folder: Path) -> Path:
    """Return where the output of making ``folder`` is kept: under a name that is ours alone."""
    return folder.with_name(f"{folder.name}.making.log")


@contextlib.contextmanager
def whole(
    folder: Path, name: str, python: Path, progress: Callable[[str], None]
) -> Iterator[tuple[Job, Path]]:
    """Give a job and an empty folder beside ``folder``; its content stands there afterwards.

    The content comes whole, or not at all when the block raises; the log stays.
    """
    work = Path(tempfile.mkdtemp(prefix=f".making-{folder.name}-", dir=folder.parent))
    try:
        with log_of(folder).open("w", encoding="utf-8") as log:
            out = work / "model"
            out.mkdir()
            yield Job(name=name, python=python, log=log, progress=progress), out
            for file in out.iterdir():
                _settle(file)
            out.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def mark(out: Path, content: Mapping[str, Any]) -> None:
    """Write what a model is and what made it beside its weights."""
    text = json.dumps(content, indent=1, sort_keys=True)
    (out / MARKER).write_text(text + "\n", encoding="utf-8")


def refuse_taken(folder: Path) -> None:
    """Refuse a target that holds something (:class:`UsageError`)."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(
            f"{folder}: something is there already",
            hint="Remove it, or give another folder with --out.",
        )
    if not folder.parent.is_dir():
        raise UsageError(
            f"{folder.parent}: no such folder", hint="Make it, or give another place with --out."
        )


def _settle(file: Path) -> None:
    """Make a file readable for everyone (scratch files are private) and flush it to disk."""
    file.chmod(0o644)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
