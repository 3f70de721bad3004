"""Count a sample's tokens again, once the window is over: a second opinion on ``usage``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from inferometer import workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.loadgen.answer import Answer
    from inferometer.loadgen.offer import LoadResult
    from inferometer.records import Window


def count(answers: Sequence[Answer], tokenizer: Path) -> tuple[int | None, int | None]:
    """Return the tokens that the tokenizer finds in the answers' texts, and those usage states.

    Special tokens are not added. Both are None when no answer has usage.

    Raises:
        UsageError: there is no readable tokenizer.
    """
    told = [
        (answer.text, answer.request.output_tokens)
        for answer in answers
        if answer.request.output_tokens is not None
    ]
    if not told:
        return None, None
    encoded = workload.load_tokenizer(tokenizer).encode_batch_fast(
        [text for text, _ in told], add_special_tokens=False
    )
    return sum(len(one.ids) for one in encoded), sum(tokens for _, tokens in told)


def told(window: Window, result: LoadResult, tokenizer: Path) -> Window:
    """Return ``window`` with both counts of the result's sample of answers."""
    found, usage = count(result.sample, tokenizer)
    return structs.replace(window, retokenised=found, retokenised_usage=usage)
