"""A folder in which commands of a page are run: what they name is put there first."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.docs.pages import ROOT

from inferometer import cli
from inferometer.plugins import Registry
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.docs.shell import Parsed

RUN = {
    *("init", "plan", "status", "report", "launch", "cost", "fleet", "compare", "gate", "verify"),
    *("prices", "plugins", "engines list", "engines show", "meters list", "models list"),
    "import",
}
"""What is cheap and starts nothing. The others are parsed: they start engines or load hosts, look
at the machine, or take long; their own tests run them."""
ONCE = {"report", "launch", "compare", "gate", "cost", "fleet"}
"""What takes a second: run once for each set of options."""
GOOD = {0, 3, 4, 5}
"""Done, a check did not pass, inconclusive, incomplete: what made-up results may well be."""
RESULTS = {"results", "earlier", "baseline", "current", "confirm", "a", "b"}
STACKS = ("vllm", "transformers")
MODEL = "smollm2-135m"
GATE = "[gate.margins]\noutput_tok_s = 5\n"
IMPORTED = {
    "aiperf": "aiperf/{}",
    "guidellm": "guidellm.json",
    "sglang-bench": "sglang-bench.jsonl",
    "vllm-bench": "vllm-bench.json",
}
"""Format -> the file in :data:`GOLDEN` that stands in for a page's."""
GOLDEN = ROOT / "tests" / "golden" / "importers"


def paired(line: Parsed) -> list[str]:
    """Return the stacks that a command names as a pair, NEW=OLD; none where it names none."""
    pairs = line.params.get("pairs") or ()
    return str(pairs[0]).split("=") if isinstance(pairs, tuple) and pairs else []


def lacks(line: Parsed) -> str:
    """Say what a command names that only its reader has; empty where it can be run."""
    if line.path == "import" and line.params["format_"] not in IMPORTED:
        return "no file of that tool is kept here"
    if line.path == "engines show" and line.params["name"] not in Registry().engines():
        return "no engine of that name is installed here"
    return ""


class Ran(NamedTuple):
    """How a command ended, and the end of what it said on stderr."""

    code: int
    said: str


class Stage:
    """A folder for one page, with what its commands name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = 0
        folder.mkdir(parents=True)
        for name in ("docs", "plugins"):
            (folder / name).symlink_to(ROOT / name)

    def there(self, path: Path) -> Path:
        """Return where something that a page names is here; nothing is outside of the folder."""
        if path.is_relative_to(self.folder):
            return path
        return self.folder / (path.relative_to("/") if path.is_absolute() else path)

    def inside(self, args: list[str]) -> list[str]:
        """Return arguments with absolute paths led into the folder."""
        return [str(self.there(Path(word))) if word.startswith("/") else word for word in args]

    def results(self, path: Path, stacks: Sequence[str] = STACKS) -> None:
        """Put made-up results of two stacks there, other ones each time."""
        place = self.there(path)
        if (place / "plan.json").is_file() or place.is_file():
            return
        self.made += 1
        fixture = Fixture(
            rates=dict(zip(stacks, (40.0, 30.0), strict=True)),
            models=(MODEL,),
            drift={(stacks[0], number): 1 + number / 100 for number in (1, 2, 3)},
            seed=self.made,
            later_s=10_000 * self.made,
        )
        write_results(place, fixture)

    def prepare(self, line: Parsed) -> None:
        """Put there what a command line names and nothing before it has left."""
        for name, value in line.params.items():
            values = value if isinstance(value, list | tuple) else [value]
            for path in (each for each in values if isinstance(each, Path)):
                place = self.there(path)
                if name in RESULTS and line.path not in {"import", "init"}:
                    if (line.path, name) != ("plan", "results"):
                        self.results(path, paired(line) or STACKS)
                elif name == "study" and not place.exists():
                    self.run(["init", str(place)])
                elif name == "scenario" and not place.exists():
                    self.run(["init", str(place), "--cost"])
                elif name == "rules" and not place.exists():
                    place.write_text(GATE)
                elif name == "files" and not place.exists():
                    self.foreign(str(line.params.get("format_")), place)

    def foreign(self, tool: str, place: Path) -> None:
        """Put there what another tool wrote."""
        found = GOLDEN / IMPORTED[tool].format(place.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, place)

    def run(self, args: list[str]) -> Ran:
        """Run a command in this process and folder."""
        said = io.BytesIO()
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        err = io.TextIOWrapper(said, encoding="utf-8", write_through=True)
        with quietly(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(args)
        return Ran(code, said.getvalue().decode()[-300:])


@contextlib.contextmanager
def quietly(folder: Path) -> Iterator[None]:
    """Be in a folder with a cache of its own; signals and variables are left as they were."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    variables = dict(os.environ)
    os.environ["INFEROMETER_CACHE"] = str(folder / "cache")
    os.environ.pop("GITHUB_STEP_SUMMARY", None)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        for number, handler in kept.items():
            signal.signal(number, handler)
