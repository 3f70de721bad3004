"""Fixed texts continued greedily, for output parity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import workload
from inferometer.errors import LaunchError
from inferometer.loadgen.driver import collect
from inferometer.point import request_bodies
from inferometer.records import Probe

if TYPE_CHECKING:
    from inferometer.point import Live
    from inferometer.study import Protocol

PROBE_TOKENS = 64
TIMEOUT_S = 600.0
"""Of a request at least: the first may have the engine compile."""


def probe(live: Live, concurrency: int, protocol: Protocol) -> list[Probe]:
    """Send the fixed prompts and return the greedy answers; it warms the engine up as well.

    They are the first requests, at which some engines compile.

    Raises:
        LaunchError: a probe got no answer, so neither would the load.
    """
    prompts = workload.probe_prompts(live.tokenizer)
    lengths = [PROBE_TOKENS] * len(prompts)
    bodies = request_bodies(live.engine, live.model, prompts, lengths, seed=live.seed)
    rows = []
    answers = collect(
        live.target,
        bodies,
        concurrency,
        request_timeout_s=max(TIMEOUT_S, protocol.request_timeout_s),
        stall_s=protocol.stall_s,
        should_stop=live.server.dead,
    )
    for answer in answers:
        if answer.request.status != "ok":
            raise LaunchError(
                f"a probe request failed: {answer.request.error}",
                hint="See the engine's log; the request fields may not fit this version.",
                stage="serve",
            )
        ids = list(answer.token_ids)
        again = workload.tokenise(live.tokenizer, answer.text)
        rows.append(
            Probe(
                prompt=answer.request.prompt,
                prompt_tokens=answer.request.input_tokens,
                text=answer.text,
                token_ids=ids or again,
                ids_from="engine" if ids else "retokenised",
                text_ids=again if again != ids else None,
            )
        )
    return rows
