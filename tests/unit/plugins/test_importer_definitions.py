"""What each tool's numbers are, by that tool's source: one change of a file a test, and whole
numbers where the file is ours."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pytest

from inferometer.cli.importing import read
from inferometer.errors import UsageError
from inferometer.importer import read_sources
from inferometer.metrics.catalogue import BY_ID
from inferometer.plugins import Registry
from inferometer_plugins.importers import aiperf, bench_json, guidellm
from inferometer_plugins.importers.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.comparison import Imported, ImportedFigure
    from inferometer_plugins.importers.figures import Row

GOLDEN = Path(__file__).parents[2] / "golden" / "importers"
FILES = {
    "aiperf": ["aiperf/profile_export_aiperf.json", "aiperf/profile_export.jsonl"],
    "guidellm": ["guidellm.json"],
    "sglang-bench": ["sglang-bench.jsonl"],
    "vllm-bench": ["vllm-bench.json"],
}
IMPORTERS = Registry(only=["importers"]).importers()
SECRET = "sk-0123456789abcdefghij"
Document = dict[str, Any]


def loaded(name: str) -> Document:
    found: Document = json.loads((GOLDEN / name).read_text())
    return found


def written(folder: Path, *lines: Document, name: str = "file.json") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def by_id(found: Imported) -> dict[str, ImportedFigure]:
    return {figure.id: figure for figure in found.figures}


def values(found: Imported) -> dict[str, float | None]:
    return {figure.id: figure.value.value for figure in found.figures}


def again(figure: ImportedFigure) -> float | None:
    return None if figure.recomputed is None else figure.recomputed.value


# -- vllm bench serve ---------------------------------------------------------------------------


def of_vllm(folder: Path, **changed: Any) -> Imported:
    path = written(folder, {**loaded("vllm-bench.json"), **changed})
    (found,) = read(IMPORTERS["vllm-bench"], [path])
    return found


def test_a_vllm_file_that_runs_were_appended_to_has_one_measurement_each(tmp_path: Path) -> None:
    run = loaded("vllm-bench.json")
    path = written(tmp_path, run, {**run, "max_concurrency": 4, "mean_ttft_ms": 7.0})
    first, second = read(IMPORTERS["vllm-bench"], [path])
    assert first.id != second.id
    assert (first.setting["max_concurrency"], second.setting["max_concurrency"]) == ("2", "4")
    assert by_id(second)["ttft_ms"].where == "line 2 mean_ttft_ms"
    assert values(second)["ttft_ms"] == 7
    path.write_text(json.dumps(run, indent=2))  # over many lines it is one run still
    assert len(read(IMPORTERS["vllm-bench"], [path])) == 1
    path.write_text(json.dumps(run) + '\n{"cut')
    with pytest.raises(UsageError, match="no JSON"):
        read(IMPORTERS["vllm-bench"], [path])


def test_vllms_chat_client_stamps_roles_too_so_nothing_of_it_has_our_name(tmp_path: Path) -> None:
    chat = by_id(of_vllm(tmp_path, backend="openai-chat"))
    plain = by_id(of_vllm(tmp_path, backend="openai"))
    assert not [id_ for id_, figure in chat.items() if figure.as_ours]
    assert not [id_ for id_ in chat if id_.startswith(("ttft_", "tpot_", "e2e_", "interactivity"))]
    for ours, theirs in {"ttft": "first_event", "tpot": "event_tpot", "e2e": "last_event"}.items():
        for tail in ("ms", "p99_finished_ms"):
            before, after = plain[f"{ours}_{tail}"], chat[f"{theirs}_{tail}"]
            assert after.value.value == before.value.value
            assert again(after) == pytest.approx(before.value.value)
            assert after.where == before.where
    assert "role" in chat["first_event_ms"].definition


def test_vllms_end_of_a_request_is_the_one_that_it_lists(tmp_path: Path) -> None:
    latencies = [float(n) for n in range(1, 9)]
    found = by_id(of_vllm(tmp_path, latencies=latencies, mean_e2el_ms=4500.0))
    assert again(found["e2e_ms"]) == found["e2e_ms"].value.value == 4500


def test_gaps_between_vllms_events_have_percentiles_from_requests_too(tmp_path: Path) -> None:
    found = by_id(of_vllm(tmp_path))
    for percent in (50, 90, 99):
        figure = found[f"inter_chunk_p{percent}_ms"]
        assert again(figure) == pytest.approx(figure.value.value)


def test_embeddings_are_no_generation(tmp_path: Path) -> None:
    said = loaded("vllm-bench.json")
    del said["total_output_tokens"], said["output_throughput"]
    with pytest.raises(UsageError, match="lacks total_output_tokens"):
        read(IMPORTERS["vllm-bench"], [written(tmp_path, said)])
    line = sglang_line(total_output_tokens=0, backend="sglang-embedding")
    with pytest.raises(UsageError, match="no output tokens"):
        read(IMPORTERS["sglang-bench"], [written(tmp_path, line)])


@pytest.mark.parametrize(("rate", "waits"), [("inf", False), (3.0, True)])
def test_waiting_inside_vllms_client_is_named(rate: object, waits: bool, tmp_path: Path) -> None:
    limits = of_vllm(tmp_path, request_rate=rate).limits
    assert any("max_concurrency" in limit for limit in limits) is waits


# -- SGLang -------------------------------------------------------------------------------------


def sglang_line(**more: Any) -> Document:
    """Return a line with the keys of SGLang 0.5.23: two requests of three tokens.

    First tokens after 100 and 200 ms, gaps of 50 ms; each stream ends 10 ms after its last token.
    """
    return {
        "backend": "sglang-oai",
        "request_rate": float("inf"),
        "max_concurrency": 2,
        "server_info": {"version": "0.5.23", "api_key": SECRET},
        "duration": 2.0,
        "completed": 2,
        "total_input_tokens": 8,
        "total_output_tokens": 6,
        "request_throughput": 1.0,
        "output_throughput": 3.0,
        "total_throughput": 7.0,
        "mean_e2e_latency_ms": 260.0,
        "p99_e2e_latency_ms": 309.0,
        "mean_ttft_ms": 150.0,
        "mean_tpot_ms": 55.0,
        "mean_itl_ms": 50.0,
        "p99_itl_ms": 50.0,
        "input_lens": [5, 5],
        "output_lens": [3, 3],
        "ttfts": [0.1, 0.2],
        "errors": ["", ""],
        "itls": [[0.05, 0.05], [0.05, 0.05]],
        "accept_length": None,
        **more,
    }


def of_sglang(folder: Path, **more: Any) -> Imported:
    (found,) = read(IMPORTERS["sglang-bench"], [written(folder, sglang_line(**more))])
    return found


def test_sglangs_latency_ends_with_the_stream_so_ours_come_from_requests(tmp_path: Path) -> None:
    found = by_id(of_sglang(tmp_path))
    theirs = {id_: it.value.value for id_, it in found.items() if it.where}
    ours = {id_: it.value.value for id_, it in found.items() if not it.where}
    assert theirs["stream_end_ms"] == 260
    assert theirs["stream_end_p99_finished_ms"] == 309
    assert theirs["stream_end_tpot_ms"] == 55
    assert not {"e2e_ms", "tpot_ms", "interactivity_tok_s_user"} & theirs.keys()
    assert ours["e2e_ms"] == pytest.approx(250)
    assert ours["tpot_ms"] == pytest.approx(50)
    assert ours["interactivity_tok_s_user"] == pytest.approx(20)
    assert again(found["ttft_ms"]) == pytest.approx(theirs["ttft_ms"]) == 150


def test_of_a_real_file_sglangs_latency_is_longer_than_ours() -> None:
    (found,) = read(IMPORTERS["sglang-bench"], [GOLDEN / "sglang-bench.jsonl"])
    told = {id_: value for id_, value in values(found).items() if value is not None}
    assert 0 < told["stream_end_ms"] - told["e2e_ms"] < 1
    assert 0 < told["stream_end_tpot_ms"] - told["tpot_ms"] < 0.1
    # it asked for 64 a prompt; the server counts words
    assert (told["asked_input_tokens"], told["input_tokens"]) == (512, 333)


def test_of_tensorrt_llms_endpoint_sglangs_latency_ends_with_the_last_event(
    tmp_path: Path,
) -> None:
    found = by_id(of_sglang(tmp_path, backend="trt", mean_e2e_latency_ms=250.0, mean_tpot_ms=50.0))
    for id_ in ("e2e_ms", "tpot_ms"):
        assert again(found[id_]) == pytest.approx(found[id_].value.value)
    assert "stream_end_ms" not in found


def test_sglangs_prompts_are_as_its_client_made_them(tmp_path: Path) -> None:
    found = by_id(of_sglang(tmp_path))
    assert found["asked_input_tokens"].value.value == 8
    assert found["input_tokens"].value.value == 10  # as the server counted them
    assert found["input_tokens"].where == ""
    # of conversations it counts none: that is no 0
    found = by_id(of_sglang(tmp_path, total_input_tokens=0, total_throughput=3.0))
    assert not {"asked_input_tokens", "run_total_tok_s"} & found.keys()
    assert found["run_output_tok_s"].value.value == 3


@pytest.mark.parametrize("backend", ["sglang", "sglang-native"])
def test_gaps_that_sglang_divides_by_tokens_are_no_gaps(backend: str, tmp_path: Path) -> None:
    found = by_id(of_sglang(tmp_path, backend=backend))
    assert not [id_ for id_ in found if id_.startswith("inter_chunk")]
    assert found["e2e_ms"].value.value == pytest.approx(250)


def test_with_speculation_sglang_lists_gaps_and_tells_others(tmp_path: Path) -> None:
    found = by_id(of_sglang(tmp_path, accept_length=2.5, mean_itl_ms=20.0))
    assert found["inter_chunk_ms"].where == ""
    assert found["inter_chunk_ms"].value.value == pytest.approx(50)


def test_sglang_without_streaming_has_no_first_token(tmp_path: Path) -> None:
    found = of_sglang(tmp_path, mean_itl_ms=0.0, p99_itl_ms=0.0, itls=[[], []])
    assert not [id_ for id_ in by_id(found) if id_.startswith(("ttft", "tpot", "stream_end_tpot"))]
    assert values(found)["stream_end_ms"] == 260
    assert any("not streamed" in limit for limit in found.limits)


def test_a_rate_without_bound_is_told(tmp_path: Path) -> None:
    assert of_sglang(tmp_path).setting["request_rate"] == "inf"


# -- GuideLLM -----------------------------------------------------------------------------------


def of_guidellm(folder: Path, change: Callable[[Document], None]) -> Imported:
    said = loaded("guidellm.json")
    change(said["benchmarks"][0])
    (found,) = read(IMPORTERS["guidellm"], [written(folder, said)])
    return found


def test_a_request_that_guidellm_ended_itself_has_not_failed(tmp_path: Path) -> None:
    def change(one: Document) -> None:
        requests = one["requests"]
        requests["incomplete"], requests["errored"] = (
            [requests["successful"].pop()],
            [requests["successful"].pop()],
        )
        one["metrics"]["request_totals"] = {
            "successful": 6,
            "errored": 1,
            "incomplete": 1,
            "total": 8,
        }

    found = by_id(of_guidellm(tmp_path, change))
    for id_, expected in (
        ("finished_requests", 6),
        ("failed_requests", 1),
        ("cut_off_requests", 1),
    ):
        assert found[id_].value.value == again(found[id_]) == expected


def test_without_usage_guidellms_events_are_no_tokens_and_its_prompts_not_0(
    tmp_path: Path,
) -> None:
    def change(one: Document) -> None:
        for request in one["requests"]["successful"]:
            request["output_metrics"]["total_tokens"] = request["prompt_tokens"] = None
        prompts = one["metrics"]["prompt_token_count"]["successful"]
        prompts["total_sum"] = prompts["mean"] = 0.0

    found = of_guidellm(tmp_path, change)
    told = by_id(found)
    assert told["ttft_ms"].value.value
    left_out = {"output_tokens", "input_tokens", "tpot_ms", "tpot_token_weighted_ms"}
    left_out |= {"e2e_per_output_token_ms", "mean_of_rates_output_tok_s"}
    assert not left_out & told.keys()
    assert any("events are counted as tokens" in limit for limit in found.limits)


def test_what_guidellm_left_out_as_warm_up_is_told_and_nothing_is_computed(
    tmp_path: Path,
) -> None:
    def change(one: Document) -> None:
        one["warmup_duration"] = 0.1

    found = of_guidellm(tmp_path, change)
    assert not [figure for figure in found.figures if figure.recomputed or not figure.where]
    assert not [limit for limit in found.limits if "ramp-up" in limit]
    assert any("warm-up and cool-down are left out" in limit for limit in found.limits)
    for id_ in ("duration_s", "mean_of_rates_output_tok_s"):
        assert "measured period" in by_id(found)[id_].definition
        assert "whole run" not in by_id(found)[id_].definition


def test_a_sample_of_guidellms_requests_is_not_its_run(tmp_path: Path) -> None:
    found = of_guidellm(tmp_path, lambda one: one["requests"]["successful"].pop())
    assert not [figure for figure in found.figures if figure.recomputed or not figure.where]
    assert any("nothing was computed" in limit for limit in found.limits)


def test_every_benchmark_of_a_guidellm_file_is_a_measurement(tmp_path: Path) -> None:
    said = loaded("guidellm.json")
    second = deepcopy(said["benchmarks"][0])
    second["config"]["strategy"]["streams"] = 64
    said["benchmarks"].append(second)
    found = read(IMPORTERS["guidellm"], [written(tmp_path, said)])
    assert len({one.id for one in found}) == 2
    assert found[1].setting["streams"] == "64"
    assert found[1].figures[0].where.startswith("benchmarks[1]")


def test_guidellms_endpoint_is_told_whole(tmp_path: Path) -> None:
    def change(one: Document) -> None:
        one["config"]["backend"]["request_format"] = "/v1/chat/completions"

    assert of_guidellm(tmp_path, change).setting["request_format"] == "v1/chat/completions"


# -- AIPerf -------------------------------------------------------------------------------------


def aiperf_rows() -> list[Document]:
    text = (GOLDEN / "aiperf" / "profile_export.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def of_aiperf(folder: Path, rows: list[Document] | None = None, **changed: Any) -> Imported:
    files = [written(folder, {**loaded("aiperf/profile_export_aiperf.json"), **changed})]
    if rows is not None:
        files.append(written(folder, *rows, name="profile_export.jsonl"))
    (found,) = read(IMPORTERS["aiperf"], files)
    return found


def test_aiperfs_errors_have_the_requests_in_them_that_it_cut_off(tmp_path: Path) -> None:
    rows = aiperf_rows()
    rows[0]["metadata"]["was_cancelled"], rows[0]["error"] = True, {"code": 499}
    rows[1]["error"], rows[1]["metrics"] = {"code": 500}, {}
    rows[2]["metadata"]["benchmark_phase"] = "warmup"
    found = by_id(of_aiperf(tmp_path, rows, error_request_count={"unit": "requests", "avg": 2.0}))
    assert found["unfinished_requests"].value.value == again(found["unfinished_requests"]) == 2
    assert (found["failed_requests"].value.value, found["failed_requests"].where) == (1, "")
    assert found["cut_off_requests"].value.value == 1
    assert again(found["finished_requests"]) == 5


def test_aiperfs_figures_after_the_first_event_have_names_of_their_own(tmp_path: Path) -> None:
    config = loaded("aiperf/profile_export_aiperf.json")["input_config"]
    config["endpoint"]["per_chunk_usage"] = True
    found = by_id(of_aiperf(tmp_path, input_config=config))
    assert not {"tpot_ms", "tpot_p99_finished_ms", "mean_interactivity_tok_s_user"} & found.keys()
    assert {
        "tpot_after_first_chunk_ms",
        "mean_interactivity_after_first_chunk_tok_s_user",
    } <= found.keys()


@pytest.mark.parametrize(
    ("key", "unit"), [("benchmark_duration", "ms"), ("request_latency", "sec")]
)
def test_another_unit_of_aiperf_is_refused(key: str, unit: str, tmp_path: Path) -> None:
    entry = loaded("aiperf/profile_export_aiperf.json")[key]
    with pytest.raises(UsageError, match=f"{key} is not in "):
        of_aiperf(tmp_path, None, **{key: {**entry, "unit": unit}})


def test_a_summary_with_its_requests_is_the_same_measurement_as_alone(tmp_path: Path) -> None:
    alone, whole = of_aiperf(tmp_path), of_aiperf(tmp_path, aiperf_rows())
    assert alone.id == whole.id
    assert len(whole.files) == 2


def test_which_requests_are_whose_is_never_guessed(tmp_path: Path) -> None:
    said = loaded("aiperf/profile_export_aiperf.json")
    rows = aiperf_rows()
    files = [
        written(tmp_path, said, name="a.json"),
        written(tmp_path, {**said, "benchmark_id": "other"}, name="b.json"),
        written(tmp_path, *rows, name="a.jsonl"),
        written(tmp_path, *rows[1:], name="b.jsonl"),
    ]
    for given in (files[:3], [files[0], *files[2:]]):
        with pytest.raises(UsageError, match="which requests belong"):
            read(IMPORTERS["aiperf"], given)
    assert len(read(IMPORTERS["aiperf"], files[:2])) == 2


# -- InferenceX ---------------------------------------------------------------------------------


def test_with_prefill_apart_inferencex_divides_output_by_the_gpus_that_decode(
    tmp_path: Path,
) -> None:
    one = {
        "hw": "gb200",
        "framework": "sglang",
        "spec_decoding": "mtp",
        "num_prefill_gpu": 8,
        "num_decode_gpu": 24,
        # 32 000 tok/s, of them 2 400 of output: / 32, / 24
        "tput_per_gpu": 1000.0,
        "output_tput_per_gpu": 100.0,
    }
    path = tmp_path / "agg.json"
    path.write_text(json.dumps([one, {**one, "num_prefill_gpu": 32, "num_decode_gpu": 0}]))
    apart, together = read(IMPORTERS["inferencex"], [path])
    assert values(apart) == {"run_total_tok_s_gpu": 1000, "run_output_tok_s_decode_gpu": 100}
    assert values(together) == {"run_total_tok_s_gpu": 1000, "run_output_tok_s_gpu": 100}
    assert by_id(together)["run_total_tok_s_gpu"].where == "[1].tput_per_gpu"
    assert apart.setting["spec_decoding"] == "mtp"
    assert apart.setting["num_decode_gpu"] == "24"


# -- all ----------------------------------------------------------------------------------------


def test_a_name_of_ours_is_a_metric_of_ours_and_no_other_name_is() -> None:
    ours = {id_: quantity.unit for id_, quantity in QUANTITIES.items() if quantity.as_ours}
    assert ours == {id_: BY_ID[id_].unit for id_ in QUANTITIES.keys() & BY_ID.keys()}


def rows_of(format_: str) -> list[Row]:
    """Return the requests of a real file."""
    if format_ in {"sglang-bench", "vllm-bench"}:
        return bench_json.rows(loaded(FILES[format_][0]))
    if format_ == "aiperf":
        (source,) = read_sources([GOLDEN / FILES[format_][1]])
        return list(aiperf._rows(source))
    requests = loaded("guidellm.json")["benchmarks"][0]["requests"]
    return list(guidellm._rows(requests, ""))


@pytest.mark.parametrize("format_", FILES)
def test_our_own_formulas_make_the_same_of_the_requests_of_a_real_file(format_: str) -> None:
    rows = rows_of(format_)
    assert len(rows) == 8
    frame = pl.DataFrame(
        {name: [getattr(row, name) for row in rows] for name in ("finished", "ttft_ms", "e2e_ms")}
        | {"output_tokens": [row.output_tokens for row in rows]}
    ).with_columns(tpot_ms=(pl.col("e2e_ms") - pl.col("ttft_ms")) / (pl.col("output_tokens") - 1))
    (found,) = read(IMPORTERS[format_], [GOLDEN / name for name in FILES[format_]])
    ours = [figure for figure in found.figures if figure.as_ours]
    assert len(ours) == 4
    for figure in ours:
        expected = frame.select(BY_ID[figure.id].expression).item()
        assert figure.value.value == pytest.approx(expected, rel=1e-6), figure.id


def with_secrets(format_: str) -> Document:
    """Return a file of the format whose keys, commands and headers have :data:`SECRET` in them."""
    hidden = {
        "api_key": SECRET,
        "headers": {"Authorization": f"Bearer {SECRET}"},
        "command": f"serve --api-key {SECRET}",
        "env": {"HF_TOKEN": SECRET},
        "url": f"https://me:{SECRET}@host/v1",
    }
    if format_ == "guidellm":
        said = loaded("guidellm.json")
        said["config"]["spec"]["backend"] |= hidden
        said["benchmarks"][0]["config"]["backend"] |= hidden
        said["benchmarks"][0]["config"]["environment"] |= hidden
        said["benchmarks"][0]["config"]["backend"]["model"] = f"https://me:{SECRET}@host/m"
        return said
    if format_ == "aiperf":
        said = loaded("aiperf/profile_export_aiperf.json")
        said["input_config"]["endpoint"] |= hidden
        said["run_info"] |= {"cli_command": f"aiperf --api-key {SECRET}"}
        said["input_config"]["models"]["items"][0]["name"] = f"https://me:{SECRET}@host/m"
        return said
    if format_ == "vllm-bench":
        return {**loaded("vllm-bench.json"), **hidden, "model_id": f"https://me:{SECRET}@host/m"}
    if format_ == "sglang-bench":
        return {**sglang_line(tag=f"https://me:{SECRET}@host/m"), **hidden}
    return {**hidden, "hw": "h200", "framework": "vllm", "tput_per_gpu": 1.0, "model": SECRET}


@pytest.mark.parametrize("format_", IMPORTERS)
def test_no_key_of_a_file_gets_into_results(format_: str, tmp_path: Path) -> None:
    (found,) = read(IMPORTERS[format_], [written(tmp_path, with_secrets(format_))])
    stored = msgspec.json.encode(found).decode()
    assert SECRET not in stored
    assert "[hidden]" in stored


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/models/m", "m"),
        ("~/models/m/", "m"),
        ("./models/m", "m"),
        (r"C:\models\m", "m"),
        ("owner/m", "owner/m"),
    ],
)
def test_of_a_path_only_the_end_is_kept(path: str, end: str, tmp_path: Path) -> None:
    assert of_vllm(tmp_path, model_id=path).setting["model_id"] == end
