"""Results against a baseline where they tempt to say something wrong."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.core.test_baseline import (
    Capture,
    compared,
    edit_host,
    gated,
    judged,
    line,
    resent,
    write,
)

from inferometer import cli
from inferometer.baseline import Rules, apart, margins, sides
from inferometer.baseline.lines import Two, lines
from inferometer.comparison import Imported
from inferometer.comparison.versus import Line
from inferometer.errors import UsageError
from inferometer.plan import LoadPoint
from inferometer.records import LaunchRecord, Probe
from inferometer.store import Store, append_lines, decode, encode
from inferometer.study import LoadEntry
from inferometer.testing.results import Fixture, write_results
from inferometer.uncertainty import welch
from inferometer_reports import words_versus

pytestmark = pytest.mark.computing


def edit_records(root: Path, of: str, **fields: Any) -> Path:
    """Change fields of every launch record of a stack."""
    for path in root.glob("launches/*/launch.json"):
        record = decode(path, LaunchRecord)
        if record.stack["id"] == of:
            path.write_bytes(encode(replace(record, **fields)))
    return root


def reanswered(root: Path, stack: str = "a", ids: list[int] | None = None) -> Path:
    """Make a stack answer other tokens to every fixed text; None: it was never asked."""
    for path in root.glob("launches/*/probes.jsonl"):
        if decode(path.parent / "launch.json", LaunchRecord).stack["id"] == stack:
            path.unlink()
            probes = [
                Probe(prompt=n, prompt_tokens=4, text="", token_ids=ids or [], ids_from="engine")
                for n in range(5 if ids else 0)
            ]
            append_lines(path, probes)
    return root


def two_stacks(root: Path, new: float = 44.0, **options: Any) -> Path:
    drift = {(s, i): f for s in ("old", "new") for i, f in enumerate((0.8, 0.9, 1.0, 1.1, 1.2))}
    made = Fixture(rates={"old": 40.0, "new": new}, drift=drift, rounds=5, **options)
    return write_results(root, made).root


# -- the interval ------------------------------------------------------------------------


def test_welch_by_hand() -> None:
    """Logarithms 0 and 2 (variance 2) against 3, 5 and 7 (variance 4)."""
    found = welch.independent([math.exp(0), math.exp(2)], [math.exp(3), math.exp(5), math.exp(7)])
    assert found.value == pytest.approx(5 - 1)
    assert found.error == pytest.approx(math.sqrt(2 / 2 + 4 / 3))
    # (1 + 4/3)^2 / (1^2 / 1 + (4/3)^2 / 2) = (49/9) / (17/9)
    assert found.df == pytest.approx(49 / 17)
    assert found.n == 2


def test_latency_is_worse_when_it_is_higher(tmp_path: Path) -> None:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    found = compared(base, slow)
    for metric in ("ttft_p50_ms", "energy_j_per_output_token", "bill_usd_per_mtok_output"):
        assert line(found, metric).ratio.value == pytest.approx(40 / 36, rel=0.01)
        assert line(found, metric).verdict == "worse"
    assert line(found, "output_tokens_per_j").ratio.value == pytest.approx(0.9, rel=0.01)
    assert line(found, "output_tokens_per_j").verdict == "worse"


# -- what differs ------------------------------------------------------------------------


def test_speed_at_other_answers_is_no_speed(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), reanswered(write(tmp_path / "b", 44.0), ids=[9, 9, 9, 9])
    found = compared(base, now)
    (different,) = found.differences
    assert (different.topic, different.what) == ("answers", "answers of a on dense")
    assert different.current == (
        "0.0% of greedy tokens agree up to the first difference (limit 90%)"
    )
    assert line(found).verdict == "not_judged"
    gate = gated(base, now)
    assert gate.verdict == "inconclusive"
    assert "--allow answers" in gate.refusals[0]
    assert gated(base, now, allow=["answers"]).verdict == "passed"


def test_stacks_of_one_directory_must_answer_alike_too(tmp_path: Path) -> None:
    root = reanswered(two_stacks(tmp_path / "r"), "new", [9, 9, 9, 9])
    assert gated(root, root, pairs={"new": "old"}).verdict == "inconclusive"


def test_another_precision_needs_answers_to_be_compared(tmp_path: Path) -> None:
    stack = {"id": "a", "engine": "a", "engine_version": "0", "parallelism": "TP1"}
    base = write(tmp_path / "a")
    heard = edit_records(write(tmp_path / "b", 44.0), "a", stack=stack | {"precision": "fp8"})
    assert gated(base, heard).verdict == "passed"
    silent = edit_records(write(tmp_path / "c", 44.0), "a", stack=stack | {"precision": "fp8"})
    (different,) = compared(base, reanswered(silent)).differences
    assert (different.topic, different.current) == ("answers", "fp8")
    assert gated(base, silent).verdict == "inconclusive"


def test_what_differs_between_two_stacks_of_one_directory_is_told(tmp_path: Path) -> None:
    root = two_stacks(tmp_path / "r", environments={"old": "1" * 64, "new": "2" * 64})
    found = compared(root, root, pairs={"new": "old"}).differences
    assert {one.topic for one in found} == {"software"}
    told = {one.what: (one.baseline, one.current) for one in found}
    assert told == {
        "environment of new": ("0, 111111111111, made up", "0, 222222222222, made up"),
        "engine new": ("name = old", "name = new"),
    }


def test_stacks_metered_at_two_boundaries_have_no_ratio_of_joules(tmp_path: Path) -> None:
    root = two_stacks(tmp_path / "r")
    (meter,) = decode(next(root.glob("launches/*/launch.json")), LaunchRecord).meters
    edit_records(root, "new", meters=[replace(meter, scope="L2")])
    found = compared(root, root, pairs={"new": "old"})
    assert line(found).verdict == "better"
    assert line(found, "energy_j_per_output_token").reason == "other_boundary"
    assert gated(root, root, pairs={"new": "old"}).verdict == "inconclusive"


def test_what_differs_is_told_where_the_short_words_are_equal(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 41.0)
    file = now / "study.toml"
    file.write_text(file.read_text().replace("2026-01-01", "2025-12-31"))
    (different,) = compared(base, now).differences
    assert (different.topic, different.baseline, different.current) == (
        "price",
        "date = 2026-01-01",
        "date = 2025-12-31",
    )
    (different,) = compared(base, resent(write(tmp_path / "c", 41.0))).differences
    assert (different.topic, different.current) == ("prompts", "f" * 12)


def test_fields_of_one_name_do_not_hide_each_other() -> None:
    before = '[{"dtype":"auto"},{"dtype":"bf16"}]'
    told = apart._fields(before, before.replace("auto", "fp8"))
    assert told == ("dtype = auto; bf16", "dtype = fp8; bf16")


# -- who failed, who fell behind ---------------------------------------------------------


def test_survivors_of_failed_launches_are_no_pass(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    some = write(tmp_path / "b", 41.0, failed=frozenset({("a", 1)}))
    gate = gated(base, some)
    assert gate.verdict == "inconclusive"
    assert gate.refusals == [
        "launches of a on dense that failed in b: 1; a pass would be of the others alone"
    ]
    assert gated(some, base).verdict == "passed"
    # it came off when it was tried again
    tried = write(tmp_path / "c", 41.0)
    shutil.copytree(some / "failed", tried / "failed")
    found = compared(base, tried, gate=Rules())
    assert found.current.failed == 0
    assert found.gate is not None
    assert found.gate.verdict == "passed"


def test_a_side_that_is_not_finished_says_so(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    now = write(tmp_path / "b", 41.0, absent=frozenset({("a", 3), ("a", 4)}))
    found = compared(base, now, gate=Rules())
    assert "2 of 5 planned launches of b were not made (yet)." in found.notes
    assert found.gate is not None
    assert found.gate.verdict == "passed"


def opened(root: Path) -> sides.Body:
    """Read a directory as if its load were open; what was measured stays the same."""
    body = sides.read(root.name, root)
    body.__dict__["points"] = {
        key: LoadPoint(index=it.index, workload=it.workload, load=LoadEntry(rate=4.0))
        for key, it in body.points.items()
    }
    return body


def open_loop(base: Path, now: Path) -> dict[str, Line]:
    both = Two(opened(base), opened(now), {"a": "a"}, [])
    return {one.metric: one for one in lines(both)}


def test_an_open_loop_repeats_what_was_offered_unless_one_side_falls_behind(
    tmp_path: Path,
) -> None:
    base, near = write(tmp_path / "a"), write(tmp_path / "b", 38.0)
    found = open_loop(base, near)
    assert found["output_tok_s"].reason == "offered"
    assert found["energy_j_per_output_token"].verdict == "worse"
    behind = open_loop(base, write(tmp_path / "c", 32.0))
    assert behind["output_tok_s"].verdict == "worse"
    assert behind["energy_j_per_output_token"].reason == "fell_behind"
    assert behind["energy_j_per_output_token"].detail == (
        "a of c delivered 80% of the tokens of the other side"
    )


def test_nothing_counted_is_no_pass(tmp_path: Path) -> None:
    gate = gated(write(tmp_path / "a"), write(tmp_path / "b", 0.001))
    assert gate.verdict == "inconclusive"
    assert {one.verdict for one in gate.lines} == {"not_told"}


# -- several models, workloads and loads -------------------------------------------------


def test_every_cell_of_the_baseline_is_judged_and_what_is_new_is_left_out(tmp_path: Path) -> None:
    more: dict[str, Any] = {"models": ("dense", "moe"), "workloads": {"long": (40, 10)}}
    base, now = write(tmp_path / "a", **more), write(tmp_path / "b", 40.1, **more)
    gate = gated(base, now)
    assert gate.verdict == "passed"
    assert len(gate.lines) == 2 * 2 * 3
    assert len({(o.line.model, o.line.workload, o.line.metric) for o in gate.lines}) == 12
    one = write(tmp_path / "c", workloads={"long": (40, 10)})
    gone = gated(base, one)
    assert gone.verdict == "inconclusive"
    assert "output_tok_s, a, moe, small, 4 streams: not run: c: not planned here" in gone.refusals
    new = gated(one, now)
    assert new.verdict == "passed"
    assert "a, moe, small, 4 streams: not in the baseline" in new.left_out


# -- confirming --------------------------------------------------------------------------


def test_a_few_loud_launches_refute_nothing(tmp_path: Path) -> None:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    few = write(tmp_path / "c", 36.0, noise=(1.1, 0.9))
    gate = gated(base, slow, confirm=few)
    assert (gate.verdict, judged(gate).verdict) == ("inconclusive", "not_told")
    assert "its 2 confirming launches leave it open, give 5" in gate.refusals[0]
    assert words_versus.outcome(judged(gate)).startswith(
        "not judged: worse at first, and the confirming launches cannot tell; measured again"
    )
    many = write(tmp_path / "d", 36.0, noise=(1.1, 0.9, 1.05, 0.95, 1.0))
    assert judged(gated(base, slow, confirm=many)).verdict == "not_confirmed"


def test_confirming_launches_of_a_machine_that_is_not_known(tmp_path: Path) -> None:
    base, slow, again = (
        write(tmp_path / name, rate) for name, rate in zip("abc", (40, 36, 36), strict=True)
    )
    edit_host(again, gpu_driver=None)
    gate = gated(base, slow, confirm=again)
    assert gate.verdict == "inconclusive"
    assert gate.refusals[0] == (
        "the confirming launches confirm nothing: accelerator driver differs: 550 at first, "
        "not known there"
    )
    assert gate.refusals[1].endswith("the confirming launches are of something else")


# -- the command line --------------------------------------------------------------------


def test_without_a_common_stack_the_gate_still_writes(tmp_path: Path, capsys: Capture) -> None:
    base, other = write(tmp_path / "a"), write(tmp_path / "b", rates={"b": 40.0})
    out = tmp_path / "gate.json"
    assert cli.main(["gate", str(other), "--baseline", str(base), "--json", str(out)]) == 4
    gate = json.loads(out.read_text())["gate"]
    assert gate["verdict"] == "inconclusive"
    assert gate["refusals"][0] == "no stack is in both a (a) and b (b); --pair NEW=OLD compares two"
    assert cli.main(["compare", str(base), str(other)]) == 4
    assert "no stack is in both a and b" in capsys.readouterr().err
    pair = ["--pair", "b=a", "--json", str(out)]
    assert cli.main(["gate", str(other), "--baseline", str(base), *pair]) == 0


def test_a_meter_of_what_no_meter_tells_is_misspelt(tmp_path: Path) -> None:
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 40.1)
    gate = gated(base, now, margins={"output_tok_s@fixture": 2.0})
    assert (gate.verdict, gate.refusals[0]) == (
        "inconclusive",
        "output_tok_s@fixture: no meter tells output_tok_s",
    )


def test_one_number_has_one_margin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="output_tok_s is given 2 times"):
        margins.with_options(Rules(), metrics=["output_tok_s=2", "output_tok_s=50"])
    base, now = write(tmp_path / "a"), write(tmp_path / "b", 40.1)
    both = {"energy_j_per_output_token@fixture": 50.0, "energy_j_per_output_token": 2.0}
    gate = gated(base, now, margins=both)
    assert gate.verdict == "inconclusive"
    assert gate.refusals == ["energy_j_per_output_token@fixture is gated twice"]


def test_damaged_and_foreign_directories_are_named(tmp_path: Path, capsys: Capture) -> None:
    base = write(tmp_path / "a")
    cut, empty, foreign = write(tmp_path / "b", 41.0), tmp_path / "e", tmp_path / "f"
    next(cut.glob("launches/*/requests.jsonl")).write_text('{"index": 0, "load_po')
    empty.mkdir()
    store = Store(foreign)
    with store.writing():
        store.put_imported(Imported(id="x", format="f", tool="t", version="", files=[], figures=[]))
    for root, words in (
        (cut, "requests.jsonl"),
        (empty, "not a results directory"),
        (foreign, "holds only what other tools measured"),
    ):
        for command in (["compare", str(base)], ["gate", "--baseline", str(base)]):
            assert cli.main([*command, str(root)]) == 2
            assert words in capsys.readouterr().err
