"""The conformance kit of importers: from a file that is sound, files that are damaged.

In a pytest file::

    from inferometer.testing import importers

    test_importer = importers.suite(MyImporter(), samples=[Path("tests/samples/result.json")])

Without pytest, :func:`run`. Without a sample only rubbish is tried.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import chdir, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.importer import ForeignFile, Importer, Source, read_sources, sealed
from inferometer.plugins import Registry
from inferometer.testing.check import (
    Check,
    Failed,
    applies,
    cases,
    check,
    checks_of,
    complete_check,
    known_of,
    name_check,
    need,
    printed,
    ran,
)
from inferometer.testing.check import named as found

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferometer.comparison import Imported
    from inferometer.testing.check import Result

RUBBISH: Mapping[str, bytes] = {
    "nothing": b"",
    "a null": b"null",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a list of nothing": b"[null, {}, []]",
    "a number": b"1e999",
    "a text": b'"text"',
    "half an object": b'{"a": ',
    "no text": bytes(range(256)),
    "a page": b"<html><body>404</body></html>",
    "gzip": b"\x1f\x8b\x08\x00",
    "what is nested deeply": b"[" * 100_000,
    "a number of many digits": b"[" + b"9" * 5000 + b"]",
}
"""Files that no tool writes, by what they are."""
ODD: tuple[Any, ...] = (None, "text", True, -1, 0, [], {}, float("nan"), float("inf"), 10**400)
"""What stands in place of a value of a sound file."""
MOST_PLACES = 40
"""Places of a file in which odd values are tried."""


@dataclass(frozen=True, slots=True)
class Kit:
    """One importer, the files of one call that it reads, and its known failures by check id."""

    importer: Importer
    samples: Sequence[Source] = ()
    known: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> list[Imported]:
        """Return what the samples hold, as it is stored; nothing to check without any."""
        applies(self.samples, "no sample file is given")
        return sealed(self.importer.read(self.samples), "", "")

    def refused(self, content: bytes) -> bool:
        """Say whether a file is refused; what is read instead can be stored.

        Raises:
            Failed: it raises something else.
        """
        name = self.samples[0].name if self.samples else "made-up.json"
        try:
            sealed(self.importer.read([Source(name, "/made-up", content)]), "", "")
        except ForeignFile as refusal:
            need(str(refusal).strip(), "it refuses without a word")
            return True
        except Exception as error:
            raise Failed(f"{type(error).__name__} instead of ForeignFile: {error}") from error
        return False


def run(
    importer: Importer | str,
    *,
    samples: Sequence[Path] = (),
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Check an importer, or the installed one of that name; takes a moment.

    ``samples`` are the sound files of one call. ``known`` are the reasons of failures by check id
    (left out: the importer's own ``known_failures``), ``only`` names the checks to run, ``told``
    gets each result at once.

    Raises:
        UsageError: no installed plugin brings such an importer, there is no such check, or a sample
            cannot be read.
    """
    return ran(CHECKS, _kit(importer, samples, known), only, told)


def suite(
    importer: Importer | str,
    *,
    samples: Sequence[Path] = (),
    known: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """Return a pytest function with one case for each check; the arguments are those of `run`."""
    return cases(CHECKS, lambda: nullcontext(_kit(importer, samples, known)))


def _kit(importer: Importer | str, samples: Sequence[Path], known: Mapping[str, str] | None) -> Kit:
    thing = found("importer", importer, Registry().importers)
    return Kit(thing, read_sources(samples), known_of(thing, known))


# -- checks --------------------------------------------------------------------------------------


complete: Check[Kit] = complete_check(Importer, lambda kit: kit.importer)
name: Check[Kit] = name_check(lambda kit: kit.importer, "on the command line and in a file name")


@check
def tool_is_said(kit: Kit) -> None:
    """It says in one line which tool's files it reads."""
    said = kit.importer.tool
    need(said.strip() and said.isprintable(), f"{said!r} is no line of words")


@check
def reads_a_sound_file(kit: Kit) -> None:
    """A file of its tool holds a measurement with figures."""
    measurements = kit.read()
    need(measurements, "it finds no measurement")
    need(all(each.figures for each in measurements), "a measurement has no figure")
    formats = {each.format for each in measurements}
    need(formats == {kit.importer.name}, f"format is {', '.join(formats)}, not its own name")


@check
def files_are_named(kit: Kit) -> None:
    """Each measurement names its files with their hashes, and each figure its file's hash."""
    hashes = {source.sha256 for source in kit.samples}
    for each in kit.read():
        need(each.files, f"{each.id} names no file")
        need({file.sha256 for file in each.files} <= hashes, f"{each.id} names another hash")
        for figure in each.figures:
            told = figure.value.detail
            need(any(hash_ in told for hash_ in hashes), f"{figure.id}: {told!r} has no hash")


@check
def figures_are_defined(kit: Kit) -> None:
    """Each figure has an id of its own, a title and a definition."""
    for each in kit.read():
        ids = [figure.id for figure in each.figures]
        need(len(ids) == len(set(ids)), f"{each.id} has a figure twice")
        for figure in each.figures:
            plain = re.fullmatch(r"[a-z][a-z0-9_]*", figure.id)
            need(plain, f"{figure.id!r} is no word of lower case")
            for what, said in (("title", figure.title), ("definition", figure.definition)):
                need(said.strip(), f"{figure.id} has no {what}")


@check
def limits_are_said(kit: Kit) -> None:
    """It says why these figures are worth less than those of launches."""
    silent = [each.id for each in kit.read() if not each.limits]
    need(not silent, f"no limits: {', '.join(silent)}")


@check
def same_again(kit: Kit) -> None:
    """The same files give the same measurements, under the same ids."""
    first, second = (msgspec.json.encode(kit.read()) for _ in range(2))
    need(first == second, "what it reads differs from call to call")


@check
def rubbish_is_refused(kit: Kit) -> None:
    """What is no file of its tool is refused with ``ForeignFile``, and never crashes it."""
    for what, content in RUBBISH.items():
        try:
            refused = kit.refused(content)
        except Failed as failure:
            raise Failed(f"{what}: {failure}") from failure
        need(refused, f"{what} is taken for a measurement")


@check
def cut_files_are_refused(kit: Kit) -> None:
    """A file that was cut off is refused, or what it still holds is read: nothing crashes."""
    applies(kit.samples, "no sample file is given")
    for source in kit.samples:
        size = len(source.content)
        for share in (0.1, 0.5, 0.9, 0.999):
            try:
                kit.refused(source.content[: int(share * size)])
            except Failed as failure:
                raise Failed(f"{source.name} cut at {share:.1%}: {failure}") from failure


@check
def odd_values_are_refused(kit: Kit) -> None:
    """A value of another kind is refused or left out: none crashes it, none becomes a number."""
    applies(kit.samples, "no sample file is given")
    tried = 0
    for source in kit.samples:
        try:
            document = json.loads(source.content)
        except ValueError:
            continue  # lines of JSON, or no JSON at all
        for place in list(_places(document))[:MOST_PLACES]:
            for odd in ODD:
                tried += 1
                try:
                    kit.refused(json.dumps(_with(document, place, odd)).encode())
                except Failed as failure:
                    raise Failed(f"{_path(place)} = {str(odd)[:20]}: {failure}") from failure
    applies(tried, "no sample is one JSON document")


@check
def prints_and_writes_nothing(kit: Kit) -> None:
    """It reads the bytes it is given: it prints nothing and writes no file."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        with printed() as written:
            kit.read()
        need(not written, f"printed {b''.join(written)[:60]!r}")
        need(not os.listdir(), f"wrote {', '.join(os.listdir())}")


Place = tuple[str | int, ...]


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the places of a document, the outer ones first; of a list its first item's."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*place, key))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*place, 0))


def _with(value: Any, place: Place, odd: Any) -> Any:
    """Return a copy of a document with ``odd`` at ``place``."""
    if not place:
        return odd
    head, *rest = place
    copy = value.copy()
    copy[head] = _with(value[head], tuple(rest), odd)
    return copy


def _path(place: Place) -> str:
    return ".".join(map(str, place))


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
"""In the order in which they run and are told."""
