"""The small public surface for other programs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from inferometer import api
from inferometer.errors import UsageError
from inferometer.testing.results import Fixture, write_results

PRICES = """[[hours]]
name = "mine"
price = 7.2
per = "machine"
contract = "negotiated"
source = "made up"
date = "2026-11-01"
"""


def test_requests_and_prices_are_read(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=1))
    (record,) = store.launches()
    found = api.requests(store.root, record.id)
    assert {request.status for request in found} == {"ok", "cut"}
    (store.folder(record.id) / "requests.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"requests\.jsonl: not readable as Request"):
        api.requests(store.root, record.id)
    book, quote = api.price("inferencex-h100-rental")
    assert (quote.gpu, quote.currency) == ("H100", "USD")
    assert book
    with pytest.raises(UsageError, match="no price with id 'absent'"):
        api.price("absent")


def test_results_are_priced_again_and_read_event_by_event(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=1))
    (tmp_path / "cost.toml").write_text(PRICES)
    own = api.analyze(store.root)
    seen = api.analyze(str(store.root), tmp_path / "cost.toml", as_of=date(2026, 11, 22))
    assert (own.price.value, seen.price.value) == (3.6, 7.2)
    (record,) = api.results(store.root).launches()
    found = api.events(store.root, record.id)
    assert found.columns == ["request", "tokens", "flags", "t_ns"]
    assert found["tokens"].sum() == found.height > 400  # 40 a second, for 11 s
