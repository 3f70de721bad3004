"""One lifetime of one engine server, as a context manager.

The engine runs under :mod:`inferometer.scripts.supervise`, in a session of its own, so that it
ends when we do, in whatever way we do. Its output goes to ``server.log``.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferometer.attached import NO_JSON, changed, fetch
from inferometer.containers import devices
from inferometer.containers.running import FAILURES as CONTAINER_FAILURES
from inferometer.errors import LaunchError, MachineError
from inferometer.failing import first_exception, log_tail
from inferometer.processes import alive
from inferometer.withheld import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from inferometer.attached import Address
    from inferometer.containers.running import Container
    from inferometer.engine import Command, Engine, FailureClass, Readiness

SUPERVISOR = Path(__file__).parent / "scripts" / "supervise.py"
GRACE_S = 15.0
STOP_S = 110.0
"""Beyond the grace: for killing what is left, and for a runtime to remove its container."""
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
) -> Iterator[Server]:
    """Start ``command``, in ``container`` if given, wait until it answers, leave nothing behind.

    ``grace_s`` is the time from SIGTERM to SIGKILL; None means :data:`GRACE_S`. ``others`` says why
    a part of the engine on another node is gone, or None. ``headers`` carry the server's key.

    Raises:
        LaunchError: it did not start, died while loading, or was not ready in time; the message
            holds the first exception of its log, the error the last 200 lines.
    """
    log = folder / "server.log"
    process = _start(command, log, inherit, container, GRACE_S if grace_s is None else grace_s)
    if container is not None:
        failures = (*failures, *CONTAINER_FAILURES)
    supervised = _Supervised(process, log, failures, others)
    try:
        pid = supervised.engine_pid()
        ready_s = _wait_ready(supervised, host, port, readiness, deadline_s, headers=headers or {})
        yield Server(
            host=host,
            port=port,
            session_id=_session(pid, container),
            ready_s=ready_s,
            log=log,
            dead=supervised.why_dead,
            headers=headers or {},
        )
    except LaunchError as error:
        if error.stage == "serve":  # the log knows more than the client that lost its server
            raise supervised.failure(error.message, stage="serve", hint=error.hint) from error
        raise
    finally:
        ended_by = sys.exc_info()[1]
        left = supervised.stop()
        if left and (ended_by is None or isinstance(ended_by, Exception)):  # an interrupt stays one
            raise MachineError(f"{left} ({ended_by})" if ended_by else left, hint=LEFT_HINT)


@contextmanager
def follow(
    command: Command, log: Path, failures: Sequence[FailureClass], inherit: Sequence[str] = ()
) -> Iterator[Callable[[], str | None]]:
    """Start a rank of an engine that answers nobody; yield what says why it is gone, or None.

    Raises:
        LaunchError: it did not start.
        MachineError: something of it is left.
    """
    supervised = _Supervised(_start(command, log, inherit, None, GRACE_S), log, failures)

    def gone() -> str | None:
        why = supervised.why_dead()
        return None if why is None else supervised.failure(why, stage="serve").message

    try:
        supervised.engine_pid()
        yield gone
    finally:
        ended_by = sys.exc_info()[1]
        left = supervised.stop()
        if left and (ended_by is None or isinstance(ended_by, Exception)):
            raise MachineError(left, hint=LEFT_HINT)


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
    inherit: Sequence[str],
    container: Container | None,
    grace_s: float,
) -> subprocess.Popen[bytes]:
    extra = variables(command, inherit)
    argv, env = list(command.argv), beside(command.argv[0], scrubbed(extra, inherit))
    ending: list[str] = []
    if container is not None:
        inside = contained(extra, inherit, container.args)
        argv, env = container.argv(argv, inside), container.variables(inside)
        if commands := container.ending(grace_s):
            ending = [msgspec.json.encode(commands).decode()]
    return subprocess.Popen(
        [sys.executable, "-I", str(SUPERVISOR), str(grace_s), str(log), *ending, "--", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        start_new_session=True,
    )


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


class _Supervised:
    """Our end of the supervisor: its pid line, its last line, and the pipe that holds it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        log: Path,
        failures: Sequence[FailureClass],
        others: Callable[[], str | None] | None = None,
    ) -> None:
        self.process, self.others = process, others
        self.log = log
        self.failures = failures
        self.exit_code: object = None

    def engine_pid(self) -> int:
        said = self._line()
        if "pid" not in said:
            why = said.get("error", "no reason given")
            raise LaunchError(
                f"the engine's command could not be started: {why}",
                hint="Check the interpreter or path in the study's [[engines]] entry.",
            )
        return int(str(said["pid"]))

    def _line(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return msgspec.json.decode(line, type=dict[str, object]) if line.strip() else {}

    def why_dead(self) -> str | None:
        if self.process.poll() is None:
            return self.others() if self.others is not None else None
        if self.exit_code is None:
            self.exit_code = self._line().get("exit")
        return f"the engine ended by itself (exit code {self.exit_code})"

    def failure(
        self, message: str, *, stage: str, reason: str = "failed", hint: str = ""
    ) -> LaunchError:
        tail = log_tail(self.log)
        cause = first_exception(self.log)
        text = "\n".join([cause or "", *tail])
        for known in self.failures:
            if re.search(known.pattern, text):
                reason, hint = known.reason, known.remedy
                break
        else:
            hint = hint or "Read server.log in the folder of the failed launch."
        said = f"{message}: {cause}" if cause else message
        return LaunchError(said, hint=hint, reason=reason, stage=stage, log_tail=tail)

    def stop(self) -> str:
        """End the engine; return what is wrong when something of it is left, else nothing."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=GRACE_S + STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # the supervisor and what relays for it
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self.process.returncode in {0, 127}:
            return ""
        return "processes of the engine could not be ended; what runs next would not be alone"


def _wait_ready(
    supervised: _Supervised,
    host: str,
    port: int,
    readiness: Readiness,
    deadline_s: float | None,
    *,
    headers: Mapping[str, str],
) -> float:
    limit = readiness.deadline_s if deadline_s is None else deadline_s
    began = time.monotonic()
    while True:
        if why := supervised.why_dead():
            raise supervised.failure(f"{why} before it was ready", stage="load")
        with suppress(OSError, http.client.HTTPException):
            if fetch(host, port, readiness.path, timeout_s=2.0, headers=headers)[0] == 200:
                return time.monotonic() - began
        waited = time.monotonic() - began
        if waited > limit:
            raise supervised.failure(
                f"the engine was not ready after {limit:.0f} s", stage="ready", reason="not_ready"
            )
        time.sleep(min(0.2, 0.02 + waited / 10))
