"""How the oracle behaves, and what it says about it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

KEY_VARIABLE = "ORACLE_API_KEY"
"""Of the oracle as a process: gives :attr:`Options.api_key` where no flag does."""
Fault = Literal[
    "",
    "error",
    "truncate",
    "stall",
    "reset",
    "400",
    "503",
    "wrong_usage",
    "done_twice",
    "silent",
    "garbage",
    "endless_head",
    "endless_header",
    "endless_stream",
    "slow_stream",
    "huge_line",
    "cut_in_chunk",
    "error_in_200",
    "control_error",
    "empty_200",
    "web_page",
    "429",
    "redirect",
    "compressed",
    "bad_utf8",
    "bad_json",
    "negative_usage",
    "huge_usage",
]
"""Of an answer. From ``silent`` on they are those of :mod:`inferometer.testing.misbehaving`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to behave. Times are from the arrival of a request; they do not grow with load."""

    model: str = "oracle"
    ttft_ms: float = 5.0
    itl_ms: float = 2.0
    """Between tokens: a chunk of k tokens follows the one before after k times this."""
    tokens: int | None = None
    """Answer length; unset means the request's ``max_tokens``, or 16."""
    tokens_per_chunk: int = 1
    first_chunk_tokens: int = 0
    """Tokens in the first chunk, if other than in the rest."""
    usage: Literal["vllm", "transformers", "none"] = "vllm"
    """Shape of the end: ``choices: []`` with usage and [DONE]; or usage in the final, empty chunk
    and no [DONE]; or no usage at all."""
    continuous_usage: bool = True
    """Usage in every chunk (``vllm`` shape only)."""
    token_ids: bool = True
    """Token ids in every chunk (``vllm`` shape only)."""
    as_asked: bool = False
    """Leave usage and token ids out of the chunks of requests that do not ask for them."""
    empty_text_every: int = 0
    """Each n-th chunk has no text though its tokens count."""
    comments: bool = False
    """Comment lines between the events."""
    split: bool = False
    """Each write goes out in two packets."""
    merge: int = 1
    """Chunks in one packet, sent when the last of them is due."""
    framing: Literal["chunked", "close"] = "chunked"
    """``close``: the body ends with the connection."""
    connection_close: bool = False
    """``Connection: close`` in every answer."""
    idle_close_s: float | None = None
    """Close a kept-alive connection that was idle for this long."""
    read_pause_ms: float = 0.0
    """Read slowly: through a small buffer, with so long a pause after each piece of a request."""
    fault: Fault = ""
    """``error``, ``truncate`` and ``stall`` (of ``stall_s``, then on) strike in mid-stream,
    ``reset`` before a byte; ``wrong_usage`` adds one to the final usage of every answer;
    ``done_twice`` says so once more."""
    health_fault: Fault = ""
    """``/health`` breaks the protocol, in a way of :mod:`inferometer.testing.misbehaving`."""
    metrics_fault: Fault = ""
    """``/metrics`` does."""
    fault_every: int = 1
    """Strike each n-th completion request."""
    error_shape: Literal["nested", "flat"] = "nested"
    listen_after_s: float = 0.0
    """Connections are refused until then (from the start of the process)."""
    ready_after_s: float = 0.0
    """``/health`` answers 503 until then."""
    tokenizer: str | None = None
    """A ``tokenizer.json`` that counts text prompts; unset counts words."""
    cached_tokens: int = 0
    base_path: str = ""
    """Stands before every path, as behind a gateway: ``/base`` for ``/base/v1/completions``."""
    api_key: str = ""
    """Answer 401 to completion requests without ``Authorization: Bearer`` and this key."""
    certificate: str = ""
    """A PEM file with certificate and key: serve HTTPS."""
    role_first: bool = False
    """Chat: an event with the role alone, half of ``ttft_ms`` before the first token."""
    reasoning_tokens: int = 0
    """Chat: so many of the first tokens are reasoning."""
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    tool_tokens: int = 0
    """Chat: so many of the last tokens are the arguments of a tool call."""
    capacity: int = 0
    """Streamed requests answered at once; the others wait for their turn. 0: no limit."""
    stall_at_s: float | None = None
    """Do nothing at all, for any connection, from so long after the first request's arrival..."""
    stall_s: float = 2.0
    """... for so long."""
    counter_prefix: str = "oracle"
    """``/metrics`` names its counters ``<prefix>:generation_tokens_total`` and so on."""
    counter_start: int = 0
    """Every counter begins here."""
    counter_reset_at_s: float | None = None
    """Every counter falls to 0 so long after the start."""
    die_at_s: float | None = None
    """As a process: end with status 1 so long after the first request's arrival..."""
    die_message: str = ""
    """... and say this on stderr before."""
    ignore_sigterm: bool = False
    """As a process: only SIGKILL ends it."""
    leave_child: bool = False
    """As a process: start a child that sleeps for a minute and is left behind."""
    child_escapes: bool = False
    """As a process: the same, and the child leaves our session and group."""
    load_exit: int | None = None
    """As a process: end with this status before listening; below 0 by this signal."""
    stop_exit: int | None = None
    """As a process: the same when SIGTERM comes."""
    log_noise: Literal["", "control", "flood", "line"] = ""
    """As a process: begin the log with control sequences, 10 MB of lines, or of one."""


class Truth(msgspec.Struct, kw_only=True):
    """One completion request as the server saw it. Times are ``time.monotonic_ns``."""

    request: int
    arrived_ns: int
    prompt_tokens: int
    writes: list[tuple[int, int]] = []
    """``(time just before the write, tokens in it)`` of every packet with content."""
    tokens: int = 0
    """Output tokens written. This and ``writes`` are filled in when the answer has ended."""
    headers: dict[str, str] = {}
    """Of the request, with lower-case names, without ``authorization``."""
    outcome: Literal["open", "ok", "fault", "gone"] = "open"
    """``gone``: the client left first."""
