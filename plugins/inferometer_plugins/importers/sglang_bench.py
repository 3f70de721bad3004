"""SGLang's ``bench_serving``: JSON lines, one a run, requests where ``--output-details``."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from inferometer.importer import ForeignFile, number, table
from inferometer_plugins.importers import bench_json
from inferometer_plugins.importers.figures import Figures, of_rows, without
from inferometer_plugins.importers.making import imported
from inferometer_plugins.importers.quantities import LINEAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Source

TOOL = "SGLang bench_serving"
NAMES = {
    "ttft": "ttft",
    "stream_end_tpot": "tpot",
    "stream_end": "e2e_latency",
    "inter_chunk": "itl",
}
"""Its latency goes on to the last line of the stream, which has no content."""
NAMES_OF_TRT = {"ttft": "ttft", "tpot": "tpot", "e2e": "e2e_latency", "inter_chunk": "itl"}
"""Of TensorRT-LLM's own endpoint it ends with the last event."""
TOTALS = (
    bench_json.Key("run_output_tok_s", "output_throughput"),
    bench_json.Key("run_total_tok_s", "total_throughput"),
    bench_json.Key("run_requests_s", "request_throughput"),
    bench_json.Key("duration_s", "duration"),
    bench_json.Key("finished_requests", "completed"),
    bench_json.Key("asked_input_tokens", "total_input_tokens"),
    bench_json.Key("output_tokens", "total_output_tokens"),
)
OF_PROMPTS = ("run_total_tok_s", "asked_input_tokens")
SETTING = (
    *("backend", "tag", "dataset_name", "request_rate", "max_concurrency", "random_input_len"),
    *("random_output_len", "random_range_ratio", "accept_length"),
)
LIMITS = (
    "Without usage from the server it counts the tokens that were asked for, made or not.",
    "It opens a connection for each request, which is in the time to first token.",
)
NO_STREAM = (
    "No gap between events though more than a token was made: the answers were not streamed, and "
    "what it calls time to first token is none."
)
PER_TOKEN = ("sglang", "sglang-native")
"""Backends whose gaps are divided by their tokens. With speculative decoding those of others are,
by the tokens that the text makes, but not those that the file lists."""


def read(sources: Sequence[Source]) -> list[Imported]:
    """Return one measurement a line.

    Raises:
        ForeignFile: a line is not of this format.
    """
    return bench_json.each(sources, _read)


def _read(source: Source, run: Any, where: str, number_: int) -> Imported:
    said = _checked(run, where)
    rows = bench_json.rows(said)
    again = of_rows(rows, linear=True) if rows else {}
    per_token = said.get("backend") in PER_TOKEN
    # an "ITL" that is divided by tokens is no gap between events, and it is not ours
    names = dict(NAMES_OF_TRT if said.get("backend") == "trt" else NAMES)
    if per_token or number(said.get("accept_length")):
        del names["inter_chunk"]
    if per_token:
        again = without(again, "inter_chunk")
    streamed = said.get("mean_itl_ms") != 0 or _one_token_each(said)
    if not streamed:
        again = without(again, "ttft", "tpot", "interactivity")
        names = {"stream_end": NAMES["stream_end"]}
    # of conversations it counts no prompts
    counted = [key for key in TOTALS if said.get("total_input_tokens") or key.id not in OF_PROMPTS]
    found = Figures(source, recomputed=again, notes=LINEAR)
    keys = chain(bench_json.latencies(names), counted)
    bench_json.add(found, said, keys, where)
    return imported(
        format_="sglang-bench",
        tool=TOOL,
        version=_version(said),
        sources=[source],
        number_=number_,
        measured="",
        setting={name: said.get(name) for name in SETTING},
        figures=found.finish(),
        limits=[*LIMITS, *([] if streamed else [NO_STREAM])],
    )


def _checked(run: Any, where: str) -> dict[str, Any]:
    said = table(run, where or "the file")
    lacking = [name for name in ("mean_e2e_latency_ms", "total_throughput") if name not in said]
    if lacking:
        raise ForeignFile(f"{where}is no result of {TOOL}: lacks {', '.join(lacking)}")
    if number(said.get("completed")) and said.get("total_output_tokens") == 0:
        raise ForeignFile(f"{where}has no output tokens, as of embeddings")
    return said


def _one_token_each(said: dict[str, Any]) -> bool:
    return (number(said.get("total_output_tokens")) or 0) <= (number(said.get("completed")) or 0)


def _version(said: dict[str, Any]) -> str:
    """Return the server's version, which is the client's where both are of one installation."""
    info = said.get("server_info")
    version = info.get("version") if isinstance(info, dict) else None
    return version[:40] if isinstance(version, str) else ""
