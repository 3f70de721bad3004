"""Quux as an importer of Inferometer: result files of another tool, shown beside ours.

It reads one JSON object: ``{"tool": "quux", "output_tok_s": 12.5, "ttft_ms": 40}``, ``version`` and
``model`` as texts if it has them. Put your tool's file in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferometer import hookimpl
from inferometer.comparison import Imported, ImportedFigure, ImportedFile, Value
from inferometer.importer import ForeignFile, Source, document, number, table

FIGURES = {
    "run_output_tok_s": (
        *("output_tok_s", "tok/s", "Output tokens per second of the run"),
        "output tokens / length of the whole run; ours is of a steady window",
    ),
    "ttft_ms": (
        *("ttft_ms", "ms", "Mean time to the first token"),
        "first content minus send, mean over the requests that finished",
    ),
}
"""Figure -> key of the file, unit, title, definition. A metric's own id where it is defined so."""


@dataclass(frozen=True)
class QuuxImporter:
    """What ``inferometer import quux FILE --results DIR`` names."""

    name: str = "quux"
    tool: str = "Quux: its result file"

    def read(self, sources: Sequence[Source]) -> Sequence[Imported]:
        """Return a measurement for each file; files are untrusted."""
        return [self.one(source) for source in sources]

    def one(self, source: Source) -> Imported:
        """Return the measurement of one file, or say what is wrong with it."""
        said = table(document(source.content), "the file")
        if said.get("tool") != "quux":
            raise ForeignFile('is not of Quux: it lacks "tool": "quux"')
        figures = list(found(said, source))
        if not figures:
            raise ForeignFile(f"has none of the figures {', '.join(FIGURES)}")
        file = ImportedFile(name=source.name, sha256=source.sha256, bytes=len(source.content))
        return Imported(
            id=f"quux-{source.sha256[:12]}",
            format=self.name,
            tool="Quux",
            version=text(said, "version"),
            files=[file],
            setting={"model": text(said, "model")} if text(said, "model") else {},
            figures=figures,
            limits=["One run against one server: how launches differ is not told."],
        )


def found(said: Mapping[str, Any], source: Source) -> Iterator[ImportedFigure]:
    """Yield the figures that a file has; what is no number is none."""
    for id_, (key, unit, title, definition) in FIGURES.items():
        value = number(said.get(key))
        if value is not None:
            origin = f"{source.name}, {source.sha256}"
            yield ImportedFigure(
                id=id_,
                title=title,
                value=Value(value=value, unit=unit, kind="reported", detail=origin),
                where=key,
                definition=definition,
                as_ours=id_ == "ttft_ms",
            )


def text(said: Mapping[str, Any], key: str) -> str:
    """Return a text of the file, empty where it has none."""
    value = said.get(key)
    return value if isinstance(value, str) else ""


@hookimpl
def inferometer_importers() -> list[QuuxImporter]:
    """Return the importers of this plugin."""
    return [QuuxImporter()]
