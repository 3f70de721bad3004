"""How much worse is too much: margins by metric, from a file, from options, or the usual ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from inferometer import tomlfile
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

USUAL = {"output_tok_s": 2.0, "energy_j_per_output_token": 2.0, "ttft_p50_ms": 5.0}
"""Per cent. Percentiles further out scatter too much to be gated unless somebody asks."""
Percent = Annotated[float, Meta(ge=0, lt=100)]
HINT = "Give METRIC or METRIC=PERCENT, for example output_tok_s=2."


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a gate goes by: the table ``[gate]`` of a file.

    ``margins`` are per cent by metric (``metric@meter`` for one meter's), ``detect`` the change in
    per cent that each of them must be able to see. No ``margins``: the usual ones.
    """

    margins: dict[str, Percent] = {}
    allow: tuple[str, ...] = ()
    pairs: dict[str, str] = {}
    """Stack of the current side -> stack of the baseline."""
    detect: Annotated[float, Meta(gt=0, lt=100)] | None = None


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    gate: Rules


def load(path: Path) -> Rules:
    """Read the rules in a TOML file.

    Raises:
        UsageError: it is missing, or not TOML.
        StudyError: it does not hold together; lists every problem by line and key.
    """
    hint = "Write a table [gate] with [gate.margins], or give --metric."
    text = tomlfile.read(path, what="file of rules", hint=hint)
    return tomlfile.parse(text, str(path), _File).gate


def with_options(
    rules: Rules,
    *,
    metrics: Sequence[str] = (),
    allow: Sequence[str] = (),
    pairs: Sequence[str] = (),
    detect: float | None = None,
) -> Rules:
    """Return ``rules`` with what a command line says beside them; its own margins go instead.

    Raises:
        UsageError: an option is none.
    """
    own = [_margin(word) for word in metrics]
    for metric, count in Counter(metric for metric, _ in own).items():
        if count > 1:
            raise UsageError(f"--metric: {metric} is given {count} times", hint=HINT)
    return msgspec.structs.replace(
        rules,
        margins=dict(own) or rules.margins,
        allow=(*rules.allow, *allow),
        pairs=rules.pairs | pairs_of(pairs),
        detect=rules.detect if detect is None else detect,
    )


def pairs_of(words: Sequence[str]) -> dict[str, str]:
    """Return the stacks in ``NEW=OLD``, each new one once.

    Raises:
        UsageError: it is not of that form, or names a stack twice.
    """
    found: dict[str, str] = {}
    for word in words:
        new, _, old = word.partition("=")
        if not new or not old or new in found:
            raise UsageError(f"--pair: {word!r}", hint="Give NEW=OLD, each NEW once.")
        found[new] = old
    return found


def usual(metric: str) -> float:
    """Return the usual margin of a metric, per cent."""
    default = 5.0 if metric.partition("@")[0].endswith("_ms") else 2.0
    return USUAL.get(metric.partition("@")[0], default)


def _margin(word: str) -> tuple[str, float]:
    metric, equals, percent = word.partition("=")
    try:
        found = float(percent) if equals else usual(metric)
    except ValueError:
        found = -1.0
    if not metric or not 0 <= found < 100:
        raise UsageError(f"--metric: {word!r} is no margin", hint=HINT)
    return metric, found
