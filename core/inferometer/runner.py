"""A study measured: prepare, then every launch that is not finished yet, in the plan's order."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferometer import abandoned, priors, processor, provenance, spread, transient
from inferometer import plan as planning
from inferometer.journal import Journal
from inferometer.loadgen.far import far_enough
from inferometer.looks import Looks
from inferometer.measure import Bench
from inferometer.metering import chosen_meters
from inferometer.pooling import kept_processor, refuse_another_machine, refuse_other_files
from inferometer.prepare import prepare, work_files
from inferometer.starting import HOST
from inferometer.store import Store
from inferometer.trials import tune

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from inferometer.executor import Cluster
    from inferometer.loadgen.driver import Host
    from inferometer.metering import Meters
    from inferometer.plan import Launch, Plan
    from inferometer.plugins import Registry
    from inferometer.progress import Display
    from inferometer.study import Study
    from inferometer.tuning import Settings


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run leaves: where, and how many launches were planned, are finished, failed."""

    results: Path
    planned: int
    finished: int
    failed: int


CLEANED = "ended and removed what a run that was killed left"


def here(_results: Path, _plan_sha256: str) -> AbstractContextManager[None]:
    """Bring no nodes: this process measures."""
    return nullcontext()


def run(
    study: Study,
    study_text: str,
    results: Path,
    registry: Registry,
    display: Display,
    *,
    open_cluster: Callable[[Path, str], AbstractContextManager[Cluster | None]] = here,
    load_hosts: Sequence[Host] = (),
) -> RunOutcome:
    """Measure ``study`` into ``results``. What is finished there already is not run again.

    A launch that fails is stored as failed, and whether the same stack on the same model is tried
    again in this run is :mod:`inferometer.transient`'s; everything else goes on. Interrupting loses
    the launch in flight only. What a run that was killed with its supervisors left is ended first.
    ``display`` hears what happens, which ``results`` keeps in ``events.jsonl``. ``open_cluster``
    takes the results directory and the plan's hash, and brings the nodes that measure.
    ``load_hosts`` send the loads instead of this machine.

    Raises:
        UsageError: the study names something that is not there, or ``results`` holds another plan.
        MachineError: an environment cannot be built, or the results cannot be written.
    """
    plan = planning.expand(study)
    meters = chosen_meters(study.meters, registry.meters())
    store = Store(results)
    with store.writing():
        known = priors.learn(study, study_text, store)
        store.begin(plan, study_text)
        if known is not None:
            store.put_priors(known)
        left = abandoned.cleaned(results)
        failed = 0
        looks = Looks.of(study, store, display)
        if all(store.finished(launch.id) for launch in looks.wanted(plan)):
            looks.last(plan.protocol.rounds)
        else:
            with Journal(store, display) as progress:
                if left:
                    progress.warn(f"{CLEANED}: {left}")
                looks = Looks.of(study, store, progress)
                with open_cluster(results.absolute(), plan.sha256) as cluster:
                    if cluster is None:
                        failed = _local(plan, registry, store, meters, looks, load_hosts=load_hosts)
                    else:
                        failed = spread.measured(plan, meters, cluster, looks, progress)
    display.done()
    planned = looks.wanted(plan)
    finished = sum(store.finished(launch.id) for launch in planned)
    return RunOutcome(results, len(planned), finished, failed)


def _local(
    plan: Plan,
    registry: Registry,
    store: Store,
    meters: Meters,
    looks: Looks,
    *,
    load_hosts: Sequence[Host],
) -> int:
    """Measure here what is not finished; return how many launches failed."""
    progress = looks.progress
    if any(launch.engine.url is None for launch in plan.launches):
        far_enough(HOST, load_hosts)
    prepared = prepare(plan, registry, progress)
    host = provenance.describe_host()
    identity = provenance.host_sha256(host)
    environments = {stack_id: stack.sha256 for stack_id, stack in prepared.stacks.items()}
    refuse_another_machine(plan, store, environments, identity)
    files = provenance.file_hashes(work_files(plan))
    refuse_other_files(store, files)
    host["processor"] = kept_processor(store) or processor.probed(prepared, progress.note)
    store.put_host({**host, **provenance.clock_pair(), "workload_files": files})
    bench = Bench(plan, prepared, meters, store, identity, progress, load_hosts=load_hosts)
    return measure_all(bench, plan, looks, tune(bench))


def measure_all(
    bench: Bench, plan: Plan, looks: Looks, found: Mapping[tuple[str, str], Settings]
) -> int:
    """Measure what is left of ``plan``; return how many planned launches did not finish.

    ``found`` has the settings of tuned stacks by stack and model. A sequential study is looked at
    behind each round.
    """
    chances = transient.Chances.of(bench.results)
    failed = 0
    for round_ in range(plan.protocol.rounds):
        wanted = [launch for launch in looks.wanted(plan) if launch.round == round_]
        failed += _measure_round(bench, plan, wanted, chances, found)
        if looks.behind(round_ + 1):
            break
    return failed


def _measure_round(
    bench: Bench,
    plan: Plan,
    launches: Sequence[Launch],
    chances: transient.Chances,
    found: Mapping[tuple[str, str], Settings],
) -> int:
    failed = 0
    for planned in launches:
        if bench.results.finished(planned.id):
            continue
        key = (planned.stack, planned.model.name)
        if key in chances.given_up:
            bench.progress.warn(f"{planned.id}: not run, because an earlier round of it failed")
            failed += 1
            continue
        place = planned.position + 1
        bench.progress.launch(place, len(plan.launches), label(planned), planned.id)
        launch = msgspec.structs.replace(planned, settings=found.get(key, ()))
        record = bench.measure(launch)
        bench.progress.launched(record.status)
        chances.ended(launch, record)
        failed += record.status == "failed"
    return failed


def label(launch: Launch) -> str:
    """Return a launch in words, for the progress display."""
    return f"round {launch.round + 1}, {launch.stack} on {launch.model.name}"
