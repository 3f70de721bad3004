"""The gallery: its reports are what its raw results give, and unpacking them does no harm."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING

import pytest
from tests.gallery import publish, studies, verify

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = studies.folders()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_report_is_what_its_raw_results_give(folder: Path, tmp_path: Path) -> None:
    told = studies.manifest(folder)
    found = list(verify.differences(folder, told, tmp_path))
    if list(studies.others(folder)):  # with other versions bytes may differ, verdicts may not
        found = list(verify.verdicts(told, tmp_path / studies.REPORT))
    assert found == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_study_says_what_was_asked_and_what_came_of_it(folder: Path) -> None:
    assert (folder / "README.md").is_file()
    assert f"]({folder.name}/README.md)" in (studies.GALLERY / "README.md").read_text()


def test_the_gallery_stays_small() -> None:
    sizes = [path.stat().st_size for path in studies.GALLERY.rglob("*") if path.is_file()]
    assert 0 < sum(sizes) <= studies.LARGEST


def test_a_changed_byte_is_named_with_its_place(tmp_path: Path) -> None:
    for name, text in {"was": "one\ntwo three\n", "now": "one\ntwo THREE\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.md").write_text(text)
    (tmp_path / "was" / "report.html").write_text("")
    gone, differs = verify.files(tmp_path / "was", tmp_path / "now")
    assert gone == "report/report.html is published and not rendered now"
    assert differs.startswith("report/report.md differs at byte 8, line 2: published 'one")
    assert differs.endswith("now 'one\\ntwo THREE\\n'")


def test_a_changed_verdict_is_named(tmp_path: Path) -> None:
    was = studies.Verdict("output_tok_s", {"a": "1 (1 to 1), best"})
    told = studies.Manifest(schema=1, head="", files={}, verdicts=[was])
    (tmp_path / "report.json").write_text('{"rankings": [], "imported": []}')
    (said,) = verify.verdicts(told, tmp_path)
    assert said == "ranking output_tok_s: published {'a': '1 (1 to 1), best'}, now None"


@pytest.mark.parametrize("folder", FOLDERS[:1], ids=lambda folder: folder.name)
def test_an_edited_result_is_found(folder: Path, tmp_path: Path) -> None:
    results = studies.unpack(folder / studies.ARCHIVE, tmp_path)
    file = results / studies.STUDY
    file.write_bytes(file.read_bytes().replace(b"rounds", b"Rounds"))
    with pytest.raises(studies.GalleryError, match=re.escape("study.toml")):
        publish.publish(tmp_path / "new", results)


def test_the_same_results_are_packed_to_the_same_bytes(tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "launches").mkdir(parents=True)
    (results / "launches" / "a.jsonl").write_text("{}\n")
    for name in ("lock", "report/report.md"):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_text("derived")
    studies.pack(results, tmp_path / "one")
    (results / "launches" / "a.jsonl").chmod(0o600)
    studies.pack(results, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    out = studies.unpack(tmp_path / "one", tmp_path / "out")
    assert studies.hashes(out).keys() == {"launches/a.jsonl"}


def packed(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    with tarfile.open(path, "w:xz") as made:
        made.addfile(info, io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("/tmp/outside", tarfile.REGTYPE, ""),
        ("results/../../outside", tarfile.REGTYPE, ""),
        ("results/link", tarfile.SYMTYPE, "/etc"),
        ("results/link", tarfile.LNKTYPE, "results/other"),
        ("results/pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_an_archive_cannot_write_outside(name: str, kind: bytes, link: str, tmp_path: Path) -> None:
    archive = packed(tmp_path / "evil", name, kind, link)
    with pytest.raises(studies.GalleryError):
        studies.unpack(archive, tmp_path / "in" / "side")
    assert {path.name for path in tmp_path.rglob("*")} <= {"evil", "in", "side", "results"}


def test_an_archive_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "UNPACKED", 10)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "much").write_bytes(b"0" * 11)
    studies.pack(tmp_path / "results", tmp_path / "archive")
    with pytest.raises(studies.GalleryError, match="more than 10 bytes"):
        studies.unpack(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_a_page_quotes_is_in_the_report(folder: Path) -> None:
    report = (folder / studies.REPORT / "report.md").read_text(encoding="utf-8").splitlines()
    page = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    quoted = [line.removeprefix("> ") for line in page if line.startswith("> ")]
    assert quoted
    assert set(quoted) <= set(report)
