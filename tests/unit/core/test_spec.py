"""The specification of a launch: what is asked, what a profile adds, which release knows what."""

from __future__ import annotations

import pytest

from inferometer.engine import (
    LaunchSpec,
    Unsupported,
    profiled,
    release,
    since,
    switched,
    translated,
    valued,
)


def test_only_what_is_set_is_asked_and_the_precision_always() -> None:
    assert LaunchSpec().asked() == {"dtype": "bfloat16"}
    spec = LaunchSpec(graphs=False, extra_args=("--x",), extra_env={"A": "1"})
    assert spec.asked() == {"dtype": "bfloat16", "graphs": False}


def test_a_field_without_a_word_is_refused_by_name() -> None:
    words = {"dtype": valued("--dtype"), "graphs": switched("", "--eager")}
    assert translated("e 1", LaunchSpec(graphs=False), words) == [
        ("--dtype", "bfloat16"),
        ("--eager",),
    ]
    with pytest.raises(Unsupported, match="e 1: moe_backend has no equivalent in this engine"):
        translated("e 1", LaunchSpec(moe_backend="x"), words)


def test_equalized_fills_what_is_open_and_leaves_what_is_set() -> None:
    spec = profiled(LaunchSpec(kv_cache_tokens=9, max_num_seqs=3), "equalized")
    assert (spec.max_num_seqs, spec.max_num_batched_tokens, spec.seed) == (3, 8192, 0)
    assert (spec.prefix_caching, spec.chunked_prefill) == (False, True)
    assert spec.kv_cache_dtype == "bfloat16"
    assert profiled(LaunchSpec(dtype="auto", kv_cache_bytes=9), "equalized").kv_cache_dtype is None
    assert profiled(LaunchSpec(), "defaults") == LaunchSpec()


def test_equalized_needs_an_absolute_kv_capacity() -> None:
    with pytest.raises(Unsupported, match="KV capacity; set kv_cache_tokens"):
        profiled(LaunchSpec(), "equalized")
    assert profiled(LaunchSpec(), "tuned") == LaunchSpec()  # what a search adds is added later


def test_a_table_by_release_gives_the_newest_entry_that_is_not_too_new() -> None:
    table = {"0.5.9": "a", "0.5.14": "b"}
    found = [since(version, table) for version in ("0.5.8", "0.5.13.post1", "0.5.14rc0", "1.0")]
    assert found == [None, "a", "b", "b"]
    assert (release("1.3.0rc5.post1"), release("0.33"), release("dev")) == (
        (1, 3, 0),
        (0, 33, 0),
        (0, 0, 0),
    )
