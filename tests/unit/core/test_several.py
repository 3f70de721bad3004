"""Several results directories: pooled where everything agrees, else side by side, never ranked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from inferometer import api, cli, plugins
from inferometer.analyze import analyze
from inferometer.comparison import Comparison, Ranking
from inferometer.comparison.several import Several
from inferometer.errors import UsageError
from inferometer.records import Device, LaunchRecord, MeterInfo, Told
from inferometer.several import analyze_several, names
from inferometer.store import decode, encode
from inferometer.testing.results import METER, Fixture, write_results
from inferometer.uncertainty.blocks import disagreement

pytestmark = pytest.mark.computing
HOST = {"gpus": ["H100"], "boot_sha256": "one"}
OTHER = {"gpus": ["H200"], "boot_sha256": "two"}
DAYS = ((1.0, 1.03, 0.97), (1.02, 1.0, 0.97))
"""What stack a's launches were by, on each day."""


def write(root: Path, seed: int, factors: tuple[float, ...] = DAYS[0], **options: Any) -> Path:
    drift = {("a", index): factor for index, factor in enumerate(factors)}
    told = {"rates": {"a": 40.0, "b": 42.0}, "host": HOST, "rounds": len(factors), **options}
    return write_results(root, Fixture(seed=seed, drift=drift, **told)).root


def two_days(tmp_path: Path, **options: Any) -> list[Path]:
    return [write(tmp_path / f"day{i + 1}", i + 1, DAYS[i], **options) for i in range(2)]


def first(comparison: Comparison, objective: str = "throughput") -> Ranking:
    return next(r for r in comparison.rankings if r.objective == objective)


def what_differs(several: Several) -> dict[str, list[str]]:
    return {one.what: one.words for one in several.apart}


# -- pooled ------------------------------------------------------------------------------


def test_two_days_are_six_rounds_and_tell_what_one_could_not(tmp_path: Path) -> None:
    roots = two_days(tmp_path)
    assert [first(analyze(root)).pairs[0].verdict for root in roots] == ["undecided"] * 2
    several = api.analyze_several(roots)
    (group,) = several.groups
    assert (group.name, group.machine, several.tables, several.why) == (
        "day1 + day2",
        "one",
        [],
        [],
    )
    assert [(p.name, p.first_round, p.rounds, p.seed) for p in group.parts] == [
        ("day1", 1, 3, 1),
        ("day2", 4, 3, 2),
    ]
    found = first(group.comparison)
    assert (found.n_rounds, found.separated) == (6, True)
    assert found.pairs[0].ratio.value == pytest.approx(
        42 / 40 / (1.03 * 0.97 * 1.02 * 0.97) ** (1 / 6)
    )
    assert group.comparison.rounds_complete == group.comparison.rounds_planned == 6
    assert group.agreement == 1.0
    assert [one.columns for one in group.tables] == [["day1", "day2"]] * 3


def test_a_day_that_slows_every_stack_alike_leaves_the_ratios_as_they_are(tmp_path: Path) -> None:
    slow = {"a": 20.0, "b": 21.0}
    roots = [write(tmp_path / "day1", 1), write(tmp_path / "day2", 2, DAYS[1], rates=slow)]
    fast = analyze_several(two_days(tmp_path / "fast")).groups[0]
    (group,) = analyze_several(roots).groups
    one, other = (first(g.comparison).pairs[0].ratio for g in (group, fast))
    assert one.value == pytest.approx(other.value)
    assert one.low == pytest.approx(other.low)


def test_rounds_of_two_directories_are_never_paired(tmp_path: Path) -> None:
    absent = [frozenset({("a", 2)}), frozenset({("b", 0)})]
    roots = [write(tmp_path / f"day{i + 1}", i + 1, DAYS[i], absent=absent[i]) for i in range(2)]
    (group,) = analyze_several(roots).groups
    assert first(group.comparison).n_rounds == 4  # of six: two lost half their launches
    assert {m.what for m in group.comparison.missing} == {
        "a on dense, round 3",
        "b on dense, round 4",
    }


def test_every_launch_of_every_directory_is_there_with_its_checks(tmp_path: Path) -> None:
    roots = two_days(tmp_path, models=("dense", "moe"))
    (group,) = analyze_several(roots).groups
    singles = [analyze(root) for root in roots]
    for cell in group.comparison.cells:
        own = [next(c for c in one.cells if c.id == cell.id) for one in singles]
        assert cell.launches == [
            f"{name}/{launch}"
            for name, one in zip(("day1", "day2"), own, strict=True)
            for launch in one.launches
        ]
        assert [check.name for check in cell.checks] == [check.name for check in own[0].checks]
        assert cell.valid
        assert cell.values["output_tok_s"].n == 6
    assert len(group.comparison.moe_ratios) == len(singles[0].moe_ratios)
    assert {ratio.ratio.n for ratio in group.comparison.moe_ratios} == {6}


def test_values_of_what_is_not_shown_to_be_one_machine_have_no_interval(tmp_path: Path) -> None:
    one = write(tmp_path / "one", 1)
    two = write(tmp_path / "two", 2, DAYS[1], host={**HOST, "boot_sha256": "two"})
    (group,) = analyze_several([one, two]).groups
    assert group.machine == "not shown to be one"
    found = first(group.comparison)
    ahead, behind = found.entries
    assert (behind.value.n, behind.value.low, behind.value.high) == (6, None, None)
    assert "not shown to be of one machine" in behind.value.detail
    assert behind.ratio_to_best.low is not None
    assert ahead.verdict == "best"
    assert behind.verdict == "behind"
    (table,) = [table for table in group.tables if table.objective == "throughput"]
    assert all(
        f is not None and f.value.low is not None for row in table.lines for f in row.figures
    )


def test_costs_of_what_is_not_shown_to_be_one_machine_go_over_no_interval(tmp_path: Path) -> None:
    price = 'contract = "negotiated"\nsource = "made up"\ndate = "2026-01-01"\n'
    hours = f'[[hours]]\nname = "h"\nprice = 5.0\nper = "machine"\n{price}'
    api = '[[apis]]\nname = "p"\ninput_per_mtok = 1.0\noutput_per_mtok = 2.0\n'
    scenario = tmp_path / "cost.toml"
    scenario.write_text(hours + api + price.partition("\n")[2])
    rates = {"a": 50.0, "b": 42.0}
    one = write(tmp_path / "one", 1, rates=rates)
    for boot, known in (("one", True), ("two", False)):
        host = {**HOST, "boot_sha256": boot}
        two = write(tmp_path / boot / "x", 2, DAYS[1], rates=rates, host=host)
        (group,) = analyze_several([one, two], scenario).groups
        costs = group.comparison.costs
        assert costs is not None
        assert {even.ratio.low is not None for even in costs.apis} == {known}
        assert {
            not swing.assumed
            for tornado in costs.tornados
            for swing in tornado.swings
            if swing.input in {"throughput", "requests_s"}
        } == {known}


def test_accelerators_with_the_same_numbers_are_one_machine(tmp_path: Path) -> None:
    device = Device(name="GPU-1", model="H100", power_limit_w=700.0)
    meter = msgspec.structs.replace(METER, devices=[device])
    hosts = ({**HOST, "boot_sha256": text} for text in ("one", "two"))
    roots = [
        write(tmp_path / f"day{i + 1}", i + 1, DAYS[i], host=host, meter=meter)
        for i, host in enumerate(hosts)
    ]
    (group,) = analyze_several(roots).groups
    assert group.machine == "one"


def test_other_accelerators_of_the_same_host_are_another_machine(tmp_path: Path) -> None:
    roots = []
    for index in range(2):
        device = Device(name=f"GPU-{index}", model="H100", power_limit_w=700.0)
        meter = msgspec.structs.replace(METER, devices=[device])
        roots.append(write(tmp_path / f"day{index}", index + 1, DAYS[index], meter=meter))
    (group,) = analyze_several(roots).groups
    assert group.machine == "not shown to be one"


def test_one_seed_twice_is_remarked(tmp_path: Path) -> None:
    roots = [write(tmp_path / f"day{i + 1}", 1, DAYS[i]) for i in range(2)]
    for record_path in roots[1].glob("launches/*/launch.json"):
        record = decode(record_path, LaunchRecord)
        later = msgspec.structs.replace(record, ended_wall_ns=1)
        record_path.write_bytes(encode(later))
    (group,) = analyze_several(roots).groups
    assert any("same prompts" in text for text in group.remarks)
    assert not any(
        "same prompts" in t
        for g in analyze_several(two_days(tmp_path / "x")).groups
        for t in g.remarks
    )


def test_days_on_which_nothing_or_one_stack_ran_cost_the_others_nothing(tmp_path: Path) -> None:
    never = frozenset((stack, index) for stack in "ab" for index in range(3))
    empty = [write(tmp_path / f"empty{i}", 5 + i, absent=never) for i in range(2)]
    failed = write(tmp_path / "failed", 7, failed=never)
    half = write(tmp_path / "half", 8, failed=frozenset(("b", index) for index in range(3)))
    several = analyze_several([*two_days(tmp_path), *empty, failed, half])
    assert [group.name for group in several.groups] == [
        "day1 + day2",
        "empty0 + empty1 + failed",
        "half",
    ]
    assert first(several.groups[0].comparison).n_rounds == 6
    assert several.groups[1].agreement is None
    assert [entry.verdict for entry in first(several.groups[2].comparison).entries] == ["alone"]
    assert "environment of b" in what_differs(several)


# -- side by side ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": OTHER, "host_sha256": "1" * 64}, {"accelerators"}),
        ({"host": {**HOST, "gpu_driver": "570.1"}}, {"accelerator driver"}),
        ({"host": {**HOST, "inferometer_version": "9"}}, {"inferometer"}),
        ({"host": {**HOST, "cpu_flags": ["avx2"]}}, {"processor features"}),
        ({"host_sha256": "1" * 64}, {"machine"}),
        ({"environments": {"b": "e" * 64}}, {"environment of b"}),
        ({"window_s": 20}, {"protocol.window_s"}),
        ({"concurrency": 8}, {"loads"}),
        ({"output_tokens": 20}, {"workload small"}),
        ({"usd_per_hour": 7.2}, {"price"}),
        ({"models": ("dense", "moe")}, None),
        ({"rates": {"a": 40.0, "c": 42.0}}, None),
    ],
)
def test_what_differs_is_named_and_shares_no_rank(
    tmp_path: Path, options: dict[str, Any], what: set[str] | None
) -> None:
    several = analyze_several([write(tmp_path / "x", 1), write(tmp_path / "y", 2, **options)])
    assert [group.name for group in several.groups] == ["x", "y"]
    assert what is None or set(what_differs(several)) == what
    assert several.why[0].startswith("Not ranked together, because of what differs: ")
    for name in what or ():
        assert name in several.why[0]
    assert all(first(group.comparison).n_rounds == 3 for group in several.groups)
    table = several.tables[0]
    assert (table.objective, table.columns) == ("throughput", ["x", "y"])
    for line in table.lines:
        for figure in line.figures:
            assert figure is None or (figure.place_high or 0) <= figure.ranked == 2


def test_the_table_has_each_groups_own_values_and_places(tmp_path: Path) -> None:
    other = write(tmp_path / "h200", 2, (1.0,) * 3, rates={"a": 90.0, "b": 80.0}, host=OTHER)
    several = analyze_several([*two_days(tmp_path), other])
    assert what_differs(several) == {"accelerators": ["H100", "H200"]}
    (why,) = several.why
    assert why.endswith("what differs: accelerators (day1 + day2: H100; h200: H200).")
    table = several.tables[0]
    assert table.columns == ["day1 + day2", "h200"]
    assert table.simulated
    shown = {
        line.stack: [(f.value.n, f.place_low, f.place_high, f.ranked) for f in line.figures if f]
        for line in table.lines
    }
    assert shown == {"a 0": [(6, 2, 2, 2), (3, 1, 1, 2)], "b 0": [(6, 1, 1, 2), (3, 2, 2, 2)]}


def test_a_scenario_stands_in_for_prices_that_differ(tmp_path: Path) -> None:
    price = '[[hours]]\nname = "h"\nprice = 5.0\nper = "machine"\ncontract = "negotiated"\n'
    (tmp_path / "cost.toml").write_text(f'{price}source = "made up"\ndate = "2026-01-01"\n')
    roots = [write(tmp_path / "x", 1), write(tmp_path / "y", 2, DAYS[1], usd_per_hour=7.2)]
    assert len(analyze_several(roots).groups) == 2
    (group,) = api.analyze_several(roots, tmp_path / "cost.toml").groups
    assert group.comparison.price.value == 5.0


def test_ratios_that_differ_keep_directories_apart(tmp_path: Path) -> None:
    roots = [
        write(tmp_path / "x", 1),
        write(tmp_path / "y", 2, DAYS[1], rates={"a": 40.0, "b": 52.0}),
    ]
    several = analyze_several(roots)
    assert [group.name for group in several.groups] == ["x", "y"]
    (why,) = several.why
    assert "x, y agree in every key, but the ratios of their stacks differ" in why
    assert "b over a is" in why
    assert several.apart == []
    assert len(several.tables) == 3


def test_a_study_that_stops_by_its_own_looks_is_pooled_with_none(tmp_path: Path) -> None:
    class Looking(Fixture):
        def study_text(self) -> str:
            return f"{super().study_text()}[sequential]\n"

    roots = []
    for seed in (1, 2):
        store = write_results(
            tmp_path / f"day{seed}", Looking(rates={"a": 40.0, "b": 42.0}, seed=seed, host=HOST)
        )
        roots.append(store.root)
    several = analyze_several(roots)
    assert set(what_differs(several)) == {"looks"}


def test_workloads_in_another_order_are_other_load_points(tmp_path: Path) -> None:
    class Reversed(Fixture):
        def study_text(self) -> str:
            head, *tables = super().study_text().split("[[workloads]]")
            small, (other, sign, loads) = tables[0], tables[1].partition("[[loads]]")
            return f"{head}[[workloads]]{other}[[workloads]]{small}{sign}{loads}"

    roots = [
        write_results(
            tmp_path / name,
            make(rates={"a": 40.0, "b": 42.0}, seed=seed, host=HOST, workloads={"long": (20, 50)}),
        ).root
        for name, seed, make in (("x", 1, Fixture), ("y", 2, Reversed))
    ]
    assert what_differs(analyze_several(roots)) == {
        "workloads, in order": ["small, long", "long, small"]
    }


def test_a_workload_file_of_other_content_keeps_directories_apart(tmp_path: Path) -> None:
    roots = two_days(tmp_path)
    for root, content in zip(roots, ("1a", "2b"), strict=True):
        path = root / "host.json"
        known = json.loads(path.read_text()) | {"workload_files": {"lengths.csv": content * 32}}
        path.write_text(json.dumps(known))
    words = ["1a1a1a1a1a1a", "2b2b2b2b2b2b"]
    assert what_differs(analyze_several(roots)) == {"content of lengths.csv": words}


def test_a_backend_that_an_engine_chose_keeps_directories_apart(tmp_path: Path) -> None:
    roots = two_days(tmp_path)
    for root, backend in zip(roots, ("flash", "triton"), strict=True):
        for path in root.glob("launches/*/launch.json"):
            told = {
                "attention_backend": Told(value=backend),
                "kv_cache_tokens": Told(value=root.name),
            }
            path.write_bytes(encode(msgspec.structs.replace(decode(path, LaunchRecord), told=told)))
    assert what_differs(analyze_several(roots)) == {
        "attention_backend of a on dense": ["flash", "triton"],
        "attention_backend of b on dense": ["flash", "triton"],
    }


def test_accelerators_are_named_with_count_and_limit(tmp_path: Path) -> None:
    def meter(*limits: float) -> MeterInfo:
        devices = [
            Device(name=f"GPU-{i}", model="H100", power_limit_w=w) for i, w in enumerate(limits)
        ]
        return msgspec.structs.replace(METER, devices=devices)

    roots = [
        write(tmp_path / "x", 1, meter=meter(700, 700)),
        write(tmp_path / "y", 2, meter=meter(700, 500)),
    ]
    words = what_differs(analyze_several(roots))
    assert words == {
        "metered accelerators": ["2 x H100, 700 W", "1 x H100, 500 W, 1 x H100, 700 W"]
    }


# -- identity and damage -----------------------------------------------------------------


def test_a_directory_given_twice_and_a_copy_are_refused(tmp_path: Path) -> None:
    one, other = two_days(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(one)
    copy = Path(shutil.copytree(one, tmp_path / "copy"))
    resumed = Path(shutil.copytree(one, tmp_path / "resumed"))
    for folder in sorted((resumed / "launches").iterdir())[:5]:
        shutil.rmtree(folder)
    for again, words in ((one, "the same directory"), (link, "the same directory")):
        with pytest.raises(UsageError, match=words):
            analyze_several([one, other, again])
    with pytest.raises(UsageError, match=rf"{one} and {copy} have 6 launches in common") as error:
        analyze_several([one, other, copy])
    assert "Leave one of them out" in error.value.hint
    with pytest.raises(UsageError, match="have 1 launches in common"):
        analyze_several([one, resumed])


def damage(root: Path, name: str) -> None:
    min(root.glob(f"launches/*/{name}")).write_bytes(b"{")


@pytest.mark.parametrize("name", ["launch.json", "requests.jsonl"])
def test_a_damaged_directory_is_named_and_the_others_are_reported(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = [*two_days(tmp_path), write(tmp_path / "day3", 3)]
    damage(roots[1], name)
    several = analyze_several(roots)
    assert [group.name for group in several.groups] == ["day1 + day3"]
    (lost,) = several.left_out
    assert (lost.what, lost.reason) == ("results directory day2", "failed")
    assert name in lost.detail
    out = tmp_path / "out"
    assert cli.main(["report", *map(str, roots), "--out", str(out)]) == 5
    said = capsys.readouterr()
    assert "1 of 3 results directories are left out" in said.err
    assert "LEFT OUT: results directory day2" in said.out
    assert json.loads((out / "report.json").read_text())["schema"] == "inferometer/several/1"


def test_a_file_that_cannot_be_opened_is_damage_too(tmp_path: Path) -> None:
    roots = two_days(tmp_path)
    path = min(roots[1].glob("launches/*/launch.json"))
    path.unlink()
    path.mkdir()
    several = analyze_several(roots)
    assert [group.name for group in several.groups] == ["day1"]
    assert several.left_out[0].detail == f"{path}: cannot be read: Is a directory"


def test_nothing_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x: no plan.json, .*; .*y: no plan.json"):
        analyze_several([tmp_path / "x", tmp_path / "y"])


def test_names_are_as_short_as_tells_them_apart() -> None:
    roots = [Path(text) for text in ("/a/one/results", "/a/two/results", "/b/day1", "/results")]
    assert names(roots) == ["one/results", "two/results", "day1", "results"]
    assert names([Path("x/../y"), Path("z")]) == ["y", "z"]


# -- blocks ------------------------------------------------------------------------------


def test_blocks_disagree_where_their_ratios_do() -> None:
    quiet = np.array([[0.0, 1.0], [0.1, 1.1001]])
    assert disagreement([quiet, quiet + 5]) == pytest.approx(1.0)
    apart = disagreement([quiet, quiet + np.array([0.0, 1.0])])
    assert apart is not None
    assert apart < 1e-6
    assert disagreement([quiet]) is None
    assert disagreement([quiet[:, :1], quiet[:, :1]]) is None
    assert disagreement([quiet[:1], quiet[1:]]) is None  # one round each: nothing to hold it to
    same = np.zeros((2, 2))
    assert disagreement([same, same]) == 1.0
    assert disagreement([same, same + np.array([0.0, 1.0])]) == 0.0


def test_blocks_that_agree_are_refused_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(7)
    found = [
        disagreement([rng.normal(day, 0.01, (3, 3)) + rng.normal(0, 0.1, (3, 1)) for day in (0, 1)])
        for _ in range(1000)
    ]
    assert 0.03 < sum(p is not None and p <= 0.05 for p in found) / 1000 < 0.07


# -- command -----------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_several_reports_are_one_and_repeat_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    roots = [*two_days(tmp_path), write(tmp_path / "h200", 3, host=OTHER)]
    arguments = ["report", *map(str, roots)]
    assert cli.main(arguments) == 0
    folder = tmp_path / "inferometer-report"
    before = contents(folder)
    named = {"MANIFEST.sha256", "report.html", "report.json", "report.md", "report.txt"}
    assert named == {name for name in before if not name.startswith("tables/group-")}
    assert {"tables/group-1/cells.csv", "tables/group-2/cells.csv"} <= set(before)
    assert cli.main(arguments) == 0
    assert contents(folder) == before
    assert not (roots[0] / "report").exists()
    said = capsys.readouterr()
    assert "report: inferometer-report" in said.err
    assert "=== day1 + day2 ===" in said.out
    decoded = msgspec.json.decode(before["report.json"], type=Several)
    assert decoded == analyze_several(roots)
    assert str(tmp_path).encode() not in b"".join(before.values())


class Single:
    """A renderer that knows one directory only."""

    name = "old"

    def render(self, comparison: Comparison) -> dict[str, bytes]:
        return {"old.txt": comparison.title.encode()}


def test_a_format_that_shows_one_directory_only_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = plugins.Registry().renderers()
    monkeypatch.setattr(plugins.Registry, "renderers", lambda _: {**known, "old": Single()})
    arguments = ["report", *map(str, two_days(tmp_path)), "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--format", "json,old"]) == 2
    assert "report format 'old' shows one results directory only" in capsys.readouterr().err
    assert cli.main([*arguments, "--format", "jsn"]) == 2
    assert not (tmp_path / "out").exists()
    assert cli.main(arguments) == 0
    assert "left out: report format old shows one directory only" in capsys.readouterr().err
    assert not (tmp_path / "out" / "old.txt").exists()


def test_one_directory_is_reported_as_ever(tmp_path: Path) -> None:
    root = write(tmp_path / "r", 1)
    assert cli.main(["report", str(root)]) == 0
    content = (root / "report" / "report.json").read_bytes()
    decoded = msgspec.json.decode(content, type=Comparison)
    assert msgspec.structs.replace(decoded, files=[]) == analyze(root)


def test_cost_and_fleet_say_that_they_take_one_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = two_days(tmp_path)
    for command in ("cost", "fleet"):
        assert cli.main([command, *map(str, roots)]) == 2
        said = capsys.readouterr().err
        assert "prices are for one results directory at a time" in said
        assert "inferometer report DIR DIR" in said


def test_measuring_never_imports_it() -> None:
    code = (
        "import sys, inferometer.api, inferometer.renderer; "
        "heavy = {'polars', 'numpy', 'inferometer.several'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
