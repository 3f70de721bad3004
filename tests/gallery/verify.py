"""Are the gallery's reports what their raw results give? `make gallery-verify`.

Usage: ``python -m tests.gallery.verify [NAME...]``

Unpacks the results of each study, has `inferometer verify` compute their hashes again, ranks and
renders them again, and compares every byte of the report and every verdict with what is published.
Prints a line for each study and one for each difference, and ends with 1 where there is any.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from tests.gallery import studies

from inferometer.comparison.imported import Imported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gallery.studies import Manifest

AROUND = 40
"""Bytes shown of a place where two files differ."""


def differences(folder: Path, told: Manifest, work: Path) -> Iterator[str]:
    """Yield what is not as published, after doing everything again in ``work``."""
    yield from _listed(studies.hashes(folder), told.files)
    results = studies.unpack(folder / studies.ARCHIVE, work)
    if studies.head(results) != told.head:
        yield "the chain of hashes in the results ends otherwise than the manifest says"
    if (results / studies.STUDY).read_bytes() != (folder / studies.STUDY).read_bytes():
        yield f"{studies.STUDY} is not the study in the results"
    yield from imported(results, work / studies.TOOLS, work / "imported")
    again = work / studies.REPORT
    studies.render(results, again)
    yield from verdicts(told, again)
    yield from files(folder / studies.REPORT, again)


def _listed(found: dict[str, str], told: dict[str, str]) -> Iterator[str]:
    for name in sorted(found.keys() | told.keys()):
        if name not in told:
            yield f"{name} is not in the manifest"
        elif name not in found:
            yield f"{name} is in the manifest and not there"
        elif found[name] != told[name]:
            yield f"{name} has another hash than the manifest says"


def imported(results: Path, tools: Path, again: Path) -> Iterator[str]:
    """Yield what other tools' files do not give any more when they are imported again."""
    found = {path.name: path.read_bytes() for path in results.glob("imported/*.json")}
    for content in found.values():
        one = msgspec.json.decode(content, type=Imported)
        names = [tools / one.format / file.name for file in one.files]
        said = ("--results", again, "--label", one.label, "--tool-version", one.version)
        studies.inferometer("import", one.format, *names, *said)
    for name, content in found.items():
        now = again / "imported" / name
        if not now.exists() or now.read_bytes() != content:
            yield f"the files of {name} are imported otherwise now"


def verdicts(told: Manifest, report: Path) -> Iterator[str]:
    """Yield the rankings that came out otherwise."""
    was = {one.question: one.places for one in told.verdicts}
    now = {one.question: one.places for one in studies.verdicts(studies.report_of(report))}
    for question in sorted(was.keys() | now.keys()):
        if was.get(question) != now.get(question):
            yield f"ranking {question}: published {was.get(question)}, now {now.get(question)}"


def files(published: Path, again: Path) -> Iterator[str]:
    """Yield the files that are not the same, byte for byte, and where the first byte differs."""
    names = {
        path.relative_to(root).as_posix()
        for root in (published, again)
        for path in root.rglob("*")
        if path.is_file()
    }
    for name in sorted(names):
        if not (published / name).exists():
            yield f"report/{name} is rendered now and not published"
        elif not (again / name).exists():
            yield f"report/{name} is published and not rendered now"
        elif difference := _bytes((published / name).read_bytes(), (again / name).read_bytes()):
            yield f"report/{name} differs {difference}"


def _bytes(was: bytes, now: bytes) -> str:
    """Return where two contents differ first, empty where they do not."""
    if was == now:
        return ""
    at = next(
        (index for index, (left, right) in enumerate(zip(was, now, strict=False)) if left != right),
        min(len(was), len(now)),
    )
    line = was.count(b"\n", 0, at) + 1
    return f"at byte {at}, line {line}: published {_near(was, at)}, now {_near(now, at)}"


def _near(content: bytes, at: int) -> str:
    begin = max(at - AROUND // 2, 0)
    return repr(content[begin : begin + AROUND].decode(errors="replace"))


def verified(folder: Path) -> tuple[str, list[str]]:
    """Return the line that says what was compared, and what is not as published."""
    told = studies.manifest(folder)
    try:
        with tempfile.TemporaryDirectory() as place:
            found = list(differences(folder, told, Path(place)))
    except (studies.GalleryError, OSError) as error:
        found = [str(error)]
    shown = [name for name in told.files if name.startswith(f"{studies.REPORT}/")]
    what = "DIFFERENT" if found else "the same"
    line = f"{what}: {len(shown)} files of the report, {len(told.verdicts)} verdicts"
    return f"{folder.name}: {line}", found


def main() -> int:
    """Verify the studies that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args().names
    folders = [studies.GALLERY / name for name in asked] or studies.folders()
    wrong = 0
    other: list[str] = []
    for folder in folders:
        line, found = verified(folder)
        print(line, *(f"  {one}" for one in found), sep="\n", flush=True)
        wrong += len(found)
        other += studies.others(folder)
    if wrong and other:
        print(
            f"A report depends on versions: {'; '.join(dict.fromkeys(other))}. To have the "
            f"libraries': pip install -r {studies.LIBRARIES.relative_to(studies.ROOT)}"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
