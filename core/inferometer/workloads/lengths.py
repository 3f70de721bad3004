"""Length distributions of prompts and answers, in tokens: declared, seeded, truncated.

With ``u`` uniform on (0, 1), ``a`` = min - 1/2, ``b`` = max + 1/2, ``F`` the distribution function
of the continuous variable ``X`` and ``Q`` its inverse, a truncated length is

    round(Q(F(a) + u (F(b) - F(a))))

that is ``X`` given that it rounds to a length within [min, max]: values outside are redrawn, not
piled up on the limit (inverse transform sampling; Devroye 1986, *Non-Uniform Random Variate
Generation*, II.2). By ``distribution``:

- ``fixed``: always ``tokens``.
- ``uniform``: each whole number from ``min`` to ``max`` with equal probability.
- ``normal``: X ~ N(``mean``, ``sigma``), both in tokens.
- ``lognormal``: ln X ~ N(``mean``, ``sigma``), both of ln(tokens): the median of X is exp(mean),
  its mean exp(mean + sigma^2 / 2).
- ``empirical``: the lengths of ``file`` (:mod:`inferometer.workloads.datasets`) with equal
  probability each.

Draws are stratified: every block of :data:`BLOCK` holds one ``u`` out of each
[k / BLOCK, (k + 1) / BLOCK), in random order. Each single draw has exactly the distribution
above, while a short window already sees all of it, so that rounds differ less by luck
(McKay, Beckman and Conover 1979, Technometrics 21(2), 239-245).
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from inferometer.errors import UsageError
from inferometer.workloads.reading import MOST_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BLOCK = 32
MOST = MOST_TOKENS
"""Longest length that may be asked for, in tokens."""

Tokens = Annotated[int, Meta(ge=1, le=MOST)]
Kind = Literal["fixed", "uniform", "normal", "lognormal", "empirical"]
NEEDED: dict[str, tuple[str, ...]] = {
    "fixed": ("tokens",),
    "uniform": ("min", "max"),
    "normal": ("mean", "sigma"),
    "lognormal": ("mean", "sigma"),
    "empirical": ("file",),
}
"""Keys that each distribution needs, besides ``distribution``."""
ALLOWED: dict[str, tuple[str, ...]] = {
    "normal": ("min", "max"),
    "lognormal": ("min", "max"),
    "empirical": ("min", "max"),
}
"""Keys that it may have as well. Unset, ``min`` is 1 and ``max`` is :data:`MOST`."""


class Lengths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A distribution of lengths in tokens; the module's docstring has the formulas."""

    distribution: Kind
    tokens: Tokens | None = None
    mean: float | None = None
    sigma: Annotated[float, Meta(ge=0)] | None = None
    min: Tokens | None = None
    max: Tokens | None = None
    file: Annotated[str, Meta(min_length=1)] | None = None

    def __str__(self) -> str:
        """Return the spec string that :func:`parse` reads back."""
        given = [(key, getattr(self, key)) for key in self.__struct_fields__[1:]]
        pairs = ",".join(f"{key}={value}" for key, value in given if value is not None)
        return f"{self.distribution}:{pairs}"

    @property
    def longest(self) -> int | None:
        """Return the greatest length that can occur, in tokens; None when there is no limit."""
        return self.tokens if self.distribution == "fixed" else self.max


def parse(spec: str | int | Mapping[str, object], place: str = "length") -> Lengths:
    """Return the distribution written as a table, a string or a plain number.

    ``{"distribution": "lognormal", "mean": 5.3, "sigma": 1.0, "max": 2048}`` and
    ``"lognormal:mean=5.3,sigma=1.0,max=2048"`` are the same; ``128`` and ``"128"`` are
    ``fixed:tokens=128``.

    Raises:
        UsageError: it is no distribution; the message begins with ``place``.
    """
    table: Mapping[str, object]
    if isinstance(spec, int):
        table = {"distribution": "fixed", "tokens": spec}
    elif isinstance(spec, str):
        table = _table(spec, place)
    else:
        table = spec
    try:
        # Strings may stand for numbers only where everything is a string.
        made = msgspec.convert(table, Lengths, strict=not isinstance(spec, str))
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{place}: {error}",
            hint="Write for example 128, uniform:min=100,max=200 or "
            "lognormal:mean=5.3,sigma=1.0,max=2048.",
        ) from error
    for key, text in problems(msgspec.to_builtins(made)):
        raise UsageError(f"{place}{f'.{key}' if key else ''}: {text}", hint="Correct it there.")
    return made


def problems(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what types cannot say; values of a wrong type are passed over."""
    kind = table.get("distribution")
    if not isinstance(kind, str) or kind not in NEEDED:
        return
    needed, allowed = NEEDED[kind], ALLOWED.get(kind, ())
    for key in needed:
        if key not in table:
            yield key, f"missing: {kind} needs {' and '.join(needed)}"
    for key in table:
        if key in Lengths.__struct_fields__[1:] and key not in (*needed, *allowed):
            yield key, f"means nothing to {kind}, which takes {', '.join((*needed, *allowed))}"
    low, high = table.get("min", 1), table.get("max", MOST)
    if not (isinstance(low, int) and isinstance(high, int)):
        return
    if low > high:
        yield "min", f"{low} is more than the max, {high}"
    elif kind in ("normal", "lognormal") and low >= 1 and high <= MOST:
        yield from _reach(kind, table.get("mean"), table.get("sigma"), low, high)


def draw(
    lengths: Lengths, count: int, seed: str | int, values: Sequence[int] | None = None
) -> list[int]:
    """Return ``count`` lengths in tokens; the same for the same arguments.

    ``values`` are the lengths of an empirical distribution's file.

    Raises:
        UsageError: empirical, and no value lies within [min, max].
    """
    if lengths.distribution == "fixed":
        assert lengths.tokens is not None
        return [lengths.tokens] * count
    us = stratified(count, seed)
    low, high = lengths.min or 1, lengths.max or MOST
    if lengths.distribution == "uniform":
        return [low + int(u * (high - low + 1)) for u in us]
    if lengths.distribution == "empirical":
        kept = sorted(value for value in values or () if low <= value <= high)
        if not kept:
            raise UsageError(
                f"{lengths.file}: no length within {low} to {high} tokens",
                hint="Widen min and max, or name another file.",
            )
        return [kept[int(u * len(kept))] for u in us]
    assert lengths.mean is not None
    assert lengths.sigma is not None
    log = lengths.distribution == "lognormal"
    a, b = _bounds(low, high, log)
    drawn = _truncated(us, lengths.mean, lengths.sigma, a, b)
    if log:
        drawn = [math.exp(value) for value in drawn]
    return [min(max(round(value), low), high) for value in drawn]


def stratified(count: int, seed: str | int) -> list[float]:
    """Return ``count`` numbers in (0, 1), uniform, each block of :data:`BLOCK` spread evenly."""
    rng = random.Random(f"lengths/{seed}")  # noqa: S311 -- a sample, not a secret
    numbers: list[float] = []
    while len(numbers) < count:
        strata = list(range(BLOCK))
        rng.shuffle(strata)
        numbers += [(stratum + rng.random()) / BLOCK for stratum in strata]
    return [min(max(u, 1e-12), 1 - 1e-12) for u in numbers[:count]]


def _truncated(us: list[float], mean: float, sigma: float, a: float, b: float) -> list[float]:
    """Return the quantiles ``us`` of N(mean, sigma) given that it lies within [a, b]."""
    if sigma == 0:
        return [mean] * len(us)
    law = NormalDist(mean, sigma)
    below, above = law.cdf(a), law.cdf(b)
    ps = (below + u * (above - below) for u in us)
    return [min(max(law.inv_cdf(min(max(p, 1e-15), 1 - 1e-15)), a), b) for p in ps]


def _bounds(low: int, high: int, log: bool) -> tuple[float, float]:
    a, b = low - 0.5, high + 0.5
    return (math.log(a), math.log(b)) if log else (a, b)


def _reach(
    kind: str, mean: object, sigma: object, low: int, high: int
) -> Iterator[tuple[str, str]]:
    """Refuse a normal or log-normal of which next to nothing lies between ``low`` and ``high``."""
    if not (isinstance(mean, int | float) and isinstance(sigma, int | float)):
        return
    for key, value in (("mean", mean), ("sigma", sigma)):
        if not abs(value) < 1e9:
            yield key, "must be a finite number below 1e9"
            return
    a, b = _bounds(low, high, kind == "lognormal")
    if sigma > 0:
        law = NormalDist(mean, sigma)
        share = law.cdf(b) - law.cdf(a)
    else:
        share = float(a <= mean <= b)
    if share < 0.01:
        unit = "of ln(tokens)" if kind == "lognormal" else "in tokens"
        yield "mean", f"{mean:g} ({unit}): under 1 % of lengths lie within {low} to {high}"


def _table(spec: str, place: str) -> dict[str, object]:
    name, _, rest = spec.strip().partition(":")
    if not rest and name.isascii() and name.isdigit():
        return {"distribution": "fixed", "tokens": name[:20]}
    table: dict[str, object] = {"distribution": name}
    for part in filter(None, (piece.strip() for piece in rest.split(","))):
        key, equals, value = part.partition("=")
        if not equals or key.strip() in table:
            fault = "is given twice" if equals else "is not of the form key=value"
            raise UsageError(
                f"{place}: {part!r} {fault}",
                hint="Write for example lognormal:mean=5.3,sigma=1.0,max=2048.",
            )
        table[key.strip()] = value.strip()
    return table
