"""``inferometer.load``: frames, rankings and figures of one results directory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl
import pytest
from msgspec.structs import replace

import inferometer
import inferometer.analyze
from inferometer import errors
from inferometer.comparison import Comparison, rows
from inferometer.notebook import Results, page
from inferometer.testing.results import Fixture, write_results

pytestmark = pytest.mark.computing
PACES = {
    1: {"a": (50.0, 10.0), "b": (100.0, 20.0)},
    4: {"a": (100.0, 20.0), "b": (200.0, 40.0)},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of 40 and 20 tok/s at 4 streams; b's last launch failed."""
    fixture = Fixture(rates={"a": 40.0, "b": 20.0}, failed=frozenset({("b", 2)}))
    return write_results(tmp_path_factory.mktemp("r") / "results", fixture).root


@pytest.fixture(scope="module")
def results(root: Path) -> Results:
    return inferometer.load(root)


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results at two load points, so that there are fronts and charts."""
    fixture = Fixture(rates={"a": 1.0, "b": 1.0}, paces=PACES)
    return inferometer.load(write_results(tmp_path_factory.mktemp("p") / "r", fixture).root)


def test_nothing_is_analysed_before_it_is_asked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Comparison:
        raise AssertionError("analysed")

    monkeypatch.setattr(inferometer.analyze, "analyze", never)
    found = inferometer.load(root)
    assert repr(found) == f"inferometer.load({str(root)!r})"
    assert found.launches.height == 6
    with pytest.raises(AssertionError, match="analysed"):
        _ = found.stacks


def test_values_have_kind_interval_and_result(results: Results) -> None:
    assert results.stacks["stack"].to_list() == ["a", "b"]
    assert results.cells.select("stack", "launches").rows() == [("a", 3), ("b", 2)]
    found = results.values.filter(pl.col("metric") == "output_tok_s")
    (first, second) = found.iter_rows(named=True)
    assert first["value"] == pytest.approx(40.0)
    assert (first["unit"], first["kind"], first["n"]) == ("tok/s", "simulated", 3)
    assert first["low"] <= first["value"] <= first["high"]
    assert first["result"] == f"{first['cell']}#output_tok_s"
    assert second["value"] == pytest.approx(20.0)
    absent = results.values.filter(pl.col("value").is_null())
    assert absent.height
    assert absent["reason"].null_count() == 0


def test_every_table_is_a_frame_with_its_columns(results: Results) -> None:
    for name in rows.NAMES:
        frame = results.frame(name)
        assert frame.columns == list(rows.table(results.comparison, name).columns)
    assert results.frame("numbers").height > results.values.height
    assert set(results.tables) == {*rows.NAMES, "requests", "launches"}


def test_requests_are_rows_with_their_latencies(results: Results) -> None:
    whole = results.requests.filter(pl.col("stack") == "a", "in_latency")
    assert whole.height > 30
    assert set(whole["round"]) == {1, 2, 3}
    assert set(whole["ttft_ms"].round(6)) == {100.0}  # 4 streams at 40 tok/s
    assert set(whole["tpot_ms"].round(6)) == {100.0}
    assert set(whole["e2e_ms"].round(6)) == {1000.0}  # ten tokens
    assert set(whole["load"]) == {results.cells["load"][0]}
    cut = results.requests.filter(pl.col("status") == "cut")
    assert cut.height
    assert cut["ttft_ms"].null_count() == cut.height
    assert not cut["ended_in_window"].any()


def test_launches_have_those_that_failed(results: Results) -> None:
    failed = results.launches.filter(pl.col("status") == "failed")
    assert failed.select("stack", "round", "reason").rows() == [("b", 3, "failed")]
    assert results.launches["simulated"].all()


def test_ranks_are_of_one_objective_and_one_meter(results: Results) -> None:
    found = results.rank().filter(pl.col("at") == "load")
    assert found.select("stack", "place").rows() == [("a", 1), ("b", 2)]
    assert found["ratio"].to_list() == [1.0, pytest.approx(0.5)]
    assert set(results.rank("cost")["objective"]) == {"cost"}
    with pytest.raises(errors.UsageError, match="no objective named 'speed'"):
        results.rank("speed")  # type: ignore[arg-type]


def test_one_round_allows_no_order(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 20.0}, rounds=1)
    found = inferometer.load(write_results(tmp_path / "r", fixture).root).rank()
    assert found["place"].null_count() == found.height == 2
    assert found["place_reason"].to_list() == ["too_few_samples"] * 2
    assert found["value"].round(6).to_list() == [40.0, 20.0]


def test_fronts_have_every_point(paced: Results) -> None:
    found = paced.pareto()
    assert found.height == 4  # two stacks at two loads
    assert found.filter("on_front")["stack"].to_list() == ["a", "a"]
    assert set(found["interactivity"].round(6)) == {100.0, 50.0, 25.0}


def test_figures_are_drawn_by_kind(paced: Results, tmp_path: Path) -> None:
    drawn = paced.figure("trade-off")
    assert len(drawn) == 1
    assert drawn._repr_html_().count("<svg") == 1
    assert [len(paced.figure(kind)) for kind in ("cost", "energy")] == [1, 2]
    assert paced.figure("energy")._repr_svg_() is None
    one = drawn[:1]
    assert str(one._repr_svg_()).startswith("<svg")
    (svg,) = one.save(tmp_path)
    (png,) = one.save(tmp_path, png=True)
    assert svg.read_bytes() == one[0].svg
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "nothing to draw" in paced.figure("moe")._repr_html_()
    with pytest.raises(errors.UsageError, match="no figure named 'tradeoff'") as caught:
        paced.figure("tradeoff")
    assert "Did you mean 'trade-off'?" in caught.value.hint


def test_a_report_json_is_loaded_as_well(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(results.comparison))
    for place in (path, tmp_path):
        found = inferometer.load(str(place))
        assert found.comparison == results.comparison
        assert found.values.equals(results.values)
        with pytest.raises(errors.UsageError, match="holds no requests"):
            _ = found.requests
    with pytest.raises(errors.UsageError, match="cannot be priced again"):
        inferometer.load(path, "cost.toml")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"schema": "inferometer/several/1"}', "several results directories"),
        ('{"schema": "inferometer/report/1"}', "its schema is 'inferometer/report/1'"),
        ("{}", "its schema is ''"),
        ("no", "not readable as"),
    ],
)
def test_what_is_no_report_is_said(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(errors.UsageError, match=match):
        inferometer.load(path)


def test_what_is_no_results_directory_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"no plan\.json"):
        inferometer.load(tmp_path)
    with pytest.raises(errors.UsageError, match="no such file or directory"):
        inferometer.load(tmp_path / "absent")


def test_an_unknown_table_is_said(results: Results) -> None:
    with pytest.raises(errors.UsageError, match="no table named 'value'"):
        results.frame("value")


def test_a_notebook_shows_places_and_that_it_is_simulated(
    results: Results,
) -> None:
    shown = results._repr_html_()
    assert "SIMULATED: no engine was measured." in shown
    assert "stacks: 2; models: 1" in shown
    assert "<td>1</td><td>a 0</td><td>40.0 sim." in shown


def test_foreign_text_is_inert(results: Results) -> None:
    name = "<script>alert(1)</script>\x1b[31m"
    stacks = [replace(stack, label=name) for stack in results.comparison.stacks]
    shown = page.html(replace(results.comparison, stacks=stacks, title=name))
    assert "<script>" not in shown
    assert "\x1b" not in shown
    assert "&lt;script&gt;" in shown


def test_running_does_not_take_the_name_away(root: Path) -> None:
    import inferometer.loadgen.driver  # noqa: PLC0415 -- what a run imports

    assert inferometer.load(root).path == root
