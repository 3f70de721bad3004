"""AIPerf: ``profile_export_aiperf.json``, and ``profile_export.jsonl`` from the same folder."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.importer import ForeignFile, document, number, table
from inferometer_plugins.importers.figures import Figures, Row, of_rows
from inferometer_plugins.importers.making import imported
from inferometer_plugins.importers.quantities import LINEAR, PERCENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Source

TOOL = "AIPerf"


class Once(NamedTuple):
    """An id, the metric whose only value it is, and that metric's unit."""

    id: str
    key: str
    unit: str


ONCE = (
    Once("run_output_tok_s", "output_token_throughput", "tokens/sec"),
    Once("run_total_tok_s", "total_token_throughput", "tokens/sec"),
    Once("run_requests_s", "request_throughput", "requests/sec"),
    Once("duration_s", "benchmark_duration", "sec"),
    Once("finished_requests", "request_count", "requests"),
    Once("unfinished_requests", "error_request_count", "requests"),
    Once("input_tokens", "total_isl", "tokens"),
    Once("output_tokens", "total_osl", "tokens"),
)
PER_USER = "output_token_throughput_per_user"
LATENCIES = {"ttft": "time_to_first_token", "e2e": "request_latency"}
LIMITS = ("A request on a new connection has the time to connect in it.",)
CLIENT_COUNTS = (
    "Output tokens are counted by the client's own tokenizer, not by the server: every figure per "
    "token rests on it."
)


def read(sources: Sequence[Source]) -> list[Imported]:
    """Return one measurement a summary, with the requests of its folder where they are given.

    Raises:
        ForeignFile: a file is not of this format, or requests have no summary beside them.
    """
    rows = [source for source in sources if source.name.endswith(".jsonl")]
    summaries = [source for source in sources if not source.name.endswith(".jsonl")]
    there = Counter(source.folder for source in summaries)
    beside = {source.folder: source for source in rows}
    if beside.keys() - there.keys():
        raise ForeignFile("requests alone: give profile_export_aiperf.json of the same folder too")
    if len(beside) < len(rows) or any(there[folder] > 1 for folder in beside):
        raise ForeignFile("which requests belong to which summary? Give one of each in a folder")
    return [_read(source, beside.get(source.folder)) for source in summaries]


def _read(source: Source, requests: Source | None) -> Imported:
    said = table(document(source.content), source.name)
    version = said.get("aiperf_version")
    if not isinstance(version, str):
        raise ForeignFile(f"{source.name} is no summary of {TOOL}: lacks aiperf_version")
    if "time_to_first_token" not in said:
        raise ForeignFile(
            f"{source.name} lacks time_to_first_token: not streamed, or no request finished"
        )
    config = said.get("input_config")
    endpoint = config.get("endpoint") if isinstance(config, dict) else None
    endpoint = endpoint if isinstance(endpoint, dict) else {}
    again = _recomputed(requests) if requests else {}
    found = Figures(source, recomputed=again, rows=requests, notes=LINEAR)
    _add(found, said, first_chunk=bool(endpoint.get("per_chunk_usage")))
    counted = () if endpoint.get("use_server_token_count") else (CLIENT_COUNTS,)
    cut = () if said.get("is_complete", True) else ("The run was not completed.",)
    return imported(
        format_="aiperf",
        tool=TOOL,
        version=version[:40],
        sources=[source, requests] if requests else [source],
        number_=0,
        measured=str(said.get("start_time") or "")[:40],
        setting=dict(_setting(config if isinstance(config, dict) else {}, endpoint)),
        figures=found.finish(),
        limits=[*LIMITS, *counted, *cut],
    )


def _recomputed(requests: Source) -> dict[str, float]:
    """Return our figures of the requests; its errors are those and what it cut off, too."""
    found = of_rows(list(_rows(requests)), linear=True, cuts=True)
    found["unfinished_requests"] = found["failed_requests"] + found["cut_off_requests"]
    return found


def _add(found: Figures, said: dict[str, Any], *, first_chunk: bool) -> None:
    """Add what the summary says; its "inter token latency" is our TPOT."""
    for ours, theirs in LATENCIES.items():
        _distribution(found, said, f"{ours}_ms", f"{ours}_p{{}}_finished_ms", theirs)
    tokens = "inter_token_latency"
    if first_chunk:
        _distribution(found, said, "tpot_after_first_chunk_ms", "", tokens)
    else:
        _distribution(found, said, "tpot_ms", "tpot_p{}_finished_ms", tokens)
    _distribution(found, said, "inter_chunk_ms", "inter_chunk_p{}_ms", "inter_chunk_latency")
    per_user = "after_first_chunk_tok_s_user" if first_chunk else "tok_s_user"
    once = [*ONCE, Once(f"mean_interactivity_{per_user}", PER_USER, "tokens/sec/user")]
    for id_, key, unit in once:
        found.add(id_, _statistic(said, key, "avg", unit), f"{key}.avg")


def _distribution(
    found: Figures, said: dict[str, Any], mean: str, percentile: str, key: str
) -> None:
    found.add(mean, _statistic(said, key, "avg", "ms"), f"{key}.avg")
    for percent in PERCENTS if percentile else ():
        word = f"p{percent}"
        value = _statistic(said, key, word, "ms")
        found.add(percentile.format(percent), value, f"{key}.{word}")


def _statistic(said: dict[str, Any], key: str, word: str, unit: str) -> float | None:
    entry = said.get(key)
    if not isinstance(entry, dict):
        return None
    if entry.get("unit") != unit:
        raise ForeignFile(f"{key} is not in {unit}")
    return number(entry.get(word))


def _rows(source: Source) -> Iterator[Row]:
    for place, line in enumerate(source.content.splitlines(), start=1):
        where = f"{source.name}, line {place}"
        said = table(document(line), where)
        about = table(said.get("metadata"), f"{where}: metadata")
        if about.get("benchmark_phase") != "profiling":
            continue
        metrics = table(said.get("metrics"), f"{where}: metrics")
        gaps = metrics.get("inter_chunk_latency")
        listed = gaps.get("value") if isinstance(gaps, dict) else []
        cut = bool(about.get("was_cancelled"))
        yield Row(
            finished=said.get("error") is None and not cut,
            cut=cut,
            ttft_ms=_metric(metrics, "time_to_first_token"),
            e2e_ms=_metric(metrics, "request_latency"),
            output_tokens=_metric(metrics, "output_sequence_length"),
            input_tokens=_metric(metrics, "input_sequence_length"),
            gaps_ms=[
                gap
                for gap in map(number, listed if isinstance(listed, list) else [])
                if gap is not None
            ],
        )


def _metric(metrics: dict[str, Any], key: str) -> float | None:
    entry = metrics.get(key)
    return number(entry.get("value")) if isinstance(entry, dict) else None


def _setting(config: dict[str, Any], endpoint: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    models = config.get("models")
    items = models.get("items") if isinstance(models, dict) else None
    if isinstance(items, list) and items and isinstance(items[0], dict):
        yield "model", items[0].get("name")
    yield "endpoint", endpoint.get("type")
    phases = config.get("phases")
    for phase in phases if isinstance(phases, list) else []:
        if isinstance(phase, dict) and phase.get("name") == "profiling":
            for name in ("type", "requests", "concurrency", "rate"):
                yield name, phase.get(name)
