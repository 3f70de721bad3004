"""Whether a twin computes what its dense model computes: fixed texts, scored and continued.

Both are asked by transformers, one after the other: in float32 where there is memory for it, else
in the model's own type, in which rounding alone turns near ties, and greedy texts part. The limits
are those of the parity gate (:mod:`inferometer.parity`), and in float32 a sharper one: a model of
small weights is unsure of everything, and would pass the gate's with other MLPs.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from inferometer import workload
from inferometer.errors import GateError
from inferometer.making.room import memory_bytes, needed_bytes
from inferometer.parity import LEAST_AGREEMENT, MOST_NATS, Said, compare
from inferometer.records import Probe, Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.making.job import Job

GREEDY_TOKENS = 16
FLOAT32_NATS = 1e-3
"""Mean |difference of ln p| that is taken for rounding in float32; seen: below 1e-5."""


def choose_dtype(own: str, parameters: int) -> str:
    """Return the type to compare in: float32 if ``parameters`` of it fit, else the model's own."""
    return "float32" if needed_bytes(parameters, "float32") <= memory_bytes() else own


def check(job: Job, dense: Path, twin: Path, dtype: str) -> dict[str, Any]:
    """Compare a twin with its dense model and return what was seen, for ``inferometer.json``.

    Raises:
        GateError: they differ by more than the parity gate takes for rounding.
        MachineError: one of them could not be asked.
    """
    texts = workload.probe_prompts(dense / "tokenizer.json").ids
    place = twin.parent / "texts.json"
    place.write_text(json.dumps(texts), encoding="utf-8")
    said, tools = [], {}
    for folder in (dense, twin):
        out = twin.parent / "answers.json"
        made = job.run("answer.py", folder, place, out, dtype, GREEDY_TOKENS)
        tools = made.get("tools", {})
        said.append(rows(json.loads(out.read_text(encoding="utf-8")), texts))
    return judge(job.name, said[0], said[1], {"dtype": dtype, "tools": tools, "texts": len(texts)})


def rows(answers: Sequence[dict[str, Any]], texts: Sequence[Sequence[int]]) -> Said:
    """Return what ``answer.py`` wrote as the parity gate takes it."""
    return Said(
        [
            Probe(
                prompt=place,
                prompt_tokens=len(text),
                text="",
                token_ids=answer["token_ids"],
                ids_from="engine",
            )
            for place, (answer, text) in enumerate(zip(answers, texts, strict=True))
        ],
        [
            Score(prompt=place, text_sha256=str(place), logprobs=answer["logprobs"])
            for place, answer in enumerate(answers)
        ],
    )


def judge(name: str, dense: Said, twin: Said, how: dict[str, Any]) -> dict[str, Any]:
    """Compare what both said.

    Raises:
        GateError: a figure is beyond its limit, or is none.
    """
    seen = compare(("transformers", "dense"), ("transformers", "twin"), dense, twin)
    gaps = [
        abs(x - y)
        for a, b in zip(dense.scores, twin.scores, strict=True)
        for x, y in zip(a.logprobs, b.logprobs, strict=True)
    ]
    distance = seen.distance if seen.distance is not None else math.nan
    limit = FLOAT32_NATS if how["dtype"] == "float32" else MOST_NATS
    # "not <=": a model that answers with no numbers passes no limit
    if seen.verdict != "pass" or not distance <= limit:
        raise GateError(
            f"{name}: the twin does not compute what its dense model computes: ln p of the same "
            f"tokens differs by {distance:.2g} on average in {how['dtype']} (limit {limit:g}); "
            f"{seen.agreement or 0:.1%} of greedy tokens agree",
            hint="Nothing was kept. See that the dense model answers sensibly by itself.",
        )
    return {
        **how,
        "positions": seen.positions,
        "mean_nats": distance,
        "most_nats": max(gaps),
        "limit_nats": limit,
        "greedy_tokens": seen.tokens,
        "agreement": seen.agreement,
        "until_divergence": seen.until_divergence,
        "limit_until_divergence": LEAST_AGREEMENT,
    }


def words(verified: dict[str, Any]) -> str:
    """Return what a check saw, in words."""
    return (
        f"over {verified['positions']:,} tokens ln p differs by {verified['mean_nats']:.2g} on "
        f"average and {verified['most_nats']:.2g} at most (limit {verified['limit_nats']:g} on "
        f"average); {verified['agreement']:.1%} of {verified['greedy_tokens']:,} greedy tokens "
        f"agree ({verified['dtype']})"
    )
