"""Other tools' files: real ones made against the oracle server, whose three tokens come in each
event 30 ms apart after 40 ms; and damaged, foreign and hostile ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.cli.importing import read
from inferometer.comparison import Imported, ImportedFigure
from inferometer.errors import UsageError
from inferometer.plugins import Registry
from inferometer.uncertainty.percentiles import least_number
from inferometer_plugins.importers import making

GOLDEN = Path(__file__).parents[2] / "golden" / "importers"
FILES = {
    "aiperf": [
        GOLDEN / "aiperf" / "profile_export_aiperf.json",
        GOLDEN / "aiperf" / "profile_export.jsonl",
    ],
    "guidellm": [GOLDEN / "guidellm.json"],
    "sglang-bench": [GOLDEN / "sglang-bench.jsonl"],
    "vllm-bench": [GOLDEN / "vllm-bench.json"],
}
IMPORTERS = Registry(only=["importers"]).importers()
Files = list[Path]


def load(format_: str, files: Files | None = None) -> Imported:
    (found,) = read(IMPORTERS[format_], files or FILES[format_])
    return found


def by_id(found: Imported) -> dict[str, ImportedFigure]:
    figures = {figure.id: figure for figure in found.figures}
    assert len(figures) == len(found.figures)
    return figures


def value(found: Imported, id_: str) -> float:
    got = by_id(found)[id_].value.value
    assert got is not None
    return got


def test_every_format_of_the_bundle_is_there() -> None:
    assert set(IMPORTERS) == {"aiperf", "guidellm", "inferencex", "sglang-bench", "vllm-bench"}


@pytest.mark.parametrize("format_", FILES)
def test_what_we_compute_from_requests_is_what_the_tool_says_of_them(format_: str) -> None:
    found = load(format_)
    both = [figure for figure in found.figures if figure.recomputed is not None]
    assert {"ttft_ms", "ttft_p99_finished_ms", "output_tokens"} <= {figure.id for figure in both}
    if format_ != "guidellm":  # which keeps no gaps
        gaps = {f"inter_chunk_{tail}" for tail in ("ms", "p50_ms", "p90_ms", "p99_ms")}
        assert gaps <= {figure.id for figure in both}
    for figure in both:
        assert figure.recomputed is not None
        assert figure.recomputed.value == pytest.approx(figure.value.value, rel=1e-6), figure.id


@pytest.mark.parametrize("format_", FILES)
def test_only_what_is_defined_as_ours_has_our_name(format_: str) -> None:
    figures = by_id(load(format_))
    ours = {id_ for id_, figure in figures.items() if figure.as_ours}
    assert ours == {"ttft_ms", "tpot_ms", "e2e_ms", "interactivity_tok_s_user"}
    assert not [id_ for id_ in figures if "itl" in id_]
    assert not {"output_tok_s", "requests_s", "ttft_p99_ms"} & figures.keys()
    assert value(load(format_), "finished_requests") == 8
    assert value(load(format_), "output_tokens") == 96


@pytest.mark.parametrize("format_", ["aiperf", "vllm-bench"])
def test_gaps_between_events_are_not_times_of_tokens(format_: str) -> None:
    found = load(format_)
    assert value(found, "inter_chunk_ms") == pytest.approx(30, abs=1)
    # 11 tokens in 90 ms, though the first event brought 3 of the 12
    assert value(found, "tpot_ms") == pytest.approx(90 / 11, abs=0.2)


def test_guidellms_latency_and_token_time_have_names_of_their_own() -> None:
    figures = by_id(load("guidellm"))
    assert figures["e2e_ms"].where == figures["tpot_ms"].where == ""
    assert figures["stream_end_ms"].where.endswith("request_latency.successful.mean")
    assert value(load("guidellm"), "stream_end_ms") > value(load("guidellm"), "e2e_ms")
    assert value(load("guidellm"), "e2e_per_output_token_ms") == pytest.approx(11, abs=0.2)


@pytest.mark.parametrize("format_", FILES)
def test_every_value_says_tool_version_file_and_hash(format_: str) -> None:
    (found,) = read(IMPORTERS[format_], FILES[format_], label="mine", version="9.9")
    version = {"aiperf": "0.13.0", "guidellm": "0.8.1"}.get(format_, "9.9")
    known = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES[format_]}
    assert found.version == version
    assert {file.name: file.sha256 for file in found.files} == known
    values = [one for figure in found.figures for one in (figure.value, figure.recomputed) if one]
    for one in values:
        assert (one.kind, one.n, one.low, one.high) == ("reported", 0, None, None)
        name, _, digest = one.detail.partition(", SHA-256 ")
        tool, _, file = name.rpartition(", ")
        assert tool == f"{found.tool} {version}"
        assert digest.split(",")[0] == known[file]


def test_of_a_summary_alone_nothing_is_computed(tmp_path: Path) -> None:
    found = load("aiperf", FILES["aiperf"][:1])
    assert not [figure for figure in found.figures if figure.recomputed or not figure.where]
    said = json.loads(FILES["vllm-bench"][0].read_text())
    for name in ("ttfts", "itls", "output_lens", "input_lens", "errors"):
        del said[name]
    brief = tmp_path / "brief.json"
    brief.write_text(json.dumps(said))
    assert not [one for one in load("vllm-bench", [brief]).figures if one.recomputed]


def test_a_p99_over_few_requests_is_told_to_be_one() -> None:
    assert least_number(0.99) == making.FEW
    assert f"A p99 over 8 requests; ours needs {making.FEW}." in load("aiperf").limits


def test_a_failed_request_is_counted_and_has_no_latency(tmp_path: Path) -> None:
    said = json.loads(FILES["vllm-bench"][0].read_text())
    said["errors"][0], said["ttfts"][0], said["itls"][0] = "refused", 0.0, []
    path = tmp_path / "failed.json"
    path.write_text(json.dumps(said))
    again = by_id(load("vllm-bench", [path]))
    seven = [1000 * one for one in said["ttfts"][1:]]
    for id_, expected in (("ttft_ms", sum(seven) / 7), ("failed_requests", 1)):
        recomputed = again[id_].recomputed
        assert recomputed is not None
        assert recomputed.value == pytest.approx(expected)


AGGREGATE = {
    "hw": "h200",
    "framework": "vllm",
    "model": "m",
    "precision": "fp8",
    "tp": 8,
    "ep": 1,
    "conc": 64,
    "tput_per_gpu": 1000.0,
    "output_tput_per_gpu": 500.0,
    "mean_ttft": 0.25,
    "p99_ttft": 1.5,
    "mean_tpot": 0.02,
    "mean_intvty": 50.0,
    "mean_itl": 0.1,
    "std_intvty": 1e9,
    "p99_intvty": 20.0,
    "mean_e2el": 5.0,
}


def test_inferencex_aggregates_are_in_seconds_and_per_gpu(tmp_path: Path) -> None:
    path = tmp_path / "agg.json"
    path.write_text(json.dumps([AGGREGATE, {**AGGREGATE, "conc": 128}]))
    first, second = read(IMPORTERS["inferencex"], [path])
    assert first.id != second.id
    assert (first.setting["conc"], second.setting["conc"]) == ("64", "128")
    got = {figure.id: figure.value.value for figure in first.figures}
    assert got == {
        "ttft_ms": 250,
        "ttft_p99_finished_ms": 1500,
        "tpot_ms": 20,
        "e2e_ms": 5000,
        "inter_chunk_ms": 100,
        "interactivity_tok_s_user": 50,
        "interactivity_at_p99_tpot_tok_s_user": 20,
        "run_output_tok_s_gpu": 500,
        "run_total_tok_s_gpu": 1000,
    }


@pytest.mark.parametrize("format_", IMPORTERS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"{}",
        b"[]",
        b"null",
        b"[1]",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        FILES["guidellm"][0].read_bytes()[:5000],
    ],
    ids=range(10),
)
def test_a_damaged_or_foreign_file_is_one_clear_error(
    format_: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(IMPORTERS[format_], [path])
    assert str(path) in caught.value.message
    assert f"no file of format {format_}" in caught.value.message
    assert IMPORTERS[format_].tool in caught.value.hint


@pytest.mark.parametrize("format_", IMPORTERS)
@pytest.mark.parametrize("other", FILES)
def test_a_file_of_another_tool_is_refused(format_: str, other: str) -> None:
    if format_ != other:
        with pytest.raises(UsageError, match=f"no file of format {format_}"):
            read(IMPORTERS[format_], FILES[other])


def mangled(value: Any, bad: Any) -> list[Any]:
    """Return copies of a JSON value, in each of which one leaf or branch is ``bad``."""
    found: list[Any] = []
    if isinstance(value, dict):
        for key in value:
            found.append({**value, key: bad})
            found += [{**value, key: one} for one in mangled(value[key], bad)]
    elif isinstance(value, list) and value:
        found.append([bad, *value[1:]])
        found += [[one, *value[1:]] for one in mangled(value[0], bad)]
    return found


@pytest.mark.parametrize("bad", [None, "x", -1, 10**400, [], {}, [[]], float("nan"), True])
@pytest.mark.parametrize("format_", ["guidellm", "vllm-bench", "aiperf"])
def test_whatever_one_field_holds_is_read_or_refused(
    format_: str, bad: Any, tmp_path: Path
) -> None:
    said = json.loads(FILES[format_][0].read_text())
    path = tmp_path / "profile_export_aiperf.json"
    for one in mangled(said, bad)[::31]:
        path.write_text(json.dumps(one))
        try:
            found = read(IMPORTERS[format_], [path])
        except UsageError as error:
            found, said = [], error.message
        else:
            said = ""
        # an importer that stumbled would say so instead
        assert bool(found) != ("no file of format" in said), said
        values = [figure.value.value for imported in found for figure in imported.figures]
        assert None not in values


def test_requests_without_their_summary_are_refused() -> None:
    with pytest.raises(UsageError, match=r"profile_export_aiperf\.json of the same folder"):
        read(IMPORTERS["aiperf"], FILES["aiperf"][1:])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read(IMPORTERS["guidellm"], [tmp_path / "none.json"])
