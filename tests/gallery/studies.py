"""The gallery's studies: a folder of `reports/gallery/` each, raw results and a report on them.

A folder has `study.toml`, `README.md`, `results.tar.xz`, `report/` as `inferometer report` wrote
it, and `manifest.json`: the hash of every file, and the verdicts. Everything is done by the
commands that a reader would type.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "reports" / "gallery"
RESULTS, TOOLS = "results", "tools"
ARCHIVE, MANIFEST, REPORT, STUDY = "results.tar.xz", "manifest.json", "report", "study.toml"
LARGEST = 10 << 20
"""Bytes of the whole gallery."""
UNPACKED = 500 << 20
"""Bytes that an archive may unpack to."""
LIBRARIES = GALLERY / "libraries.txt"
SHAPING = ("altair", "msgspec", "numpy", "polars", "scipy", "vl-convert-python")
"""What the bytes of a report depend on beside our own code."""
FORMATS = "html,md,json,figures"
DERIVED = ("lock", REPORT, "partial")
"""What stands in a results directory and is no result."""


class Verdict(msgspec.Struct, frozen=True):
    """One ranking: the place of every stack, or `?` and why it has none."""

    question: str
    places: dict[str, str]


class Manifest(msgspec.Struct, frozen=True):
    """What a folder of the gallery holds. ``head`` is the last hash of the results' own chain."""

    schema: int
    head: str
    files: dict[str, str]
    verdicts: list[Verdict]


class GalleryError(Exception):
    """A command ended with an error, or an archive is not what it should be."""


def folders() -> list[Path]:
    """Return the folders of all published studies."""
    return sorted(path.parent for path in GALLERY.glob(f"*/{MANIFEST}"))


def manifest(folder: Path) -> Manifest:
    """Read a folder's manifest."""
    return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a folder but the manifest, by its path there."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def inferometer(*words: str | Path) -> str:
    """Run a command of ours; return what it printed.

    Raises:
        GalleryError: it did not end with 0.
    """
    line = [sys.executable, "-m", "inferometer", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(["inferometer", *map(str, words)])
        raise GalleryError(
            f"`{shown}` ended with {done.returncode}: {done.stdout}{done.stderr}".strip()
        )
    return done.stdout


def pack(results: Path, archive: Path, tools: Path | None = None) -> None:
    """Pack a results directory; the same files give the same bytes.

    ``tools`` holds what was imported, as other tools wrote it: a folder for each format.
    """
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name, root in {RESULTS: results, **({TOOLS: tools} if tools else {})}.items():
            for path in sorted(root.rglob("*")):
                inside = path.relative_to(root)
                if name == TOOLS or inside.parts[0] not in DERIVED:
                    where = f"{name}/{inside.as_posix()}"
                    packed.add(path, where, recursive=False, filter=_plain)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an entry without what is of the machine: owner, time, permissions."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info


def unpack(archive: Path, into: Path) -> Path:
    """Unpack results into a folder; return the results directory.

    An archive is untrusted: links, devices, paths that lead out and what is too large are refused.

    Raises:
        GalleryError: it holds anything but files and folders, or too much.
    """
    with tarfile.open(archive, "r:xz") as packed:
        # where there is one, since 3.11.4; what follows refuses without it
        packed.extraction_filter = getattr(tarfile, "data_filter", None)
        left = UNPACKED
        for member in packed:
            left -= member.size
            parts = PurePosixPath(member.name).parts
            if not parts or parts[0] not in {RESULTS, TOOLS} or ".." in parts:
                raise GalleryError(f"{archive.name}: {member.name} leads out of its folder")
            if not (member.isfile() or member.isdir()):
                raise GalleryError(f"{archive.name}: {member.name} is neither a file nor a folder")
            if left < 0:
                raise GalleryError(f"{archive.name}: unpacks to more than {UNPACKED} bytes")
            packed.extract(member, into)
    return into / RESULTS


def render(results: Path, out: Path) -> None:
    """Report on results into a folder, and keep of it what the gallery shows.

    That is the page, the Markdown with its charts, the data, and the charts of the rankings, which
    the front page of the repository shows; the others are in the page.
    """
    inferometer("report", results, "--format", FORMATS, "--out", out)
    text = (out / "report.md").read_text(encoding="utf-8")
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        chart = path.suffix == ".svg" and (name in text or path.name.startswith("ranking-"))
        if path.is_file() and not (chart or path.name.startswith(("report.", "requests."))):
            path.unlink()
    figures = out / "figures"
    if figures.is_dir() and not any(figures.iterdir()):
        figures.rmdir()


def verdicts(report: Mapping[str, Any]) -> list[Verdict]:
    """Return the rankings of a ``report.json``, and what was imported, which has no place."""
    found = [Verdict(_question(one), _places(one)) for one in report["rankings"]]
    imported = report["imported"]
    return found + [Verdict(f"imported, {it['tool']}", {it["id"]: it["place"]}) for it in imported]


def _question(ranking: Mapping[str, Any]) -> str:
    words = [ranking["metric"], ranking["meter"], ranking["model"], ranking["workload"]]
    words += [ranking["load"], ranking["profile"]]
    if ranking["at"] != "load":
        words.append(f"at equal {ranking['at']}")
    return ", ".join(word for word in words if word)


def _places(ranking: Mapping[str, Any]) -> dict[str, str]:
    placed = {
        one[
            "stack"
        ]: f"{one['place']} ({one['place_low']} to {one['place_high']}), {one['verdict']}"
        for one in ranking["entries"]
    }
    return placed | {one["stack"]: f"?, {one['reason']}" for one in ranking["unranked"]}


def report_of(folder: Path) -> dict[str, Any]:
    """Return the ``report.json`` in a folder."""
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def head(results: Path) -> str:
    """Verify results; return the last hash of their own chain, which covers every one of them.

    Raises:
        GalleryError: something in them is not what was written.
    """
    found: str = json.loads(inferometer("verify", results, "--json"))["head"]
    return found


def libraries() -> str:
    """Return the versions of what shapes a report, as pip reads them."""
    return "".join(f"{name}=={metadata.version(name)}\n" for name in SHAPING)


def others(folder: Path) -> Iterator[str]:
    """Yield what a report depends on whose version here is not the one that rendered a folder's."""
    told = dict(line.split("==") for line in LIBRARIES.read_text(encoding="utf-8").split())
    told["inferometer"] = report_of(folder / REPORT)["inferometer_version"]
    here = {name: metadata.version(name) for name in SHAPING} | {"inferometer": __version__}
    for name, version in told.items():
        if here[name] != version:
            yield f"{name} {here[name]} here, {version} in the gallery"
