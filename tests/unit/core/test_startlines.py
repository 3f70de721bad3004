"""Lines to paste: a shell gives every word back as the launch recorded it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inferometer import cli
from inferometer.cli.launch import lines
from inferometer.comparison import Start
from inferometer.records import LaunchRecord
from inferometer.startlines import configuration, start, starts
from inferometer.store import Store
from inferometer.testing.results import Fixture, write_results

Capture = pytest.CaptureFixture[str]


def launch(command: list[str], **changes: Any) -> LaunchRecord:
    fields: dict[str, Any] = {
        "id": "r1-s-m-1",
        "plan_sha256": "p",
        "round": 0,
        "position": 0,
        "stack": {"id": "s", "engine": "eng", "engine_version": "1.2"},
        "model": {"name": "m", "path": "/models/m", "sha256": "ab" * 32},
        "status": "ok",
        "started_ns": 0,
        "ended_ns": 1,
        "port": 28799,
        "command": command,
    }
    return LaunchRecord(**fields | changes)


def stub(folder: Path) -> str:
    """Return a program that prints its words, then its variables, each ended by a null byte."""
    path = folder / "bin dir" / "python"
    path.parent.mkdir()
    path.write_text("#!/bin/bash\nprintf '%s\\0' \"$@\"\nprintf '==\\0'; env -0\n")
    path.chmod(0o755)
    return str(path)


def run(script: str, folder: Path, **variables: str) -> tuple[list[str], dict[str, str]]:
    """Return the words and the variables that bash gave the program."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        check=True,
        text=True,
    )
    words, _, given = done.stdout.partition("==\0")
    pairs = [one.partition("=") for one in given.split("\0") if one]
    return words.split("\0")[:-1], {name: value for name, _, value in pairs}


WILD = [
    "two words",
    "it's",
    'say "no"',
    "$HOME `id` $(id)",
    "back\\slash",
    "a\nb",
    "",
    "*",
    "~",
    "{a,b}",
    "!x",
    "#c",
    "; rm -rf /",
]


def test_every_word_survives_the_shell(tmp_path: Path) -> None:
    python = stub(tmp_path)
    variables = {f"WILD_{n}": word for n, word in enumerate(WILD)}
    record = launch(
        [python, "-m", "eng", "--model", "/models/m", "--port", "28799", "--also=28799", *WILD],
        environment={"kind": "venv", "python": python},
        environment_variables=variables,
    )
    one = start(record, {})
    words, given = run(one.script, tmp_path)
    assert words == ["-m", "eng", "--model", "/models/m", "--port", "8000", "--also=8000", *WILD]
    assert variables.items() <= given.items()
    assert one.script.splitlines()[:2] == ["MODEL=/models/m", f"PYTHON='{python}'"]
    assert one.places == {
        "MODEL": f"the model m (SHA-256 {('ab' * 32)[:12]})",
        "PYTHON": "an interpreter that has eng 1.2 (inferometer engines install eng builds one)",
    }


def test_a_place_is_changed_in_one_line(tmp_path: Path) -> None:
    python = stub(tmp_path)
    command = [python, "/models/m", "--at=/models/m/tokenizer", "/models/m2", "x/models/m,ro"]
    one = start(launch(command, environment={"python": python}), {})
    moved = one.script.replace("MODEL=/models/m", "MODEL='/other place'", 1)
    words, _ = run(moved, tmp_path)
    assert words == [
        "/other place",
        "--at=/other place/tokenizer",
        "/models/m2",
        "x/other place,ro",
    ]


def test_programs_beside_the_interpreter_have_a_place_of_their_own(tmp_path: Path) -> None:
    python = stub(tmp_path)
    program = Path(python).rename(Path(python).with_name("eng-serve"))
    one = start(launch([str(program), "serve"], environment={"python": python}), {})
    assert one.script.splitlines()[0] == f"BIN='{program.parent}'"
    assert run(one.script, tmp_path)[0] == ["serve"]


def test_generated_configuration_is_written_and_found(tmp_path: Path) -> None:
    python = stub(tmp_path)
    text = "a: $HOME\nEND\nb: 'it''s'\n"
    record = launch(
        [python, "--options", "/results/r/configurations/s-m/extra.yaml"],
        environment={"python": python},
    )
    one = start(record, {"extra.yaml": text})
    words, _ = run(one.script, tmp_path)
    assert words == ["--options", f"{tmp_path}/s-m/extra.yaml"]
    assert (tmp_path / "s-m" / "extra.yaml").read_text() == text
    assert one.files == ["extra.yaml"]


def test_without_its_secrets_nothing_starts(tmp_path: Path) -> None:
    python = stub(tmp_path)
    record = launch(
        [python, "--api-key", "abc", "--hf-token=abc", "Bearer abc"],
        environment={"python": python},
        environment_variables={"PLAIN": "1", "HUB_TOKEN": "[hidden]"},
        inherited_variables={
            "CUDA_VISIBLE_DEVICES": "0",
            "LD_LIBRARY_PATH": "/lib here",
            "OWN": "[hidden]",
        },
    )
    one = start(record, {})
    assert "abc" not in one.script
    assert one.secrets == ["HUB_TOKEN", "OWN", "API_KEY", "HF_TOKEN", "SECRET"]
    known = {name: f"my {name}" for name in one.secrets}
    words, given = run(one.script, tmp_path, **known)
    assert words == ["--api-key", "my API_KEY", "--hf-token=my HF_TOKEN", "my SECRET"]
    assert given["HUB_TOKEN"] == "my HUB_TOKEN"
    assert (given["PLAIN"], given["CUDA_VISIBLE_DEVICES"]) == ("1", "0")
    assert "LD_LIBRARY_PATH" not in given
    assert any("LD_LIBRARY_PATH=/lib here" in note for note in one.notes)
    for name in one.secrets:
        left = {key: value for key, value in known.items() if key != name}
        with pytest.raises(subprocess.CalledProcessError) as failure:
            run(one.script, tmp_path, **left)
        assert failure.value.stdout == ""
        assert f"{name}: its value is not stored" in failure.value.stderr


def test_a_container_sees_the_same_places(tmp_path: Path) -> None:
    docker = stub(tmp_path)
    mount = "type=bind,source=/models/m,destination=/models/m,ro"
    record = launch(
        [docker, "run", "--env", "A", "--mount", mount, "image:1", "--model", "/models/m"],
        environment={"kind": "container", "image": "image:1"},
        environment_variables={"A": "1"},
        instrument_variables={"QUIET": "1"},
    )
    one = start(record, {})
    assert run(one.script, tmp_path)[0] == record.command[1:]
    assert any("--mount" in note for note in one.notes)
    assert any("QUIET" in note for note in one.notes)


def test_what_is_no_name_of_a_variable_is_left_out() -> None:
    one = start(launch(["x"], environment_variables={"A B": "1", "x;y": "2", "OK": "3"}), {})
    assert one.script == "export OK=3\nx"


def test_files_are_read_without_control_characters_and_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "configurations" / "s-m"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("key: sk-abcdefghijklmnopqrstu\x1b[2J\n")
    (folder / "large").write_bytes(b"x" * (1 << 21))
    found = configuration(Store(tmp_path), launch(["x"]))
    assert found == {"a.yaml": "key: [hidden]\n"}
    assert any("a.yaml" in note for note in start(launch(["x"]), found).notes)


def test_what_is_taken_out_takes_no_quote_with_it(tmp_path: Path) -> None:
    python = stub(tmp_path)
    evil = ["\x1b[", "--flag", "; touch evil; #", "\x1b[ ", "'"]
    record = launch(
        [python, *evil],
        model={"name": "m\x1b[", "path": "/models/m\x1b["},
        environment={"python": python},
        environment_variables={"A": "\x1b[", "B": "; touch evil; #"},
    )
    one = start(record, {"a\x1b[": "x\n"})
    words, given = run(one.script, tmp_path)
    assert words == ["[", "--flag", "; touch evil; #", "[ ", "'"]
    assert (given["A"], given["B"]) == ("[", "; touch evil; #")
    assert not (tmp_path / "evil").exists()
    assert all(char.isprintable() or char == "\n" for char in one.script)


def test_a_variable_of_the_launch_changes_no_place(tmp_path: Path) -> None:
    python = stub(tmp_path)
    record = launch(
        [python, "/models/m", "--port", "None"],
        port=None,
        environment={"python": python},
        environment_variables={"MODEL": "other", "CONFIG": "/etc"},
    )
    one = start(record, {"a.yaml": "x\n"})
    words, given = run(one.script, tmp_path)
    assert words == ["/models/m", "--port", "None"]
    assert (given["MODEL"], given["CONFIG"]) == ("other", "/etc")
    assert set(one.places) == {"MODEL_", "PYTHON"}
    assert (tmp_path / "s-m" / "a.yaml").read_text() == "x\n"


def test_configuration_that_a_variable_names_is_found(tmp_path: Path) -> None:
    python = stub(tmp_path)
    record = launch(
        [python],
        environment={"python": python},
        environment_variables={"OPTIONS": "/results/r/configurations/s-m/extra.yaml"},
    )
    _, given = run(start(record, {"extra.yaml": "x\n"}).script, tmp_path)
    assert given["OPTIONS"] == f"{tmp_path}/s-m/extra.yaml"


def test_results_of_others_give_nothing_that_lies_outside_them(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_text("mine")
    above = tmp_path / "r" / "configurations"
    (above / "s-m").mkdir(parents=True)
    (above / "s-m" / "key").symlink_to(outside / "key")
    (above / "t-m").symlink_to(outside)
    store = Store(tmp_path / "r")
    for stack in ("s", "t"):
        assert configuration(store, launch(["x"], stack={"id": stack})) == {}
    (above / "u-m").mkdir()
    away = launch(["x"], stack={"id": "../../outside/..", "engine": "x"}, model={"name": "x"})
    (tmp_path / "outside" / "..-x").mkdir()
    (tmp_path / "outside" / "..-x" / "key").write_text("mine")
    assert configuration(store, away) == {}


# -- the command -------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path / "r", Fixture(rates={"fast": 40.0, "slow": 20.0}))
    return tmp_path / "r"


def test_the_winner_is_printed_alone(results: Path, capsys: Capture) -> None:
    assert cli.main(["launch", str(results)]) == 0
    out, _ = capsys.readouterr()
    (one,) = (it for it in starts([Store(results)]) if it.stack == "fast")
    assert out.endswith(f"{one.script}\n")
    assert out.startswith("# fast on dense, as launch r1-fast-dense-")
    assert "first, alone or shared, in throughput, energy, cost" in out
    assert "slow" not in out


def test_one_launch_each_is_called_no_order(tmp_path: Path, capsys: Capture) -> None:
    write_results(tmp_path / "r", Fixture(rates={"fast": 40.0, "slow": 20.0}, rounds=1))
    assert cli.main(["launch", str(tmp_path / "r")]) == 0
    assert "in throughput (one launch, no order)" in capsys.readouterr().out


def test_nothing_leaves_its_comment() -> None:
    evil = "m\ntouch /tmp/x\r\x1b[2J\u2028id"
    one = Start(
        stack=evil,
        model=evil,
        launch=evil,
        script="x",
        places={"MODEL": evil},
        secrets=["KEY"],
        notes=[evil],
    )
    *comments, script = "\n".join(lines(one)).splitlines()
    assert script == "x"
    assert len(comments) == 4
    assert all(comment.startswith("# ") for comment in comments)


def test_any_stack_is_printed_by_name(results: Path, capsys: Capture) -> None:
    assert cli.main(["launch", str(results), "slow", "--model", "dense", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document.keys() == set(Start.__struct_fields__)
    assert document["stack"] == "slow"


@pytest.mark.parametrize("words", [["fest"], ["fast", "--model", "dens"]])
def test_a_name_that_nobody_has_is_refused(
    words: list[str], results: Path, capsys: Capture
) -> None:
    assert cli.main(["launch", str(results), *words]) == 2
    assert "Did you mean" in capsys.readouterr().err


def test_nothing_finished_is_inconclusive(tmp_path: Path, capsys: Capture) -> None:
    write_results(
        tmp_path / "r", Fixture(rates={"fast": 40.0}, rounds=1, absent=frozenset({("fast", 0)}))
    )
    assert cli.main(["launch", str(tmp_path / "r")]) == 4
    assert "no whole launch" in capsys.readouterr().err
