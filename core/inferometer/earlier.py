"""The spread of launches in earlier results, as priors for a sequential study.

Run as ``python -m inferometer.earlier RESULTS...`` by the measuring side, the study's text on
stdin; prints JSON.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import polars as pl
from msgspec import UNSET

from inferometer.analyze import created, gather
from inferometer.contests import METRIC
from inferometer.cost import cases
from inferometer.cost.build import priced
from inferometer.errors import InferometerError
from inferometer.phases import build_phases
from inferometer.plan import load_points
from inferometer.records import Prior
from inferometer.store import Store
from inferometer.study import parse
from inferometer.uncertainty import components

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.cells import Evidence
    from inferometer.plan import LoadPoint
    from inferometer.study import ModelEntry, Study

Group = dict[str, dict[int, float]]
"""Stack -> round (of one split over nodes: its block) -> value."""


class Contest(NamedTuple):
    """What a prior is for: one metric of one meter, of measured or of simulated launches."""

    metric: str
    meter: str | None
    simulated: bool


def priors(study: Study, roots: Sequence[Path]) -> list[Prior]:
    """Return what the launches in ``roots`` say of each contest of ``study`` that they had.

    One row for each objective's metric (energy: each meter), model and load point with any launch;
    without a variance where they are too few (:func:`inferometer.uncertainty.components.prior`).
    """
    found = [_evidence(Store(root)) for root in roots]
    return [
        _prior(contest, model.name, point, groups)
        for model in study.models
        for point in load_points(study)
        for seen in [[_groups(evidence, model, point) for evidence in found]]
        for contest in sorted({contest for one in seen for contest in one}, key=str)
        for groups in [[one[contest] for one in seen if contest in one]]
    ]


def _evidence(store: Store) -> Evidence:
    """Return what a study measured, with its costs at the price it gives itself."""
    evidence, host = gather(store), store.host()
    day = created(host, evidence.recorded())
    as_of = date.fromisoformat(day[:10]) if day else datetime.now(UTC).date()
    case = cases.case(None, evidence.study.price, as_of=as_of, max_age_days=None, fleet={})
    return priced(evidence, case, host, build_phases(evidence))[0]


def _prior(contest: Contest, model: str, point: LoadPoint, groups: Sequence[Group]) -> Prior:
    known = components.prior(groups)
    return Prior(
        metric=contest.metric,
        meter=contest.meter,
        model=model,
        workload=point.workload.name,
        load=point.label,
        simulated=contest.simulated,
        launches=sum(len(rounds) for group in groups for rounds in group.values()),
        studies=len(groups),
        variance=known.variance if known else None,
        df=known.df if known else 0.0,
    )


def _groups(evidence: Evidence, model: ModelEntry, point: LoadPoint) -> dict[Contest, Group]:
    """Return the values that a study has of a model at a load point, by stack and round."""
    indices = [
        other.index
        for other in evidence.load_points
        if (other.workload, other.load) == (point.workload, point.load)
    ]
    same = any(_entry(launch.model) == _entry(model) for launch in evidence.plan.launches)
    rows = evidence.points.filter(
        pl.col("model") == model.name,
        pl.col("load_point").is_in(indices if same else []),
        pl.col("metric").is_in(list(METRIC.values())),
        pl.col("value") > 0,
    ).select("launch", "load_point", "stack", "block", "metric", "meter", "kind", "value")
    # Rounds on a server that was there already are no launches: they hardly spread.
    started = {record.id for record in evidence.records if "url" not in record.environment}
    found: dict[Contest, Group] = {}
    for launch, index, stack, block, metric, meter, kind, value in rows.iter_rows():
        checks = evidence.checks.get((launch, index), ())
        if launch in started and all(check.verdict != "fail" for check in checks):
            group = found.setdefault(Contest(metric, meter, kind == "simulated"), {})
            group.setdefault(stack, {})[block] = value
    return found


def _entry(model: ModelEntry) -> ModelEntry:
    """Return a model without what says nothing of the model itself."""
    return msgspec.structs.replace(model, twin_of=None, quality=UNSET)


def main(words: Sequence[str]) -> int:
    """Print the priors of the study on stdin from the results in ``words``."""
    try:
        study = parse(sys.stdin.read(), "study.toml")
        found = priors(study, [Path(word) for word in words])
    except InferometerError as error:
        sys.stderr.write(f"{str(error).splitlines()[0]}\n")
        return error.exit_code
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
