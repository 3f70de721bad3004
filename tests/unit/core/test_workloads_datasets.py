"""Lengths from files: pairs by line, ShareGPT conversations by rule, bad files by place."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import UsageError
from inferometer.workloads import datasets, reading
from inferometer.workloads.datasets import Pair


def words(text: str) -> int:
    return len(text.split())


def saved(folder: Path, text: str | bytes) -> Path:
    path = folder / "lengths"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def said(*turns: tuple[str, int]) -> dict[str, Any]:
    """A conversation: who speaks, and how many words."""
    return {"id": "x", "conversations": [{"from": who, "value": "w " * n} for who, n in turns]}


@pytest.mark.parametrize(
    "text",
    [
        "10,2\n300,4\n",
        "input,output\n10, 2\n\n300 ,4",
        '{"input_tokens": 10, "output_tokens": 2}\n{"input_tokens": 300, "output_tokens": 4}',
        "\ufeff10,2\r\n300,4\r\n",
    ],
)
def test_pairs_are_read_line_by_line(tmp_path: Path, text: str) -> None:
    assert datasets.read(saved(tmp_path, text), words) == [Pair(10, 2), Pair(300, 4)]


def test_of_a_conversation_the_first_question_and_its_answer_count(tmp_path: Path) -> None:
    entries = [
        said(("human", 5), ("gpt", 6), ("human", 7), ("gpt", 8)),
        said(("system", 9), ("user", 10), ("assistant", 11)),
        said(),
        said(("human", 5)),
        said(("gpt", 5), ("human", 6)),
        said(("human", 5), ("human", 6), ("gpt", 7)),
        said(("human", 3), ("gpt", 50)),
        said(("human", 50), ("gpt", 3)),
        said(("human", 1024), ("gpt", 1024)),
        said(("human", 1025), ("gpt", 5)),
        said(("human", 1024), ("gpt", 1025)),
        said(("human", 20_000), ("gpt", 5)),
    ]
    path = saved(tmp_path, " \n" + json.dumps(entries, indent=1))
    assert datasets.read(path, words) == [Pair(5, 6), Pair(10, 11), Pair(1024, 1024)]


def test_only_so_many_conversations_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "MOST_CONVERSATIONS", 2)
    path = saved(tmp_path, json.dumps([said(("human", n), ("gpt", 4)) for n in range(4, 9)]))
    assert datasets.read(path, words) == [Pair(4, 4), Pair(5, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pair of lengths"),
        ("input,output", "no pair of lengths"),
        ("1,2\ninput,output", "line 2: input is 'input', no whole number"),
        ("1,2\n3", "line 2: '3' is not input,output"),
        ("1,2\n3,0", "line 2: lengths must be at least 1, are 3 and 0"),
        ("1,-2", "line 1: output is '-2', no whole number"),
        ("1,99999999", "line 1: output is 99999999, not within 0 to 10000000"),
        ("1," + "9" * 5000, "line 1: output is '99999"),
        ('{"input_tokens": 1}', "line 1: Object missing required field `output_tokens`"),
        ('{"input_tokens": 1.5}', "line 1: Expected `int`, got `float` - at `$.input_tokens`"),
        (b"1,2\n\xff", "line 2: not UTF-8"),
        ("[1]", "no ShareGPT file: Expected `object`, got `int` - at `$[0]`"),
        (
            json.dumps([said(), {"conversations": [{"from": "human", "value": None}]}]),
            "Expected `str`, got `null` - at `$[1].conversations[0].value`",
        ),
        ("[", "no ShareGPT file: Input data was truncated"),
        ("[" * 100_000, "no ShareGPT file"),
        ("[]", "none of 0 conversations"),
        (json.dumps([said(("human", 1), ("gpt", 1))]), "none of 1 conversations begins with a"),
        (b'["\xff"]', "no ShareGPT file"),
    ],
)
def test_what_is_wrong_is_said_by_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        datasets.read(saved(tmp_path, text), words)
    assert message in caught.value.message


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 9)
    with pytest.raises(UsageError, match="larger than"):
        datasets.read(saved(tmp_path, "[" + " " * 9), words)
    monkeypatch.setattr(datasets, "MOST_PAIRS", 2)
    with pytest.raises(UsageError, match="more than 2 pairs"):
        datasets.read(saved(tmp_path, "1,2\n" * 3), words)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        datasets.read(tmp_path / "absent", words)


def test_every_pair_is_used_before_one_comes_again() -> None:
    found = [Pair(n, n) for n in range(1, 6)]
    drawn = datasets.draw(found, 13, 1)
    assert set(Counter(drawn[:10]).values()) == {2}
    assert max(Counter(drawn).values()) == 3
    assert drawn == datasets.draw(found, 13, 1)
    assert drawn != datasets.draw(found, 13, 2)
    assert drawn[:10] == datasets.draw(found, 10, 1)


SHAREGPT = json.dumps([said(("human", 5), ("gpt", 6))]).encode()


@given(
    st.binary()
    | st.lists(st.sampled_from([b"1", b",", b"\n", b"0", b" ", b"x", b"-", b"{", b"}"])).map(
        b"".join
    )
    | st.tuples(st.integers(0, 90), st.binary(max_size=4)).map(
        lambda parts: SHAREGPT[: parts[0]] + parts[1] + SHAREGPT[parts[0] :]
    )
)
def test_any_bytes_are_lengths_or_refused(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            found = datasets.read(Path(file.name), words)
        except UsageError as error:
            assert file.name in error.message  # noqa: PT017 -- both endings are fine
            return
    assert found
    assert all(pair.input_tokens > 0 and pair.output_tokens > 0 for pair in found)
