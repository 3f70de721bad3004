"""What may happen to results that are stored: the checker names the file, and what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from typing import TYPE_CHECKING

from tests.faults.fault import Expected, Fault, alone
from tests.faults.running import ran

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.faults.running import Run


def _launch(run: Run) -> Path:
    (found,) = run.results.glob("launches/r1-faulty-*")
    return found


@contextlib.contextmanager
def cut(run: Run) -> Iterator[None]:
    """Cut a file in its middle."""
    path = _launch(run) / "requests.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    yield
    path.write_bytes(whole)


@contextlib.contextmanager
def edited(run: Run) -> Iterator[None]:
    """Change a digit of a file."""
    path = _launch(run) / "requests.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"output_tokens":8', b'"output_tokens":9', 1))
    yield
    path.write_bytes(whole)


@contextlib.contextmanager
def gone(run: Run) -> Iterator[None]:
    """Take a launch away."""
    path, aside = _launch(run), run.folder / "aside"
    path.rename(aside)
    yield
    aside.rename(path)


@contextlib.contextmanager
def put_in(run: Run) -> Iterator[None]:
    """Put a launch in under another name."""
    path = _launch(run)
    twin = shutil.copytree(path, path.with_name(path.name.replace("r1-", "r2-")))
    yield
    shutil.rmtree(twin)


@contextlib.contextmanager
def another_plan(run: Run) -> Iterator[None]:
    """Change the study."""
    text = run.study.read_text()
    run.study.write_text(text.replace("window_s = 0.4", "window_s = 0.5"))
    yield
    run.study.write_text(text)


def measured(
    then: Callable[[Run], AbstractContextManager[None]],
) -> Callable[[Run], AbstractContextManager[None]]:
    """Return what measures the study and then damages what was stored."""

    @contextlib.contextmanager
    def before(run: Run) -> Iterator[None]:
        clean = Fault(name="", what="", expected=Expected(exit=0, says=""))
        assert ran(clean, run)[0] == 0
        with then(run):
            yield

    return before


def _damaged(
    name: str, what: str, then: Callable[[Run], AbstractContextManager[None]], says: str
) -> Fault:
    return Fault(
        name=f"results {name}",
        what=what,
        before=measured(then),
        words=("verify", "RESULTS"),
        expected=Expected(exit=3, says=says),
    )


STORED = alone(
    (
        _damaged("cut", "a file is cut in its middle; `verify` looks", cut, "truncated"),
        _damaged("edited", "a digit in a file is another; `verify` looks", edited, "changed"),
        _damaged("lost", "a launch is gone; `verify` looks", gone, "missing"),
        _damaged("doubled", "a launch is in two folders; `verify` looks", put_in, "duplicate"),
        dataclasses.replace(
            _damaged(
                "of another plan",
                "the study was changed, and is run into the same directory",
                another_plan,
                "holds results of another plan",
            ),
            words=(),
            expected=Expected(exit=2, says="holds results of another plan"),
        ),
    )
)
