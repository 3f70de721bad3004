"""What an engine may answer: not at all, without end, or something else than it should."""

from __future__ import annotations

from tests.faults.fault import DONE, Expected, Fault

SHORT_S = {"request_timeout_s": 1.5}
"""The stack beside it has no more time, whatever else the machine does."""


def _never_well(name: str, what: str, says: str, *engine: str, **more: object) -> Fault:
    """Return a fault that is in every answer, so that nothing is measured."""
    expected = Expected(exit=5, launch="serve: failed", says=says)
    return Fault(name=name, what=what, engine=engine, expected=expected, **more)  # type: ignore[arg-type]


def _now_and_then(name: str, what: str, says: str, fault: str, check: str = "") -> Fault:
    """Return a fault that is in every sixth answer, so that the others count."""
    expected = Expected(exit=0, request="error", says=says, check=check)
    engine = ("--fault", fault, "--fault-every", "6")
    return Fault(name=name, what=what, engine=engine, expected=expected)


UNREADABLE = (
    _never_well(
        "never answers",
        "the engine takes requests and says nothing",
        "timeout: no complete answer within the request timeout",
        *("--fault", "silent"),
        protocol=SHORT_S,
    ),
    _never_well(
        "garbage for HTTP",
        "bytes that are no HTTP, as from a TLS port",
        "protocol: the answer is not HTTP/1.1",
        *("--fault", "garbage"),
    ),
    _never_well(
        "headers without end",
        "header after header",
        "oversized: the head of the answer has more than 0.25 MiB",
        *("--fault", "endless_head"),
    ),
    _never_well(
        "one header without end",
        "a header line that goes on for ever",
        "oversized: the head of the answer has more than 0.25 MiB",
        *("--fault", "endless_header"),
    ),
    _never_well(
        "stream without end",
        "tokens for ever, as fast as they are taken, never [DONE]",
        "oversized: the answer has more than 4.13 MiB",
        *("--fault", "endless_stream"),
    ),
    _never_well(
        "slow stream",
        "one byte at a time, for ever",
        "timeout: no complete answer within the request timeout",
        *("--fault", "slow_stream"),
        protocol=SHORT_S,
    ),
    _never_well(
        "line of 12 MB",
        "one event as large as a file",
        "oversized: the answer has more than 4.13 MiB",
        *("--fault", "huge_line"),
    ),
)

WRONG = (
    _never_well(
        "error in a 200",
        "status 200, and an error object for a body",
        "out of cache blocks",
        *("--fault", "error_in_200"),
    ),
    _never_well(
        "error that clears the screen",
        "an error whose words hold control sequences",
        "HTTP 500: gone",
        *("--fault", "control_error"),
    ),
    _never_well(
        "empty 200",
        "status 200 and no body",
        "the stream ended without a finish_reason or [DONE]",
        *("--fault", "empty_200"),
    ),
    _never_well(
        "web page",
        "status 200 and HTML, as from a proxy that wants a password",
        "the stream ended without a finish_reason or [DONE]",
        *("--fault", "web_page"),
    ),
    _never_well("429 for ever", "too many requests", "HTTP 429: slow down", "--fault", "429"),
    _never_well("503 for ever", "overloaded", "HTTP 503: refused on purpose", *("--fault", "503")),
    _never_well(
        "redirect",
        "every request is sent elsewhere, which nobody follows",
        "HTTP 307",
        *("--fault", "redirect"),
    ),
    _never_well(
        "compressed",
        "gzip that nobody asked for",
        "protocol: the answer (HTTP 200) is compressed as 'gzip'",
        *("--fault", "compressed"),
    ),
    _never_well(
        "connection reset",
        "closed before a byte of every answer",
        "lost: connection lost before an answer",
        *("--fault", "reset"),
    ),
    _now_and_then(
        "cut inside a chunk",
        "the connection ends in the middle of an HTTP chunk",
        "truncated: connection lost inside the answer",
        "cut_in_chunk",
    ),
    _now_and_then(
        "error in the stream",
        "an error event behind the first tokens",
        "overloaded on purpose",
        "error",
    ),
    _now_and_then("no UTF-8", "bytes in a text that are no UTF-8", "unreadable event", "bad_utf8"),
    _now_and_then("no JSON", "an event whose JSON has no end", "unreadable event", "bad_json"),
    _now_and_then(
        "count below zero",
        "usage says -2 tokens",
        "usage says completion_tokens = -2",
        "negative_usage",
    ),
    _now_and_then(
        "count beyond reason",
        "usage says 4,000,000,000 tokens",
        "usage says completion_tokens = 4000000000",
        "huge_usage",
    ),
    Fault(
        name="wrong count",
        what="usage says one token more than was streamed",
        engine=("--fault", "wrong_usage"),
        expected=Expected(
            exit=5,
            launch="serve: failed",
            says="usage says 9 output tokens, but 8 token ids were streamed",
        ),
    ),
    Fault(
        name="no count",
        what="neither usage nor token ids: tokens cannot be counted",
        engine=("--usage", "none"),
        expected=Expected(exit=0, check="token counting: unknown", says=DONE),
    ),
    Fault(
        name="more than asked",
        what="answers twice as long as pinned",
        engine=("--tokens", "16"),
        expected=Expected(exit=0, check="output length: fail", says=DONE),
    ),
    Fault(
        name="[DONE] twice",
        what="the end of the stream is said once more, which does no harm",
        engine=("--fault", "done_twice"),
        expected=Expected(exit=0, says=DONE),
    ),
    Fault(
        name="counters never answer",
        what="/metrics is taken and never answered",
        engine=("--metrics-fault", "silent"),
        expected=Expected(exit=0, check="engine's count: unknown", says=DONE),
    ),
)
