"""How every output rounds: three significant figures, or fewer where the interval is wider.

Plain text; an output that needs it escapes it. And how a number that a person types is read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.language import current, later, tr
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from inferometer.comparison import Value

FIGURES = 3
TAGS = {
    "estimated": later("est."),
    "simulated": later("sim."),
    "declared": later("decl."),
    "reported": later("rep."),
    "interpolated": "~",
}
"""What stands beside a number that was not measured here. Measured and derived carry nothing."""
SUMS = {"kWh", "kg", "requests/day"}
"""Units that are counted up, as money is: thousands are set apart, and there is no exponent."""
GROUPED_FROM = 10_000
MOST = 1e15
"""Sums from here on have an exponent after all."""
FACTORS = {"k": 1e3, "m": 1e6, "g": 1e9}
"""By the letter behind a number that is typed."""


def number(
    value: float,
    half_width: float | None = None,
    *,
    figures: int = FIGURES,
    grouped: bool = False,
) -> str:
    """Return ``value`` with ``figures`` significant figures, fewer if ``half_width`` is wide.

    Digits below two figures of the interval's half width say nothing and are rounded away; one
    figure of the value itself always stays, so nothing becomes 0 by rounding. ``grouped`` sets
    the thousands of large sums apart.
    """
    if not math.isfinite(value):
        return tr("n/a (not a finite number)")
    return _fixed(value, _decimals(value, half_width, figures), grouped=grouped)


def shown(value: float, form: str) -> str:
    """Return ``value`` by a format specification, with the marks of the present language.

    Data files and code do not go through here: theirs is the decimal point.
    """
    language, text = current(), format(value, form)
    if language.decimal == "." and language.group == ",":
        return text
    return text.translate({ord("."): language.decimal, ord(","): language.group})


def money(usd: float) -> str:
    """Return ``0.0123 USD`` or ``1,230,000 USD``."""
    return f"{number(usd, grouped=True)} USD"


def _decimals(value: float, half_width: float | None, figures: int) -> int:
    """Return the decimal places to show; negative rounds tens, hundreds and so on."""
    places = figures - 1 - _magnitude(value, figures)
    if half_width:
        first_figure = -_magnitude(value, 1) if value else places
        places = max(min(places, 1 - _magnitude(half_width, 2)), first_figure)
    return places


def _magnitude(value: float, figures: int) -> int:
    """Return the power of ten of ``value`` once it is rounded to ``figures`` (0 for 0)."""
    return int(f"{value:.{figures - 1}e}".partition("e")[2]) if value else 0


def _fixed(value: float, places: int, *, grouped: bool) -> str:
    if value and not 1e-4 <= abs(value) < (MOST if grouped else 1e7):
        return shown(value, f".{max(places + _magnitude(value, FIGURES), 0)}e")
    rounded = round(value, places) + 0.0  # never "-0"
    comma = "," if grouped and abs(rounded) >= GROUPED_FROM else ""
    return shown(rounded, f"{comma}.{max(places, 0)}f")


def _grouped(value: Value) -> bool:
    return "USD" in value.unit or value.unit in SUMS


def interval(value: Value) -> str:
    """Return ``low to high`` with the decimals of the value, or the words for its absence."""
    if value.value is None:
        return reason_words(value.reason)
    half_width = _half_width(value)
    if half_width is None or value.low is None or value.high is None:
        return tr("no interval")
    places = _decimals(value.value, half_width, FIGURES)
    low, high = (_fixed(end, places, grouped=_grouped(value)) for end in (value.low, value.high))
    return tr("{low} to {high}", low=low, high=high)


def point(value: Value, suffix: str = "") -> str:
    """Return the number (and ``suffix``) with the tag of its kind, or ``n/a (why)``."""
    if value.value is None:
        return tr("n/a ({why})", why=reason_words(value.reason))
    figure = number(value.value, _half_width(value), grouped=_grouped(value))
    text = f"{figure}{suffix}"
    tag = TAGS.get(value.kind)
    if tag == "~":
        return f"~{text}"
    return f"{text} {tr(tag)}" if tag else text


def with_interval(value: Value) -> str:
    """Return ``201 (195 to 208)``, ``201 (no interval)`` or ``n/a (why)``."""
    if value.value is None or not math.isfinite(value.value):
        return point(value)
    if value.low == value.high == value.value == 1 and value.unit == "ratio":  # against itself
        return point(value)
    return f"{point(value)} ({interval(value)})"


def times(ratio: Value) -> str:
    """Return ``1.24x (95 % 1.18 to 1.31, n = 3)``."""
    if ratio.value is None:
        return tr("ratio {value}", value=point(ratio))
    span = interval(ratio)
    span = span if _half_width(ratio) is None else f"95 % {span}"
    return f"{point(ratio, 'x')} ({span}, n = {ratio.n})"


def whole(value: Value) -> str:
    """Return a count that no rounding may change: ``71 (69 to 74)``, ``1,071`` or ``n/a (why)``."""
    if value.value is None or not math.isfinite(value.value):
        return point(value)
    tag = tr(TAGS.get(value.kind, "").replace("~", later("interp.")))
    text = f"{shown(value.value, ',.0f')} {tag}".rstrip()
    if value.low is None or value.high is None:
        return text
    low, high = shown(value.low, ",.0f"), shown(value.high, ",.0f")
    return f"{text} ({tr('{low} to {high}', low=low, high=high)})"


def percent(value: float) -> str:
    """Return a percentage with up to two significant figures: ``6.4 %``, ``6 %``, ``12 %``."""
    return f"{number(value, figures=2).removesuffix(f'{current().decimal}0')} %"


def _half_width(value: Value) -> float | None:
    if value.low is None or value.high is None:
        return None
    half_width = abs(value.high - value.low) / 2
    return half_width if math.isfinite(half_width) else None


def typed(text: str) -> float:
    """Return the positive number that was typed: ``250000``, ``1e6``, ``1M``.

    ``k``, ``M`` and ``G`` are thousands, millions, billions.

    Raises:
        ValueError: it is none; the message says so.
    """
    plain = text.strip().lower().replace("_", "")
    factor = FACTORS.get(plain[-1:], 1.0)
    try:
        found = float(plain if factor == 1.0 else plain[:-1]) * factor
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(f"{text!r} is no positive number such as 250000, 1e6 or 1M")
    return found
