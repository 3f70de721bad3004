"""``inferometer simulate``: from stored launches to what a fleet needs, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.simulator import virtual

from inferometer import cli
from inferometer.command import Command
from inferometer.errors import StorageError
from inferometer_plugins.calibration import file
from inferometer_plugins.calibration.file import Calibration
from inferometer_plugins.calibration.power import NOTHING
from inferometer_plugins.fleet import Failures, Fleet, Traffic
from inferometer_plugins.simulate.money import Price, bill
from inferometer_plugins.simulate.planning import ENERGY, Question, answer, fullest
from inferometer_plugins.simulator.loads import Uniform, Workload
from inferometer_plugins.simulator.model import Noise, Params, Power

pytestmark = pytest.mark.timeout(600)  # whoever comes first compiles

WORKLOADS = (("even", 100, 100), ("reading", 1000, 20), ("writing", 300, 200))
TRUE = Params(
    power=Power(base_w=100.0, busy_w=80.0, prefill_w=300.0, batch_w=120.0),
    noise=Noise(launch_sd=0.005, slow_sd=0.01, step_sd=0.05),
    max_seqs=64,
)
DAY = ["--requests-per-day", "20k", "--input-tokens", "100-200", "--output-tokens", "50-100"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results, and beside them the calibration file that the command makes of them."""
    root = tmp_path_factory.mktemp("simulate")
    text = virtual.study(WORKLOADS, streams=(1, 16), rounds=2, window_s=10.0)
    virtual.write(root / "results", TRUE, text, start_s=0.01)
    assert cli.main(["simulate", "calibrate", f"{root}/results", "-o", f"{root}/c.json"]) == 0
    return root


def answers(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, Any]]:
    assert cli.main(["simulate", "fleet", *map(str, words), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "simulated"
    found = document["answers"]
    assert isinstance(found, list)
    return found


def figures(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {it["name"]: it for it in answer["figures"]}


def test_calibrate_prints_what_it_writes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["simulate", "calibrate", str(folder / "results"), "-o", str(tmp_path / "c.json")]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert err == f"wrote {tmp_path / 'c.json'}\n"
    assert "2 simulated launches of 'virtual'" in out
    assert "this says nothing of an engine" in out
    assert "even at 16 streams" in out
    assert "Calibration error, each workload left out whole:" in out
    assert (tmp_path / "c.json").read_bytes() == (folder / "c.json").read_bytes()
    hold = ["--hold-out", "even at 16 streams", "--json"]
    assert cli.main([*argv, *hold]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [it["load"] for it in document["held_out"]] == ["16 streams"]


def test_a_number_of_replicas_has_its_figures_with_the_error_of_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*DAY, "--replicas", "2", "--price-per-hour", "3", "--usd-per-kwh", "0.2")
    (it,) = answers(capsys, folder / "c.json", *words, "--pue", "1.5")
    found = figures(it)
    assert it["replicas"] == 2
    assert it["basis"] == "simulated"
    assert {one["kind"] for one in found.values()} == {"simulated"}
    for name in ("ttft_p99_ms", "tpot_p99_ms", "power_mean_w", "usd_per_day"):
        assert found[name]["value"] > 0
        assert found[name]["error_points"] == 6
        assert found[name]["error_largest"] >= found[name]["error_median"] > 0
        assert found[name]["workload_error_largest"] > 0
    kwh = found["energy_kwh"]["value"]
    assert found["power_mean_w"]["value"] * 24 / 1000 == pytest.approx(kwh)
    assert 2 * 24 * 0.09 < kwh < 2 * 24 * 0.6  # between idle and all that a step draws
    assert found["facility_kwh"]["value"] == pytest.approx(1.5 * kwh)
    assert found["usd_per_day"]["value"] == pytest.approx(2 * 24 * 3 + 1.5 * kwh * 0.2)
    summary = it["summary"]
    assert summary["offered"] == summary["finished"] + summary["lost"] + summary["unfinished"]
    assert it["extrapolated"] == []


def test_the_fewest_replicas_stand_between_those_of_a_faster_and_a_slower_engine(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = file.read(folder / "c.json")
    slow = replace(found, label="slow", params=replace(found.params, slowdown=1.3))
    file.write(tmp_path / "slow.json", slow)
    day = ["--requests-per-day", "200k", *DAY[2:], "--hourly", "office"]
    paths = (folder / "c.json", tmp_path / "slow.json")
    first, second = answers(capsys, *paths, *day, "--tpot-ms", "8.5", "--ttft-ms", "500")
    assert first["replicas"] < second["replicas"]
    for it in (first, second):
        assert it["replicas_faster"] <= it["replicas"] <= it["replicas_slower"]
        assert figures(it)["tpot_p99_ms"]["value"] <= 8.5
        assert figures(it)["usd_per_day"]["reason"] == "no_price"
    (none,) = answers(capsys, paths[1], *day, "--tpot-ms", "1", "--most", "4")
    assert none["replicas"] is None
    assert none["figures"] == []


def test_the_text_says_simulated_and_what_lies_beyond(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--requests-per-day", "5000", "--input-tokens", "4000", "--output-tokens", "50"]
    argv = ["simulate", "fleet", str(folder / "c.json"), *words, "--replicas", "1"]
    assert cli.main([*argv, "--failures", "6", "--restart-at", "3", "--bursts", "3,3600,60"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SIMULATED: 5000 requests a day")
    assert "calibration error (median, largest), left out:" in out
    assert "EXTRAPOLATED: 100 % of the prompts are longer than" in out
    assert "note: calibrated from simulated launches" in out
    assert "n/a (no price given)" in out


def test_without_watts_nothing_says_zero_joules(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = file.read(folder / "c.json")
    power = replace(found.power, meter=None, kind=None, reason="no_sensor")
    none = replace(found, power=power, params=replace(found.params, power=NOTHING))
    file.write(tmp_path / "none.json", none)
    words = (*DAY, "--replicas", "1", "--price-per-hour", "3", "--usd-per-kwh", "0.2")
    (it,) = answers(capsys, tmp_path / "none.json", *words)
    assert {it["summary"][name] for name in ENERGY} == {None}
    assert figures(it)["energy_kwh"]["reason"] == "no_sensor"
    assert figures(it)["usd_per_day"]["value"] == 72
    assert "the bill is without energy: no watts are known" in it["remarks"]


def test_what_speaks_for_a_figure_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = file.read(folder / "c.json")
    estimated = replace(found.power, meter="cpu-time", kind="estimated")
    file.write(tmp_path / "c.json", replace(found, power=estimated))
    words = (*DAY, "--replicas", "1", "--prefixes", "9,1,0.5", "--cached-prefixes", "9")
    (it,) = answers(capsys, tmp_path / "c.json", *words, "--router", "prefix-aware")
    assert "watts are of meter cpu-time, estimated" in it["remarks"]
    assert any("no error above speaks for it" in remark for remark in it["remarks"])
    slow = replace(found, params=replace(found.params, slowdown=1000.0))
    file.write(tmp_path / "slow.json", slow)
    (late,) = answers(capsys, tmp_path / "slow.json", *words)
    assert figures(late)["tpot_p99_ms"]["reason"] == "fell_behind"


def test_lost_requests_are_not_in_flight_for_ever(folder: Path) -> None:
    found = file.read(folder / "c.json")
    asked = Question(
        traffic=Traffic(
            requests_per_day=1e5,
            workload=Workload(name="even", prompt=Uniform(100, 1), output=Uniform(100, 1)),
        ),
        fleet=Fleet(replicas=4, retries=0, boot_s=0, failures=Failures(every_s=300, repair_s=0)),
        slo=None,
        most=1,
        price=Price(),
        seed=1,
    )
    it = answer("c.json", found, asked)
    assert it.summary is not None
    lost = it.summary["lost"]
    assert isinstance(lost, int)
    assert lost > 2 * 4 * found.reach.in_flight  # twice what all replicas may have
    assert it.extrapolated == []


def test_a_burst_between_two_looks_is_seen() -> None:
    at_s = np.full(200, 360.0)
    assert fullest(at_s, at_s + 60, 86_400) == 200
    assert fullest(at_s, at_s + 30, 90.0 + 360) == 100
    assert fullest(at_s[:0], at_s[:0], 100) == 0


def test_without_numba_it_says_how_slow_it_will_be(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferometer_plugins.fleet.compiling.COMPILED", False)
    assert cli.main(["simulate", "fleet", str(folder / "c.json"), *DAY, "--replicas", "1"]) == 0
    assert "numba is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--requests-per-day", "1k"], "give either --replicas, or a limit"),
        (["--requests-per-day", "none", "--replicas", "1"], "is no positive number"),
        ([*DAY[:4], "--replicas", "1"], "--input-tokens and --output-tokens go together"),
        ([*DAY, "--replicas", "1", "--hourly", "1,2"], "hourly takes 24 weights"),
        ([*DAY, "--replicas", "1", "--hourly", "weekly"], "is none of flat, office"),
        ([*DAY, "--replicas", "1", "--bursts", "2,3"], "is not FACTOR,EVERY_S,LENGTH_S"),
        ([*DAY, "--replicas", "1", "--bursts", "-2,3,4"], "factor is -2"),
        ([*DAY, "--replicas", "1", "--price", "absent"], "no price with id 'absent'"),
        ([*DAY, "--replicas", "1", "--cached-prefixes", "9"], "without --prefixes"),
        ([*DAY, "--replicas", "1", "--router", "prefix-aware"], "needs beginnings to go by"),
        ([*DAY, "--replicas", "1", "--prefixes", "1e14,1,0.5"], "memory does not hold such a day"),
        (["--requests-per-day", "1e12", "--replicas", "1"], "more than can be numbered"),
        ([*DAY, "--ttft-ms", "1e-6", "--most", "2"], "pass before the first step alone"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_error(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(["simulate", "fleet", str(folder / "c.json"), *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_files_that_are_none_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text("{}")
    assert cli.main(["simulate", "fleet", f"{tmp_path}/bad.json", *DAY, "--replicas", "1"]) == 2
    assert "no calibration file: " in capsys.readouterr().err
    absent = ["simulate", "calibrate", f"{tmp_path}/absent", "-o", f"{tmp_path}/c.json"]
    assert cli.main(absent) == 2
    with pytest.raises(StorageError, match="No such file"):
        file.write(tmp_path / "no" / "c.json", file.read(folder / "c.json"))


def test_a_bill_adds_up_and_is_none_without_a_price() -> None:
    assert bill(Price(), 3, 24, 10.0, 1_000_000) is None
    paid = bill(Price(usd_per_replica_hour=2, usd_per_kwh=0.5, pue=1.2), 3, 24, 10.0, 2_000_000)
    assert paid is not None
    assert paid.replicas_usd == 144
    assert paid.energy_usd == 6
    assert paid.total_usd == 150
    assert paid.usd_per_mtok_output == 75
    alone = bill(Price(usd_per_kwh=0.5), 3, 24, None, 0)
    assert alone is None


def test_every_option_and_field_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "simulate.md").read_text()
    loaded = Command("simulate", "", "inferometer_plugins.simulate.cli:command").load()
    assert isinstance(loaded, click.Group)
    for name, sub in loaded.commands.items():
        for option in (it for it in sub.params if isinstance(it, click.Option)):
            for word in (*option.opts, *option.secondary_opts):
                assert f"`{word}" in page, (name, word)
    for field in Calibration.__struct_fields__:
        assert f"`{field}`" in page, field
