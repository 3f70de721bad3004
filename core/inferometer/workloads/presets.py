"""Use cases by name: a pair of declared length distributions, and where each comes from.

A preset is a convention to compare stacks under, not a forecast of anybody's traffic: replay your
own trace for that (:mod:`inferometer.workloads.traces`). ``source`` says of every number whether
somebody published it or whether we chose it. All lengths are tokens; log-normal parameters are of
ln(tokens), so that e.g. 5.3 has the median exp(5.3) = 200.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferometer.workloads.lengths import Lengths

Preset = Literal["support-bot", "chat", "rag", "summarize", "code-generation", "deep-research"]


@dataclass(frozen=True, slots=True)
class UseCase:
    """What a preset stands for: one sentence, two distributions, and their origin."""

    models: str
    input: Lengths
    output: Lengths
    source: str


def _lognormal(mean: float, sigma: float, least: int, most: int) -> Lengths:
    return Lengths(distribution="lognormal", mean=mean, sigma=sigma, min=least, max=most)


def _uniform(least: int, most: int) -> Lengths:
    return Lengths(distribution="uniform", min=least, max=most)


PRESETS: dict[Preset, UseCase] = {
    "support-bot": UseCase(
        models="short questions to a help desk, short answers: a few hundred tokens a request",
        input=_lognormal(5.5, 0.5, 32, 1024),
        output=_lognormal(5.0, 0.5, 16, 512),
        source="Every number is our convention: medians of 245 tokens in, 148 out.",
    ),
    "chat": UseCase(
        models="open conversation with an assistant, one turn a request",
        input=_lognormal(5.3, 1.0, 16, 4096),
        output=_lognormal(5.3, 0.9, 4, 2048),
        source=(
            "Our convention, the chat lengths under which our window rules were tested in "
            "simulation: input log-normal (5.3, 1.0), output log-normal (5.3, 0.9), at most 2,048; "
            "the limits of the input are chosen here."
        ),
    ),
    "rag": UseCase(
        models="a question with retrieved passages, a short grounded answer",
        input=Lengths(distribution="normal", mean=4000, sigma=1000, min=1024, max=8192),
        output=_lognormal(5.3, 0.6, 16, 1024),
        source="Every number is our convention: about eight passages of 500 tokens.",
    ),
    "summarize": UseCase(
        models="a long document in, a page out",
        input=_uniform(6554, 8192),
        output=_uniform(820, 1024),
        source=(
            "The 8k/1k point of InferenceX (InferenceMAX): 8,192 in and 1,024 out, each uniform "
            "over 0.8 to 1.0 of its length. That it stands for summaries is a common reading."
        ),
    ),
    "code-generation": UseCase(
        models="a file or two as context, a function or a patch out",
        input=_lognormal(7.3, 0.8, 64, 8192),
        output=_lognormal(6.0, 0.7, 16, 2048),
        source=(
            "Median input about that of the Azure LLM inference trace 2023, code (Patel et al., "
            "Splitwise, ISCA 2024; 1,469 of 8,819 rows). Spread, limits and the output (median "
            "403) are our convention: that trace completes lines, with a median output of 13."
        ),
    ),
    "deep-research": UseCase(
        models="many gathered sources in one context, a long reasoned report out",
        input=_lognormal(10.3, 0.4, 16384, 65536),
        output=_lognormal(7.6, 0.9, 256, 16384),
        source=(
            "Input: our convention, median 29,700. Output: our convention for reasoning, "
            "log-normal (7.6, 0.9), at most 16,384, as in our simulations."
        ),
    ),
}
"""The presets, shortest first."""
