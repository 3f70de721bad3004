"""Directories that agree in every key: pooled, if the ratios of their stacks agree too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from inferometer.analyze import compare, gather
from inferometer.comparison import Missing
from inferometer.comparison.several import Group, Part
from inferometer.cost import cases
from inferometer.errors import UsageError
from inferometer.several import manifest, pooling
from inferometer.several.beside import side_by_side
from inferometer.several.pooling import LEVEL, Named
from inferometer.several.told import not_alike, remarks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.cells import Evidence
    from inferometer.comparison import Comparison
    from inferometer.cost.cases import Case
    from inferometer.several.manifest import Head


class Asked(NamedTuple):
    """The options of an analysis."""

    scenario: Path | None
    as_of: date | None
    max_price_age: int | None
    weights: bool


class Found(NamedTuple):
    """What came of directories that agree in every key."""

    groups: list[Group]
    heads: list[Head]
    """One of each group."""
    why: str = ""
    """Why they were not pooled after all."""


def found_of(heads: Sequence[Head], asked: Asked, lost: list[Missing]) -> Found:
    """Analyse directories that agree in every key, pooled if their stacks' ratios agree too."""
    case = _case(heads, asked)
    read: list[tuple[Head, Named]] = []
    for head in heads:
        try:
            read.append((head, Named(head.name, gather(head.store, case.slo))))
        except (UsageError, OSError) as error:
            lost.append(lost_of(head.name, error))
    kept, parts = [head for head, _ in read], [part for _, part in read]
    alone = [_compared([head], part.evidence, case, asked) for head, part in read]
    single = Found(
        groups=[
            Group(name=head.name, parts=_parts([head]), comparison=comparison)
            for head, comparison in zip(kept, alone, strict=True)
        ],
        heads=kept,
    )
    if len(read) < 2:
        return single
    machine = manifest.one_machine(kept)
    evidence = replace(pooling.pool(parts), one_machine=machine)
    pooled = _compared(kept, evidence, case, asked)
    tests = pooling.disagreements(parts, evidence, pooled.rankings)
    least = min((p * len(tests) for _, p in tests), default=None)
    if least is not None and least <= LEVEL:
        ranking = min(tests, key=lambda test: test[1])[0]
        return single._replace(why=not_alike(kept, alone, ranking))
    return Found([_group(kept, alone, pooled, least, machine=machine)], kept[:1])


def _group(
    heads: Sequence[Head],
    alone: Sequence[Comparison],
    pooled: Comparison,
    least: float | None,
    *,
    machine: bool,
) -> Group:
    names = [head.name for head in heads]
    return Group(
        name=" + ".join(names),
        parts=_parts(heads),
        comparison=pooled,
        machine="one" if machine else "not shown to be one",
        agreement=None if least is None else min(least, 1.0),
        remarks=remarks(heads, machine=machine, asked=least is not None),
        tables=side_by_side(dict(zip(names, alone, strict=True))),
    )


def _case(heads: Sequence[Head], asked: Asked) -> Case:
    day = max(head.day for head in heads)
    today = datetime.now(UTC).date()
    own = date.fromisoformat(day[:10]) if day and asked.scenario is None else today
    return cases.case(
        asked.scenario,
        heads[0].study.price,
        as_of=asked.as_of or own,
        max_age_days=asked.max_price_age,
        fleet={},
    )


def _compared(heads: Sequence[Head], evidence: Evidence, case: Case, asked: Asked) -> Comparison:
    return compare(
        [head.store for head in heads],
        evidence,
        case,
        host=_host(heads),
        day=max(head.day for head in heads),
        weights=asked.weights,
    )


def _host(heads: Sequence[Head]) -> dict[str, object]:
    """Return the first directory's machine; of several, nodes by the names pooled launches have."""
    first, *others = heads
    if not others:
        return first.host
    nodes = {
        f"{head.name}/{name}": told
        for head in heads
        if isinstance(known := head.host.get("nodes"), dict)
        for name, told in known.items()
    }
    return {**first.host, "nodes": nodes} if nodes else first.host


def _parts(heads: Sequence[Head]) -> list[Part]:
    before, found = 0, []
    for head in heads:
        rounds = head.plan.protocol.rounds
        found.append(
            Part(
                name=head.name,
                created=head.day,
                plan_sha256=head.plan.sha256,
                seed=head.plan.protocol.seed,
                first_round=before + 1,
                rounds=rounds,
                launches=len(head.records),
                host=head.host,
            )
        )
        before += rounds
    return found


def lost_of(name: str, error: UsageError | OSError) -> Missing:
    """Return what a report says of a directory that cannot be read."""
    if isinstance(error, UsageError):
        detail, fix = error.message, error.hint
    else:
        detail = f"{error.filename or name}: cannot be read: {error.strerror or error}"
        fix = "Fix its permissions or restore it, then report again."
    return Missing(what=f"results directory {name}", reason="failed", detail=detail, fix=fix)
