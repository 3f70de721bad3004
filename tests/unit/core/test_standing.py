"""How a run stands: what it wrote, and what another process makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest

from inferometer import cli, standing
from inferometer import plan as plans
from inferometer.errors import UsageError
from inferometer.journal import Journal
from inferometer.journal_records import FILE, Event, Figure, before, needed, read
from inferometer.look_records import Look
from inferometer.progress import Silent
from inferometer.standing import look, this_process
from inferometer.standing_words import rows
from inferometer.store import Store
from inferometer.study import parse

if TYPE_CHECKING:
    from inferometer.standing import Standing

Capture = pytest.CaptureFixture[str]
S = 1_000_000_000
STUDY = """name = "two"
[protocol]
rounds = {rounds}
window_s = 5
{more}
[[engines]]
name = "a"
[[engines]]
name = "b"
[[models]]
name = "m"
packaged = "m"
[[workloads]]
name = "w"
input_tokens = 8
output_tokens = 8
[[loads]]
concurrency = 2
"""
PRICE = """[price]
usd_per_hour = 3.6
source = "made up"
date = "2026-01-01"
contract = "assumed"
"""


def begun(folder: Path, more: str = "", rounds: int = 2) -> Store:
    """Return a results directory in which nothing has been measured yet."""
    text = STUDY.format(more=more, rounds=rounds)
    store = Store(folder / "r")
    store.root.mkdir()
    store.begin(plans.expand(parse(text, "study.toml")), text)
    return store


def make_whole(store: Store, launch: str) -> None:
    folder = store.folder(launch)
    folder.mkdir(parents=True)
    (folder / "launch.json").write_text("{}")


def write(store: Store, *events: Event) -> None:
    with (store.root / FILE).open("ab") as file:
        file.writelines(msgspec.json.encode(event) + b"\n" for event in events)


def stands(store: Store, now_ns: int) -> Standing:
    return standing.standing(store, standing.known(store), read(store.root), now_ns)


def beginning(t_ns: int = 0, **changes: Any) -> Event:
    process = msgspec.structs.replace(this_process(), **changes)
    return Event(t_ns=t_ns, what="begun", process=process)


def ids(store: Store) -> list[str]:
    return [launch.id for launch in store.plan().launches]


# -- what is written ---------------------------------------------------------------------


def test_a_run_writes_what_it_says_and_how_it_ended(tmp_path: Path) -> None:
    store, display = begun(tmp_path), Silent()
    first = ids(store)[0]
    with Journal(store, display) as journal:
        journal.stage("environment of a")
        journal.launch(1, 4, "round 1, a on m", first)
        journal.note("token hf_abcdefghijklmnopqrst\x1b[2J")
        journal.launched("ok")
        assert look(store).state == "running"
    found = read(store.root)
    said = [event.what for event in found]
    assert said == ["begun", "stage", "launch", "note", "launched", "ended"]
    assert found[3].text == "token [hidden]"
    assert (found[-1].status, found[2].launch) == ("finished", first)
    assert [what for what, _ in display.said] == ["stage", "launch", "note"]
    assert look(store).state == "finished"


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt(), "interrupted"), (ValueError("no"), "failed")]
)
def test_a_run_that_is_ended_says_by_what(error: BaseException, state: str, tmp_path: Path) -> None:
    store = begun(tmp_path)
    with pytest.raises(type(error)), Journal(store, Silent()):
        raise error
    found = look(store)
    assert found.state == state
    assert type(error).__name__ in found.detail


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    store, display = begun(tmp_path), Silent()
    (store.root / FILE).mkdir()
    with Journal(store, display) as journal:
        journal.stage("on")
    assert [what for what, _ in display.said] == ["warn", "stage"]


def test_a_killed_run_spoils_no_line_of_the_next(tmp_path: Path) -> None:
    store = begun(tmp_path)
    write(store, beginning())
    with (store.root / FILE).open("ab") as file:
        file.write(b'{"t_ns":5,"what":"sta')
    with Journal(store, Silent()):
        pass
    assert [event.what for event in read(store.root)] == ["begun", "begun", "ended"]


@pytest.mark.parametrize("before", [b'{"t_ns":5,"what":"be', b"\xff\n{"])
def test_a_run_killed_at_its_first_word_hides_no_later_one(before: bytes, tmp_path: Path) -> None:
    store = begun(tmp_path)
    (store.root / FILE).write_bytes(before)
    with Journal(store, Silent()):
        assert look(store).state == "running"
    assert [event.what for event in read(store.root)] == ["begun", "ended"]


def test_a_disk_that_was_full_for_a_while_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole = begun(tmp_path), Path.open

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def tell(self) -> int:
            return int(self.file.tell())

        def write(self, line: bytes) -> int:
            return int(self.file.write(line[:9]))

    with Journal(store, Silent()) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", lambda *args, **more: Full(whole(*args, **more)))
            journal.stage("lost")
        journal.stage("kept")
    assert [event.text for event in read(store.root)] == ["", "kept", ""]


def test_a_clock_that_is_set_shortens_no_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now = begun(tmp_path), [9000 * S]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    with Journal(store, Silent()) as journal:
        journal.launch(1, 4, "round 1", ids(store)[0])
        now[0] = 0
        journal.launched("ok")
        journal.launch(2, 4, "round 1", ids(store)[1])
        assert (look(store).left_s or 0) >= 0
    (ended,) = (event for event in read(store.root) if event.what == "launched")
    assert 0 <= ended.seconds < 1000


def test_what_is_kept_of_launches_that_ended_is_what_a_standing_needs(tmp_path: Path) -> None:
    store = begun(tmp_path, PRICE)
    first, second, *_ = ids(store)
    make_whole(store, first)
    figure = Figure(
        launch=first, stack="a", model="m", workload="w", load="2", seconds=5, output_tps=4
    )
    write(store, beginning(0), Event(t_ns=5 * S, what="stage", text="killed here"), beginning(9))
    for number in range(3):
        write(
            store,
            Event(t_ns=number, what="launch", launch=first, text="one"),
            Event(t_ns=number, what="stage", text="s"),
            Event(t_ns=number, what="window", seconds=1, until_ns=1 << 60),
            Event(t_ns=number, what="measured", figure=figure),
            Event(t_ns=number, what="warning", text=str(number)),
            Event(t_ns=number, what="launched", launch=first, status="ok", seconds=4),
        )
    now, known, events = 20 * S, standing.known(store), read(store.root)
    kept = needed(events)
    assert len(kept) == 3 + 3 * 3
    assert before(store.root) == kept
    for more in ([], [Event(t_ns=9 * S, what="launch", launch=second, text="two")]):
        every = standing.standing(store, known, [*events, *more], now)
        assert standing.standing(store, known, [*kept, *more], now) == every


def test_a_node_that_was_lost_before_its_first_launch_ended_still_counts(tmp_path: Path) -> None:
    store = begun(tmp_path, PRICE)
    first, second, *_ = ids(store)
    write(
        store,
        beginning(0),
        Event(t_ns=1 * S, what="launch", node="node-1", launch=first, text="one"),
        Event(t_ns=2 * S, what="launch", node="node-2", launch=second, text="two"),
        Event(t_ns=9 * S, what="launched", node="node-1", launch=first, status="ok", seconds=8),
    )
    now, known = 20 * S, standing.known(store)
    every = standing.standing(store, known, read(store.root), now)
    assert standing.standing(store, known, before(store.root), now) == every


# -- who runs ----------------------------------------------------------------------------


def test_a_run_is_alive_while_its_process_is(tmp_path: Path) -> None:
    store = begun(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = standing.started(child.pid)
    assert started is not None
    write(store, beginning(pid=child.pid, started=started))
    assert look(store).state == "running"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert look(store).state == "died"  # a zombie has ended
    child.communicate()
    found = look(store)
    assert found.state == "died"
    assert f"process {child.pid} is gone" in found.detail


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"started": 1}, "died", "is gone"),  # the number belongs to another one now
        ({"boot": "another"}, "died", "began anew"),
        ({"namespace": 1}, "unknown", "another container"),
        ({"host": "elsewhere", "boot": "another"}, "unknown", "on another machine: ask there"),
        ({"host": "elsewhere", "boot": ""}, "unknown", "on another machine: ask there"),
        ({"boot": "", "namespace": 1}, "unknown", "another container"),
        ({"started": 0}, "died", "is gone"),  # it could not look at itself
        ({"pid": 1 << 70}, "died", "is gone"),
    ],
)
def test_another_process_is_not_taken_for_the_run(
    changes: dict[str, Any], state: str, words: str, tmp_path: Path
) -> None:
    store = begun(tmp_path)
    write(store, beginning(**changes))
    found = look(store)
    assert found.state == state
    assert words in found.detail


def test_a_machine_that_has_another_name_now_is_the_same(tmp_path: Path) -> None:
    store = begun(tmp_path)
    write(store, beginning(host="before"))
    assert look(store).state == "running"


def test_a_process_that_may_not_be_seen_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = begun(tmp_path)
    write(store, beginning(pid=4_000_000))

    def refused(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    found = look(store)
    assert (found.state, "another user" in found.detail) == ("unknown", True)


def test_a_system_that_hides_processes_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "PROC", tmp_path / "none")
    with Journal(begun(tmp_path), Silent()) as journal:
        journal.stage("on")
    process = read(tmp_path / "r")[0].process
    assert process is not None
    assert (process.started, process.boot, process.namespace) == (0, "", 0)


def test_results_without_a_word_of_a_run(tmp_path: Path) -> None:
    store = begun(tmp_path)
    found = look(store)
    assert (found.state, found.planned, found.left) == ("not begun", 4, 4)
    first, *others = ids(store)
    make_whole(store, first)
    assert look(store).state == "unknown"  # of a version that wrote nothing down
    for launch in others:
        make_whole(store, launch)
    assert look(store).state == "finished"
    assert dict(rows(look(store)))["verdicts"] == "in the report"
    with pytest.raises(UsageError, match="not a results directory"):
        look(Store(tmp_path))


# -- how far it is -----------------------------------------------------------------------


def test_what_is_done_failed_and_left_adds_up(tmp_path: Path) -> None:
    store = begun(tmp_path)
    first, second, third, _ = ids(store)
    make_whole(store, first)
    (store.root / "failed" / f"{second}-1").mkdir(parents=True)
    (store.root / "failed" / f"{first}-1").mkdir()  # made good since
    write(store, beginning())
    found = look(store)
    assert (found.planned, found.done, found.failed, found.left) == (4, 1, 1, 2)
    make_whole(store, third)
    assert look(store).left == 1


def test_time_left_is_that_of_like_launches(tmp_path: Path) -> None:
    store = begun(tmp_path)
    launches = store.plan().launches
    a, b = (next(one for one in launches if one.stack == stack) for stack in "ab")
    assert launches[0].stack != launches[1].stack
    write(store, beginning(), Event(t_ns=0, what="launch", launch=launches[0].id, text="one"))
    assert stands(store, 0).left_s is None
    for one, seconds in ((a, 10.0), (b, 30.0)):
        make_whole(store, one.id)
        write(store, Event(t_ns=0, what="launched", launch=one.id, status="ok", seconds=seconds))
    assert stands(store, 0).left_s == 40.0  # round 2: one of each
    write(store, Event(t_ns=0, what="launch", launch=launches[2].id, text="two"))
    assert stands(store, 4 * S).left_s == 36.0  # four of them are over
    assert stands(store, 400 * S).left_s == {"a": 30.0, "b": 10.0}[launches[2].stack]


def test_what_failed_is_not_waited_for(tmp_path: Path) -> None:
    store = begun(tmp_path)
    first, second, *_ = store.plan().launches
    make_whole(store, second.id)
    write(
        store,
        beginning(),
        Event(t_ns=0, what="launched", launch=first.id, status="failed", seconds=1.0),
        Event(t_ns=0, what="launched", launch=second.id, status="ok", seconds=20.0),
    )
    assert stands(store, 0).left_s == 20.0  # the other stack's second round alone


def test_the_stage_and_the_window_are_those_of_now(tmp_path: Path) -> None:
    store = begun(tmp_path)
    launch = ids(store)[0]
    write(
        store,
        beginning(),
        Event(t_ns=0, what="launch", launch=launch, text="round 1, a on m"),
        Event(t_ns=1 * S, what="stage", text="w, 2 streams"),
        Event(t_ns=2 * S, what="window", seconds=5.0, until_ns=8 * S),
    )
    found = stands(store, 3 * S)
    assert (found.launch, found.stage) == ("round 1, a on m", "w, 2 streams")
    assert found.window_until_ns == 8 * S
    assert stands(store, 9 * S).window_until_ns is None
    write(store, Event(t_ns=9 * S, what="launched", launch=launch, status="ok", seconds=9.0))
    assert (stands(store, 10 * S).launch, stands(store, 10 * S).stage) == ("", "")


def test_a_damaged_number_is_no_crash(tmp_path: Path) -> None:
    store = begun(tmp_path)
    first, second, *_ = ids(store)
    make_whole(store, first)
    ended = Event(t_ns=0, what="launched", launch=first, status="ok", seconds=1e300)
    window = Event(t_ns=0, what="window", until_ns=1 << 100)
    write(store, beginning(), ended, Event(t_ns=1 << 100, what="stage", text="never"), window)
    write(store, Event(t_ns=0, what="launch", launch=second), window)
    said = dict(rows(look(store)))
    assert said["left"] == "not known before a launch is whole"
    assert "no time that there is" in said["now"]
    assert "never" not in said["now"]


def test_windows_of_trials_are_not_shown(tmp_path: Path) -> None:
    store = begun(tmp_path)
    planned = ids(store)[0]
    figure = Figure(
        launch=planned,
        stack="a",
        model="m",
        workload="w",
        load="2 streams",
        seconds=5,
        output_tps=4,
    )
    trial = msgspec.structs.replace(figure, launch="t1-a-m")
    write(store, *(Event(t_ns=0, what="measured", figure=one) for one in (figure, trial)))
    assert look(store).figures == [figure]


def test_the_machine_is_paid_for_while_runs_hold_it(tmp_path: Path) -> None:
    store = begun(tmp_path, PRICE)
    write(
        store,
        beginning(),
        Event(t_ns=1000 * S, what="ended", status="interrupted"),
        beginning(5000 * S),
    )
    found = stands(store, 6000 * S)
    assert found.held_s == pytest.approx(2000.0)
    assert found.cost_usd == pytest.approx(2.0)  # 0.001 USD a second
    assert ("cost", "2.00 USD for 33 min at 3.60 USD/h (estimated)") in rows(found)
    other = tmp_path / "other"
    other.mkdir()
    free = begun(other)
    write(free, beginning())
    assert stands(free, 60 * S).cost_usd is None
    assert ("cost", "n/a (no price in the study); the machine was held for 60 s") in rows(
        stands(free, 60 * S)
    )


def test_verdicts_are_those_of_the_looks(tmp_path: Path) -> None:
    assert look(begun(tmp_path)).verdicts is None
    other = tmp_path / "other"
    other.mkdir()
    store = begun(other, "[sequential]", rounds=5)
    found = look(store)
    assert found.at_most
    assert dict(rows(found))["verdicts"] == "none yet: nobody has looked"
    store.put_looks([Look(rounds=2, ended=["a"], undecided=["a and b: throughput"], stop="rounds")])
    said = dict(rows(look(store)))["verdicts"]
    assert said == "after round 2; decided: a; open: 1 pair; that was the last round"


# -- the command -------------------------------------------------------------------------


def test_the_command_says_the_same_as_text_and_as_json(tmp_path: Path, capsys: Capture) -> None:
    store = begun(tmp_path, PRICE)
    write(store, beginning(), Event(t_ns=1, what="warning", text="slow\x1b[2J client"))
    assert cli.main(["status", str(store.root)]) == 0  # it runs
    out = capsys.readouterr().out
    assert out.startswith(f"two: {store.root}\n")
    assert "0 of 4 done, 4 left" in out
    assert "slow client" in out
    assert cli.main(["status", str(store.root), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["state"], document["left"], document["pid"]) == ("running", 4, os.getpid())
    assert document["left_s"] is None


def test_what_cannot_be_told_from_here_ends_with_4(tmp_path: Path, capsys: Capture) -> None:
    store = begun(tmp_path)
    write(store, beginning(host="elsewhere", boot="another"))
    assert cli.main(["status", str(store.root)]) == 4
    assert "resumes" not in capsys.readouterr().out  # it may run
    for launch in ids(store):
        make_whole(store, launch)
    assert cli.main(["status", str(store.root)]) == 0


def test_a_run_that_is_over_and_not_whole_ends_with_5(tmp_path: Path, capsys: Capture) -> None:
    store = begun(tmp_path)
    assert cli.main(["status", str(store.root)]) == 5
    assert "command resumes" in capsys.readouterr().out
    for launch in ids(store):
        make_whole(store, launch)
    assert cli.main(["status", str(store.root)]) == 0
    assert f"Report with: inferometer report {store.root}" in capsys.readouterr().out
    assert cli.main(["status", str(tmp_path)]) == 2
