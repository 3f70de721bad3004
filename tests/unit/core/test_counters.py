"""Engines' own counters: exact families, labels, ranks, resets, and pages that drain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inferometer.counters import CounterReset, UnreadableCounters, difference, snapshot
from inferometer.engine import Counter, Metrics
from inferometer_engines.sglang import METRICS as SGLANG
from inferometer_engines.vllm import METRICS as VLLM

VLLM_PAGE = b"""\
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 100.0
vllm:generation_tokens_total{engine="1",model_name="m"} 20.0
# TYPE vllm:generation_tokens_created gauge
vllm:generation_tokens_created{engine="0",model_name="m"} 1.7637e+09
vllm:prompt_tokens_by_source_total{engine="0",model_name="m",source="local_compute"} 7.0
vllm:prompt_tokens_by_source_total{engine="0",model_name="m",source="local_cache_hit"} 5.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="m"} 3.0
vllm:iteration_tokens_total_count{engine="0",model_name="m"} 9.0
vllm:iteration_tokens_total_sum{engine="0",model_name="m"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.25
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
"""
DRAINING = Metrics(
    form="json",
    drains=True,
    counters=(
        Counter("inflightBatchingStats.numCtxTokens", "prompt_tokens_computed"),
        Counter("numActiveRequests", "requests_running"),
    ),
)


def page(text: bytes) -> Callable[[str], bytes]:
    return lambda _path: text


def test_families_are_exact_replicas_add_up_and_shares_are_averaged() -> None:
    assert snapshot(VLLM, page(VLLM_PAGE)) == {
        "output_tokens": 120.0,
        "prompt_tokens_computed": 7.0,
        "steps": 9.0,
        "requests_running": 4.0,
        "kv_cache_usage": 0.375,
    }


def test_ranks_are_not_added_and_replicas_are() -> None:
    ranks = [(0, 0), (0, 1), (1, 4), (1, 5)]  # replica, and the rank in all: as attention-DP has it
    text = "".join(
        f'sglang:realtime_tokens_total{{dp_rank="{dp}",mode="decode",moe_ep_rank="0",pp_rank="0",'
        f'tp_rank="{tp}"}} {10 * (dp + 1)}\n'
        for dp, tp in reversed(ranks)
    )
    assert snapshot(SGLANG, page(text.encode())) == {"output_tokens": 30.0}


def test_rank_ten_is_not_below_rank_two() -> None:
    text = "".join(f'sglang:prompt_tokens_total{{tp_rank="{rank}"}} {rank}\n' for rank in (10, 2))
    assert snapshot(SGLANG, page(text.encode())) == {"prompt_tokens": 2.0}


def test_label_values_may_hold_anything() -> None:
    metrics = Metrics(counters=(Counter("x_total", "steps", {"path": 'a"b\\n},{c="d'}),))
    text = rb'x_total{path="a\"b\\n},{c=\"d",le="+Inf"} 3 1700000000 # {trace="1"} 4' + b"\n"
    assert snapshot(metrics, page(text)) == {"steps": 3.0}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "many", "1.2.3"])
def test_what_is_no_number_is_absent(value: str) -> None:
    metrics = Metrics(counters=(Counter("x_total", "steps"),))
    assert snapshot(metrics, page(f"x_total {value}\ny 1\n".encode())) == {}


def test_pages_in_another_form_are_refused() -> None:
    with pytest.raises(UnreadableCounters, match="not Prometheus"):
        snapshot(VLLM, page(b"no such page here"))
    for text in (b"# TYPE x counter", b'[{"x": "\xff"}]'):
        with pytest.raises(UnreadableCounters, match="not JSON"):
            snapshot(DRAINING, page(text))
    with pytest.raises(UnreadableCounters, match="list of JSON objects"):
        snapshot(DRAINING, page(b"[1]"))
    assert snapshot(VLLM, page(b"")) == {}
    assert snapshot(DRAINING, page(b"")) == {}


def test_a_page_that_drains_reads_like_any_other() -> None:
    pages = iter(
        [
            b'[{"numActiveRequests": 1, "inflightBatchingStats": {"numCtxTokens": 5}}]',
            (
                b'[{"numActiveRequests": 4, "inflightBatchingStats": {"numCtxTokens": 7}}, '
                b'{"numActiveRequests": 2, "inflightBatchingStats": {"numCtxTokens": 1}}]'
            ),
            b"[]",
        ]
    )
    fetch = lambda _path: next(pages)  # noqa: E731
    first = snapshot(DRAINING, fetch)
    assert first == {"prompt_tokens_computed": 5.0, "requests_running": 1.0}
    second = snapshot(DRAINING, fetch, first)
    assert second == {"prompt_tokens_computed": 13.0, "requests_running": 2.0}
    assert difference(first, second) == {"prompt_tokens_computed": 8.0}
    assert difference(second, snapshot(DRAINING, fetch, second)) == {"prompt_tokens_computed": 0.0}


def test_counters_are_read_as_differences_and_gauges_have_none() -> None:
    before = {"output_tokens": 8.0, "requests_running": 4.0}
    after = {"output_tokens": 9.0, "requests_running": 1.0, "preemptions": 2.0}
    assert difference(before, after) == {"output_tokens": 1.0, "preemptions": 2.0}


@pytest.mark.parametrize("after", [{"output_tokens": 7.0}, {}])
def test_a_counter_that_fell_is_a_reset_by_name(after: dict[str, float]) -> None:
    with pytest.raises(CounterReset, match="output_tokens was 8") as caught:
        difference({"output_tokens": 8.0}, after)
    assert caught.value.reason == "counter_reset"


@pytest.mark.parametrize(("name", "metrics"), [("sglang-0.5.23", SGLANG), ("vllm-0.32.0", VLLM)])
def test_every_declared_family_is_found_on_a_page_of_that_engine(
    name: str, metrics: Metrics
) -> None:
    """The families are the engine's own; a counter is exposed under its name with ``_total``."""
    golden = Path(__file__).parents[2] / "golden" / "metrics" / f"{name}.txt"
    lines = golden.read_text(encoding="utf-8").splitlines()
    families = {word for line in lines if not line.startswith("#") for word in line.split()}
    exposed = families | {f"{family}_total" for family in families}
    exposed |= {f"{family}_count" for family in families}
    text = "".join(
        counter.source + "{" + ",".join(f'{k}="{v}"' for k, v in counter.labels.items()) + "} 1\n"
        for counter in metrics.counters
        if counter.source in exposed
    )
    found = snapshot(metrics, page(text.encode()))
    assert set(found) == {counter.name for counter in metrics.counters}
