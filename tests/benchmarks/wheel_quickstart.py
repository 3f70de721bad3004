"""Does what a user installs measure, outside the checkout, from nothing but the wheels?

Usage: ``python -m tests.benchmarks.wheel_quickstart [--rehearse] [--keep FOLDER]``

Builds the wheels of ``inferometer`` and ``inferometer-transformers``, installs the first into an
empty environment in a folder of its own, and asks it for ``--help``, ``--version``, ``plugins`` and
``doctor``. ``quickstart`` must then say which engine is missing and how to get it; with the second
wheel it must have both. A study of two simulated engines goes through the whole pipeline. Then
``quickstart`` itself: two real engines, twenty minutes of an idle machine; ``--rehearse`` leaves
that out. Exits with 1 where something is not as it should be. Engines' environments and models come
from the user's cache; Inferometer's own requirements from the package index.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import NamedTuple

from tests.studies import PRICE, SHORT, written

ROOT = Path(__file__).parents[2]
ADAPTER = "inferometer-transformers"
SIMULATED = written(
    "From a wheel",
    protocol={"rounds": 2, "window_s": 2.0, "discard_s": 0.5, "idle_s": 0, "soak_s": 0},
    price=PRICE,
    engines=[
        {"name": "simulator", "alias": "one"},
        {"name": "simulator", "alias": "two", "extra_args": ["--slowdown", "1.5"]},
    ],
    models=[{"name": "small", "packaged": "smollm2-135m"}],
    workloads=[SHORT],
    loads=[{"concurrency": 4}],
)


class Said(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str


class Installed(NamedTuple):
    """An environment with nothing but wheels in it, and a folder to work in."""

    bin: Path
    work: Path

    def pip(self, *words: str) -> None:
        """Install into it, or ask it, by its own pip."""
        line = [str(self.bin / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*line, *words], check=True, cwd=self.work, env=bare())

    def ask(self, *words: str, answer: str = "") -> Said:
        """Run ``inferometer`` at a terminal where somebody typed ``answer``; keep all it says."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, answer.encode())
            done = subprocess.run(
                [str(self.bin / "inferometer"), *words],
                cwd=self.work,
                env=bare(),
                stdin=theirs,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        return Said(done.returncode, done.stdout, done.stderr)


def main() -> int:
    """Take the steps in order; say what each found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="all but the real engines")
    parser.add_argument("--keep", type=Path, help="folder to work in; else a temporary one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        ours, adapter = built(folder / "dist")
        here = empty(folder)
        here.pip("install", str(ours))
        missed = [*first_words(here), *alone(here)]
        here.pip("install", str(adapter))
        missed += [*both(here), *simulated(here)]
        if not asked.rehearse:
            missed += measured(here)
    for what in missed:
        print(f"MISSED: {what}")
    print("missed" if missed else "as it should be" + (", rehearsed" if asked.rehearse else ""))
    return 1 if missed else 0


def bare() -> dict[str, str]:
    """Return our environment without what would let the checkout in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def built(folder: Path) -> tuple[Path, Path]:
    """Build both wheels; return ours and the adapter's."""
    for source in (ROOT, ROOT / "plugins" / ADAPTER):
        line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
        subprocess.run([*line, str(source)], check=True, stdout=subprocess.DEVNULL)
    (ours,) = folder.glob("inferometer-*.whl")
    (adapter,) = folder.glob("inferometer_transformers-*.whl")
    print(f"built {ours.name} ({ours.stat().st_size / 1e3:.0f} kB) and {adapter.name}")
    return ours, adapter


def empty(folder: Path) -> Installed:
    """Make an environment with nothing in it but pip, and an empty folder to work in."""
    venv.create(folder / "venv", with_pip=True, clear=True)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return Installed(folder / "venv" / "bin", work)


def first_words(here: Installed) -> list[str]:
    """Ask what a new user asks; return what was not as it should be."""
    missed = []
    for words in (["--help"], ["--version"], ["plugins"], ["doctor"]):
        said = here.ask(*words)
        right = {0, 6} if words == ["doctor"] else {0}  # 6: this machine lacks something
        lines = said.out.splitlines()
        print(f"inferometer {words[0]}: status {said.status}, {len(lines)} lines")
        if said.status not in right or not lines or "problem:" in said.out:
            missed.append(f"inferometer {words[0]}: status {said.status}: {said.out}{said.err}")
    where = here.ask("plugins", "--json").out
    if str(ROOT) in where:
        missed.append("plugins: the checkout is seen")
    return missed


def alone(here: Installed) -> list[str]:
    """With our wheel alone quickstart has one engine, and says how to get the other."""
    said = here.ask("quickstart", answer="n\n")
    return expected(said, "engine vllm: in an environment", f"pip install {ADAPTER}")


def both(here: Installed) -> list[str]:
    """With the adapter's wheel it has both."""
    said = here.ask("quickstart", answer="n\n")
    words = "in an environment"
    return expected(said, f"engine vllm: {words}", f"engine transformers: {words}")


def expected(said: Said, *words: str) -> list[str]:
    """Return the words that quickstart, answered with no, did not say."""
    print("\n".join(line for line in said.err.splitlines() if line.startswith(("engine", "only"))))
    missed = [f"quickstart: says no {word!r}" for word in words if word not in said.err]
    return missed + ([f"quickstart: status {said.status}"] if said.status else [])


def simulated(here: Installed) -> list[str]:
    """Two simulated engines, from a study to a report."""
    (here.work / "study.toml").write_text(SIMULATED, encoding="utf-8")
    said = here.ask("run", "study.toml", "--results", "simulated")
    return [*reported(here.work / "simulated", 4), *([said.err] if said.status else [])]


def measured(here: Installed) -> list[str]:
    """Quickstart as it is: two real engines on a dense model and its twin, three rounds."""
    began = time.monotonic()
    said = here.ask("quickstart", "--yes", "--results", "results/quickstart")
    print(f"quickstart: status {said.status} after {(time.monotonic() - began) / 60:.1f} minutes")
    print(said.out)
    missed = reported(here.work / "results" / "quickstart", 12)
    return missed + ([said.err] if said.status else [])


def reported(results: Path, launches: int) -> list[str]:
    """Return what is missing of a whole report."""
    files = [results / "report" / f"report.{ending}" for ending in ("html", "md", "json")]
    missed = [f"{file}: absent" for file in files if not file.is_file()]
    done = len(list((results / "launches").glob("*/launch.json")))
    if done != launches:
        missed.append(f"{results}: {done} launches of {launches}")
    if not missed:
        rankings = json.loads(files[-1].read_text(encoding="utf-8"))["rankings"]
        sizes = " ".join(f"{file.name} {file.stat().st_size / 1e3:.0f} kB" for file in files)
        print(f"{results.name}: {done} launches, {len(rankings)} rankings, {sizes}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
