"""Make the locked requirements of an engine for CUDA, from the package index's metadata alone.

    python -m pip install 'pip>=26'      # an older one fetches gigabytes to read metadata
    python -m tests.locks.lock vllm      # or sglang; writes the file beside the adapter
    python -m tests.locks.lock hashes    # of the pins of vLLM's CPU build, which nothing resolves

Run it on Linux x86-64 with Python 3.11. Nothing is installed. Three steps, any of which can fail:
pip resolves what the engine asks for; every requirement of every pin is held against the set, as
``pip check`` does, for each Python of the lock; pip finds a wheel of every pin for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

INDEX = "https://pypi.org/simple"
FOLDER = Path(__file__).parents[2] / "engines" / "inferometer_engines" / "requirements"
GLIBC = 34
"""Wheels may ask for glibc 2.34 at most: Debian 12, Ubuntu 22.04, RHEL 9."""
PLATFORMS = (
    *("linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"),
    *(f"manylinux_2_{minor}_x86_64" for minor in range(5, GLIBC + 1)),
)

HEADER = """\
# {title} for CUDA on Linux x86-64 (glibc 2.{glibc}), Python {first} to {last}: every distribution.
# Installed without dependency resolution: pip install --no-deps --require-hashes -r THIS-FILE
#
# Resolved on {day} from PyPI's metadata by tests/locks/lock.py, which renews it. Verified then:
# the pins satisfy every requirement of every one of them on each of these Pythons, as `pip check`
# would, and each has a wheel for each. Not verified: nothing was installed, on a GPU or elsewhere.
{notes}# torch stands first, so that a machine whose indexes lack it is told at once.
"""


@dataclass(frozen=True, slots=True)
class Lock:
    """What is asked for: ``more`` beside the engine, with a marker where a Python is meant."""

    title: str
    root: str
    pythons: tuple[str, ...]
    """Those the pins hold on; the first one resolves."""
    more: tuple[str, ...] = ()
    notes: str = ""


LATER = ('six ; python_version > "3.11"', "setuptools<81,>=78.1.1")
"""What vLLM asks for on Python 3.12 and later alone, where resolving on 3.11 does not look."""
LOCKS: Mapping[str, Lock] = {
    "vllm": Lock(
        title="vLLM 0.32.0",
        root="vllm==0.32.0",
        pythons=("3.11", "3.12", "3.13"),
        more=("accelerate", "gguf", *LATER),
        notes="""\
# 0.32.0 because 0.33.0 asks for certifi>=2026.10.19, and the index ended at 2026.10.18.
# accelerate and gguf are added, so that packaged models can be converted in this environment.
""",
    ),
    "sglang": Lock(
        title="SGLang 0.5.23",
        root="sglang==0.5.23",
        pythons=("3.11", "3.12"),
        notes="""\
# Not on Python 3.13: outlines_core 0.1.26, which it asks for, has no wheel there.
""",
    ),
}


def pip(*arguments: str) -> dict[str, Any]:
    """Run ``pip install --dry-run`` on the public index alone and return its report."""
    hidden = {"PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT"}
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        line = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        line += ["--quiet", "--only-binary=:all:", "--index-url", INDEX, "--report", str(report)]
        subprocess.run(
            [*line, *arguments], check=True, env=variables | {"PIP_CONFIG_FILE": os.devnull}
        )
        answer: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return answer


def environment(python: str) -> dict[str, str]:
    """Return the marker variables of Linux x86-64 with this Python."""
    ours = {name: str(value) for name, value in default_environment().items()}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    version = {"python_version": python, "python_full_version": f"{python}.9", "os_name": "posix"}
    return ours | linux | version | {"implementation_version": f"{python}.9"}


def asked(
    metadata: Mapping[str, dict[str, Any]], roots: Sequence[str], python: str
) -> Iterator[tuple[str, Requirement]]:
    """Yield every requirement that holds on this Python, with who has it, extras included."""
    at, seen = environment(python), set()
    waiting = [("the lock", Requirement(root)) for root in roots]
    while waiting:
        owner, wanted = waiting.pop()
        yield owner, wanted
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) in seen or name not in metadata:
                continue
            seen.add((name, extra))
            for text in metadata[name].get("requires_dist", []):
                each = Requirement(text)
                if each.marker is None or each.marker.evaluate({**at, "extra": extra}):
                    waiting.append((name, each))


def problems(metadata: Mapping[str, dict[str, Any]], roots: Sequence[str], python: str) -> set[str]:
    """Return what ``pip check`` would say, in words."""
    found = set()
    for owner, wanted in asked(metadata, roots, python):
        name = canonicalize_name(wanted.name)
        if name not in metadata:
            found.add(f"Python {python}: {owner} wants {wanted}, which is not there")
        elif not wanted.specifier.contains(metadata[name]["version"], prereleases=True):
            found.add(f"Python {python}: {owner} wants {wanted}, not {metadata[name]['version']}")
    return found


def wheels(pins: Sequence[str], python: str) -> list[dict[str, Any]]:
    """Return what pip says of every pin's wheel for this Python; it fails if one has none."""
    line = ["--no-deps", "--python-version", python, "--implementation", "cp"]
    line += [part for name in PLATFORMS for part in ("--platform", name)]
    with tempfile.TemporaryDirectory() as folder:
        items: list[dict[str, Any]] = pip(*line, "--target", folder, *pins)["install"]
        return items


def hashes(items: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the options that name the wheels which pip found, by distribution."""
    found: dict[str, set[str]] = {}
    for item in items:
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        found.setdefault(canonicalize_name(item["metadata"]["name"]), set()).add(digest)
    return {
        name: "".join(f" --hash=sha256:{digest}" for digest in sorted(each))
        for name, each in found.items()
    }


def made(lock: Lock) -> str:
    """Return the text of a lock, or end with what is wrong with it."""
    roots = [lock.root, *(text.partition(";")[0] for text in lock.more)]
    found = {
        canonicalize_name(item["metadata"]["name"]): item["metadata"]
        for item in pip(*roots)["install"]
    }
    pins = {name: f"{each['name']}=={each['version']}" for name, each in found.items()}
    wrong: set[str] = set()
    there = []
    for python in lock.pythons:
        items = wheels(list(pins.values()), python)
        there += items
        metadata = {str(canonicalize_name(m["name"])): m for m in (it["metadata"] for it in items)}
        wrong |= problems(metadata, roots, python)
    if wrong:
        sys.exit("\n".join(sorted(wrong)))
    markers = {
        canonicalize_name(Requirement(text).name): f" ; {Requirement(text).marker}"
        for text in lock.more
        if Requirement(text).marker
    }
    order = sorted(pins, key=lambda name: (name != "torch", name))
    head = HEADER.format(
        title=lock.title,
        glibc=GLIBC,
        first=lock.pythons[0],
        last=lock.pythons[-1],
        day=datetime.now(UTC).date(),
        notes=lock.notes,
    )
    sums = hashes(there)
    return head + "".join(f"{pins[name]}{markers.get(name, '')}{sums[name]}\n" for name in order)


def summed(text: str, pythons: Sequence[str]) -> str:
    """Return a lock with the hashes of its pins anew, but of builds that other indexes have."""
    lines = [line.partition(" --hash=")[0] for line in text.splitlines()]
    pins = [line for line in lines if line and not line.startswith("#") and "+" not in line]
    bare = [line.partition(";")[0].strip() for line in pins]
    sums = hashes(item for python in pythons for item in wheels(bare, python))
    return "".join(
        f"{line}{sums[canonicalize_name(Requirement(line).name)] if line in pins else ''}\n"
        for line in lines
    )


def main(name: str) -> None:
    """Write one lock."""
    if name == "hashes":
        path = FOLDER / "vllm-linux-x86_64-cpu.txt"
        text = summed(path.read_text(encoding="utf-8"), LOCKS["vllm"].pythons)
        path.write_text(text, encoding="utf-8")
        return
    text = made(LOCKS[name])
    (FOLDER / f"{name}-linux-x86_64-cuda.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
