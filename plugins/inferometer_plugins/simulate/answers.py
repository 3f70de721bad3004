"""What fleets of several stacks need and do, as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer.numbers import number, percent
from inferometer.reasons import reason_words
from inferometer_plugins.simulate.words import columns, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer_plugins.simulate.planning import Answer, Figure, Question

GROUPED = {"USD", "kWh", "W"}


def document(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the question and its answers as JSON has them."""
    return {
        "schema": "inferometer/fleet-plan/1",
        "kind": "simulated",
        "question": {
            "traffic": question.traffic,
            "fleet": {
                name: getattr(question.fleet, name)
                for name in question.fleet.__struct_fields__
                if name not in {"params", "replicas"}
            },
            "slo": question.slo,
            "price": question.price,
            "seed": question.seed,
        },
        "answers": answers,
    }


def text(question: Question, answers: Sequence[Answer]) -> Iterator[str]:
    """Yield the lines: what was asked, each stack beside the others, then what to know of each."""
    traffic = question.traffic
    yield (
        f"SIMULATED: {number(traffic.requests_per_day, grouped=True)} requests a day of "
        f"{traffic.workload.name}, router {question.fleet.router}, seed {question.seed}"
    )
    yield ""
    head = ("stack", "model", "replicas, simulated", "if the pace is off", "why")
    rows = [(it.stack, it.model, _replicas(it), _range(it), it.why) for it in answers]
    yield from columns([head, *rows])
    for it in answers:
        yield ""
        yield from _one(it)


def _replicas(it: Answer) -> str:
    return "n/a (SLO never met)" if it.replicas is None else f"{it.replicas:,}"


def _range(it: Answer) -> str:
    """Return the fewest replicas with the calibration's error either way."""
    if it.pace_error is None:
        return "-"
    low, high = (
        "none" if count is None else f"{count:,}"
        for count in (it.replicas_faster, it.replicas_slower)
    )
    return f"{low} to {high} (by {percent(100 * it.pace_error)})"


def _one(it: Answer) -> Iterator[str]:
    yield plain(f"{it.stack} on {it.model}, calibrated {it.calibrated} ({it.basis}), {it.file}")
    if it.figures:
        yield f"{'':56}calibration error (median, largest), left out:"
        head = ("figure", "simulated", "unit", "each load point", "each workload", "of")
        yield from columns([head, *map(_row, it.figures)])
    if it.summary is not None:
        counts = ("offered", "finished", "lost", "unfinished", "retried")
        told = ", ".join(f"{it.summary[name]:,} {name}" for name in counts)
        yield f"requests: {told}"
    if it.bill is not None:
        yield plain(f"bill: {_bill(it)}")
    for beyond in it.extrapolated:
        yield plain(f"EXTRAPOLATED: {beyond}; the errors above do not hold there")
    for remark in it.remarks:
        yield plain(f"note: {remark}")


def _row(figure: Figure) -> tuple[str, ...]:
    if figure.value is None:
        value = f"n/a ({reason_words(figure.reason)})"
    else:
        value = number(figure.value, grouped=figure.unit in GROUPED)
    return (
        figure.title,
        value,
        figure.unit,
        _error(figure.error_median, figure.error_largest),
        _error(figure.workload_error_median, figure.workload_error_largest),
        f"{figure.calibrated}, {figure.error_points} load points",
    )


def _error(median: float | None, largest: float | None) -> str:
    if median is None or largest is None:
        return "not known"
    return f"{percent(100 * median)}, {percent(100 * largest)}"


def _bill(it: Answer) -> str:
    assert it.bill is not None
    parts = [f"replicas {number(it.bill.replicas_usd, grouped=True)} USD ({it.bill.source})"]
    if it.bill.energy_usd is not None and it.bill.facility_kwh is not None:
        energy = number(it.bill.energy_usd, grouped=True)
        parts.append(f"energy {energy} USD ({number(it.bill.facility_kwh, grouped=True)} kWh)")
    return " + ".join(parts) if it.bill.source or len(parts) == 1 else parts[-1]
