"""Whole streams as engines write them, with counts that can be checked by eye."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.loadgen.sse import Decoded, decode, error_text
from inferometer.records import CHUNK_COUNT_UNKNOWN


def event(text: str = "", *, usage: int | None = None, **choice: object) -> bytes:
    body: dict[str, object] = {"choices": [{"index": 0, "text": text, **choice}]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": 7, "completion_tokens": usage}
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def total(tokens: int, **more: object) -> bytes:
    usage = {"prompt_tokens": 7, "completion_tokens": tokens, **more}
    return b"data: " + msgspec.json.encode({"choices": [], "usage": usage}) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(*parts: bytes) -> Decoded:
    """Packet k arrives at k ns, from 1."""
    return decode(list(enumerate(parts, start=1)))


def test_a_vllm_stream_is_counted_by_ids() -> None:
    out = stream(
        event(" the", token_ids=[504], usage=1, prompt_token_ids=[1, 2, 3]),
        event(" end", token_ids=[9, 8], usage=3, finish_reason="length"),
        total(3, prompt_tokens_details={"cached_tokens": 5}),
        DONE,
    )
    assert out.events == [(1, 1, 0), (2, 2, 0)]
    assert (out.input_tokens, out.output_tokens, out.cached_tokens) == (7, 3, 5)
    assert (out.text, out.token_ids, out.prompt_token_ids) == (" the end", [504, 9, 8], [1, 2, 3])
    assert (out.finish_reason, out.tokens_from, out.error) == ("length", "ids", None)


def test_a_transformers_stream_has_uncounted_chunks_and_a_final_empty_one() -> None:
    out = stream(event("The"), event(" end"), event(usage=5, finish_reason="length"))
    assert out.events == [(1, 0, CHUNK_COUNT_UNKNOWN), (2, 0, CHUNK_COUNT_UNKNOWN)]
    assert (out.output_tokens, out.tokens_from, out.error) == (5, "none", None)


def test_continuous_usage_counts_where_ids_are_missing() -> None:
    out = stream(
        event(" a", usage=1), event(" b", usage=4), event(usage=5, finish_reason="length"), total(5)
    )
    assert out.events == [(1, 1, 0), (2, 3, 0), (3, 1, 0)]
    assert (out.tokens_from, out.output_tokens) == ("usage", 5)


def test_a_token_without_text_is_content() -> None:
    by_ids = stream(event("", token_ids=[3]), event(" x", token_ids=[4], finish_reason="length"))
    assert by_ids.events == [(1, 1, 0), (2, 1, 0)]
    by_usage = stream(event("", usage=1), event(" x", usage=2, finish_reason="length"))
    assert by_usage.events == [(1, 1, 0), (2, 1, 0)]


def test_text_held_back_brings_no_token() -> None:
    out = stream(
        event("", token_ids=[3], usage=1), event("é", token_ids=[], usage=1), total(1), DONE
    )
    assert out.events == [(1, 1, 0), (2, 0, 0)]


def test_an_empty_first_chunk_is_not_content() -> None:
    role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    out = stream(
        role,
        b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"yes"},"finish_reason":"stop"}]}\n\n',
        total(2),
    )
    assert [t_ns for t_ns, _, _ in out.events] == [2, 3]
    assert out.text == "hmyes"


def test_a_tool_call_is_content() -> None:
    out = stream(b'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n', DONE)
    assert len(out.events) == 1


def test_the_stamp_is_that_of_the_packet_that_completed_the_line() -> None:
    whole = event(" a", token_ids=[1]) + event(" b", token_ids=[2], finish_reason="length")
    line_end = whole.index(b"\n") + 1
    parts = [(10, whole[:5]), (20, whole[5 : line_end - 1]), (30, whole[line_end - 1 :])]
    assert [t_ns for t_ns, _, _ in decode(parts).events] == [30, 30]
    parts = [(10, whole[: line_end + 3]), (20, whole[line_end + 3 :])]
    assert [t_ns for t_ns, _, _ in decode(parts).events] == [10, 20]


def test_every_way_to_cut_a_stream_gives_the_same_content() -> None:
    whole = (
        b": hi\r\n\r\n" + event(" é", token_ids=[1, 2]) + total(2).replace(b"\n", b"\r\n") + DONE
    )
    for i in range(len(whole)):
        out = decode([(1, whole[:i]), (2, whole[i:])])
        assert ([n for _, n, _ in out.events], out.text, out.error) == ([2], " é", None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "full", "code": 503}}, "full"),
        ({"error": "plain"}, "plain"),
        ({"object": "error", "message": "flat", "code": 400}, "flat"),
    ],
)
def test_an_error_inside_a_stream_fails_it(body: object, words: str) -> None:
    line = b"data: " + msgspec.json.encode(body) + b"\n\n"
    assert stream(event(" a", token_ids=[1]), line, DONE).error == words
    assert error_text(503, msgspec.json.encode(body)) == f"HTTP 503: {words}"


def test_what_is_not_json_fails() -> None:
    error = stream(b"data: <html>\n\n").error
    assert error is not None
    assert error.startswith("unreadable event")
    assert error_text(502, b"<html>\nBad") == "HTTP 502: <html> Bad"
    assert error_text(502, b"") == "HTTP 502"


def test_bytes_that_are_no_text_and_nests_without_end_fail() -> None:
    for data in (b'{"choices":[{"text":"\xff"}]}', b'{"error":' + b"[" * 100_000):
        out = stream(b"data: " + data + b"\n\n")
        assert str(out.error).startswith("unreadable event")
    assert error_text(500, b'{"message":"\xff"}') == 'HTTP 500: {"message":"\ufffd"}'


@pytest.mark.parametrize(
    ("name", "field"), [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")]
)
@pytest.mark.parametrize("count", [-1, 2**64 - 1, 2**70])
def test_usage_beyond_any_answer_fails_at_once(name: str, field: str, count: int) -> None:
    out = stream(event(" a", finish_reason="length"), total(1, **{name: count}), DONE)
    assert out.error == f"usage says {name} = {count}"
    assert getattr(out, field) is None
    cached = stream(
        event(" a", token_ids=[1]), total(1, prompt_tokens_details={"cached_tokens": count})
    )
    assert (cached.error, cached.cached_tokens) == (f"usage says cached_tokens = {count}", None)


def test_usage_and_ids_must_agree() -> None:
    out = stream(event(" a", token_ids=[1], finish_reason="length"), total(2), DONE)
    assert out.error == "usage says 2 output tokens, but 1 token ids were streamed"


def test_a_stream_needs_an_end_and_content() -> None:
    assert "finish_reason" in str(stream(event(" a", token_ids=[1])).error)
    assert stream(event(" a", token_ids=[1]), DONE).error is None
    assert "no generated content" in str(stream(DONE).error)


def test_usage_that_falls_fails_and_adds_no_negative_tokens() -> None:
    out = stream(event(" a", usage=5), event(" b", usage=2), event(" c", usage=7), total(7), DONE)
    assert out.error == "usage fell from 5 to 2 output tokens"
    assert all(tokens >= 0 for _, tokens, _ in out.events)


def test_tokens_that_no_event_showed_are_a_failure() -> None:
    out = stream(event("", usage=1, finish_reason="length"), total(1), DONE)
    assert out.error == "usage says 1 output tokens, but no event showed one"
    assert out.events == []


def test_a_cut_stream_keeps_what_came() -> None:
    half = event(" b", token_ids=[2])[:-9]
    out = decode([(1, event(" a", token_ids=[1])), (2, half)], whole=False)
    assert (out.events, out.output_tokens, out.error) == ([(1, 1, 0)], 1, None)


def test_an_answer_in_one_piece_is_one_event() -> None:
    body = (
        b'{"choices":[{"text":" all","finish_reason":"length"}],"usage":{"completion_tokens":4}}\n'
    )
    out = stream(body)
    assert (out.events, out.output_tokens, out.text) == ([(1, 4, 0)], 4, " all")


def test_an_event_of_very_many_tokens_fits_its_record() -> None:
    out = stream(event(" a", usage=70_000, finish_reason="length"))
    assert [tokens for _, tokens, _ in out.events] == [65_535, 4_465]
