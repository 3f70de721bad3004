"""A calibration as text: what was fitted, from what, and how wrong it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferometer.numbers import number, percent
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer_plugins.calibration.file import Calibration, Error, Figure, HeldOut

FIGURES = {
    "output_tok_s": "output tok/s",
    "ttft_p50_ms": "TTFT p50, ms",
    "ttft_p99_ms": "TTFT p99, ms",
    "tpot_p50_ms": "TPOT p50, ms",
    "tpot_p99_ms": "TPOT p99, ms",
    "e2e_p50_ms": "E2E p50, ms",
    "e2e_p99_ms": "E2E p99, ms",
    "energy_j_per_output_token": "J per output token",
}
"""Metric -> how tables head it."""


def as_json(document: object) -> str:
    """Return one indented JSON document."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as aligned lines, two spaces between columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (plain(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def plain(text: str) -> str:
    """Return text without what could move a terminal's cursor: files are anybody's."""
    return "".join(char if char.isprintable() else "?" for char in text)


def calibration(found: Calibration) -> Iterator[str]:
    """Yield the lines of a calibration."""
    yield from columns(
        [
            ("stack", f"{found.label} on {found.model}"),
            ("basis", basis(found)),
            ("limits", ", ".join(f"{it.name} {it.value} ({it.origin})" for it in found.limits)),
            ("power", _power(found)),
            ("law leaves", f"{percent(100 * found.residual_share)} of a step's time unexplained"),
        ]
    )
    for name, why in found.refused.items():
        yield plain(f"not used  {name}: {why}")
    yield ""
    rows = [("parameter", "value", "standard error", "unit")]
    rows += [
        (it.name, f"{it.value:.4g}", "-" if it.error is None else f"{it.error:.2g}", it.unit)
        for it in found.parameters
    ]
    yield from columns(rows)
    yield ""
    yield "Simulated by a fit without the load point, against what was measured there:"
    yield from columns(list(_held_out(found.held_out)))
    yield ""
    yield "Calibration error, each load point left out by itself:"
    yield from columns(list(_errors(found.errors)))
    if found.workload_errors:
        yield ""
        yield "Calibration error, each workload left out whole:"
        yield from columns(list(_errors(found.workload_errors)))


def basis(found: Calibration) -> str:
    """Return what a calibration rests on."""
    origin = found.origin
    text = f"{len(origin.launches)} {found.basis} launches of {origin.study!r}, {origin.date[:10]}"
    if found.basis == "simulated":
        text += "; the launches were simulated themselves: this says nothing of an engine"
    return text


def _power(found: Calibration) -> str:
    power = found.power
    if power.reason is not None:
        return f"{reason_words(power.reason)}: {power.detail}"
    text = f"meter {power.meter} ({power.kind})"
    if power.residual_share is not None:
        text += f", fitted within {percent(100 * power.residual_share)}"
    return f"{text}; {power.note}" if power.note else text


def _held_out(points: Sequence[HeldOut]) -> Iterator[tuple[str, ...]]:
    yield ("load point", "figure", "simulated", "measured", "95 % interval", "error", "")
    for point in points:
        name = f"{point.workload} at {point.load}"
        note = f"extrapolated: {'; '.join(point.beyond)}" if point.beyond else ""
        for figure in point.figures:
            yield (name, FIGURES.get(figure.metric, figure.metric), *_figure(figure), note)
            name = note = ""


def _figure(figure: Figure) -> tuple[str, str, str, str]:
    simulated = "-" if figure.predicted is None else number(figure.predicted)
    measured, span = "-", "-"
    if figure.measured is not None:
        mark = "" if figure.kind in {"measured", "derived"} else f" {figure.kind}"
        measured = f"{number(figure.measured)}{mark}"
    if figure.low is not None and figure.high is not None:
        span = f"{number(figure.low)} to {number(figure.high)}, n = {figure.launches}"
    if figure.error is None:
        return simulated, measured, span, f"n/a ({reason_words(figure.reason)})"
    return simulated, measured, span, signed(figure.error)


def signed(error: float) -> str:
    """Return a relative error as ``+6.3 %``."""
    return f"{'+' if error >= 0 else '-'}{percent(100 * abs(error))}"


def _errors(errors: Sequence[Error]) -> Iterator[tuple[str, ...]]:
    yield ("figure", "load points", "median", "largest", "at")
    for it in errors:
        yield (
            FIGURES.get(it.metric, it.metric),
            str(it.points),
            percent(100 * it.median),
            percent(100 * it.largest),
            it.largest_at,
        )
