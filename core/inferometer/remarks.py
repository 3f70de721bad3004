"""What a report must say beside its numbers: what is missing, doubtful, or was not done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import UnsetType

from inferometer import node_agreement
from inferometer.cells import absent
from inferometer.comparison import Again, Dropped, Missing, Stopped
from inferometer.look_records import Look
from inferometer.parity import figures
from inferometer.plan import decided, left_out, wanted
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Cell, Model, Parity, Ranking
    from inferometer.gate import Refusal

FEW_ROUNDS = 5
_RESUME = "Run the same command again: it resumes with the launches that are missing."


def missing(evidence: Evidence) -> list[Missing]:
    """Return everything planned or expected that is not here, with reason and next step."""
    return [*_launches(evidence), *_pairs(evidence), *_meters(evidence), *_price(evidence)]


def warnings(
    evidence: Evidence,
    cells: Sequence[Cell],
    rankings: Sequence[Ranking],
    parity: Sequence[Parity],
    refused: Mapping[tuple[str, str], Refusal],
) -> list[str]:
    """Return what makes these numbers doubtful, worst first."""
    return [
        *_simulated(evidence),
        *_servers(evidence),
        *_checks(cells),
        *_refused(refused),
        *_disagreement(parity),
        *node_agreement.warnings(evidence, rankings),
        *_unseparated(rankings),
        *_retried(evidence),
        *_unsettled(evidence),
    ]


def notes(evidence: Evidence, models: Sequence[Model], preset: str) -> list[str]:
    """Return how to read the numbers, and what was not measured."""
    return [*_scope(evidence, preset), *_energy(evidence), *_cost(evidence), *_models(models)]


def rounds_complete(evidence: Evidence) -> int:
    """Return the number of rounds of which every planned launch is whole."""
    done = {record.id for record in evidence.records}
    planned = wanted(evidence.plan, evidence.looks)
    rounds = {launch.round for launch in planned}
    open_ = {launch.round for launch in planned if launch.id not in done}
    return len(rounds - open_)


def stopped(evidence: Evidence) -> Stopped | None:
    """Return how a sequential study ended; None where the number of rounds was fixed."""
    asked = evidence.study.sequential
    if isinstance(asked, UnsetType):
        return None
    looks = evidence.looks
    last = looks[-1] if looks else Look(rounds=rounds_complete(evidence))
    return Stopped(
        reason=last.stop,
        rounds=last.rounds,
        most_rounds=evidence.plan.protocol.rounds,
        looks=len(looks),
        minutes=last.spent_min,
        minutes_allowed=asked.minutes,
        earlier=len(asked.earlier),
        ended={stack: look.rounds for look in looks for stack in look.ended},
        dropped=_dropped(evidence, last.rounds),
        undecided=last.undecided,
    )


def _dropped(evidence: Evidence, rounds: int) -> list[Dropped]:
    """Return the cells that were decided before the last of ``rounds``, in order of decision."""
    points = {point.index: point for point in evidence.load_points}
    return [
        Dropped(
            stack=stack,
            model=model,
            workload=points[index].workload.name,
            load=points[index].label,
            rounds=after,
        )
        for (stack, model, index), after in decided(evidence.looks).items()
        if after < rounds and index in points
    ]


def _launches(evidence: Evidence) -> Iterator[Missing]:
    done = {record.id for record in evidence.records}
    failed = {record.id: record for record in evidence.failures}
    never = {
        (stack_id(record), model_name(record)): record
        for record in evidence.failures
        if record.failure is not None and record.failure.reason == "unsupported"
    }
    groups: dict[tuple[str, str, str, str, str], list[int]] = {}
    for launch in wanted(evidence.plan, evidence.looks):
        if launch.id in done:
            continue
        # What cannot run here is tried once, and the answer holds for every round.
        record = failed.get(launch.id) or never.get((launch.stack, launch.model.name))
        reason, detail, fix = "not_run", "planned, not launched yet", _RESUME
        if record is not None and record.failure is not None:
            reason, detail = absent(evidence, launch.stack, launch.model.name)
            fix = record.failure.hint or _RESUME
        key = (launch.stack, launch.model.name, reason, detail, fix)
        groups.setdefault(key, []).append(launch.round + 1)
    for (stack, model, reason, detail, fix), rounds in groups.items():
        what = f"{stack} on {model}, {_rounds(rounds)}"
        yield Missing(what=what, reason=reason, detail=detail, fix=fix)


def _pairs(evidence: Evidence) -> Iterator[Missing]:
    for pair in left_out(evidence.study):
        yield Missing(
            what=pair,
            reason="not_run",
            detail="a conversation's next turn waits for the answer, an open loop does not",
            fix="Give [[loads]] concurrency for it.",
        )


def _rounds(rounds: Sequence[int]) -> str:
    return f"round{'s' if len(rounds) > 1 else ''} {', '.join(map(str, sorted(rounds)))}"


_METER_FIX = {
    "no_sensor": "Measure on a machine that has the sensor, or add a meter that this one can read.",
    "no_permission": "Let this user read the file named here, or run as one who may.",
}


def _meters(evidence: Evidence) -> Iterator[Missing]:
    seen = evidence.meters
    for info in seen.values():
        if info.reason is not None:
            yield Missing(
                what=f"energy meter {info.name} ({info.scope})",
                reason=info.reason,
                detail=info.detail or info.method,
                fix=_METER_FIX.get(info.reason, "See the detail."),
            )
    if not evidence.records:
        return
    for entry in evidence.study.meters:
        if entry.name not in seen:
            words = "no launch mentions it"
            yield Missing(what=f"energy meter {entry.name}", reason="not_run", detail=words)
    if not evidence.study.meters and not seen:
        yield Missing(
            what="energy",
            reason="no_sensor",
            detail="the study asked for no meter",
            fix="Add [[meters]] to the study.",
        )


def _price(evidence: Evidence) -> Iterator[Missing]:
    if evidence.price.reason == "no_price":
        yield Missing(
            what="cost",
            reason="no_price",
            detail=evidence.price.detail,
            fix="Give a scenario: inferometer cost RESULTS COST.toml; nothing is measured again.",
        )


def _simulated(evidence: Evidence) -> Iterator[str]:
    launches = evidence.tables.launches
    made_up = int(launches["simulated"].sum())
    if made_up:
        yield f"SIMULATED: no engine was run in {made_up} of {launches.height} launches"


def _servers(evidence: Evidence) -> Iterator[str]:
    """Say of each server that someone else runs what its numbers rest on."""
    seen = {stack_id(record): record.environment for record in evidence.records}
    for stack, known in seen.items():
        if "url" in known:
            version = (
                "its version is not known"
                if not known["version_from"]
                else (f"its version is what the {known['version_from']} says")
            )
            yield (
                f"{stack}: a server at {known['url']} that was not started or stopped for this and "
                "not restarted between rounds, so its rounds are no independent launches and its "
                f"intervals leave out what differs between starts; {version}; its settings, its "
                "weights and its precision are as declared, not seen"
            )


def _checks(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        for check in cell.checks:
            if check.verdict == "fail":
                words = f" ({check.detail})" if check.detail else ""
                yield f"{cell.id} is invalid and not ranked: {check.name}: {check.value}{words}"
    doubts: dict[str, list[str]] = {}
    for cell in cells:
        for check in cell.checks:
            if check.verdict == "warn":
                doubts.setdefault(check.name, []).append(f"{cell.id} ({check.value})")
    for name, where in doubts.items():
        yield f"check {name!r} warns for {', '.join(where)}"


def _refused(refused: Mapping[tuple[str, str], Refusal]) -> Iterator[str]:
    for (stack, model), refusal in refused.items():
        yield f"{stack} on {model} is shown and not ranked: {refusal.detail}"


def _disagreement(parity: Sequence[Parity]) -> Iterator[str]:
    for pair in parity:
        (_, one), (_, other) = (side.split("/", 1) for side in (pair.left, pair.right))
        if pair.verdict == "not comparable":
            yield f"{pair.left} and {pair.right} are not compared: {pair.note}"
        elif pair.verdict == "fail" and one != other:
            yield f"{pair.left} and its twin {pair.right} do not answer alike: {figures(pair)}"


def _unseparated(rankings: Sequence[Ranking]) -> Iterator[str]:
    points = [ranking for ranking in rankings if ranking.at == "load"]
    single = [r for r in points if len(r.entries) > 1 and r.n_rounds < 2]
    if single:
        yield (
            f"{len(single)} rankings rest on one complete round: nothing says how far launches "
            "differ, so no place can be told from another"
        )


def retried(evidence: Evidence) -> list[Again]:
    """Return what was tried again, by stack, model and cause; also what failed after all."""
    done = {record.id: record for record in evidence.records}
    last = {record.id: record for record in evidence.failures} | done
    counts = Counter(
        (stack_id(record), model_name(record), each.reason)
        for record in last.values()
        for each in record.retried
    )
    return [
        Again(stack=stack, model=model, reason=reason, count=count)
        for (stack, model, reason), count in sorted(counts.items())
    ]


def _retried(evidence: Evidence) -> Iterator[str]:
    done = {record.id for record in evidence.records}
    again: dict[tuple[str, str], int] = {}
    for record in evidence.failures:
        if record.id in done:
            key = (stack_id(record), model_name(record))
            again[key] = again.get(key, 0) + 1
    for (stack, model), count in sorted(again.items()):
        yield f"{stack} on {model}: {count} failed attempts before launches that succeeded"


def _unsettled(evidence: Evidence) -> Iterator[str]:
    soaked: dict[tuple[str, str], list[bool]] = {}
    for record in evidence.records:
        if record.soak is not None:
            key = (stack_id(record), model_name(record))
            soaked.setdefault(key, []).append(record.soak.settled)
    for (stack, model), settled in sorted(soaked.items()):
        if not all(settled):
            yield (
                f"{stack} on {model}: not settled in {settled.count(False)} of {len(settled)} "
                "launches: rates still differed by more than 5 % when the first load point began"
            )


def _scope(evidence: Evidence, preset: str) -> Iterator[str]:
    if preset:
        yield f"Preset {preset!r}: made to be fast, not to decide a purchase."
    rounds = evidence.plan.protocol.rounds
    if rounds < FEW_ROUNDS:
        many = "launch" if rounds == 1 else "launches"
        yield f"n = {rounds} {many} per cell is few: intervals are wide ({FEW_ROUNDS} are usual)."
    yield from _loops(evidence)
    if len(evidence.load_points) == 1:
        yield "One load point only: nothing is said about other loads or lengths."
    yield "Answer quality was not measured; output parity says only whether stacks answer alike."
    yield "Inter-chunk latency and inter-token latency are not reported yet."


def _loops(evidence: Evidence) -> Iterator[str]:
    loads = [point.load for point in evidence.load_points]
    if any(load.closed for load in loads):
        text = "Closed loops of streams show capacity: latencies are those at this concurrency."
        yield text + (
            " Open-loop latency was not measured." if all(x.closed for x in loads) else ""
        )
    if all(load.closed for load in loads):
        return
    yield (
        "Open loops send on schedule, the same for every stack: a stack that keeps up delivers "
        "what is offered, so throughput and cost are no capacity there and are not ranked. Energy "
        "is, at equal offered work, by meters that see the load."
    )
    yield "Latency of open loops counts from intended send; it is shown and not ranked."
    if not any(load.closed for load in loads) and evidence.plan.capacity is None:
        yield "Capacity was not measured: that takes a closed loop ([[loads]] concurrency)."


def _energy(evidence: Evidence) -> Iterator[str]:
    readable = [info for info in evidence.meters.values() if info.reason is None]
    for info in readable:
        yield f"Energy by {info.name} ({info.scope}, {info.kind}): {info.method}"
    if not any(info.scope in {"L2", "L3", "L4"} for info in readable):
        yield "No meter at the wall: power supplies, fans and disks are not in any joule here."
    if readable and all(info.kind != "measured" for info in readable):
        yield "No energy here was measured by an instrument: joules are estimated or declared."


def _cost(evidence: Evidence) -> Iterator[str]:
    price = evidence.price
    if price.value is None:
        return
    yield f"Cost is {price.value:.4g} USD per hour of all that was reserved, busy or idle."
    if not evidence.one_price:
        yield "Stacks pay different hours, by their own charges or watts: each stands under cost."
    if price.kind == "estimated":
        order = ", their order is throughput's" if evidence.one_price else ""
        yield f"The price is assumed: costs are estimates{order}."


def _models(models: Iterable[Model]) -> Iterator[str]:
    for model in models:
        if model.routing == "synthetic":
            yield (
                f"{model.name}: synthetic routing (random router of an upcycled twin). It shows "
                "MoE overhead at equal quality and stands for no trained MoE model."
            )
