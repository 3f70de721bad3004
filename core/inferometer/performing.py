"""What a node of several does for a run: it is surveyed, searches, or makes one launch.

A process that is kept from one job to the next prepares once. It says what happens as the events
that a run writes down (:mod:`inferometer.journal_records`).
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

import inferometer
from inferometer import abandoned, processor, provenance, withheld
from inferometer import study as studies
from inferometer.environment import cache_root
from inferometer.errors import InferometerError, UsageError
from inferometer.following import follow, followers
from inferometer.jobs import (
    Answer,
    Context,
    Follow,
    Followed,
    Job,
    Measure,
    Measured,
    Refused,
    Survey,
    Surveyed,
    Tune,
    Tuned,
)
from inferometer.journal_records import Event
from inferometer.measure import Bench
from inferometer.metering import chosen_meters
from inferometer.plugins import Registry
from inferometer.prepare import Prepared, PreparedStack, prepare, work_files
from inferometer.store import Store
from inferometer.trials import tune

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.executor import Gather
    from inferometer.journal_records import Figure
    from inferometer.metering import Meters

Kind = Literal["usage", "machine", "bug"]


class Voice:
    """A run's progress on a node: what it says is sent as one event each."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say

    def stage(self, text: str) -> None:
        """Send the stage."""
        self._send("stage", text=text)

    def launch(self, k: int, n: int, label: str, launch: str) -> None:
        """Send nothing: who gave the order knows."""

    def window(self, start_ns: int, end_ns: int) -> None:
        """Send when the window closes, by the wall clock; both are monotonic ns of this node."""
        until_ns = time.time_ns() + end_ns - time.monotonic_ns()
        self._send("window", seconds=(end_ns - start_ns) * 1e-9, until_ns=until_ns)

    def measured(self, figure: Figure) -> None:
        """Send what was seen."""
        self._send("measured", figure=figure)

    def launched(self, status: str) -> None:
        """Send nothing: the answer says it."""

    def note(self, text: str) -> None:
        """Send the note."""
        self._send("note", text=text)

    def warn(self, text: str) -> None:
        """Send the warning."""
        self._send("warning", text=text)

    def done(self) -> None:
        """Send nothing."""

    def _send(self, what: Any, **more: Any) -> None:
        self._say(msgspec.json.encode(Event(t_ns=time.time_ns(), what=what, **more)))


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a process keeps from one job to the next."""

    digest: bytes
    context: Context
    prepared: Prepared
    meters: Meters
    host: dict[str, Any]


_kept: list[_Ready] = []
"""The one that was used last, or nothing."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """What an executor gives to an order of several nodes, and to what follows it."""

    gather: Gather | None = None
    over: Callable[[], bool] | None = None


def perform(
    shared: bytes,
    content: bytes,
    say: Callable[[bytes], None],
    gather: Gather | None = None,
    over: Callable[[], bool] | None = None,
) -> bytes:
    """Do one job of a run; return its answer.

    ``say`` takes what is to be told of it, from any thread. An interrupt ends engine and meters as
    in a run of one machine, leaves nothing, and is answered.
    """
    return msgspec.json.encode(_performed(shared, content, Voice(say), _Reach(gather, over)))


def _performed(shared: bytes, content: bytes, voice: Voice, reach: _Reach) -> Answer:
    try:
        return _done(_ready(shared, voice), msgspec.json.decode(content, type=Job), voice, reach)
    except KeyboardInterrupt:
        return Refused(kind="interrupted", message="interrupted")
    except UsageError as error:
        return Refused(kind="usage", message=error.message, hint=error.hint)
    except InferometerError as error:
        return Refused(kind="machine", message=error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001 -- told to who gave the order, who stops the run
        return Refused(kind="bug", message=f"{type(error).__name__}: {error}")


def _done(ready: _Ready, job: Job, voice: Voice, reach: _Reach) -> Answer:
    match job.what:
        case Survey():
            return _surveyed(ready, job.what, voice)
        case Tune():
            found = tune(_bench(ready, job, voice))
            return Tuned(found=[(*key, settings) for key, settings in found.items()])
        case Measure():
            return _measured(ready, job, job.what, voice, reach)
        case Follow():
            return _followed(ready, job, job.what, reach)


def _ready(shared: bytes, voice: Voice) -> _Ready:
    digest = hashlib.sha256(shared).digest()
    if _kept and _kept[0].digest == digest:
        return _kept[0]
    _refuse_another_version(shared)
    context = msgspec.json.decode(shared, type=Context)
    withheld.learn_variables()
    named = (launch.engine for launch in context.plan.launches)
    withheld.learn_named(studies.secrets(named))
    for root in (Path(context.results), _own_root(context)):
        if left := abandoned.cleaned(root):
            voice.warn(f"ended and removed what a process that was killed left: {left}")
    registry = Registry()
    meters = chosen_meters(context.meters, registry.meters())
    prepared = prepare(context.plan, registry, voice)
    ready = _Ready(digest, context, prepared, meters, provenance.describe_host())
    _kept[:] = [ready]
    return ready


class _Version(msgspec.Struct, frozen=True):
    """As much of a context as every version understands."""

    version: str


def _refuse_another_version(shared: bytes) -> None:
    asked, here = msgspec.json.decode(shared, type=_Version).version, inferometer.__version__
    if asked != here:
        raise UsageError(
            f"this node has Inferometer {here}, the run is of {asked}",
            hint="Install the same version on all nodes.",
        )


def _bench(ready: _Ready, job: Job, voice: Voice) -> Bench:
    return Bench(
        ready.context.plan,
        ready.prepared,
        ready.meters,
        Store(_root(ready.context, job)),
        provenance.host_sha256(ready.host),
        voice,
    )


def _root(context: Context, job: Job) -> Path:
    """Return where a job writes: where the results are, or a folder of this node's own.

    That one is the same for all launches: it stands in their commands.
    """
    return Path(context.results) if job.shared else _own_root(context)


def _own_root(context: Context) -> Path:
    return cache_root() / "nodes" / context.plan.sha256[:16]


def _surveyed(ready: _Ready, asked: Survey, voice: Voice) -> Surveyed:
    context, prepared = ready.context, ready.prepared
    host = dict(ready.host)
    if asked.processor:
        host["processor"] = processor.probed(prepared, voice.note)
    others = prepared.checkpoints.items()
    models = {name: model.facts.sha256 for name, model in prepared.models.items()}
    return Surveyed(
        host=host,
        host_sha256=provenance.host_sha256(host),
        clock=provenance.clock_pair(),
        environments={stack_id: stack.sha256 for stack_id, stack in prepared.stacks.items()},
        models=models | {"/".join(key): model.facts.sha256 for key, model in others},
        files=provenance.file_hashes(work_files(context.plan)),
        simulated=all(stack.engine.simulated for stack in prepared.stacks.values()),
        sees=_sees(Path(context.results), asked.nonce),
        one_node={name: why for name, each in prepared.stacks.items() if (why := _one_node(each))},
    )


def _one_node(stack: PreparedStack) -> str:
    """Return why a stack is served by one node, in words; empty: several can."""
    if stack.entry.container is not None:
        return "a container is started on one node only"
    why: str = stack.engine.one_node
    return why


def _followed(ready: _Ready, job: Job, asked: Follow, reach: _Reach) -> Followed:
    root = _root(ready.context, job)
    try:
        over = reach.over or (lambda: False)
        return follow(ready.context.plan, ready.prepared, Store(root), asked, over)
    finally:
        if not job.shared:  # the launch is carried from where it is measured
            shutil.rmtree(root / "partial" / asked.attempt, ignore_errors=True)


def _sees(results: Path, nonce: str) -> bool:
    """Say whether the file is there, and whether one beside it can be written."""
    if not nonce.isalnum() or not (results / "partial" / nonce).is_file():
        return False
    own = results / "partial" / f"{nonce}-{secrets.token_hex(4)}"
    try:
        own.touch()
        own.unlink()
    except OSError:
        return False
    return True


def _measured(ready: _Ready, job: Job, asked: Measure, voice: Voice, reach: _Reach) -> Measured:
    beside = None
    if reach.gather is not None:
        beside = partial(followers, asked, gather=reach.gather, shared=job.shared)
    bench = replace(_bench(ready, job, voice), place=asked.place, followers=beside)
    root, planned = bench.results.root, asked.launch.id
    if not job.shared:  # what an earlier attempt left here was brought home, or is of no use
        for stale in _folders(root, planned):
            shutil.rmtree(stale)
    try:
        record = bench.measure(asked.launch)
    except BaseException:
        shutil.rmtree(root / "partial" / asked.place.attempt, ignore_errors=True)
        raise
    folder = "" if job.shared else str(_folders(root, planned)[0])
    return Measured(status=record.status, folder=folder)


def _folders(root: Path, launch: str) -> list[Path]:
    """Return the folders of a launch in this node's own directory, whole or failed."""
    return [*root.glob(f"launches/{launch}"), *root.glob(f"failed/{launch}-*")]
