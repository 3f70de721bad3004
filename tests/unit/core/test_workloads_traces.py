"""Traces: four formats become the same rows; whatever else comes is refused by line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import UsageError
from inferometer.workloads import reading, traces
from inferometer.workloads.traces import TraceRow

MOONCAKE = """\
{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}
{"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 47, 2366]}
"""
BURSTGPT = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.5,ChatGPT,1087,0,1087,Conversation log
118,GPT-4,417,276,693,API log
"""
AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.4799600,3180,8
"""
OURS = """\
{"time_s": 1.5, "input_tokens": 10, "output_tokens": 2, "prefix_hash": "a"}
{"time_s": 1.0, "input_tokens": 20, "output_tokens": 3}

{"time_s": 3.0, "input_tokens": 30, "output_tokens": 4, "prefix_hash": ["a", "b"]}
"""


def saved(folder: Path, text: str | bytes) -> Path:
    path = folder / "trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "form", "rows", "skipped"),
    [
        (
            MOONCAKE,
            "mooncake",
            [
                TraceRow(0.0, 6955, 52, ("46", "47", "2353")),
                TraceRow(3.053, 6472, 26, ("46", "47", "2366")),
            ],
            0,
        ),
        (BURSTGPT, "burstgpt", [TraceRow(0.0, 472, 18), TraceRow(113.0, 417, 276)], 1),
        (AZURE, "azure", [TraceRow(0.0, 4808, 10), TraceRow(0.5, 3180, 8)], 0),
        (
            OURS,
            "inferometer",
            [
                TraceRow(0.0, 20, 3),
                TraceRow(0.5, 10, 2, ("a",)),
                TraceRow(2.0, 30, 4, ("a", "b")),
            ],
            0,
        ),
    ],
)
def test_each_format_is_known_by_its_content(
    tmp_path: Path, text: str, form: str, rows: list[TraceRow], skipped: int
) -> None:
    trace = traces.read(saved(tmp_path, text))
    windows = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert traces.read(saved(tmp_path, windows)) == trace
    assert (trace.format, trace.skipped, trace.complete) == (form, skipped, True)
    for got, wanted in zip(trace.rows, rows, strict=True):
        assert got.offset_s == pytest.approx(wanted.offset_s, abs=1e-5)
        assert (got.input_tokens, got.output_tokens) == (wanted.input_tokens, wanted.output_tokens)
        assert got.prefix == wanted.prefix


def test_zones_count(tmp_path: Path) -> None:
    text = AZURE.replace("18:17:04.4799600", "19:17:04.9799600+01:00")
    assert traces.read(saved(tmp_path, text)).rows[1].offset_s == pytest.approx(1.0)


def test_columns_may_stand_elsewhere(tmp_path: Path) -> None:
    text = "Session ID,Response tokens,Timestamp,Request tokens\n7,2,0,3\n"
    assert traces.read(saved(tmp_path, text)).rows == (TraceRow(0.0, 3, 2),)


def test_a_long_trace_is_cut_and_says_so(tmp_path: Path) -> None:
    trace = traces.read(saved(tmp_path, OURS), limit=2)
    assert len(trace.rows) == 2
    assert not trace.complete
    assert traces.read(saved(tmp_path, OURS), limit=3).complete


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trace: empty"),
        ("\n\n", "trace: empty"),
        ("a,b\n1,2\n", "line 1: neither a JSON object nor the header of a known trace"),
        ('{"a": 1}', "line 1: a JSON object of no known trace"),
        ('{"timestamp": 1', "line 1: Input data was truncated"),
        (MOONCAKE + '{"timestamp": 1}\n', "line 3: Object missing required field `input_length`"),
        (MOONCAKE.replace("6472", '"x"'), "line 2: Expected `int`, got `str` - at `$.input_length"),
        (MOONCAKE.replace("6472", "-1"), "line 2: input_length is -1, not within"),
        (MOONCAKE.replace("30535", "1e300"), "line 2: the time is 1e+297 s"),
        (MOONCAKE.replace("[46", "[[46]"), "line 1: Expected `int | str`, got `array`"),
        (OURS.replace("prefix_hash", "prefix"), "line 1: Object contains unknown field `prefix`"),
        (BURSTGPT + "nan,GPT-4,1,1,2,x\n", "line 5: the time is nan s"),
        (BURSTGPT + "soon,GPT-4,1,1,2,x\n", "line 5: Timestamp is 'soon', no seconds"),
        (BURSTGPT + "9,GPT-4,1\n", "line 5: 3 cells, fewer than the header asks for"),
        (BURSTGPT + '9,"GPT-4,1,1\n', "line 5: not CSV"),
        (BURSTGPT + "9,GPT-4,1.5,1,2,x\n", "line 5: Request tokens is '1.5', no whole number"),
        (AZURE + "yesterday,1,1\n", "line 4: TIMESTAMP is 'yesterday', no date and time"),
        (AZURE.partition("\n")[0], "no request with a prompt and an answer"),
        (b"\xff\xfe", "line 1: not UTF-8 (byte 0 of the line)"),
        ("{" + "x" * reading.MOST_LINE_BYTES, "line 1: longer than 1 MiB"),
        ('{"timestamp": ' + "[" * 100_000, "line 1"),
    ],
)
def test_what_is_wrong_is_said_by_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        traces.read(saved(tmp_path, text))
    assert message in caught.value.message


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        traces.read(tmp_path / "absent")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        traces.read(tmp_path)


def test_prefix_ids_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_PREFIXES", 5)
    with pytest.raises(UsageError, match="more than 5 prefix ids"):
        traces.read(saved(tmp_path, MOONCAKE))


HEADS = [b"", *(text.partition("\n")[0].encode() + b"\n" for text in (BURSTGPT, AZURE))]
CELLS = st.lists(st.sampled_from([b",", b"\n", b"1", b"-", b".", b'"', b"e9", b"2023-11-16"]))
OBJECTS = st.sampled_from([MOONCAKE.encode(), OURS.encode()])


@given(
    st.binary()
    | st.tuples(st.sampled_from(HEADS), st.binary()).map(b"".join)
    | st.tuples(st.sampled_from(HEADS), CELLS.map(b"".join)).map(b"".join)
    | st.tuples(OBJECTS, st.integers(0, 90), st.binary(max_size=4)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
)
def test_any_bytes_are_rows_or_refused(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            trace = traces.read(Path(file.name))
        except UsageError as error:
            assert file.name in error.message  # noqa: PT017 -- both endings are fine
            return
    assert trace.rows[0].offset_s == 0
    times = [row.offset_s for row in trace.rows]
    assert times == sorted(times)
    assert all(row.input_tokens > 0 and row.output_tokens > 0 for row in trace.rows)
