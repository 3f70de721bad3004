"""``inferometer prices``: the table, the ages, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer import cli

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["prices", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_says_price_contract_day_age_and_source(capsys: Capture) -> None:
    code, out, err = run(capsys, "--gpu", "b300", "--as-of", "2026-06-30")
    assert (code, err) == (0, "")
    title, *rows = out.splitlines()
    assert title.split() == [
        *("id", "GPU", "per", "GPU-hour", "contract", "region", "date", "age", "source")
    ]
    assert rows[0].split() == [
        *("inferencex-b300-hyperscaler", "B300", "2.34", "USD", "owned"),
        *("not", "stated", "2026-04", "90", "d", "placeholder", "[1]"),
    ]
    assert "2.808 USD" in rows[1]
    assert "reserved 36 months, 25 % up front" in rows[2]
    assert rows[4].startswith("[1]  InferenceX dashboard")


def test_older_than_90_days_is_stale(capsys: Capture) -> None:
    found = {}
    for day in ("2026-06-30", "2026-07-01"):
        code, out, _ = run(capsys, "--gpu", "H200", "--as-of", day, "--json")
        assert code == 0
        found[day] = {row["id"]: row for row in json.loads(out)}["inferencex-h200-rental"]
    assert [(it["age_days"], it["stale"]) for it in found.values()] == [(90, False), (91, True)]
    assert found["2026-07-01"]["book"] == "inferencex-2026-04"
    assert found["2026-07-01"]["terms"] == "reserved 36 months, 25 % up front"


def test_what_came_after_the_day_is_left_out_and_counted(capsys: Capture) -> None:
    code, out, err = run(capsys, "--gpu", "H100", "--as-of", "2025-12-01")
    assert code == 0
    assert [row.split()[0] for row in out.split("\n\n")[0].splitlines()[1:]] == [
        "h100-1-year-2025-10"
    ]
    assert err == "left out: 11 prices that came after 2025-12-01\n"


def test_a_contract_and_the_first_word_of_a_gpu_narrow_it_down(capsys: Capture) -> None:
    code, out, _ = run(capsys, "--gpu", "GB200", "--contract", "reserved", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)] == ["inferencex-gb200-nvl72-rental"]
    assert run(capsys, "--gpu", "B200", "--contract", "negotiated")[:2] == (0, "no price\n")


def test_an_unknown_gpu_suggests_the_nearest(capsys: Capture) -> None:
    code, out, err = run(capsys, "--gpu", "MI300")
    assert (code, out) == (2, "")
    assert "no GPU with a price named 'MI300'" in err
    assert "Did you mean 'MI300X'?" in err


def test_a_book_of_ones_own_is_checked_and_listed_alone(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    text = (
        'schema = 1\nname = "mine"\n[[prices]]\nid = "x\\u001b[31m"\ngpu = "L40S"\n'
        'per_gpu_hour = 1.5\ncurrency = "EUR"\ncontract = "on-demand"\nregion = "eu"\n'
        'source = "an offer"\ndate = "2026-11"\n'
    )
    path.write_text(text)
    code, out, err = run(capsys, "--file", str(path), "--as-of", "2026-11-22")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert out.splitlines()[1].split() == [
        *("x", "L40S", "1.50", "EUR", "on-demand", "eu", "2026-11", "21", "d", "[1]")
    ]
    path.write_text(text.replace("1.5", "0"))
    code, out, err = run(capsys, "--file", str(path))
    assert (code, out) == (2, "")
    assert "line 6, prices[0].per_gpu_hour: must be greater than 0, is 0" in err
