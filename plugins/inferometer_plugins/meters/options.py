"""What a study sets for a meter: read from its options, or refused by key with the next step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeGuard

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.meter import MeterContext


def refused(meter: str, key: str, wanted: str, value: object, example: str) -> UsageError:
    """Return the error for an option that is missing or wrong; ``example`` shows a right one."""
    return UsageError(
        f"meter {meter!r}: options.{key} must be {wanted}, not {value!r}",
        hint=f"Write `options = {{ {key} = {example} }}` under [[meters]] in the study.",
    )


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def positive(
    context: MeterContext, meter: str, key: str, *, example: str = "65", most: float = math.inf
) -> float:
    """Return a finite number above 0 and at most ``most``.

    Raises:
        UsageError: it is missing or something else.
    """
    value = context.options.get(key)
    if _is_number(value) and 0 < value <= most:
        return float(value)
    limit = "" if most == math.inf else f", at most {most:g}"
    raise refused(meter, key, f"a positive number{limit}", value, example)


def number(context: MeterContext, meter: str, key: str, default: float) -> float:
    """Return a finite number of either sign, ``default`` when unset.

    Raises:
        UsageError: it is something else.
    """
    value = context.options.get(key, default)
    if _is_number(value):
        return float(value)
    raise refused(meter, key, "a number", value, "0.0")


def text(context: MeterContext, meter: str, key: str, *, example: str, default: str = "") -> str:
    """Return a text; ``default`` when unset, and where that is empty the option is needed.

    Raises:
        UsageError: it is missing, empty or no text.
    """
    value = context.options.get(key, default)
    if isinstance(value, str) and value.strip():
        return value
    raise refused(meter, key, "a text", value if key in context.options else None, f'"{example}"')


def choice(
    context: MeterContext, meter: str, key: str, known: Sequence[str], default: str = ""
) -> str:
    """Return one of ``known``; ``default`` when unset, and where that is empty it is needed.

    Raises:
        UsageError: it is missing or none of them.
    """
    value = context.options.get(key, default)
    if isinstance(value, str) and value in known:
        return value
    shown = value if key in context.options else None
    raise refused(meter, key, f"one of {', '.join(known)}", shown, f'"{known[0]}"')


def flag(context: MeterContext, meter: str, key: str) -> bool:
    """Return true or false; false when unset.

    Raises:
        UsageError: it is something else.
    """
    value = context.options.get(key, False)
    if isinstance(value, bool):
        return value
    raise refused(meter, key, "true or false", value, "true")


def texts(context: MeterContext, meter: str, key: str, *, example: str) -> tuple[str, ...]:
    """Return a list of texts, empty when unset.

    Raises:
        UsageError: it is something else.
    """
    value = context.options.get(key, [])
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise refused(meter, key, "a list of texts", value, f'["{example}"]')
