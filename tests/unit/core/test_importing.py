"""``inferometer import``: what other tools measured, stored beside our results, never ranked."""

from __future__ import annotations

import gzip
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

import inferometer
from inferometer import cli
from inferometer.analyze import analyze
from inferometer.cli.importing import read
from inferometer.comparison import Imported, ImportedFigure, ImportedFile, Value
from inferometer.errors import UsageError
from inferometer.importer import ForeignFile, Source, document, number, read_sources
from inferometer.plugins import Registry
from inferometer.store import Store
from inferometer.testing import results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOLDEN = Path(__file__).parents[2] / "golden" / "importers"
Capture = pytest.CaptureFixture[str]
HOSTILE = '\x1b[31m=cmd|"<script>alert(1)</script>`](x) | y'


def figure(value: float | None = 3.0) -> ImportedFigure:
    told = Value(value=value, unit="ms", kind="measured", n=9, low=1, high=5, detail="f")
    return ImportedFigure(
        id="x_ms", title=HOSTILE, value=told, where=HOSTILE, definition=HOSTILE, as_ours=False
    )


class Stranger:
    """An importer of somebody else's."""

    name = "strange"
    tool = "a tool"

    def __init__(
        self,
        id_: str = "strange-1",
        error: Exception | None = None,
        value: float | None = 3.0,
        setting: dict[str, str] | None = None,
        times: int = 1,
    ) -> None:
        self.id, self.error, self.times = id_, error, times
        self.value, self.setting = value, setting or {HOSTILE: HOSTILE}

    def read(self, sources: Sequence[Source]) -> list[Imported]:
        print("noise")  # noqa: T201 -- what a stranger may do
        if self.error:
            raise self.error
        (source,) = sources
        file = ImportedFile(name=HOSTILE, sha256=source.sha256, bytes=len(source.content))
        one = Imported(
            id=self.id,
            format="strange",
            tool=HOSTILE,
            version="",
            files=[file],
            setting=self.setting,
            figures=[figure(self.value)],
            limits=[HOSTILE],
        )
        return [one] * self.times


def zipped(content: bytes) -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("file.json", content)
    return whole.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file.json"
    found.write_text("1")
    return found


def test_an_importer_cannot_make_launches_or_intervals(path: Path, capsys: Capture) -> None:
    (found,) = read(Stranger(), [path], label="mine", version="7")
    (got,) = found.figures
    value = got.value
    assert (value.value, value.kind, value.n, value.low, value.high) == (
        3,
        "reported",
        0,
        None,
        None,
    )
    assert value.detail == f"{HOSTILE} 7, f"
    assert (found.label, found.version, found.place) == ("mine", "7", "?")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("id_", ["../../etc/x", "", "a/b", "A", "x\n", ".hidden"])
def test_an_id_that_leads_elsewhere_is_refused(id_: str, path: Path) -> None:
    with pytest.raises(UsageError, match="gave the id"):
        read(Stranger(id_), [path])


def test_what_a_stranger_raises_is_one_error(path: Path) -> None:
    with pytest.raises(UsageError, match=r"importer strange failed: KeyError: 'k'"):
        read(Stranger(error=KeyError("k")), [path])


def test_a_file_cannot_fill_the_screen(path: Path) -> None:
    for error in (ForeignFile("x" * 10_000), KeyError("x" * 10_000)):
        with pytest.raises(UsageError) as caught:
            read(Stranger(error=error), [path])
        assert len(caught.value.message) < 500 + len(str(path))


def test_json_is_read_as_tools_write_it() -> None:
    assert document(b'{"a": [1, 2.5]}') == {"a": [1, 2.5]}
    assert number(document(b"Infinity")) is None
    assert [number(it) for it in (True, "3", None, 10**400, 2)] == [None, None, None, None, 2.0]
    for content in (b"[" * 100_000, b"\xff", b"{"):
        with pytest.raises(ForeignFile):
            document(content)


def test_files_too_large_together_are_not_read(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.json"
    other.write_text("22")
    monkeypatch.setattr("inferometer.importer.LARGEST", 3)
    assert [source.content for source in read_sources([path, other])] == [b"1", b"22"]
    monkeypatch.setattr("inferometer.importer.LARGEST", 2)
    with pytest.raises(UsageError, match="larger than 0 MiB"):
        read_sources([path, other])


def test_a_directory_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        read_sources([tmp_path])


def test_one_file_twice_is_no_two_measurements(path: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin.json"
    twin.write_bytes(path.read_bytes())
    for files in ([path, path], [path, twin]):
        with pytest.raises(UsageError, match=r"has the content of file\.json"):
            read(Stranger(), files)


@pytest.mark.parametrize(("pack", "said"), [(gzip.compress, "gzip"), (zipped, "zip")])
def test_a_packed_file_is_called_one(pack: Callable[[bytes], bytes], said: str, path: Path) -> None:
    path.write_bytes(pack((GOLDEN / "guidellm.json").read_bytes()))
    with pytest.raises(UsageError, match=rf"is packed \({said}\)"):
        read(Registry(only=["importers"]).importers()["guidellm"], [path])


def test_the_hash_of_a_file_is_made_once(path: Path) -> None:
    (source,) = read_sources([path])
    assert source.sha256 is source.sha256


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_refused(value: float | None, path: Path) -> None:
    with pytest.raises(UsageError, match="'x_ms' is no finite number"):
        read(Stranger(value=value), [path])


def test_one_id_twice_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="one id twice"):
        read(Stranger(times=2), [path])


def test_a_strangers_setting_keeps_no_key_and_no_book(path: Path) -> None:
    setting = {"api_key": "abc", "url": "http://me:word@h/v1", "long": "x" * 5000}
    (found,) = read(Stranger(setting=setting), [path])
    assert found.setting["api_key"] == "[hidden]"
    assert found.setting["url"] == "http://[hidden]@h/v1"
    assert len(found.setting["long"]) < 2100


def imports(results_: Path, *more: str) -> int:
    words = ["import", "vllm-bench", str(GOLDEN / "vllm-bench.json"), "--results", str(results_)]
    return cli.main([*words, *more])


def test_the_command_stores_and_the_report_shows(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "r"
    assert imports(folder, "--label", "my server", "--tool-version", "0.32.0") == 0
    assert imports(folder, "--label", "my server", "--tool-version", "0.32.0") == 0
    (stored,) = Store(folder).imported()
    assert (stored.label, stored.version) == ("my server", "0.32.0")
    capsys.readouterr()
    assert cli.main(["report", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "Imported:" in out
    assert "Traceback" not in err
    text = (folder / "report" / "report.md").read_text()
    assert "### my server: vllm bench serve 0.32.0" in text
    assert "- Place: ?" in text
    assert "| Inter-chunk latency, mean | 30.1 rep. | 30.1 rep. | ms | no |" in text
    report = json.loads((folder / "report" / "report.json").read_text())
    assert [one["id"] for one in report["imported"]] == [stored.id]
    assert report["rankings"] == []
    before = text
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "report" / "report.md").read_text() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["guidelm", "x"], "Did you mean 'guidellm'?"),
        (["guidellm", "none.json"], "no such file"),
        (["guidellm", str(GOLDEN / "vllm-bench.json")], "no file of format guidellm"),
    ],
)
def test_a_wrong_call_ends_with_2_and_stores_nothing(
    words: list[str], said: str, tmp_path: Path, capsys: Capture
) -> None:
    assert cli.main(["import", *words, "--results", str(tmp_path / "r")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert not (tmp_path / "r").exists()


def test_beside_our_own_results_nothing_of_ours_changes(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "r"
    results.write_results(folder, results.Fixture(rates={"alpha": 200.0, "beta": 100.0}))
    before = analyze(folder)
    assert before.imported == []
    assert imports(folder) == 0
    after = analyze(folder)
    assert [one.tool for one in after.imported] == ["vllm bench serve"]
    assert replace(after, imported=[]) == before
    assert cli.main(["report", str(folder)]) == 0
    capsys.readouterr()
    text = (folder / "report" / "report.md").read_text()
    assert text.index("## Rankings") < text.index("## Imported") < text.index("## Method")
    (line,) = (line for line in text.splitlines() if line.startswith("**Imported:**"))
    assert "one measurement of vllm bench serve" in line
    page = (folder / "report" / "report.html").read_text()
    assert page.index(">Imported</h3>") < page.index('id="capacity"')
    assert "<td>?<td>vllm-bench-" in page


def test_hostile_words_stay_words(path: Path, tmp_path: Path, capsys: Capture) -> None:
    (found,) = read(Stranger(), [path], label=HOSTILE, version=HOSTILE)
    store = Store(tmp_path / "r")
    with store.writing():
        store.put_imported(found)
    assert store.imported() == [found]
    assert cli.main(["report", str(store.root)]) == 0
    out, _ = capsys.readouterr()
    text = (store.root / "report" / "report.md").read_text()
    for said in (out, text):
        assert "\x1b" not in said
    assert "<script>" not in text
    (row,) = (line for line in text.splitlines() if line.startswith("| ") and "3.00 rep." in line)
    assert row.replace("\\|", "").count("|") == 7  # six cells


def test_a_notebook_has_no_requests_of_what_was_imported(tmp_path: Path) -> None:
    assert imports(tmp_path) == 0
    found = inferometer.load(tmp_path)
    assert found.frame("imported").height > 0
    assert found.launches.height == 0
    with pytest.raises(UsageError, match="nothing was measured here"):
        _ = found.requests


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    assert imports(tmp_path) == 0
    (record,) = (tmp_path / "imported").iterdir()
    record.write_text("{}")
    with pytest.raises(UsageError, match=record.name):
        analyze(tmp_path)
