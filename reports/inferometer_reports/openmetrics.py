"""``report.openmetrics.txt``: the values and places of a report as OpenMetrics 1.0 text.

A family is a metric: ``inferometer_``, the metric's id without its unit, and the unit in the words
of Prometheus (base units: seconds and ratios, not milliseconds and percents). An absent value has
no sample: ``inferometer_absent`` says why. There is never a NaN.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison.rows.table import key_of
from inferometer_reports.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison import Cell, Comparison, MetricInfo, Ranking, Value
    from inferometer.comparison.several import Several

FILE = "report.openmetrics.txt"
PREFIX = "inferometer"


class Unit(NamedTuple):
    """How a unit is written here: its name, what a value is divided by, how ids of it end."""

    name: str
    divisor: float = 1.0
    ending: str = ""


UNITS = {
    "1": Unit("ratio"),
    "%": Unit("ratio", 100.0, "percent"),
    "ms": Unit("seconds", 1000.0, "ms"),
    "s": Unit("seconds", 1.0, "s"),
    "W": Unit("watts", 1.0, "w"),
    "GiB": Unit("bytes", 2.0**-30, "gib"),
    "tok/s": Unit("tokens_per_second", 1.0, "tok_s"),
    "tok/s/user": Unit("tokens_per_second_per_user", 1.0, "tok_s_user"),
    "tok/s/kW": Unit("tokens_per_second_per_kilowatt", 1.0, "tok_s_kw"),
    "tok/s/MW": Unit("tokens_per_second_per_megawatt", 1.0, "tok_s_mw"),
    "req/s": Unit("requests_per_second", 1.0, "requests_s"),
    "J/token": Unit("joules_per_token"),
    "J/request": Unit("joules_per_request"),
    "token/J": Unit("tokens_per_joule"),
    "token/kWh": Unit("tokens_per_kilowatt_hour"),
    "tok/USD": Unit("tokens_per_usd"),
    "USD/Mtok": Unit("usd_per_million_tokens"),
    "gCO2e/Mtok": Unit("grams_co2e_per_million_tokens"),
}
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")
Sample = tuple[dict[str, str], float]


class Family(NamedTuple):
    """Samples of one name."""

    name: str
    unit: str
    help: str
    samples: list[Sample]


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return the file of one results directory."""
    return _file([({}, comparison)])


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return the file of several results directories, each group by its label ``group``."""
    return _file([({"group": group.name}, group.comparison) for group in several.groups])


def _file(groups: Sequence[tuple[dict[str, str], Comparison]]) -> Mapping[str, bytes]:
    families: dict[str, Family] = {}
    for labels, comparison in groups:
        for family in (*_values(comparison), *_ranked(comparison)):
            known = families.setdefault(family.name, family._replace(samples=[]))
            known.samples.extend(({**labels, **own}, value) for own, value in family.samples)
    lines = [*_info(groups), *(line for one in families.values() for line in _lines(one)), "# EOF"]
    return {FILE: ("\n".join(lines) + "\n").encode()}


def _info(groups: Sequence[tuple[dict[str, str], Comparison]]) -> Iterator[str]:
    name = f"{PREFIX}_report"
    yield f"# TYPE {name} info"
    yield f"# HELP {name} What was analysed."
    for labels, it in groups:
        facts = {"title": it.title, "created": it.created, "plan_sha256": it.plan_sha256}
        version = {"inferometer_version": it.inferometer_version}
        yield f"{name}_info{_labels({**labels, **facts, **version})} 1"


def _values(comparison: Comparison) -> Iterator[Family]:
    """Yield the families of every metric that a cell has, then launches and what is absent."""
    infos = {info.id: info for info in comparison.metrics}
    launches = Family(f"{PREFIX}_value_launches", "", "Launches that a value is of.", [])
    absent = Family(f"{PREFIX}_absent", "", "A value that is absent, and why.", [])
    stacks = {one.id: one for one in comparison.stacks}
    for metric in dict.fromkeys(k.partition("@")[0] for c in comparison.cells for k in c.values):
        found = [
            (_place(cell, key, value, getattr(stacks.get(cell.stack), "version", "")), value)
            for cell in comparison.cells
            for key, value in cell.values.items()
            if key.partition("@")[0] == metric
        ]
        yield from _family(metric, infos.get(metric), found)
        for labels, value in found:
            who = {"metric": metric, **labels}
            if _finite(value.value) is None:
                absent.samples.append(({**who, "reason": value.reason or "not_finite"}, 1.0))
            else:
                launches.samples.append((who, float(value.n)))
    yield launches
    yield absent


def _place(cell: Cell, key: str, value: Value, version: str) -> dict[str, str]:
    return {
        "cell": cell.id,
        "stack": cell.stack,
        "version": version,
        "model": cell.model,
        "architecture": cell.architecture,
        "workload": cell.workload,
        "load": cell.load,
        "meter": key.partition("@")[2],
        "kind": value.kind,
    }


def _family(
    metric: str, info: MetricInfo | None, found: Sequence[tuple[dict[str, str], Value]]
) -> Iterator[Family]:
    unit = _unit(info.unit if info else found[0][1].unit)
    stem = _stem(metric, unit)
    said = f"{info.title}: {info.formula}." if info else metric
    for end, words, numbers in (
        ("", "", [value.value for _, value in found]),
        ("_low", "Lower end of the 95 % interval over launches. ", [v.low for _, v in found]),
        ("_high", "Upper end of the 95 % interval over launches. ", [v.high for _, v in found]),
    ):
        samples = [
            (labels, finite / unit.divisor)
            for (labels, _), value in zip(found, numbers, strict=True)
            if (finite := _finite(value)) is not None
        ]
        if samples:
            name = "_".join(part for part in (f"{stem}{end}", unit.name) if part)
            yield Family(name, unit.name, f"{words}{said}", samples)


def _ranked(comparison: Comparison) -> Iterator[Family]:
    """Yield the place of every stack in every ranking that allows an order."""
    found = [
        (_question(one, entry.stack), float(entry.place))
        for one in comparison.rankings
        if one.n_rounds > 1 or len(one.entries) < 2
        for entry in one.entries
    ]
    if found:
        yield Family(f"{PREFIX}_place", "", "Place in a ranking; a shared one is a tie.", found)


def _question(ranking: Ranking, stack: str) -> dict[str, str]:
    return {
        "objective": ranking.objective,
        "metric": key_of(ranking.metric, ranking.meter),
        "model": ranking.model,
        "architecture": ranking.architecture,
        "workload": ranking.workload,
        "at": ranking.at,
        "load": ranking.load,
        "profile": ranking.profile,
        "kind": ranking.kind,
        "stack": stack,
    }


def _unit(unit: str) -> Unit:
    return UNITS.get(unit) or Unit(_NOT_A_NAME.sub("_", unit.replace("/", "_per_").lower()))


def _stem(metric: str, unit: Unit) -> str:
    """Return ``inferometer_ttft_p50`` of ``ttft_p50_ms``."""
    name = f"{PREFIX}_{_NOT_A_NAME.sub('_', metric.lower())}"
    return name.removesuffix(f"_{unit.ending}") if unit.ending else name


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _lines(family: Family) -> Iterator[str]:
    if not family.samples:
        return
    yield f"# TYPE {family.name} gauge"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {_escaped(family.help)}"
    for labels, value in family.samples:
        yield f"{family.name}{_labels(labels)} {value!r}"


def _labels(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items() if text)
    return f"{{{told}}}" if told else ""


def _escaped(text: str) -> str:
    shown = printable(text, keep="\n")
    return shown.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
