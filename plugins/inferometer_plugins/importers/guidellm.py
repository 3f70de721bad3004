"""GuideLLM: the ``json`` output, one measurement a benchmark (a strategy at one load)."""

from __future__ import annotations

import datetime as dt
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from inferometer.importer import ForeignFile, document, number, table
from inferometer_plugins.importers.figures import Figures, Row, of_rows
from inferometer_plugins.importers.making import WHOLE_RUN, imported
from inferometer_plugins.importers.quantities import ORDERED, PERCENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Imported
    from inferometer.importer import Source

TOOL = "GuideLLM"
SCHEMA = 2
"""Version of its file that is known here."""
STATES = {
    "finished_requests": "successful",
    "failed_requests": "errored",
    "cut_off_requests": "incomplete",
}
"""Its counts of requests; those that it ended itself are incomplete."""


class Mean(NamedTuple):
    """An id, the metric whose mean over finished requests it is, and seconds to ms."""

    id: str
    key: str
    scale: float = 1


MEANS = (
    Mean("ttft_ms", "time_to_first_token_ms"),
    Mean("stream_end_ms", "request_latency", 1000),
    Mean("tpot_token_weighted_ms", "inter_token_latency_ms"),
    Mean("e2e_per_output_token_ms", "time_per_output_token_ms"),
    Mean("mean_of_rates_output_tok_s", "output_tokens_per_second"),
    Mean("mean_of_rates_requests_s", "requests_per_second"),
)
LIMITS = (
    "Times are of the wall clock, which may step.",
    "Times between first and last token are not kept, so there is no tail of gaps.",
)
EVENTS_MAY_COUNT = "Where the server gives no usage, streamed events are counted as tokens."
EVENTS_COUNT = (
    "The server gave no usage, so that streamed events are counted as tokens: figures per token "
    "are left out."
)
OTHERS = (
    "The requests that the file holds are not all those of its figures (a sample, or with warm-up "
    "and cool-down): nothing was computed from them."
)
PERIOD = (
    "Latencies are those of finished requests that overlap the tool's own measured period: warm-up "
    "and cool-down are left out of it."
)
OF_EVENTS = {
    *("tpot_token_weighted_ms", "e2e_per_output_token_ms", "mean_of_rates_output_tok_s"),
    "output_tokens",
}
"""What rests on the number of output tokens."""


def read(sources: Sequence[Source]) -> list[Imported]:
    """Return every benchmark of every file.

    Raises:
        ForeignFile: a file is not of this format.
    """
    return list(chain.from_iterable(map(_file, sources)))


def _file(source: Source) -> Iterator[Imported]:
    said = table(document(source.content), "the file")
    about = said.get("metadata")
    version = about.get("guidellm_version") if isinstance(about, dict) else None
    benchmarks = said.get("benchmarks")
    if not isinstance(version, str) or not isinstance(benchmarks, list) or not benchmarks:
        raise ForeignFile("is no output of GuideLLM: lacks metadata.guidellm_version, benchmarks")
    assert isinstance(about, dict)
    if about.get("version") != SCHEMA:
        raise ForeignFile(f"has schema {about.get('version')!r}; {SCHEMA} is known here")
    for number_, one in enumerate(benchmarks):
        yield _read(source, version[:40], table(one, f"benchmark {number_ + 1}"), number_)


def _read(source: Source, version: str, one: dict[str, Any], number_: int) -> Imported:
    where = f"benchmarks[{number_}]"
    metrics = table(one.get("metrics"), f"{where}.metrics")
    totals = table(metrics.get("request_totals"), f"{where}.metrics.request_totals")
    rows = list(_rows(table(one.get("requests"), f"{where}.requests"), where))
    cropped = any(number(one.get(name)) for name in ("warmup_duration", "cooldown_duration"))
    whole = len(rows) == number(totals.get("total")) and not cropped
    again = of_rows(rows, linear=False, cuts=True) if rows and whole else {}
    uncounted = any(row.finished and row.output_tokens is None for row in rows)
    found = Figures(source, recomputed=again, notes=ORDERED, cropped=cropped)
    _add(found, metrics, one, where, left_out=OF_EVENTS if uncounted else set())
    for id_, name in STATES.items():
        found.add(id_, number(totals.get(name)), f"{where} request_totals.{name}")
    told = EVENTS_COUNT if uncounted else EVENTS_MAY_COUNT
    return imported(
        format_="guidellm",
        tool=TOOL,
        version=version,
        sources=[source],
        number_=number_,
        measured=_day(one.get("start_time")),
        setting=dict(_setting(one)),
        figures=found.finish(),
        limits=[*LIMITS, told, *([] if whole else [OTHERS])],
        requests=PERIOD if cropped else WHOLE_RUN,
    )


def _add(
    found: Figures, metrics: dict[str, Any], one: dict[str, Any], where: str, left_out: set[str]
) -> None:
    for mean in MEANS:
        told = number(_statistics(metrics, mean.key).get("mean"))
        # of requests whose time or number of tokens is not known it takes 0
        if told and mean.id not in left_out:
            found.add(mean.id, told * mean.scale, f"{where} {mean.key}.successful.mean")
    percentiles = _statistics(metrics, "time_to_first_token_ms").get("percentiles")
    percentiles = percentiles if isinstance(percentiles, dict) else {}
    for percent in PERCENTS:
        value = number(percentiles.get(f"p{percent}")) or None
        at = f"{where} time_to_first_token_ms.successful.percentiles.p{percent}"
        found.add(f"ttft_p{percent}_finished_ms", value, at)
    found.add("duration_s", number(one.get("duration")), f"{where} duration")
    for id_, key in (
        ("input_tokens", "prompt_token_count"),
        ("output_tokens", "output_token_count"),
    ):
        total = number(_statistics(metrics, key).get("total_sum")) or None
        if id_ not in left_out:
            found.add(id_, total, f"{where} {key}.successful.total_sum")


def _statistics(metrics: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the statistics of finished requests; empty where there are none."""
    entry = metrics.get(key)
    found = entry.get("successful") if isinstance(entry, dict) else None
    # of no request it writes zeros
    return found if isinstance(found, dict) and found.get("count") else {}


def _rows(requests: dict[str, Any], where: str) -> Iterator[Row]:
    for status in ("successful", "errored", "incomplete"):
        listed = requests.get(status)
        for place, one in enumerate(listed if isinstance(listed, list) else []):
            yield _row(one, f"{where}.requests.{status}[{place}]", status)


def _row(one: Any, where: str, status: str) -> Row:
    info = table(table(one, where).get("info"), f"{where}.info")
    made = one.get("output_metrics")
    times = table(info.get("timings"), f"{where}.info.timings")
    sent, first, last = (
        number(times.get(name))
        for name in ("request_start", "first_token_iteration", "last_token_iteration")
    )
    return Row(
        finished=status == "successful",
        cut=status == "incomplete",
        ttft_ms=None if sent is None or first is None else 1000 * (first - sent),
        e2e_ms=None if sent is None or last is None else 1000 * (last - sent),
        # "output_tokens" would be events where the server counted nothing
        output_tokens=number(made.get("total_tokens")) if isinstance(made, dict) else None,
        input_tokens=number(one.get("prompt_tokens")),
    )


def _setting(one: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    config = one.get("config")
    config = config if isinstance(config, dict) else {}
    backend, strategy = config.get("backend"), config.get("strategy")
    backend = backend if isinstance(backend, dict) else {}
    for name in ("kind", "model"):
        yield name, backend.get(name)
    # an endpoint, no path of the machine
    yield "request_format", str(backend.get("request_format") or "").lstrip("/")
    for name in ("type_", "streams", "rate"):
        yield name.rstrip("_"), strategy.get(name) if isinstance(strategy, dict) else None


def _day(value: Any) -> str:
    seconds = number(value)
    try:
        moment = dt.datetime.fromtimestamp(seconds or 0, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="seconds") if seconds else ""
