"""Put a study into the gallery, or render again what is in it: `make gallery-render`.

Usage: ``python -m tests.gallery.publish NAME RESULTS [TOOLS]`` packs a results directory that
`inferometer verify` finds nothing in, renders it and writes the manifest; the README of the folder
is written by hand. TOOLS is a folder of what was imported: a folder for each format. ``python -m
tests.gallery.publish`` renders all studies again, after a wanted change of the reports; raw results
and study files are not touched. Both write the results on the front page again (`readme.py`). Read
what changed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
from tests.gallery import readme, studies


def publish(folder: Path, results: Path, tools: Path | None = None) -> None:
    """Pack results into a folder of the gallery, and render them; ``tools``: see ``pack``."""
    studies.head(results)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results / studies.STUDY, folder / studies.STUDY)
    studies.pack(results, folder / studies.ARCHIVE, tools)
    render(folder)


def render(folder: Path) -> None:
    """Render the report of a folder from its archive, and write its manifest."""
    with tempfile.TemporaryDirectory() as place:
        results = studies.unpack(folder / studies.ARCHIVE, Path(place))
        shutil.rmtree(folder / studies.REPORT, ignore_errors=True)
        studies.render(results, folder / studies.REPORT)
        made = studies.Manifest(
            schema=1,
            head=studies.head(results),
            files=studies.hashes(folder),
            verdicts=studies.verdicts(studies.report_of(folder / studies.REPORT)),
        )
    text = msgspec.json.format(msgspec.json.encode(made), indent=1)
    (folder / studies.MANIFEST).write_bytes(text + b"\n")


def main() -> int:
    """Publish one study, or render all again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", nargs="?")
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("tools", nargs="?", type=Path)
    asked = parser.parse_args()
    if asked.name and not asked.results:
        parser.error("NAME needs RESULTS: the directory that `inferometer run` printed")
    if asked.name:
        publish(studies.GALLERY / asked.name, asked.results, asked.tools)
    else:
        for folder in studies.folders():
            render(folder)
    if (studies.GALLERY / readme.NAME).is_dir():
        readme.write()
    studies.LIBRARIES.write_text(studies.libraries(), encoding="utf-8")
    total = sum(path.stat().st_size for path in studies.GALLERY.rglob("*") if path.is_file())
    print(f"{studies.GALLERY}: {total} bytes of at most {studies.LARGEST}")
    return 1 if total > studies.LARGEST else 0


if __name__ == "__main__":
    sys.exit(main())
