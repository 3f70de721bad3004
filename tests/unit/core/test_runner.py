from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from inferometer import plan as planning
from inferometer import pooling, prepare, provenance
from inferometer.errors import UsageError
from inferometer.study import parse

if TYPE_CHECKING:
    from pathlib import Path

STUDY = """name = "files"
[protocol]
window_s = 5
discard_s = 1
[[engines]]
name = "vllm"
[[models]]
name = "m"
path = "m"
[[workloads]]
name = "w"
output_tokens = 5
input = { distribution = "empirical", file = "LENGTHS" }
[[loads]]
concurrency = 1
[[loads]]
trace = "TRACE"
"""


def test_a_file_of_the_work_that_has_changed_is_refused(tmp_path: Path) -> None:
    lengths, trace = tmp_path / "lengths.csv", tmp_path / "trace.jsonl"
    lengths.write_text("1")
    trace.write_text("2")
    text = STUDY.replace("LENGTHS", str(lengths)).replace("TRACE", str(trace))
    plan = planning.expand(parse(text, "study"))
    known = provenance.file_hashes(prepare.work_files(plan))
    assert known == {
        str(lengths): hashlib.sha256(b"1").hexdigest(),
        str(trace): hashlib.sha256(b"2").hexdigest(),
    }
    launches: list[object] = []
    store: Any = SimpleNamespace(
        root=tmp_path, host=lambda: {"workload_files": known}, whole_ids=lambda: launches
    )
    trace.write_text("3")
    now = provenance.file_hashes(prepare.work_files(plan))
    pooling.refuse_other_files(store, now)  # nothing was measured with the old one
    launches.append(object())
    pooling.refuse_other_files(store, known)
    with pytest.raises(UsageError, match=r"trace\.jsonl: not the file that the launches in"):
        pooling.refuse_other_files(store, now)
