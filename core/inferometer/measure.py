"""One launch, from a planned one to a stored one: serve, probe, load, meter, record."""

from __future__ import annotations

import secrets
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import (
    capacity,
    cooling,
    deadlines,
    glimpse,
    guard,
    guests,
    marks,
    precision,
    redact,
    scoring,
    store,
    told,
    transient,
    tuning,
    withheld,
)
from inferometer import point as points
from inferometer.attached import ELSEWHERE
from inferometer.containers.running import seeing
from inferometer.devices import Returning
from inferometer.engine import Unsupported, open_knobs
from inferometer.errors import InferometerError, LaunchError
from inferometer.failing import failed, unforeseen
from inferometer.keys import keyed, wanted
from inferometer.launch import attach, contained, scrubbed, serve, variables
from inferometer.loadgen.http import Target
from inferometer.metering import (
    UNKNOWN,
    Allotted,
    Sampler,
    allot,
    broken,
    bystanders,
    idle_s,
    keep,
    meter_context,
    opened,
    rest,
    rest_bare,
)
from inferometer.place import HERE, Place
from inferometer.point import Live
from inferometer.ports import lease
from inferometer.prepare import tokenizer_of
from inferometer.probing import probe
from inferometer.records import Cooling, Failure, Idle, LaunchRecord, Retried, Soak
from inferometer.soak import soak
from inferometer.starting import HOST, Recipe, rendezvous
from inferometer.withheld import HIDDEN
from inferometer.work import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from inferometer.engine import Group, Knob
    from inferometer.launch import Server
    from inferometer.loadgen.driver import Host
    from inferometer.meter import EnergyMeter
    from inferometer.plan import Launch, LoadPoint, Plan
    from inferometer.prepare import Prepared
    from inferometer.progress import Progress
    from inferometer.records import MeterInfo, Told, Window
    from inferometer.study import MeterEntry
    from inferometer.watch import Opened, Watch

ATTACH_S = 30.0
"""A server that someone else runs is there already, or it is not."""


@dataclass(slots=True)
class _Seen:
    """What is known of a launch so far; what is missing when it fails stays empty."""

    port: int | None
    command: list[str]
    variables: dict[str, str]
    instrument: dict[str, str]
    ready_s: float | None
    memory: int | None
    configuration: dict[str, Any]
    windows: list[Window]
    meters: list[MeterInfo]
    idles: list[Idle] = field(default_factory=list)
    allotted: Allotted = UNKNOWN
    asked: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    device_memory: Told | None = None
    soak: Soak | None = None
    cooling: Cooling | None = None
    retried: list[Retried] = field(default_factory=list)
    returning: Returning | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything launches share: the plan, what was prepared, the meters, where to write."""

    plan: Plan
    prepared: Prepared
    meters: Sequence[tuple[MeterEntry, EnergyMeter]]
    results: store.Store
    host_sha256: str
    progress: Progress
    place: Place = HERE
    load_hosts: Sequence[Host] = ()
    """Send the loads instead of this machine."""
    followers: Callable[[Group], AbstractContextManager[Callable[[], str | None]]] | None = None
    """Starts the other ranks of an engine on several nodes; yields what says why one is gone."""

    def measure(self, launch: Launch) -> LaunchRecord:
        """Run ``launch`` and store it, whole or failed. Errors of the machine itself propagate.

        One that fails by a cause that may pass is tried again; each attempt is stored.
        """
        earlier: list[Retried] = []
        while True:
            with withheld.lately():
                record = self._attempt(launch, earlier)
            failure = record.failure
            if failure is None or not transient.passing(failure):
                return record
            if len(earlier) + 1 >= self.plan.protocol.attempts:
                return record
            self.progress.warn(f"{launch.id}: tried again, because that may pass")
            earlier.append(Retried(reason=failure.reason, stage=failure.stage))

    def _attempt(self, launch: Launch, earlier: Sequence[Retried]) -> LaunchRecord:
        guard.refuse_full(self.results.root)
        stack = self.prepared.stacks[launch.stack]
        folder = self.results.open_launch(self.place.attempt or launch.id)
        seen = _Seen(None, [], {}, {}, None, None, {}, [], [], retried=list(earlier))
        started_ns = time.monotonic_ns()
        plan, node = self.plan, self.place.node
        seen.cooling = cooling.heat(
            plan.protocol, self.prepared, self.meters, self.results, launch, node=node
        ).cool_down(self.progress.stage)
        failure = None
        try:
            self._run(launch, folder, seen)
        except (LaunchError, Unsupported) as error:
            failure = failed(error, "environment" if stack.sha256 is None else "command")
        except InferometerError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a plugin's fault costs one launch
            failure = unforeseen(error)
        if failure is not None:
            hidden = stack.secrets
            said = redact.capped(redact.without(msgspec.to_builtins(failure), hidden))
            failure = msgspec.convert(said, Failure)
            self.progress.warn(f"{launch.id}: {failure.message}")
        record = self._record(launch, seen, failure, started_ns)
        self.results.close_launch(folder, record)
        return record

    def knobs(self, launch: Launch) -> list[Knob]:
        """Return what may be tuned of a launch's stack on its model.

        Raises:
            Unsupported: nothing may, or the stack cannot run here.
        """
        stack = self.prepared.stacks[launch.stack]
        bare = msgspec.structs.replace(launch, settings=())
        context = self._recipe(bare).context(0)
        known = stack.engine.knobs(context)
        said = tuning.said(stack.engine, context, known)
        return open_knobs(stack.entry.name, known, stack.spec, said)

    # -- one launch ---------------------------------------------------------------------------

    def _run(self, launch: Launch, folder: Path, seen: _Seen) -> None:
        stack = self.prepared.stacks[launch.stack]
        tokenizer_of(launch, self.prepared)  # before an engine is started for nothing
        address = stack.usable().address
        if address is not None:
            limit = self.plan.protocol.ready_timeout_s or ATTACH_S
            with attach(address, stack.engine, deadline_s=limit, folder=folder) as server:
                self._load(self._live(launch, folder, server, address.target, address.model), seen)
        else:
            with lease(HOST, self.plan.protocol.port) as port, rendezvous(self.place) as group:
                self._start(launch, folder, port, group, seen)

    def _recipe(self, launch: Launch) -> Recipe:
        return Recipe(self.plan, self.prepared, self.results, launch)

    def _start(
        self, launch: Launch, folder: Path, port: int, group: Group | None, seen: _Seen
    ) -> None:
        stack, recipe = self.prepared.stacks[launch.stack], self._recipe(launch)
        context = recipe.context(port, group)
        seen.asked = told.asked(context.spec)
        if stack.entry.profile == "tuned":
            self.knobs(launch)  # a stack without any is refused, and not called tuned
        with guests.within():  # an adapter that never returns
            command = stack.engine.command(context)
            shown = stack.engine.command(recipe.shown_context(port, group, self.place.node))
        self.results.put_files(recipe.files, command.files)
        self.results.put_files(self.results.root / "environments", stack.usable().locks())
        seen.port = port
        seen.command = redact.argv(recipe.shown(shown))
        seen.variables = redact.tree(dict(command.env))
        own = variables(command, stack.entry.pass_env)
        seen.instrument = redact.tree({k: v for k, v in own.items() if k not in command.env})
        how = wanted(stack.engine.api_key, self.plan.protocol.api_keys)
        if self.load_hosts:
            how = None  # what goes to them is not encrypted, and they have no key of this launch
        container = recipe.container(f"{launch.id}-{secrets.token_hex(3)}")
        args, handed = stack.entry.container_args, stack.entry.pass_env
        given = scrubbed(own, handed) if container is None else contained(own, handed, args)
        seen.allotted = allot(self.prepared.platform, given, context.spec, args)
        protocol = self.plan.protocol
        if protocol.idle_s != 0:
            meters = self._opened(None, seen)
            seen.idles += rest_bare(meters, protocol, folder, self.progress.stage)
        self.progress.stage("starting the engine")
        beside = self.followers(group) if self.followers and group else nullcontext()
        ready = command.readiness or stack.engine.readiness
        ready_s = protocol.ready_timeout_s or ready.deadline_s
        seen.returning = Returning(self.prepared.platform.accelerator, self.progress.warn)
        with (
            seen.returning,
            beside as others,
            keyed(command, how, folder, stack.entry.pass_env) as key,
            serve(
                key.command,
                host=HOST,
                port=port,
                readiness=ready,
                failures=stack.engine.failures,
                folder=folder,
                deadline_s=ready_s,
                inherit=stack.entry.pass_env,
                container=seeing(container, key.folder),
                others=others,
                headers=key.headers,
                limits=guard.Limits(total_s=deadlines.launch_s(self.plan, launch, ready_s)),
                mark=marks.fresh(self.results.root, launch.id),
            ) as server,
        ):
            seen.instrument |= dict.fromkeys(key.command.env.keys() - command.env.keys(), HIDDEN)
            path = stack.engine.endpoint
            target = Target(host=HOST, port=port, path=path, headers=key.headers)
            model = str(self.prepared.model(launch).path)
            self._load(self._live(launch, folder, server, target, model), seen)

    def _opened(self, session_id: int | None, seen: _Seen, elsewhere: str = "") -> list[Opened]:
        platform, given = self.prepared.platform, seen.allotted
        return opened(
            self.meters,
            lambda entry: meter_context(entry, session_id, platform, given),
            elsewhere,
            nodes=self.place.nodes,
        )

    def _live(
        self, launch: Launch, folder: Path, server: Server, target: Target, model: str
    ) -> Live:
        stack = self.prepared.stacks[launch.stack]
        given = self.plan.protocol.window_s is not None
        return Live(
            launch=launch,
            folder=folder,
            server=server,
            engine=stack.engine,
            seed=stack.spec.seed,
            model=model,
            target=target,
            tokenizer=tokenizer_of(launch, self.prepared),
            windows={} if given else points.known_windows(self.results, launch, self.place),
            load_hosts=self.load_hosts,
        )

    def _load(self, live: Live, seen: _Seen) -> None:
        """Probe and load a live server while its meters are read."""
        server = live.server
        seen.ready_s = server.ready_s
        hidden = self.prepared.stacks[live.launch.stack].secrets
        seen.configuration = told.resolved(live.engine, server, hidden)
        seen.told = told.told(live.engine.says, seen.configuration, server.log)
        elsewhere = "" if server.address is None or server.address.local else ELSEWHERE
        meters = self._opened(server.session_id, seen, elsewhere)
        seconds = idle_s(self.plan.protocol, [each.info for each in meters])
        sampler = Sampler(meters, server.session_id, self.prepared.platform.accelerator)
        try:
            self._measured(live, sampler, seen, seconds)
        finally:  # an engine that died has readings, too
            keep(live.folder, sampler.watch)
            if self.place.nodes == 1:  # else of one node alone
                seen.memory = sampler.peak_memory_bytes
                seen.device_memory = sampler.devices.told()
            seen.windows = [bystanders(window, sampler.usage) for window in seen.windows]
            seen.meters = [broken(each.info, sampler.watch) for each in meters]

    def _measured(self, live: Live, sampler: Sampler, seen: _Seen, idle: float) -> None:
        launch = live.launch
        with sampler:
            if idle:
                self.progress.stage("idle, the engine ready")
                seen.idles.append(rest("loaded", idle, sampler.watch, live.server.dead))
            if launch.round == 0 and self.plan.protocol.probe:
                self.progress.stage("greedy probe")
                streams = launch.points[0].load.concurrency or STREAMS
                rows = probe(live, streams, self.plan.protocol)
                store.append_lines(live.folder / "probes.jsonl", rows)
                self._score(live)
            here = self.prepared.platform.accelerator
            seen.soak = soak(live, self.plan.protocol, here, self.progress.stage)
            for point in launch.left:
                self.progress.stage(f"{point.workload.name}, {point.label}")
                seen.windows.append(self._point(live, point, sampler.watch))
            capacity.search_all(live, self.plan, self.progress.stage)

    def _point(self, live: Live, point: LoadPoint, watch: Watch) -> Window:
        def told_ahead(start_ns: int, end_ns: int) -> None:
            watch.window_set(start_ns, end_ns)
            self.progress.window(start_ns, end_ns)

        window, requests = points.measure(live, point, self.plan.protocol, told_ahead)
        meters = (watch.infos, watch.so_far())
        simulated = live.engine.simulated
        seen = glimpse.figure(live.launch, window, requests, *meters, simulated=simulated)
        self.progress.measured(seen)
        return window

    def _score(self, live: Live) -> None:
        """Store how likely the engine finds fixed texts, where it can tell."""
        try:
            rows = scoring.scores(live)
        except (OSError, ValueError, HTTPException) as error:
            words = "no log-probabilities, so answers alone are compared"
            hidden = self.prepared.stacks[live.launch.stack].secrets  # a server may repeat a key
            said = redact.capped(redact.text(redact.without(str(error), hidden)))
            self.progress.warn(f"{live.launch.id}: {words}: {said}")
            return
        if rows:
            store.append_lines(live.folder / "scores.jsonl", rows)

    # -- pieces -------------------------------------------------------------------------------

    def _record(
        self, launch: Launch, seen: _Seen, failure: Failure | None, started_ns: int
    ) -> LaunchRecord:
        stack = self.prepared.stacks[launch.stack]
        model = self.prepared.model(launch)
        return LaunchRecord(
            id=launch.id,
            plan_sha256=self.plan.sha256,
            round=launch.round,
            position=launch.position,
            node=self.place.node,
            nodes=self.place.nodes,
            stack=stack.describe(),
            model=model.describe(stack.entry.dtype),
            status="ok" if failure is None else "failed",
            failure=failure,
            started_ns=started_ns,
            ended_ns=time.monotonic_ns(),
            ended_wall_ns=time.time_ns(),
            ready_s=seen.ready_s,
            peak_memory_bytes=seen.memory,
            port=seen.port,
            command=seen.command,
            environment_variables=seen.variables,
            instrument_variables=seen.instrument,
            inherited_variables=redact.tree(self._recipe(launch).inherited()),
            environment=stack.record(),
            resolved_configuration=seen.configuration,
            asked=seen.asked,
            told=seen.told,
            peak_device_memory=seen.device_memory,
            precision=precision.served(seen.told, stack.entry, model.facts),
            windows=seen.windows,
            left_out=list(launch.left_out),
            meters=seen.meters,
            idles=seen.idles,
            soak=seen.soak,
            cooling=seen.cooling,
            retried=seen.retried,
            device_memory_returned=None if seen.returning is None else seen.returning.told,
            host_sha256=self.host_sha256,
        )
