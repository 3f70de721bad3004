"""The large study of ``tests/benchmarks``, reduced: its figures are those of its chunk logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.benchmarks.large_analysis import World, measure, write

from inferometer.chunklog import CHUNK_DTYPE
from inferometer.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tokens_per_second_are_the_events_in_the_window(tmp_path: Path) -> None:
    """An event is a token in this study, whether the engine counted it or usage tells."""
    world = World(requests=320, tokens=16, rounds=1, streams=16)
    requests, chunks = write(tmp_path, world)
    store, seen = Store(tmp_path), 0
    found = measure(tmp_path)
    for record in store.launches():
        t_ns = np.fromfile(store.folder(record.id) / "chunks.bin", CHUNK_DTYPE)["t_ns"]
        (window,) = record.windows
        inside = int(((t_ns >= window.start_ns) & (t_ns < window.end_ns)).sum())
        seconds = (window.end_ns - window.start_ns) / 1e9
        stack = record.stack["id"]
        assert found[f"{stack} output_tok_s"] == pytest.approx(inside / seconds, rel=1e-12)
        assert 0 < inside < t_ns.size
        seen += t_ns.size
    assert seen == chunks
    assert 600 < requests <= 640
    assert found["GiB"] > 0
