"""How likely a served model finds the tokens of fixed texts: log-probabilities for output parity.

Teacher forcing: every token is scored behind the true tokens before it, so two engines are compared
at equal positions however their own answers would part ways. The wire form is that of OpenAI's text
completions with ``echo`` and ``logprobs``.
"""

from __future__ import annotations

import hashlib
import math
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from inferometer import redact, workload
from inferometer.engine import Completion
from inferometer.loadgen.address import secrets
from inferometer.records import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.http import Target
    from inferometer.point import Live

TIMEOUT_S = 120.0
LARGEST = 16 << 20
"""Bytes of an answer that are read; a few kilobytes are usual."""


class _Logprobs(Struct):
    token_logprobs: list[float | None]


class _Choice(Struct):
    logprobs: _Logprobs


class _Answer(Struct):
    choices: list[_Choice]


def scores(live: Live) -> list[Score]:
    """Return a score for each fixed text, one request after the other; none if it cannot tell.

    Raises:
        OSError, http.client.HTTPException: the server cannot be reached.
        ValueError: it refuses the request, or its answer does not hold what it should.
    """
    rows = []
    prompts = workload.probe_prompts(live.tokenizer)
    for index, (ids, text) in enumerate(zip(prompts.ids, prompts.text, strict=True)):
        completion = Completion(
            model=live.model,
            prompt_ids=ids,
            prompt_text=text,
            output_tokens=1,
            stream=False,
            seed=live.seed,
        )
        body = live.engine.scoring(completion)
        if body is None:
            return []
        rows.append(
            Score(
                prompt=index,
                text_sha256=hashlib.sha256(msgspec.json.encode(ids)).hexdigest(),
                logprobs=logprobs(_post(live.target, body), len(ids)),
            )
        )
    return rows


def logprobs(answer: bytes, tokens: int) -> list[float]:
    """Return those of the second to the last token of a prompt of so many ``tokens``.

    Raises:
        ValueError: they are not there.
    """
    try:
        found = msgspec.json.decode(answer, type=_Answer).choices
    except RecursionError as error:
        raise ValueError(f"an answer that cannot be read: {error}") from error
    values = found[0].logprobs.token_logprobs if found else []
    of_prompt: Sequence[float | None] = values[1:tokens]
    kept = [value for value in of_prompt if value is not None and math.isfinite(value)]
    if len(kept) != tokens - 1:
        raise ValueError(f"log-probabilities of {len(kept)} of {tokens - 1} tokens in the answer")
    return kept


def _post(target: Target, body: dict[str, Any]) -> bytes:
    connection = (
        HTTPConnection(target.host, target.port, timeout=TIMEOUT_S)
        if target.tls is None
        else HTTPSConnection(
            target.host, target.port, timeout=TIMEOUT_S, context=target.tls.context()
        )
    )
    try:
        headers = {**target.headers, "content-type": "application/json"}
        connection.request("POST", target.path, msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        content = answer.read(LARGEST)
    finally:
        connection.close()
    if answer.status != 200:
        words = redact.without(content.decode("utf-8", "replace"), secrets(target))
        raise ValueError(f"HTTP {answer.status}: {words[:200]}")
    return content
