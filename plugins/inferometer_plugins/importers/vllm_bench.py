"""``vllm bench serve``: ``--save-result`` or, several runs in one file, ``--append-result``.

With ``--save-detailed`` a run has its requests.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from inferometer.importer import ForeignFile, table
from inferometer_plugins.importers import bench_json
from inferometer_plugins.importers.figures import Figures, of_rows, renamed
from inferometer_plugins.importers.making import imported
from inferometer_plugins.importers.quantities import LINEAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Source

TOOL = "vllm bench serve"
NAMES = {"ttft": "ttft", "tpot": "tpot", "e2e": "e2el", "inter_chunk": "itl"}
"""Its ITL has one entry for each event, of however many tokens."""
EVENTS = {"ttft": "first_event", "tpot": "event_tpot", "e2e": "last_event"}
"""What its times are where it stamps every event with a choice, one of the role alone too."""
STAMPS_EVENTS = ("openai-chat", "openai-audio")
NEEDED = ("endpoint_type", "total_output_tokens", "total_token_throughput")
"""Embeddings and rerankings have no output tokens."""
SETTING = (
    *("backend", "model_id", "tokenizer_id", "label", "num_prompts", "request_rate"),
    *("burstiness", "max_concurrency", "ramp_up_strategy", "ramp_up_start_rps", "ramp_up_end_rps"),
)
LIMITS = (
    "Where the server gives no usage the client counts tokens itself; the file does not tell.",
    "The client's own ready check sends the first prompt once more, so that it may be cached.",
    "It is one process: many streams or small chunks may wait for the client.",
    "An error that the server sends inside a stream is not seen: that request counts as finished.",
)
WAITS = (
    "Latencies begin at the actual send: what a request waits in the client for one of "
    "max_concurrency places is not in them."
)


def read(sources: Sequence[Source]) -> list[Imported]:
    """Return one measurement a run.

    Raises:
        ForeignFile: a file is not of this format.
    """
    return bench_json.each(sources, _read)


def _read(source: Source, run: Any, where: str, number_: int) -> Imported:
    said = table(run, where or "the file")
    lacking = [name for name in NEEDED if name not in said]
    if lacking:
        raise ForeignFile(f"{where}is no result of {TOOL}: lacks {', '.join(lacking)}")
    rows = bench_json.rows(said)
    again = of_rows(rows, linear=True) if rows else {}
    names = NAMES
    if said.get("backend") in STAMPS_EVENTS:
        again = renamed(again, EVENTS)
        names = {EVENTS.get(ours, ours): theirs for ours, theirs in NAMES.items()}
    found = Figures(source, recomputed=again, notes=LINEAR)
    total = bench_json.Key("run_total_tok_s", "total_token_throughput")
    bench_json.add(
        found, said, chain(bench_json.latencies(names), bench_json.TOTALS, [total]), where
    )
    waits = said.get("max_concurrency") and said.get("request_rate") != "inf"
    return imported(
        format_="vllm-bench",
        tool=TOOL,
        version="",
        sources=[source],
        number_=number_,
        measured=_moment(said.get("date")),
        setting={name: said.get(name) for name in SETTING},
        figures=found.finish(),
        limits=[*LIMITS, *([WAITS] if waits else [])],
    )


def _moment(text: object) -> str:
    """Return ``20260131-235959``, of an unknown zone, in the form of ISO 8601."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)", str(text))
    return "{}-{}-{}T{}:{}:{}".format(*found.groups()) if found else ""
