"""The results directory is whole or absent, whatever happens to the writer."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from inferometer import plan as planning
from inferometer import store
from inferometer.errors import StorageError, UsageError
from inferometer.records import LaunchRecord, Reading
from inferometer.study import EngineEntry, LoadEntry, ModelEntry, Study, WorkloadEntry
from inferometer.verifying import verify

if TYPE_CHECKING:
    from pathlib import Path


def study(name: str = "one") -> Study:
    return Study(
        name=name,
        engines=(EngineEntry(name="e"),),
        models=(ModelEntry(name="m", path="/m"),),
        workloads=(WorkloadEntry(name="w", input_tokens=8, output_tokens=4),),
        loads=(LoadEntry(concurrency=2),),
    )


def record(id_: str = "a", status: str = "ok") -> LaunchRecord:
    return LaunchRecord(
        id=id_,
        plan_sha256="p",
        round=0,
        position=0,
        stack={},
        model={},
        status=status,  # type: ignore[arg-type]
        started_ns=1,
        ended_ns=2,
    )


def test_a_launch_is_finished_only_when_it_is_renamed_into_place(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    with results.writing():
        folder = results.open_launch("a")
        row = Reading(meter="m", device="d", t_ns=5, value=1.5, unit="J")
        store.append_lines(folder / "readings.jsonl", [row])
        assert not results.finished("a")
        results.close_launch(folder, record())
    assert results.finished("a")
    assert [launch.id for launch in results.launches()] == ["a"]
    assert store.readings(results.folder("a")) == [row]
    assert store.probes(results.folder("a")) == []


def test_launches_are_read_one_by_one_where_one_will_do(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    with results.writing():
        for id_ in ("r1-a-m", "r2-a-m", "r2-b-m"):
            results.close_launch(results.open_launch(id_), record(id_))
    (results.folder("r2-b-m") / "launch.json").write_text("damaged")
    assert next(results.each()).id == "r1-a-m"
    assert [each.id for each in results.each("-a-m")] == ["r1-a-m", "r2-a-m"]
    with pytest.raises(UsageError, match="r2-b-m"):
        list(results.each("r2-"))


def test_a_killed_run_loses_only_the_launch_in_flight(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    with results.writing():
        results.close_launch(results.open_launch("a"), record("a"))
        results.open_launch("b")
    with results.writing():
        assert not (tmp_path / "partial").exists()
        assert results.finished("a")
        assert not results.finished("b")


def test_failed_attempts_are_all_kept(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    with results.writing():
        for _ in range(2):
            results.close_launch(results.open_launch("a"), record("a", "failed"))
    assert len(results.failures()) == 2
    assert results.launches() == []


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with (
        store.Store(tmp_path).writing(),
        pytest.raises(UsageError, match="is writing here"),
        store.Store(tmp_path).writing(),
    ):
        pass


def test_a_lock_is_free_at_once_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = "import sys, pathlib; from inferometer.store import Store\n"
    code += "with Store(pathlib.Path(sys.argv[1])).writing(): print(flush=True), sys.stdin.read()"
    line = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(UsageError, match="is writing here"),
            store.Store(tmp_path).writing(),
        ):
            pass
        holder.kill()
        holder.wait()
        with store.Store(tmp_path).writing():
            pass


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_where_no_lock_is_known_the_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unknown)
    with store.Store(tmp_path).writing():
        with (
            pytest.raises(UsageError, match="is writing here"),
            store.Store(tmp_path).writing(),
        ):
            pass
        dead = (tmp_path / "lock").read_text().splitlines()
    assert not (tmp_path / "lock").exists()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "lock").write_text("\n".join([str(ended.pid), dead[1]]) + "\n")
    with store.Store(tmp_path).writing():  # its holder, of this machine, was killed
        pass


def test_a_full_or_locked_out_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(StorageError, match="No locks available"), store.Store(tmp_path).writing():
        pass


def test_results_of_another_plan_are_refused(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    first, second = planning.expand(study()), planning.expand(study("two"))
    results.begin(first, "text")
    results.begin(first, "text")
    assert results.plan() == first
    with pytest.raises(UsageError, match="another plan"):
        results.begin(second, "text")


def test_a_lost_plan_is_written_again_by_its_own_study_alone(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    first, second = planning.expand(study()), planning.expand(study("two"))
    with results.writing():
        results.begin(first, "text")
        made = msgspec.structs.replace(
            record(first.launches[0].id), plan_sha256=first.sha256, stack={"id": "e"}
        )
        results.close_launch(results.open_launch(made.id), made)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(UsageError) as error:
        results.begin(first, "text")
    assert "run the same study again" in error.value.hint
    (tmp_path / "plan.json").unlink()
    (tmp_path / "study.toml").unlink()
    with results.writing():
        with pytest.raises(UsageError, match="another plan"):
            results.begin(second, "text")
        results.begin(first, "text")
    assert results.plan() == first
    assert verify(tmp_path).findings == []


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    results = store.Store(tmp_path)
    with results.writing():
        results.close_launch(results.open_launch("a"), record())
    (results.folder("a") / "launch.json").write_text("{")
    with pytest.raises(UsageError, match=r"a/launch\.json: not readable"):
        results.launches()


def test_an_empty_directory_is_no_results_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a results directory"):
        store.Store(tmp_path).plan()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full (Linux)")
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    target = tmp_path / "requests.jsonl"
    target.symlink_to("/dev/full")
    rows = [Reading(meter="m", device="d", t_ns=5, value=1.5, unit="J")]
    with pytest.raises(StorageError, match="cannot write results: No space left") as caught:
        store.append_lines(target, rows)
    assert "resumes" in caught.value.hint
    assert caught.value.exit_code == 6
