"""What a person types, as numbers: callbacks of options."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import click

from inferometer.numbers import typed

if TYPE_CHECKING:
    from collections.abc import Callable


def amount(context: click.Context, option: click.Parameter, value: str | None) -> float | None:  # noqa: ARG001 -- click's signature
    """Return a positive number; ``k``, ``M`` and ``G`` are thousands, millions, billions."""
    try:
        return None if value is None else typed(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def lengths(
    context: click.Context,  # noqa: ARG001 -- as above
    option: click.Parameter,  # noqa: ARG001 -- as above
    value: str | None,
) -> tuple[int, int] | None:
    """Return the least and the most of ``512`` or ``400-600``."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", value)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= low <= high:
        raise click.BadParameter(f"{value!r} is no length such as 512 or 400-600")
    return low, high


def numbers(
    least: int, most: int
) -> Callable[[click.Context, click.Parameter, str | None], tuple[float, ...] | None]:
    """Return a callback for ``least`` to ``most`` numbers with commas between them."""

    def read(
        context: click.Context,
        option: click.Parameter,
        value: str | None,
    ) -> tuple[float, ...] | None:
        if value is None:
            return None
        try:
            found = tuple(float(part) for part in value.split(","))
        except ValueError:
            found = ()
        if not least <= len(found) <= most or not all(map(math.isfinite, found)):
            raise click.BadParameter(f"{value!r} is not {option.make_metavar(context)}")
        return found

    return read
