"""Results of simulated launches, made in virtual time: whole launches in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
from tests.studies import written

from inferometer import plan as plans
from inferometer.plan import Launch, LoadPoint, Plan
from inferometer.records import LaunchRecord, MeterInfo, Reading, Request, Told, Window
from inferometer.store import Store, append_chunks, append_lines
from inferometer.study import parse
from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.faults import Faults
from inferometer_plugins.simulator.loads import Closed, Load, Poisson, Uniform, Workload
from inferometer_plugins.simulator.model import Params
from inferometer_plugins.simulator.trace import Trace

SECOND = 1_000_000_000
METER = MeterInfo(
    name="watts", scope="L0", kind="simulated", method="the simulator's own", instrument="counter"
)
WORKLOADS = (("even", 100, 100), ("reading", 2000, 20), ("writing", 500, 400))


def study(
    workloads: Sequence[tuple[str, int, int]] = WORKLOADS,
    streams: Sequence[int] = (1, 32),
    rates: Sequence[float] = (),
    rounds: int = 2,
    window_s: float = 20.0,
) -> str:
    """Return a study of one simulated engine as TOML."""
    loads: list[dict[str, Any]] = [{"concurrency": count} for count in streams]
    return written(
        "virtual",
        protocol={"rounds": rounds, "window_s": window_s},
        engines=[{"name": "simulator"}],
        models=[{"name": "m", "packaged": "smollm2-135m"}],
        workloads=[
            {"name": name, "input_tokens": prompt, "output_tokens": output}
            for name, prompt, output in workloads
        ],
        loads=[*loads, *({"rate": rate} for rate in rates)],
        meters=[{"name": METER.name}],
    )


def write(
    root: Path,
    params: Params,
    text: str | None = None,
    *,
    start_s: float = 0.0,
    metered: bool = True,
) -> Path:
    """Write results of ``params`` under a study's loads; ``start_s`` before each first step."""
    text = study() if text is None else text
    plan = plans.expand(parse(text, "virtual"))
    store = Store(root)
    with store.writing():
        store.begin(plan, text)
        store.put_host({"cpu": "none", "wall_ns": 1_767_225_600 * SECOND, "monotonic_ns": 0})
        for launch in plan.launches:
            _launch(store, plan, launch, params, start_s, metered=metered)
    return root


def _launch(
    store: Store, plan: Plan, launch: Launch, params: Params, start_s: float, *, metered: bool
) -> None:
    folder = store.open_launch(launch.id)
    begin = (1 + launch.position) * 100_000 * SECOND
    origin, windows, count, drawn_j = begin, [], 0, 0.0
    for point in launch.left:
        load = _load(point, launch.round)
        stay_s = 1.0
        if isinstance(load, Closed):
            pilot = simulate(params, _work(point), load, work_seed=1, seed=1, end_s=120.0)
            stay_s = pilot.residence_s()
            load = Closed(streams=load.streams, start="equilibrium", spread_s=stay_s / 2)
        settle_s = max(5.0, stay_s)
        trace = simulate(
            params,
            _work(point),
            load,
            work_seed=launch.round,
            seed=launch.round,
            end_s=settle_s + (plan.protocol.window_s or 0),
            faults=Faults(client_delay_s=start_s),
        )
        requests, chunks = _rows(trace, point.index, origin, count, start_s)
        append_lines(folder / "requests.jsonl", requests)
        append_chunks(folder / "chunks.bin", chunks)
        window = _window(launch, point, origin, settle_s, plan.protocol.window_s or 0)
        windows.append(window)
        if metered:
            drawn_j = _meter(folder, trace, origin, window, drawn_j)
        count += len(requests)
        origin = window.end_ns + 10 * SECOND
    record = LaunchRecord(
        id=launch.id,
        plan_sha256=plan.sha256,
        round=launch.round,
        position=launch.position,
        stack={"id": launch.stack, "engine": "simulator", "engine_version": "0"},
        model={"name": launch.model.name, "sha256": "0" * 64, "architecture": "dense"},
        status="ok",
        started_ns=begin,
        ended_ns=origin,
        environment={"kind": "simulated"},
        told={
            "max_num_seqs": Told(value=params.max_seqs),
            "max_num_batched_tokens": Told(value=params.budget),
        },
        windows=windows,
        meters=[METER] if metered else [],
        host_sha256="0" * 64,
    )
    store.close_launch(folder, record)


def _work(point: LoadPoint) -> Workload:
    work = point.workload
    return Workload(
        name=work.name,
        prompt=Uniform(work.input_tokens or 0, 1.0),
        output=Uniform(work.output_tokens or 0, 1.0),
    )


def _load(point: LoadPoint, seed: int) -> Load:
    if point.load.rate is not None:
        return Poisson(rate=point.load.rate, seed=seed)
    return Closed(streams=point.load.concurrency or 1)


def _window(
    launch: Launch, point: LoadPoint, origin: int, settle_s: float, window_s: float
) -> Window:
    start = origin + round(settle_s * SECOND)
    return Window(
        load_point=point.index,
        workload=point.workload.name,
        load=point.label,
        concurrency=point.load.concurrency,
        arrivals="poisson" if point.load.rate else "",
        rate=point.load.rate,
        start_ns=start,
        end_ns=start + round(window_s * SECOND),
        discarded_ns=start - origin,
        work_sha256=plans.digest((launch.round, point)),
        prompts=1_000_000,
        client_cpu_s=0.1,
        loop_lag_p99_ms=0.5,
        send_lag_p99_ms=0.5,
        clock_step_ms=0.0,
        retokenised=100,
        retokenised_usage=100,
    )


def _rows(
    trace: Trace, point: int, origin: int, first: int, start_s: float
) -> tuple[list[Request], list[tuple[int, int, int, int]]]:
    """Return requests and their events: one at the end of every step while they decode."""
    requests, chunks = [], []
    free: list[tuple[int, int]] = []
    """Streams by when they had an answer: the next request is of the first of them."""

    def ns(seconds: float) -> int:
        return origin + round(seconds * SECOND)

    for place in range(len(trace.sent_s)):
        begun = trace.first_s[place]
        index = first + place
        prompt, output = int(trace.prompt[place]), int(trace.output[place])
        seen: list[int] = []
        if not np.isnan(begun):
            low = int(np.searchsorted(trace.end_s, begun - 1e-12))
            seen = [ns(at) for at in trace.end_s[low : low + output].tolist()]
        whole = not trace.cut[place]
        chunks += [(index, 1, 0, at) for at in seen]
        sent = ns(max(0.0, trace.sent_s[place] - start_s))
        stream = heappop(free)[1] if free and free[0][0] <= sent else place
        if whole:
            heappush(free, (seen[-1], stream))
        requests.append(
            Request(
                index=index,
                load_point=point,
                phase="stagger" if trace.early[place] else "load",
                stream=stream,
                prompt=index,
                intended_ns=sent,
                sent_ns=sent,
                first_ns=seen[0] if seen else None,
                last_ns=seen[-1] if seen else None,
                end_ns=seen[-1] if whole else ns(float(trace.end_s[-1])),
                status="ok" if whole else "cut",
                http_status=200,
                finish_reason="length" if whole else None,
                input_tokens_expected=prompt,
                output_tokens_expected=output,
                input_tokens=prompt if whole else None,
                output_tokens=output if whole else None,
                cached_tokens=0 if whole else None,
                chunks=len(seen),
                tokens_from="ids",
            )
        )
    return requests, sorted(chunks, key=lambda chunk: chunk[3])


def _meter(folder: Path, trace: Trace, origin: int, window: Window, drawn_j: float) -> float:
    """Write a counter's readings, which goes on from ``drawn_j``; return where it ends."""
    times_s = np.arange(0.0, (window.end_ns - origin) / SECOND + 0.5, 0.05)
    append_lines(
        folder / "readings.jsonl",
        [
            Reading(
                meter=METER.name,
                device="device-0",
                t_ns=origin + round(at * SECOND),
                value=drawn_j + trace.energy_j(0.0, at),
                unit="J",
            )
            for at in times_s.tolist()
        ],
    )
    return drawn_j + trace.energy_j(0.0, float(times_s[-1]))
