"""Synthetic results directories for tests: whole numbers in, whole numbers out.

No engine is run, so every launch says ``environment.kind = "simulated"`` and everything computed
from it is labelled simulated. Each stream emits one token every ``concurrency / rate`` seconds
and sends its next request the moment the last one ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import structs

from inferometer import plan as plans
from inferometer.records import (
    Failure,
    LaunchRecord,
    MeterInfo,
    Probe,
    Reading,
    Request,
    Window,
)
from inferometer.store import Store, append_chunks, append_lines
from inferometer.study import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inferometer.plan import Launch, LoadPoint, Plan

SECOND = 1_000_000_000
BEGIN = 100 * SECOND
"""Monotonic time of the first send in each launch; one launch a thousand seconds."""
WALL_NS = 1_767_225_600 * SECOND
"""Wall clock (ns since 1970) when the monotonic clock was 0."""
METER = MeterInfo(
    name="fixture", scope="L0", kind="simulated", method="a constant made up by the test"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """What to make up. ``rates`` is stack -> output tok/s; the rest applies to all stacks.

    ``dense_over_moe`` divides the rate of the model ``moe`` (made when it is in ``models``).
    ``drift`` multiplies a rate: (stack, round) -> factor. ``failed`` and ``absent`` launches are
    (stack, round). ``meter=None`` leaves energy out; ``power_w`` is per stack or for all.
    ``counted=False`` flags every event's token count as unknown.
    """

    rates: Mapping[str, float]
    models: tuple[str, ...] = ("dense",)
    rounds: int = 3
    window_s: int = 10
    concurrency: int = 4
    input_tokens: int = 20
    output_tokens: int = 10
    usd_per_hour: float | None = 3.6
    contract: str = "on-demand"
    meter: MeterInfo | None = METER
    power_w: float | Mapping[str, float] = 80.0
    dense_over_moe: float = 2.0
    drift: Mapping[tuple[str, int], float] = field(default_factory=dict)
    failed: frozenset[tuple[str, int]] = frozenset()
    absent: frozenset[tuple[str, int]] = frozenset()
    counted: bool = True
    workloads: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Further workloads by name: tokens in and out. Their windows follow each other."""
    paces: Mapping[int, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    """Concurrency -> stack -> ms to the first token and ms between tokens: load points instead of
    ``concurrency`` and ``rates``, which then only names the stacks."""
    host_sha256: str = "0" * 64
    seed: int = 1
    host: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of ``host.json``."""
    slower: Mapping[str, float] = field(default_factory=dict)
    """Model -> what divides its rate, beside ``dense_over_moe``."""
    gains: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(stack, model) -> what multiplies its rate besides."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model -> further fields of its record, instead of the usual."""
    model_lines: Mapping[str, str] = field(default_factory=dict)
    """Model -> further TOML of its entry in the study."""
    environments: Mapping[str, str] = field(default_factory=dict)
    """Stack -> hash of its environment; none where it is not named."""
    later_s: int = 0
    """By how much everything is later: launches of one study, measured again."""
    nodes: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """(stack, round) -> the node it ran on; without any the run knew none."""
    clocks_s: Mapping[str, int] = field(default_factory=dict)
    """Node -> by how much its monotonic clock is ahead of the other ones'."""
    paces_of: Mapping[str, float] = field(default_factory=dict)
    """Node -> what multiplies every rate on it."""

    def study_text(self) -> str:
        """Return the study as TOML."""
        lines = ['name = "fixture"', 'preset = "simulated fixture"', "[protocol]"]
        lines += [f"rounds = {self.rounds}", f"window_s = {self.window_s}.0"]
        lines += [f"seed = {self.seed}"] if self.seed != 1 else []
        if self.usd_per_hour is not None:
            lines += ["[price]", f"usd_per_hour = {self.usd_per_hour}", 'source = "made up"']
            lines += ['date = "2026-01-01"', f'contract = "{self.contract}"']
        for stack in self.rates:
            lines += ["[[engines]]", f'name = "{stack}"']
        for model in self.models:
            lines += ["[[models]]", f'name = "{model}"', 'packaged = "fixture"']
            lines += ['twin_of = "dense"'] if model == "moe" else []
            lines += [self.model_lines[model]] if model in self.model_lines else []
        lines += ["[[workloads]]", 'name = "small"', f"input_tokens = {self.input_tokens}"]
        lines += [f"output_tokens = {self.output_tokens}"]
        for name, (input_tokens, output_tokens) in self.workloads.items():
            lines += ["[[workloads]]", f'name = "{name}"', f"input_tokens = {input_tokens}"]
            lines += [f"output_tokens = {output_tokens}"]
        for streams in self.paces or (self.concurrency,):
            lines += ["[[loads]]", f"concurrency = {streams}"]
        if self.meter is not None:
            lines += ["[[meters]]", f'name = "{self.meter.name}"']
        return "\n".join(lines) + "\n"

    def rate(self, launch: Launch) -> float:
        """Return the output tok/s of a launch."""
        rate = self.rates[launch.stack] * self.drift.get((launch.stack, launch.round), 1.0)
        rate *= self.paces_of.get(self.node(launch) or "", 1.0)
        return rate / self.slowness(launch)

    def node(self, launch: Launch) -> str | None:
        """Return where a launch ran; None in a run that knew no nodes."""
        return self.nodes.get((launch.stack, launch.round))

    def slowness(self, launch: Launch) -> float:
        """Return what a model's rate is divided by on a stack."""
        model = launch.model.name
        twice = self.dense_over_moe if model == "moe" else 1.0
        return twice * self.slower.get(model, 1.0) / self.gains.get((launch.stack, model), 1.0)

    def gaps(self, launch: Launch, point: LoadPoint) -> tuple[int, int]:
        """Return ns from a send to the first token, and between tokens."""
        streams = point.load.concurrency or 0
        if not self.paces:
            gap = round(streams / self.rate(launch) * SECOND)
            return gap, gap
        slower = self.slowness(launch) / self.drift.get((launch.stack, launch.round), 1.0)
        first, gap = (round(ms * slower * 1e6) for ms in self.paces[streams][launch.stack])
        return first, gap

    def origin(self, launch: Launch) -> int:
        """Return the monotonic time of a launch's first send, in ns."""
        ahead_s = self.clocks_s.get(self.node(launch) or "", 0)
        return BEGIN + (launch.position * 1000 + self.later_s + ahead_s) * SECOND

    def power(self, stack: str) -> float:
        """Return the watts of a stack."""
        return self.power_w if isinstance(self.power_w, int | float) else self.power_w[stack]


def write_results(root: Path, fixture: Fixture) -> Store:
    """Write a results directory for ``fixture`` through :class:`Store`, and return it."""
    text = fixture.study_text()
    plan = plans.expand(parse(text, "fixture"))
    store = Store(root)
    with store.writing():
        store.begin(plan, text)
        clocks = {"wall_ns": WALL_NS, "monotonic_ns": 0}
        each = {
            name: {"cpu_model": "made up", "monotonic_ns": fixture.clocks_s.get(name, 0) * SECOND}
            for name in sorted(set(fixture.nodes.values()))
        }
        own = {"nodes": each} if each else {}
        store.put_host({"cpu": "made up", **clocks, **own, **fixture.host})
        for launch in plan.launches:
            key = (launch.stack, launch.round)
            if key in fixture.failed:
                write_failure(store, fixture, plan, launch)
            elif key not in fixture.absent:
                write_launch(store, fixture, plan, launch)
    return store


def write_launch(store: Store, fixture: Fixture, plan: Plan, launch: Launch) -> Path:
    """Write one whole launch and return its folder."""
    folder = store.open_launch(launch.id)
    origin = fixture.origin(launch)
    requests: list[Request] = []
    chunks: list[tuple[int, int, int, int]] = []
    windows: list[Window] = []
    end = origin
    for point in launch.left:
        begin = end
        end = begin + (1 + fixture.window_s) * SECOND
        sent, seen = _load(fixture, launch, point, (begin, end), len(requests))
        requests += sent
        chunks += seen
        windows.append(_window(launch, point, (begin + SECOND, end), len(sent)))
    append_lines(folder / "requests.jsonl", requests)
    append_chunks(folder / "chunks.bin", sorted(chunks, key=lambda chunk: chunk[3]))
    if fixture.meter is not None and fixture.meter.reason is None:
        append_lines(folder / "readings.jsonl", _readings(fixture, launch, origin, end))
    if launch.round == 0:
        append_lines(folder / "probes.jsonl", _probes())
    return store.close_launch(folder, _record(fixture, plan, launch, origin, end, windows=windows))


def _window(launch: Launch, point: LoadPoint, bounds: tuple[int, int], prompts: int) -> Window:
    return Window(
        load_point=point.index,
        workload=point.workload.name,
        load=point.label,
        concurrency=point.load.concurrency,
        start_ns=bounds[0],
        end_ns=bounds[1],
        discarded_ns=SECOND,
        work_sha256=plans.digest((launch.round, point)),
        prompts=prompts,
        client_cpu_s=0.1,
        loop_lag_p99_ms=0.5,
        send_lag_p99_ms=0.5,
        clock_step_ms=0.0,
        retokenised=100,
        retokenised_usage=100,
    )


def write_failure(store: Store, fixture: Fixture, plan: Plan, launch: Launch) -> Path:
    """Write one failed attempt and return its folder."""
    folder = store.open_launch(launch.id)
    origin = fixture.origin(launch)
    failure = Failure(
        reason="failed",
        stage="load",
        message="the engine died while loading the model",
        hint="Give it more memory.",
        log_tail=["loading", "out of memory"],
    )
    record = _record(fixture, plan, launch, origin, origin + SECOND, failure=failure)
    return store.close_launch(folder, record)


def _record(
    fixture: Fixture,
    plan: Plan,
    launch: Launch,
    started_ns: int,
    ended_ns: int,
    *,
    failure: Failure | None = None,
    windows: list[Window] | None = None,
) -> LaunchRecord:
    return LaunchRecord(
        id=launch.id,
        plan_sha256=plan.sha256,
        round=launch.round,
        position=launch.position,
        node=fixture.node(launch),
        stack=_stack(launch),
        model=_model(launch.model.name) | dict(fixture.facts.get(launch.model.name, {})),
        status="failed" if failure else "ok",
        failure=failure,
        started_ns=started_ns,
        ended_ns=ended_ns,
        ended_wall_ns=_wall_ns(fixture, launch, ended_ns),
        command=["fixture", "--model", launch.model.name, "--api-key", "secret"],
        environment=_environment(fixture, launch.stack),
        windows=windows or [],
        left_out=list(launch.left_out),
        meters=[fixture.meter] if fixture.meter is not None and not failure else [],
        host_sha256=fixture.host_sha256,
    )


def _wall_ns(fixture: Fixture, launch: Launch, ended_ns: int) -> int | None:
    """Return the end of a launch by a clock that all nodes share; None where there are no nodes."""
    node = fixture.node(launch)
    if node is None:
        return None
    return ended_ns + WALL_NS - fixture.clocks_s.get(node, 0) * SECOND


def _environment(fixture: Fixture, stack: str) -> dict[str, Any]:
    sha = fixture.environments.get(stack)
    return {"kind": "simulated"} | ({"sha256": sha} if sha else {})


def _stack(launch: Launch) -> dict[str, Any]:
    return {
        "id": launch.stack,
        "engine": launch.engine.name,
        "engine_version": "0",
        "profile": launch.engine.profile,
        "precision": launch.engine.dtype,
        "parallelism": "TP1",
        "label": f"{launch.stack} 0",
    }


def _model(name: str) -> dict[str, Any]:
    moe = name == "moe"
    return {
        "name": name,
        "path": f"models/{name}",
        "sha256": ("1" if moe else "0") * 64,
        "architecture": "moe" if moe else "dense",
        "total_parameters": 8000 if moe else 1000,
        "active_parameters": 2000 if moe else 1000,
        "weights_bytes": 16000 if moe else 2000,
        "precision": "bfloat16",
        "twin_of": "dense" if moe else None,
        "routing": "synthetic" if moe else "none",
    }


def _load(
    fixture: Fixture, launch: Launch, point: LoadPoint, bounds: tuple[int, int], first: int
) -> tuple[list[Request], list[tuple[int, int, int, int]]]:
    """Return the requests of one load, numbered from ``first``, and their events."""
    streams = point.load.concurrency or 0
    until, gap = fixture.gaps(launch, point)
    lengths = (point.workload.input_tokens or 0, point.workload.output_tokens or 0)
    begin, end = bounds
    requests: list[Request] = []
    chunks: list[tuple[int, int, int, int]] = []
    for stream in range(streams):
        sent = begin + stream * gap // streams
        while sent < end:
            times = [sent + until + gap * token for token in range(lengths[1])]
            seen = [t for t in times if t < end]
            index = first + len(requests)
            request = _request(fixture, lengths, index=index, stream=stream, sent=sent, seen=seen)
            whole = len(seen) == lengths[1]
            requests.append(
                structs.replace(request, load_point=point.index, end_ns=seen[-1] if whole else end)
            )
            flags = (1, 0) if fixture.counted else (0, 1)
            chunks += [(index, *flags, t) for t in seen]
            sent = times[-1]
    return requests, chunks


def _request(
    fixture: Fixture,
    lengths: tuple[int, int],
    *,
    index: int,
    stream: int,
    sent: int,
    seen: list[int],
) -> Request:
    input_tokens, output_tokens = lengths
    whole = len(seen) == output_tokens
    return Request(
        index=index,
        load_point=0,
        phase="load",
        stream=stream,
        prompt=index,
        intended_ns=sent,
        sent_ns=sent,
        first_ns=seen[0] if seen else None,
        last_ns=seen[-1] if seen else None,
        status="ok" if whole else "cut",
        http_status=200,
        finish_reason="length" if whole else None,
        input_tokens_expected=input_tokens,
        output_tokens_expected=output_tokens,
        input_tokens=input_tokens if whole else None,
        output_tokens=output_tokens if whole else None,
        cached_tokens=0 if whole else None,
        chunks=len(seen),
        tokens_from="ids" if fixture.counted else "none",
    )


def _readings(fixture: Fixture, launch: Launch, origin: int, end: int) -> list[Reading]:
    assert fixture.meter is not None
    watts = fixture.power(launch.stack)
    return [
        Reading(
            meter=fixture.meter.name,
            device="device-0",
            t_ns=t,
            value=watts * (t - origin) / SECOND,
            unit="J",
        )
        for t in range(origin, end + 2 * SECOND, SECOND)
    ]


def _probes() -> list[Probe]:
    return [
        Probe(
            prompt=prompt,
            prompt_tokens=4,
            text="one two three four",
            token_ids=[1, 2, 3, 4],
            ids_from="engine",
        )
        for prompt in range(5)
    ]
