"""``inferometer plan`` on the command line: past results, prices, budgets, what is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.core.test_forecast import HERE, made, study

from inferometer import cli, environment, plan, provenance
from inferometer.declared import Sequential
from inferometer.look_records import Look
from inferometer.study import dump, load

Capture = pytest.CaptureFixture[str]
PLAIN = study(
    rounds=5,
    loads=(1, 8, 64),
    tables=(
        "[price]\nusd_per_hour = 3.6\nsource = 'made up'\ndate = '2026-01-01'\ncontract = 'assumed'"
    ),
)


@pytest.fixture(autouse=True)
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "accelerator", lambda: "cpu")
    monkeypatch.setattr(provenance, "host_sha256", lambda _: HERE)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "s.toml"
    text = dump(PLAIN).replace('packaged = "m"', 'packaged = "smollm2-135m"')
    found.write_text(f"# by hand\n{text}")
    return found


def told(capsys: Capture, *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["plan", *map(str, words), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_past_results_that_are_named_say_how_long_launches_take(
    path: Path, capsys: Capture
) -> None:
    store = made(path.parent / "earlier", load(path), start_s=90)
    found = told(capsys, path, "--from", store.root)["estimate"]["forecast"]
    (start,) = (part for part in found["parts"] if part["name"] == "start and stop")
    assert start["seconds"] == {"low": 465, "expected": 465, "high": 465}
    assert (start["kind"], start["basis"]) == ("derived", "5 past launches of vllm on m")
    assert cli.main(["plan", str(path), "--from", str(path.parent)]) == 2
    assert "no plan.json, so this is not a results directory" in capsys.readouterr().err


def test_results_without_gpus_say_nothing_of_a_machine_with_them(
    path: Path, capsys: Capture
) -> None:
    store = made(path.parent / "earlier", load(path))
    (store.root / "host.json").write_text('{"gpus": []}')
    words = (path, "--from", store.root)
    assert told(capsys, *words)["remarks"] == []
    found = told(capsys, *words, "--accelerator", "cuda")
    assert found["remarks"] == [
        f"{store.root} is left out here: measured on another kind of machine"
    ]
    kinds = {part["kind"] for part in found["estimate"]["forecast"]["parts"]}
    assert kinds == {"estimated", "declared"}


def test_own_results_say_what_is_left(path: Path, capsys: Capture) -> None:
    asked = load(path)
    name = f"s-{plan.expand(asked).sha256[:8]}"
    (path.parent / "results").mkdir()
    store = made(path.parent / "results" / name, asked)
    last = store.folder(store.plan().launches[-1].id)
    (last / "launch.json").unlink()
    last.rmdir()
    found = told(capsys, path)["done"]
    assert found["launches"] == 4
    assert found["left_s"] == 33 + 3 * (2 + 10 + 60)
    assert cli.main(["plan", str(path)]) == 0
    assert f"4 of them are whole in results/{name}: about 4 min left" in capsys.readouterr().out


def test_earlier_studies_that_cannot_be_read_are_named_and_left_out(
    path: Path, capsys: Capture
) -> None:
    text = path.read_text().replace("[price]", '[sequential]\nearlier = ["gone"]\n[price]', 1)
    path.write_text(text)
    (said,) = told(capsys, path)["remarks"]
    assert said.startswith("gone is left out here: gone: no plan.json")


def test_a_price_has_its_source_and_date_and_a_budget_in_dollars_fits(
    path: Path, capsys: Capture
) -> None:
    gpu = "inferencex-h100-rental"
    assert cli.main(["plan", str(path), "--price", gpu]) == 2
    capsys.readouterr()
    bill = told(capsys, path)["estimate"]["bill"]
    assert bill["amount"]["expected"] == pytest.approx(5 * 300 / 1000 + 20 / 1000)
    assert (bill["rate"]["date"], bill["rate"]["stale"]) == ("2026-01-01", True)
    typed = told(capsys, path, "--usd-per-hour", "36", "--budget", "$10")
    assert typed["budget"]["fits"]
    assert typed["budget"]["used"] <= 10
    assert typed["budget"]["study"]["protocol"]["rounds"] == 3
    assert cli.main(["plan", str(path), "--usd-per-hour", "1", "--price", "x"]) == 2
    assert "one of a GPU, one of the machine" in capsys.readouterr().err


def test_what_fits_is_printed_to_paste_and_written_to_a_new_file(
    path: Path, capsys: Capture
) -> None:
    before = path.read_text()
    new = path.parent / "less.toml"
    words = ["plan", str(path), "--budget", "14m", "--write", str(new)]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert "budget 14 min: fits with these changes, about 11 min expected" in out
    assert "\n[protocol]\nrounds = 3\n" in out
    assert "# in place of every [[loads]] of the study\n[[loads]]\nconcurrency = 1\n" in out
    assert "without the comments of" in err
    assert path.read_text() == before
    assert [it.concurrency for it in load(new).loads] == [1, 64]
    assert new.read_text().startswith("# Made from s.toml by `inferometer plan --budget`")
    assert cli.main(words) == 2
    assert "less.toml: exists" in capsys.readouterr().err


def test_a_study_that_fits_is_written_as_it_stands(path: Path, capsys: Capture) -> None:
    new = path.parent / "same.toml"
    assert cli.main(["plan", str(path), "--budget", "3h", "--write", str(new)]) == 0
    assert "fits as it is" in capsys.readouterr().out
    assert new.read_text() == path.read_text()


def test_what_does_not_fit_fails_and_names_the_least(path: Path, capsys: Capture) -> None:
    new = path.parent / "none.toml"
    assert cli.main(["plan", str(path), "--budget", "60s", "--write", str(new)]) == 3
    out, err = capsys.readouterr()
    assert "does not fit; the least there is, about 11 min expected" in out
    assert "does not fit into 60s: the least is 11 min" in err
    assert not new.exists()
    assert cli.main(["plan", str(path), "--write", str(new)]) == 2
    assert "Give --budget as well" in capsys.readouterr().err


LOOKED = study(rounds=8, tables="[sequential]\nminutes = 7")
"""A round of 140 s, and 20 s in the first one."""


def test_minutes_hold_about_so_many_rounds(path: Path, capsys: Capture) -> None:
    path.write_text(dump(LOOKED).replace('packaged = "m"', 'packaged = "smollm2-135m"'))
    assert cli.main(["plan", str(path)]) == 0
    words = "2 launches (about 2 of 8 rounds fit into its minutes)"
    assert words in capsys.readouterr().out


def test_nothing_is_left_of_what_looks_ended(path: Path, capsys: Capture) -> None:
    asked = replace(LOOKED, sequential=Sequential())
    path.write_text(dump(asked).replace('packaged = "m"', 'packaged = "smollm2-135m"'))
    store = made(path.parent / "own", load(path))
    for launch in store.plan().launches[3:]:
        shutil.rmtree(store.folder(launch.id))
    done = told(capsys, path, "--results", store.root)["done"]
    assert (done["launches"], done["left_s"] > 5 * 60) == (3, True)
    store.put_looks([Look(rounds=3, stop="decided")])
    done = told(capsys, path, "--results", store.root)["done"]
    assert (done["launches"], done["left_s"]) == (3, 0)


def test_several_machines_share_the_rounds(path: Path, capsys: Capture) -> None:
    found = told(capsys, path, "--machines", 2)
    # of five rounds of 300 s: three and a probe on the first machine, two on the second
    assert found["estimate_s"] == 3 * 300 + 20
    assert cli.main(["plan", str(path), "--machines", "2"]) == 0
    assert "2 machines: about 15 min" in capsys.readouterr().out


def test_gpus_are_counted_for_a_machine_that_has_them(path: Path, capsys: Capture) -> None:
    words = ("--accelerator", "cuda", "--budget", "0.4 gpu-hours")
    found = told(capsys, path, *words)
    assert found["estimate"]["forecast"]["gpu_hours"]["expected"] > 0.4
    assert found["budget"]["used"] <= 0.4
    assert cli.main(["plan", str(path), "--budget", "1 gpu-hours"]) == 2
    assert "no launch occupies a GPU on this machine" in capsys.readouterr().err
