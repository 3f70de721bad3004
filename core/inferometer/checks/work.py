"""Checks of the work: what was sent, and what came back for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from inferometer.checks.evidence import Evidence, check, graded

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.checks.evidence import Verdict
    from inferometer.comparison import Check

PARITY = "same work"
"""Name of the check whose failure makes cells incomparable (reason ``unequal_work``)."""
FAR = 0.5
"""A retokenised sample so far from usage that no tokenizer explains it."""


def same_work(seen: Evidence) -> Check | None:
    """Compare the hashes of the stacks' work."""
    rule = "hash of prompts and lengths equal for all stacks of the round"
    if seen.works is None:
        return None
    if seen.works > 1:
        value = f"{seen.works} different hashes"
        return check(PARITY, rule, value, "fail", "unequal_work: the stacks got unequal work")
    return check(PARITY, rule, seen.window.work_sha256[:12], "pass")


def prompt_length(seen: Evidence) -> Check | None:
    """Compare the prompts' tokens with the pinned lengths; None where lengths are not pinned."""
    return _length(seen, "input", "prompt length") if seen.pinned else None


def output_length(seen: Evidence) -> Check:
    """Compare the answers' tokens with the lengths asked for."""
    return _length(seen, "output", "output length")


def _length(seen: Evidence, side: Literal["input", "output"], name: str) -> Check:
    rule = f"{side} tokens (usage) equal those asked for, in every finished request"
    pairs = [
        (getattr(c, f"{side}_tokens"), getattr(c, f"{side}_tokens_expected")) for c in seen.finished
    ]
    told = [(got, asked) for got, asked in pairs if got is not None]
    wrong = [got for got, asked in told if got != asked]
    value = f"{len(told) - len(wrong)} of {len(pairs)} exact"
    if wrong:
        words = f"{min(wrong)} to {max(wrong)} tokens in those that are not"
        return check(name, rule, value, "fail", words)
    return check(name, rule, value, "pass" if told and len(told) == len(pairs) else "unknown")


def fresh_prompts(seen: Evidence) -> Check:
    """Say whether a prompt was sent twice; where no cache answered it is a warning."""
    name, rule = "fresh prompts", "every request of the load had a prompt of its own"
    sent, distinct = len(seen.load), len({c.prompt for c in seen.load})
    value = f"{distinct} prompts for {sent} requests"
    if distinct == sent:
        return check(name, rule, value, "pass")
    told = all(c.cached_tokens is not None for c in seen.finished)
    if told and not any(c.cached_tokens for c in seen.load):
        return check(name, rule, value, "warn", "no cached token was reported")
    return check(name, rule, value, "fail", "a cache may have answered")


def cache(seen: Evidence) -> Check:
    """Compare cached prompt tokens with none (cold) or with the declared reuse (warm).

    A load that only may be warm, such as a trace sent to a server whose cache is not ours to
    choose, has ``reuse`` though it is declared cold: up to that share is no surprise.
    """
    declared, warm = seen.window.reuse, seen.window.cache == "warm"
    name, rule = "cold cache", "prompt tokens from a cache: 0 pass, < 1 % warn"
    if warm:
        name = "warm cache"
        rule = "prompt tokens from a cache: 0.8 to 1.05 of the declared reuse pass, 0.5 to 1.2 warn"
    elif declared:
        name = "shared cache"
        rule = f"prompt tokens from a cache: at most the {declared:.1%} shared pass, 1 % more warn"
    told = [c.cached_tokens for c in seen.finished if c.cached_tokens is not None]
    if not told or len(told) < len(seen.finished):
        return check(name, rule, "unknown", "unknown", "the server does not say")
    prompt = sum(
        c.input_tokens_expected if seen.pinned else c.input_tokens or 0 for c in seen.finished
    )
    share = sum(told) / max(prompt, 1)
    if warm:
        return _warm(name, rule, share, declared)
    verdict: Verdict = (
        "pass" if share <= declared else "warn" if share < declared + 0.01 else "fail"
    )
    return check(name, rule, f"{share:.2%}", verdict)


def _warm(name: str, rule: str, share: float, declared: float) -> Check:
    """Judge reuse: caches hold whole blocks, so a little less than declared is to be expected."""
    ratio = share / declared if declared else 0.0
    near = 0.8 <= ratio <= 1.05
    verdict: Verdict = "pass" if near else "warn" if 0.5 <= ratio <= 1.2 else "fail"
    return check(name, rule, f"{share:.2%} of {declared:.2%} declared", verdict)


def errors(seen: Evidence) -> Check:
    """Count the failed requests among those that ended."""
    name, rule = "errors", "failed requests: < 0.1 % pass, < 1 % warn"
    failed, ended = len(seen.failed), len(seen.ended)
    if not ended:
        verdict: Verdict = "unknown" if seen.open_at_end else "fail"
        return check(name, rule, "no request ended in the window", verdict)
    share = failed / ended
    verdict = "pass" if share < 0.001 else "warn" if share < 0.01 else "fail"
    first = next((c.error for c in seen.failed if c.error), "")
    return check(name, rule, f"{failed} of {ended}", verdict, first or "")


def counting(seen: Evidence) -> Check:
    """Compare the tokens counted event by event with usage."""
    name, rule = "token counting", "tokens counted in the stream = usage, within 1 %"
    if not seen.finished:
        return check(name, rule, "no request finished", "unknown")
    if not seen.counted_usage:
        return check(name, rule, "the stream has no counts", "unknown", "usage alone is used")
    off = seen.counted / seen.counted_usage - 1
    return check(name, rule, f"{off:+.2%}", "pass" if abs(off) <= 0.01 else "fail")


def retokenised(seen: Evidence) -> Check:
    """Compare usage with what the model's tokenizer finds in the texts of a sample.

    Text does not give its tokens back: special tokens are stripped from it, half characters become
    a replacement mark of several tokens, a leading space may be lost, and a model may spell a word
    in other pieces than the tokenizer would. A few per cent are common and say nothing about
    usage, so they are a warning. Far off (half, or half as much again) it fails, unless every
    answer came with token ids, which count what the text cannot.
    """
    name = "retokenised sample"
    rule = "tokens of a sample's texts = usage, within 1 % pass; fails 50 % off without token ids"
    found, usage = seen.window.retokenised, seen.window.retokenised_usage
    if found is None or not usage:
        return check(
            name, rule, "no sample", "unknown", "it takes a tokenizer and finished answers"
        )
    off = found / usage - 1
    ids = bool(seen.finished) and all(c.tokens_from == "ids" for c in seen.finished)
    verdict = graded(abs(found - usage) / usage, 0.01, float("inf") if ids else FAR)
    words = "usage agrees with the token ids streamed" if ids else ""
    return check(name, rule, f"{off:+.1%} of {usage} tokens", verdict, words)


def tokens_per_chunk(seen: Evidence) -> Check:
    """Say whether gaps between events are gaps between tokens."""
    name, rule = "tokens per chunk", "one token an event (<= 1.05), so that gaps are per token"
    events = sum(c.chunks for c in seen.finished)
    tokens = sum(c.output_tokens or 0 for c in seen.finished)
    if not (events and tokens):
        return check(name, rule, "no counts", "unknown")
    known = all(c.tokens_from != "none" for c in seen.finished)
    words = "" if known else "from the final usage: no count an event"
    mean = tokens / events
    return check(name, rule, f"{mean:.3f}", "pass" if mean <= 1.05 else "warn", words)


CHECKS: tuple[Callable[[Evidence], Check | None], ...] = (
    same_work,
    prompt_length,
    output_length,
    fresh_prompts,
    cache,
    errors,
    counting,
    retokenised,
    tokens_per_chunk,
)
