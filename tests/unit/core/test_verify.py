"""Whatever is done to results behind our back is found, by the name of the file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferometer import standing, sums
from inferometer.cli import main
from inferometer.errors import UsageError
from inferometer.journal import Journal
from inferometer.progress import Silent
from inferometer.records import SCHEMA, LaunchRecord
from inferometer.store import Store, decode
from inferometer.testing.results import Fixture, write_results
from inferometer.verifying import Verified, verify

FIXTURE = Fixture(
    rates={"a": 40.0, "b": 20.0}, rounds=2, window_s=1, failed=frozenset({("b", 1)}), concurrency=2
)
EMPTY = {"lock"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("verify") / "results"
    write_results(root, FIXTURE)
    with Store(root).writing():
        (root / sums.GROWS).write_text('{"t_ns":1,"what":"note","text":"hello"}\n')
    return root


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "results"))


def what(found: Verified) -> set[tuple[str, str]]:
    return {(one.what, one.path) for one in found.findings}


def files(root: Path) -> list[str]:
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(set(found) - EMPTY)


def launches(root: Path) -> list[Path]:
    return sorted((root / "launches").iterdir())


def test_what_was_written_is_whole(results: Path) -> None:
    found = verify(results)
    assert (found.findings, found.notes) == ([], [])
    assert (found.schema, found.launches, found.failed) == (SCHEMA, 3, 1)
    assert found.files == len(files(results)) - 1  # all but the chain itself
    last = (results / sums.CHAIN).read_bytes().splitlines()[-1]
    assert found.head == sums.of_bytes(last).sha256


def test_a_byte_flipped_in_any_file_is_found_by_its_name(results: Path) -> None:
    for name in files(results):
        path = results / name
        content = path.read_bytes()
        for at in {0, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert name in {one.path for one in verify(results).findings}, (name, at)
        path.write_bytes(content)
    assert not verify(results).findings


def test_a_file_cut_short_is_found(results: Path) -> None:
    for name in files(results):
        path = results / name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        found = {one.path: one.what for one in verify(results).findings}
        assert name in found
        if name not in {sums.CHAIN, "plan.json"} and not name.endswith(sums.FOLDER):
            assert found[name] in {"truncated", "unreadable"}, name
        path.write_bytes(content)


def test_a_file_that_is_gone_is_found(results: Path) -> None:
    for name in files(results):
        path = results / name
        content = path.read_bytes()
        path.unlink()
        assert ("missing", name) in what(verify(results)), name
        path.write_bytes(content)


def test_launches_exchanged_between_two_directories_of_one_plan_are_found(
    results: Path, tmp_path: Path
) -> None:
    write_results(tmp_path / "other", FIXTURE_LATER)
    mine, other = launches(results)[0], launches(tmp_path / "other")[0]
    assert mine.name == other.name
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    assert ("changed", f"launches/{mine.name}/sums.json") in what(verify(results))


FIXTURE_LATER = Fixture(
    rates={"a": 40.0, "b": 20.0}, rounds=2, window_s=1, concurrency=2, later_s=50
)


def test_a_launch_of_another_plan_and_machine_is_found(results: Path, tmp_path: Path) -> None:
    other = Fixture(rates={"c": 10.0}, rounds=2, window_s=2, host_sha256="1" * 64)
    write_results(tmp_path / "other", other)
    strange = launches(tmp_path / "other")[0]
    shutil.copytree(strange, results / "launches" / strange.name)
    found = verify(results)
    path = f"launches/{strange.name}/launch.json"
    said = {one.text for one in found.findings if one.path == path}
    assert {one.what for one in found.findings if one.path == path} == {"mixed", "unplanned"}
    assert any(text.startswith("of another plan") for text in said)
    assert ("unrecorded", f"launches/{strange.name}/sums.json") in what(found)


def test_one_launch_twice_is_found(results: Path) -> None:
    shutil.copytree(launches(results)[0], results / "launches" / "zz-copy")
    assert ("duplicate", "launches/zz-copy/launch.json") in what(verify(results))


def test_a_launch_that_was_dropped_is_found_also_when_its_line_is(results: Path) -> None:
    dropped = launches(results)[0]
    shutil.rmtree(dropped)
    assert ("missing", f"launches/{dropped.name}") in what(verify(results))
    chain = results / sums.CHAIN
    lines = chain.read_bytes().splitlines(keepends=True)
    chain.write_bytes(b"".join(line for line in lines if dropped.name.encode() not in line))
    assert ("chain", sums.CHAIN) in what(verify(results))


def test_a_launch_removed_and_measured_again_is_told(results: Path) -> None:
    launch = launches(results)[0]
    aside = results.parent / launch.name
    shutil.move(launch, aside)
    with Store(results).writing():
        pass
    assert not verify(results).findings
    shutil.move(aside, launch)
    with Store(results).writing():
        pass
    found = verify(results)
    assert not found.findings
    assert any(launch.name in note and "removed" in note for note in found.notes)


def test_launches_that_nodes_made_are_entered_by_the_one_who_holds_the_lock(
    results: Path,
) -> None:
    mine, other = launches(results)[0], launches(results)[1]
    for made in (mine, other):
        shutil.move(made, results.parent / made.name)
    with Store(results).writing():
        on_a_node = Store(results)
        folder = results.parent / mine.name
        on_a_node.close_launch(folder, decode(folder / "launch.json", LaunchRecord))
        assert "unrecorded" in {one.what for one in verify(results).findings}
    found = verify(results)
    assert not found.findings
    assert found.launches == 2


def test_a_run_that_goes_on_is_no_finding(results: Path) -> None:
    with Store(results).writing(), Journal(Store(results), Silent()):
        (results / "partial" / "r9").mkdir(parents=True)
        (results / ".looks.jsonl.00.tmp").write_text("{")
        found = verify(results)
        assert found.running
        assert found.findings == []
    assert {one.path for one in verify(results).findings} == {"partial/r9", ".looks.jsonl.00.tmp"}


def test_a_run_that_may_go_on_on_another_machine_is_no_finding_either(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = standing.this_process()
    elsewhere = msgspec.structs.replace(here, host="another", boot="another")
    with Store(results).writing(), Journal(Store(results), Silent()):
        (results / "partial" / "r9").mkdir(parents=True)
        monkeypatch.setattr(standing, "this_process", lambda: elsewhere)
        found = verify(results)
        assert (found.running, found.findings) == (False, [])
        assert "on another machine" in found.notes[0]
    assert {one.path for one in verify(results).findings} == {"partial/r9"}


def test_an_interrupt_behind_a_line_breaks_no_chain(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(results)
    with contextlib.suppress(KeyboardInterrupt), store.writing(), monkeypatch.context() as patch:
        real = sums.Chain._write

        def interrupted(chain: sums.Chain, line: bytes) -> None:
            real(chain, line)
            patch.undo()
            raise KeyboardInterrupt

        with (results / sums.GROWS).open("a") as events:
            events.write('{"t_ns":2,"what":"note","text":"more"}\n')
        patch.setattr(sums.Chain, "_write", interrupted)
        store.put_host({"cores": 3})
    found = verify(results)
    assert found.findings == []  # the file is as it was, and a line says so
    assert store.host() != {"cores": 3}


def test_leftovers_and_strangers_are_found_and_the_next_run_clears_its_own(results: Path) -> None:
    (results / "partial" / "r1").mkdir(parents=True)
    (results / ".host.json.00.tmp").write_text("{")
    (results / "notes.txt").write_text("mine")
    (results / "launches" / "notes.txt").write_text("mine")
    with (results / sums.CHAIN).open("ab") as file:
        file.write(b'{"path":"looks')
    assert what(verify(results)) == {
        ("leftover", "partial/r1"),
        ("leftover", ".host.json.00.tmp"),
        ("leftover", sums.CHAIN),
        ("foreign", "notes.txt"),
        ("foreign", "launches/notes.txt"),
    }
    with Store(results).writing():
        pass
    assert what(verify(results)) == {("foreign", "notes.txt"), ("foreign", "launches/notes.txt")}


def test_links_and_names_that_lead_elsewhere_are_not_followed(results: Path) -> None:
    launch = launches(results)[0]
    (launch / "requests.jsonl").unlink()
    (launch / "requests.jsonl").symlink_to("/dev/zero")
    own = json.loads((launch / "sums.json").read_text())
    own["../../../secret"] = {"bytes": 1, "sha256": "0" * 64}
    (launch / "sums.json").write_text(json.dumps(own))
    line = {"path": "/etc/passwd", "bytes": 1, "sha256": "0", "previous": ""}
    with (results / sums.CHAIN).open("a") as file:
        file.write(json.dumps(line) + "\n")
    found = what(verify(results))
    assert ("chain", sums.CHAIN) in found
    assert ("foreign", f"launches/{launch.name}/sums.json") in found


def test_a_directory_of_format_1_has_no_hashes_and_is_not_called_broken(results: Path) -> None:
    as_format_1(results)
    found = verify(results)
    assert (found.findings, found.schema, found.head) == ([], 1, "")
    assert "no hashes are kept here" in found.notes[0]
    requests = launches(results)[0] / "requests.jsonl"
    requests.write_bytes(requests.read_bytes()[:-20])
    chunks = launches(results)[1] / "chunks.bin"
    chunks.write_bytes(chunks.read_bytes()[:-3])
    names = [f"launches/{path.parent.name}/{path.name}" for path in (requests, chunks)]
    assert what(verify(results)) == {("unreadable", names[0]), ("truncated", names[1])}


def as_format_1(root: Path) -> None:
    for path in [root / sums.CHAIN, *root.rglob(sums.FOLDER)]:
        path.unlink()
    for path in [root / "plan.json", *root.rglob("launch.json")]:
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"schema": 1}))


def test_requirements_of_environments_are_ours_in_rounds_and_in_searches(results: Path) -> None:
    store = Store(results)
    search = store.search("a", "dense")
    with store.writing():
        for each in (store, search):
            each.put_files(each.root / "environments", {"ab.txt": "x==1\n"})
    assert verify(results).findings == []
    left = [each.root / "environments" / ".ab.txt.00.tmp" for each in (store, search)]
    for path in left:
        path.write_text("x=")
    assert {one.what for one in verify(results).findings} == {"leftover"}
    with store.writing():
        pass
    assert verify(results).findings == []
    (results / "environments" / "ab.txt").write_text("x==2\n")
    assert what(verify(results)) == {("changed", "environments/ab.txt")}


def test_what_a_newer_version_made_is_refused_by_every_reader(results: Path) -> None:
    def newer(path: Path, **more: Any) -> None:
        content = json.loads(path.read_text()) | {"schema": SCHEMA + 1} | more
        path.write_text(json.dumps(content))

    newer(launches(results)[0] / "launch.json")
    with pytest.raises(UsageError, match="made by a newer Inferometer"):
        Store(results).launches()
    newer(results / "plan.json", protocol="of another kind")
    with pytest.raises(UsageError, match="made by a newer Inferometer"):
        Store(results).plan()
    with pytest.raises(UsageError, match="made by a newer Inferometer"):
        verify(results)


def test_the_command_says_each_finding_in_a_line(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(results)]) == 0
    assert capsys.readouterr().out.startswith("whole: 3 launches, 1 failed attempt; ")
    (results / "study.toml").write_text("")
    assert main(["verify", str(results)]) == 3
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith("truncated  study.toml: 0 of ")
    assert said.err.startswith(f"error: {results}: 1 thing wrong")
    assert main(["verify", str(results), "--json"]) == 3
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["path"] == "study.toml"
    assert main(["verify", str(results.parent)]) == 2


def test_what_may_not_be_read_is_said_in_a_line(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        verify(results)
    with pytest.raises(UsageError, match=r"plan\.json: cannot be read: Permission denied"):
        Store(results).plan()


def test_it_only_reads_and_needs_no_lock(results: Path) -> None:
    def state() -> dict[str, int]:
        found = [results, *results.rglob("*")]
        return {str(path): path.stat().st_mtime_ns for path in found}

    with Store(results).writing():
        before = state()
        assert not verify(results).findings
        assert state() == before
