"""One lifetime of one engine server, as a context manager.

The engine runs under :mod:`inferometer.scripts.supervise`, in a session of its own, so that it
ends when we do, in whatever way we do. Its output goes to ``server.log``.
"""

from __future__ import annotations

import gc
import http.client
import os
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from inferometer import marks, supervised
from inferometer.attached import NO_JSON, changed, fetch
from inferometer.containers import devices
from inferometer.containers.running import FAILURES as CONTAINER_FAILURES
from inferometer.engine import FailureClass
from inferometer.errors import LaunchError, MachineError
from inferometer.guard import Guard, Limits
from inferometer.processes import alive
from inferometer.supervised import GRACE_S, Supervised
from inferometer.withheld import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferometer.attached import Address
    from inferometer.containers.running import Container
    from inferometer.engine import Command, Engine, Readiness

LEFT_HINT = "Look for them with `ps`; a process in state D waits for a device. Then run again."
KEEP = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
"""Variables an engine inherits. Everything else, secrets first of all, stays with us."""
KEEP_PREFIXES = ("CUDA_", "NVIDIA_", "ROCR_", "HIP_")
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
}


FAILURES = (
    FailureClass(
        r"(?i)address already in use|EADDRINUSE",
        "port_in_use",
        "Something else listens on the engine's port: leave protocol.port out.",
    ),
)
"""What every engine says in one way."""
NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers.

    ``session_id`` is the session of the engine's processes; None where they cannot be seen.
    ``ready_s`` is None for a server that was there already.
    """

    host: str
    port: int
    session_id: int | None
    ready_s: float | None
    log: Path
    dead: Callable[[], str | None]
    """Says why the server is gone, or None while it runs."""
    address: Address | None = None
    """Of a server that someone else runs: how it is asked."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What goes with each request to a server of ours: its key, if it has one."""

    @property
    def session(self) -> int:
        """Return ``session_id`` of a server that we started."""
        assert self.session_id is not None
        return self.session_id

    def get(self, path: str, *, timeout_s: float) -> tuple[int, bytes]:
        """GET ``path``; raises OSError or HTTPException."""
        if self.address is not None:
            return self.address.get(path, timeout_s=timeout_s)
        return fetch(self.host, self.port, path, timeout_s=timeout_s, headers=self.headers)

    def get_json(self, path: str) -> object | None:
        """GET ``path`` and decode its JSON; None when the server has no such answer."""
        with suppress(OSError, http.client.HTTPException, *NO_JSON):
            status, body = self.get(path, timeout_s=30.0)
            if status == 200:
                return msgspec.json.decode(body, type=object)
        return None


def inherited(inherit: Sequence[str] = ()) -> dict[str, str]:
    """Return the inherited variables that may change an engine; of ``inherit`` the names alone."""
    telling = ("LD_LIBRARY_PATH", *inherit)
    return {
        name: HIDDEN if name in inherit else value
        for name, value in sorted(os.environ.items())
        if name in telling or name.startswith(KEEP_PREFIXES)
    }


def scrubbed(extra: Mapping[str, str], inherit: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment an engine gets: a few inherited names, quiet settings, ``extra``.

    ``inherit`` names further variables to hand on: how a secret reaches an engine, and nothing
    else.
    """
    kept = {k: v for k, v in os.environ.items() if k in KEEP or k.startswith(KEEP_PREFIXES)}
    return {**kept, **QUIET, **_handed(inherit), **extra}


def variables(command: Command, inherit: Sequence[str] = ()) -> dict[str, str]:
    """Return a command's variables; what the study sets or hands on outranks the instrument's."""
    given = {*command.env, *_handed(inherit)}
    instrument = {k: v for k, v in command.instrument_env.items() if k not in given}
    return {**instrument, **command.env}


def _handed(inherit: Sequence[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in inherit if name in os.environ}


def beside(program: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return ``variables`` with the programs beside ``program`` found first, by name.

    As in an activated environment: what an engine compiles for its accelerator is built by a
    ``ninja`` that stands there.
    """
    if not os.path.isabs(program):
        return dict(variables)
    places = [os.path.dirname(program), variables.get("PATH", os.defpath)]
    return {**variables, "PATH": os.pathsep.join(places)}


@contextmanager
def serve(
    command: Command,
    *,
    host: str,
    port: int,
    readiness: Readiness,
    failures: Sequence[FailureClass],
    folder: Path,
    deadline_s: float | None = None,
    inherit: Sequence[str] = (),
    grace_s: float | None = None,
    container: Container | None = None,
    others: Callable[[], str | None] | None = None,
    headers: Mapping[str, str] | None = None,
    limits: Limits = NO_LIMITS,
    mark: marks.Mark | None = None,
) -> Iterator[Server]:
    """Start ``command``, in ``container`` if given, wait until it answers, leave nothing behind.

    ``grace_s`` is the time from SIGTERM to SIGKILL; None means :data:`GRACE_S`. ``others`` says why
    a part of the engine on another node is gone, or None. ``headers`` carry the server's key,
    ``mark`` is what its processes carry.

    Raises:
        LaunchError: it did not start, died while loading, or was not ready in time; the message
            holds the first exception of its log, the error the last 200 lines.
        StorageError: the disk of ``folder`` is nearly full.
    """
    log = folder / "server.log"
    engine = _start(
        command,
        log,
        (*failures, *(() if container is None else CONTAINER_FAILURES), *FAILURES),
        inherit=inherit,
        container=container,
        grace_s=GRACE_S if grace_s is None else grace_s,
        others=others,
        mark=mark,
    )
    try:
        pid = engine.engine_pid()
        with Guard(engine, limits, folder, pid):
            ready_s = _wait_ready(engine, host, port, readiness, deadline_s, headers=headers or {})
            yield Server(
                host=host,
                port=port,
                session_id=_session(pid, container),
                ready_s=ready_s,
                log=log,
                dead=engine.why_dead,
                headers=headers or {},
            )
        engine.refuse_full()
    except Exception as error:
        if (known := engine.known(error)) is not None:
            raise known from error
        raise
    finally:
        _stopped(engine)


@contextmanager
def follow(
    command: Command,
    log: Path,
    failures: Sequence[FailureClass],
    inherit: Sequence[str] = (),
    mark: marks.Mark | None = None,
) -> Iterator[Callable[[], str | None]]:
    """Start a rank of an engine that answers nobody; yield what says why it is gone, or None.

    Raises:
        LaunchError: it did not start.
        MachineError: something of it is left.
    """
    engine = _start(command, log, failures, inherit=inherit, mark=mark)

    def gone() -> str | None:
        why = engine.why_dead()
        return None if why is None else engine.failure(why, stage="serve").message

    try:
        engine.engine_pid()
        yield gone
    finally:
        _stopped(engine)


def _stopped(engine: Supervised) -> None:
    """End an engine. Raises MachineError when something of it is left."""
    ended_by = sys.exc_info()[1]
    left = engine.stop()
    if left and (ended_by is None or isinstance(ended_by, Exception)):  # an interrupt stays one
        raise MachineError(f"{left} ({ended_by})" if ended_by else left, hint=LEFT_HINT)


@contextmanager
def attach(
    address: Address, engine: Engine, *, deadline_s: float, folder: Path
) -> Iterator[Server]:
    """Wait until the server at ``address`` answers; it stays as it is.

    Raises:
        LaunchError: it did not answer in time, or is another one than it was.
    """
    began = time.monotonic()
    while not address.ready(engine.readiness.path):
        if time.monotonic() - began > deadline_s:
            raise LaunchError(
                f"the server at {address.url} did not answer for {deadline_s:.0f} s",
                hint="See whether it still runs; then run the same command again.",
                reason="not_ready",
                stage="ready",
            )
        time.sleep(0.2)
    if words := changed(address, engine):
        raise LaunchError(words, hint="Measure it into another directory.", stage="ready")
    yield Server(
        host=address.target.host,
        port=address.target.port,
        session_id=None,
        ready_s=None,
        log=folder / "server.log",
        dead=lambda: None,
        address=address,
    )


def _start(
    command: Command,
    log: Path,
    failures: Sequence[FailureClass],
    *,
    inherit: Sequence[str] = (),
    container: Container | None = None,
    grace_s: float = GRACE_S,
    others: Callable[[], str | None] | None = None,
    mark: marks.Mark | None = None,
) -> Supervised:
    extra, marked = variables(command, inherit), marks.variables(mark)
    argv, env = list(command.argv), beside(command.argv[0], scrubbed(extra, inherit)) | marked
    ending: dict[str, list[str]] = {}
    if container is not None:
        inside = contained(extra, inherit, container.args)
        argv, env = container.argv(argv, inside), container.variables(inside | marked)
        ending = container.ending(grace_s)
    note = None if mark is None else marks.begin(mark, ending)
    process = supervised.start(argv, env, log, note=note, ending=ending, grace_s=grace_s)
    return Supervised(process, log, failures, others, mark)


def contained(
    extra: Mapping[str, str], inherit: Sequence[str] = (), args: Sequence[str] = ()
) -> dict[str, str]:
    """Return the variables an engine gets in a container: none of this machine's paths."""
    return {**_handed(devices.handed(args)), **QUIET, **_handed(inherit), **extra}


def _session(pid: int, container: Container | None) -> int | None:
    """Return the session of the engine's processes; in a container they are not the client's."""
    if container is None or not container.ending(GRACE_S):
        return pid
    session = container.session()
    return session if session is not None and alive(session) else None


def _wait_ready(
    engine: Supervised,
    host: str,
    port: int,
    readiness: Readiness,
    deadline_s: float | None,
    *,
    headers: Mapping[str, str],
) -> float:
    limit = readiness.deadline_s if deadline_s is None else deadline_s
    began = time.monotonic()
    gc.collect()  # what the launch before left in cycles; nobody is kept waiting meanwhile
    while True:
        if why := engine.why_dead():
            raise engine.failure(f"{why} before it was ready", stage="load")
        with suppress(OSError, http.client.HTTPException):
            if fetch(host, port, readiness.path, timeout_s=2.0, headers=headers)[0] == 200:
                return time.monotonic() - began
        waited = time.monotonic() - began
        if waited > limit:
            raise engine.failure(
                f"the engine was not ready after {limit:.0f} s", stage="ready", reason="not_ready"
            )
        time.sleep(min(0.2, 0.02 + waited / 10))
