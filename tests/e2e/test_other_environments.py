"""A study whose stacks are a container and a server that is there already, to its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.measuring import measure
from tests.runtimes import DIGEST
from tests.studies import CPU_TIME, DECLARED, SHORT, STREAMS, Table, written

from inferometer.analyze import analyze
from inferometer.store import Store
from inferometer.testing import oracle as oracles
from inferometer.testing.oracle import Oracle

if TYPE_CHECKING:
    from tests.runtimes import Runtimes

    from inferometer.records import LaunchRecord

CONTAINER = {
    "name": "oracle",
    "container": "docker",
    "image": "oracle:1",
    "extra_args": ["--itl-ms", "2"],
    "pass_env": ["ENGINE_KEY"],
}
SECRET = "plainlooking42"


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", SECRET)
    monkeypatch.setenv("ENGINE_KEY", SECRET)


def server(port: int) -> Table:
    return {
        "name": "oracle",
        "url": f"http://127.0.0.1:{port}/v1",
        "api_key_env": "SERVER_KEY",
        "engine_version": "7.1",
    }


def text_of(model_files: Path, *engines: Table, probe: bool = False) -> str:
    return written(
        "elsewhere",
        protocol={"rounds": 2, "window_s": 1.0, "discard_s": 0.1, "probe": probe},
        engines=engines,
        models=[{"name": "dense", "path": model_files / "dense"}],
        workloads=[SHORT],
        loads=[STREAMS],
        meters=[DECLARED, CPU_TIME],
    )


def record_of(results: Path, key: str) -> LaunchRecord:
    return next(r for r in Store(results).launches() if key in r.environment)


def everything(results: Path) -> str:
    files = [path for path in results.rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode(errors="replace") for path in files)


def test_a_container_and_a_server_are_measured_and_told_apart(
    runtimes: Runtimes, model_files: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    options = oracles.Options(model="served", itl_ms=2, api_key=SECRET)
    with Oracle(options) as oracle:
        text = text_of(model_files, CONTAINER, server(oracle.port), probe=True)
        outcome, _ = measure(text, results)
        assert (outcome.planned, outcome.finished, outcome.failed) == (4, 4, 0)
        assert oracle.truth  # and it still runs
    assert runtimes.containers() == []

    inside = record_of(results, "image")
    assert inside.environment["image_digest"] == f"oracle@{DIGEST}"
    assert inside.environment["runtime_version"] == "28.2.2"
    assert inside.stack["engine_version"] == inside.environment["distributions"]["inferometer"]
    assert inside.ready_s is not None
    assert (inside.peak_memory_bytes or 0) > 1 << 20
    assert all(info.reason is None for info in inside.meters)
    assert inside.command[1:3] == ["run", "--rm"]
    assert f"oracle@{DIGEST}" in inside.command
    assert inside.command[inside.command.index("--name") + 1].startswith("inferometer-oracle-")
    assert inside.inherited_variables == {"ENGINE_KEY": "[hidden]"}
    names = [call["args"][call["args"].index("--name") + 1] for call in runtimes.calls("run")]
    assert sum(name.startswith(f"inferometer-{inside.id}-") for name in names) == 1
    assert len(set(names)) == len(names)

    there = record_of(results, "url")
    assert (there.stack["engine_version"], there.environment["version_from"]) == ("7.1", "study")
    assert there.environment["served_model_name"] == "served"
    assert there.stack["parallelism"] == "unknown"
    assert (there.ready_s, there.peak_memory_bytes, there.port) == (None, None, None)
    assert (there.command, there.inherited_variables) == ([], {})
    assert {m.name: m.reason for m in there.meters} == {"declared": None, "cpu-time": "no_sensor"}

    comparison = analyze(results)
    (words,) = (text for text in comparison.warnings if "not restarted between rounds" in text)
    assert f"a server at http://127.0.0.1:{oracle.port}" in words
    assert "its version is what the study says" in words
    ready = {cell.stack: cell.values["ready_s"] for cell in comparison.cells}
    assert ready[str(there.stack["id"])].detail == "a server that was there already"
    assert SECRET not in everything(results)


def test_a_server_that_repeats_the_key_does_not_get_it_stored(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "r"
    with Oracle(oracles.Options(api_key="another")) as oracle:
        monkeypatch.setattr(
            "inferometer.testing.connection.error_body",
            lambda *_: {"error": {"message": f"wrong key {SECRET}"}},
        )
        outcome, _ = measure(text_of(model_files, server(oracle.port), probe=True), results)
    assert outcome.failed == 2
    (record,) = Store(results).failures()
    assert record.failure is not None
    assert "wrong key [hidden]" in record.failure.message
    assert SECRET not in everything(results)


def test_what_cannot_run_leaves_the_others_alone(
    runtimes: Runtimes, model_files: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    absent = CONTAINER | {"image": "oracle:2"}
    outcome, _ = measure(text_of(model_files, CONTAINER, absent, server(1)), results)
    assert (outcome.finished, outcome.failed) == (2, 4)
    failures = [r.failure for r in Store(results).failures() if r.failure]
    assert {f.reason for f in failures} == {"unsupported"}
    assert {f.hint.partition(":")[0] for f in failures} == {
        "Fetch it first",
        "Start it there, or correct url; a key goes in api_key_env.",
    }


def test_an_apptainer_image_is_measured(
    runtimes: Runtimes, model_files: Path, tmp_path: Path
) -> None:
    file = tmp_path / "oracle.sif"
    file.write_bytes(b"an image")
    engine = CONTAINER | {"container": "apptainer", "image": file}
    outcome, _ = measure(text_of(model_files, engine), tmp_path / "r")
    assert (outcome.finished, outcome.failed) == (2, 0)
    record = record_of(tmp_path / "r", "image")
    assert record.environment["image_id"].startswith("sha256:")
    assert record.command[1] == "exec"
    assert (record.peak_memory_bytes or 0) > 1 << 20
    assert json.dumps(record.environment).count(SECRET) == 0
