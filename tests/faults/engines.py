"""How an engine's life may go wrong: while it loads, while it serves, when it ends, and after."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.faults.fault import DONE, Expected, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.running import Run

IMPATIENT = {"name": "stranger-impatient"}
"""It is given half a second to load, and the sound one its twenty."""


def _lost(launch: str, says: str) -> Expected:
    """Return what is expected where the stack's launch fails, and no other."""
    return Expected(exit=5, launch=launch, says=says)


def killed(run: Run) -> None:
    """Kill the engine under load, as the kernel does when memory runs out."""
    pid = run.engine()
    run.loading()
    os.kill(pid, signal.SIGKILL)


def watchdog_killed(run: Run) -> None:
    """Kill one of the processes that watch the engine."""
    run.loading()
    os.kill(max(run.pids("supervise.py")), signal.SIGKILL)


@contextlib.contextmanager
def port_taken(run: Run) -> Iterator[None]:
    """Listen on the port that the study names."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = run.study.read_text()
        run.study.write_text(text.replace("port = 1", f"port = {taken.getsockname()[1]}"))
        yield


@contextlib.contextmanager
def dying_server(run: Run) -> Iterator[None]:
    """Run the server that the study's URL names; it ends under load."""
    line = [sys.executable, "-m", "inferometer.testing.oracle", "--port", "0", "--die-at-s", "0.5"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            text = run.study.read_text()
            run.study.write_text(text.replace("127.0.0.1:1", f"127.0.0.1:{port}"))
            yield
        finally:
            server.kill()


LOADING = (
    Fault(
        name="exits on load",
        what="status 1 before it listens",
        engine=("--load-exit", "1"),
        expected=_lost("load: failed", "ended by itself (exit code 1) before it was ready"),
    ),
    Fault(
        name="killed on load",
        what="SIGKILL before it listens, as by the kernel when memory runs out",
        engine=("--load-exit", "-9"),
        expected=_lost("load: killed", "the engine was killed (SIGKILL); not for want of memory"),
    ),
    Fault(
        name="crashes on load",
        what="a segmentation fault before it listens",
        engine=("--load-exit", "-11"),
        expected=_lost("load: failed", "ended by itself (exit code -11) before it was ready"),
    ),
    Fault(
        name="refuses a flag",
        what="an option that it does not know",
        engine=("--no-such-option", "1"),
        expected=_lost("load: bad_flag", "unrecognized arguments: --no-such-option"),
    ),
    Fault(
        name="never ready",
        what="/health says 503 for ever",
        engine=("--ready-after-s", "600"),
        entry=IMPATIENT,
        expected=_lost("ready: not_ready", "the engine was not ready after"),
    ),
    Fault(
        name="never listens",
        what="it loads for ever, and takes no connection",
        engine=("--listen-after-s", "600"),
        entry=IMPATIENT,
        expected=_lost("ready: not_ready", "the engine was not ready after"),
    ),
    Fault(
        name="readiness hangs",
        what="/health is taken and never answered",
        engine=("--health-fault", "silent"),
        entry=IMPATIENT,
        expected=_lost("ready: not_ready", "the engine was not ready after"),
    ),
    Fault(
        name="readiness dribbles",
        what="/health answers a byte at a time, for ever",
        engine=("--health-fault", "slow_stream"),
        entry=IMPATIENT,
        expected=_lost("ready: not_ready", "the engine was not ready after"),
    ),
    Fault(
        name="readiness is no HTTP",
        what="/health answers bytes of another protocol",
        engine=("--health-fault", "garbage"),
        entry=IMPATIENT,
        expected=_lost("ready: not_ready", "the engine was not ready after"),
    ),
    Fault(
        name="takes too long",
        what="a launch that is not over in its time",
        engine=("--listen-after-s", "600"),
        expected=_lost("load: timed_out", "12 s"),
        protocol={"launch_timeout_s": 12.0},
    ),
    Fault(
        name="control sequences",
        what="its log clears the screen, sets a title, blinks; then it dies",
        engine=("--log-noise", "control", "--load-exit", "1"),
        expected=_lost("load: failed", "before it was ready: RuntimeError: out of cache"),
    ),
    Fault(
        name="10 MB of log",
        what="100,000 lines; then it dies",
        engine=("--log-noise", "flood", "--load-exit", "1"),
        expected=_lost("load: failed", "INFO 11-01 step of no interest"),
    ),
    Fault(
        name="10 MB on one line",
        what="a log without a line's end; then it dies",
        engine=("--log-noise", "line", "--load-exit", "1"),
        expected=_lost("load: failed", "INFO 11-01 step of no interest"),
    ),
    Fault(
        name="port stolen",
        what="somebody binds the port between our choice and the engine",
        entry={"name": "stranger-port-thief"},
        expected=Expected(
            exit=0, launch="ok, retried: port_in_use", says="ended by itself (exit code 1) before"
        ),
    ),
    Fault(
        name="port taken",
        what="somebody listens on the port that the study names",
        protocol={"port": 1},
        before=port_taken,
        expected=Expected(exit=2, launch="none", others="none", says="is in use (protocol.port)"),
    ),
)

SERVING = (
    Fault(
        name="dies under load",
        what="status 1 in the middle of a load",
        engine=("--die-at-s", "0.2", "--die-message", "RuntimeError: out of cache blocks"),
        expected=_lost("serve: failed", "(exit code 1): RuntimeError: out of cache blocks"),
        protocol={"window_s": 2.0},
    ),
    Fault(
        name="killed under load",
        what="SIGKILL from outside in the middle of a load, as by the kernel",
        beside=killed,
        expected=Expected(
            exit=0, launch="ok, retried: killed", says="tried again, because that may pass"
        ),
        protocol={"window_s": 2.0},
    ),
    Fault(
        name="hangs under load",
        what="nothing comes any more, on any stream",
        engine=("--stall-at-s", "0.1", "--stall-s", "600"),
        expected=_lost("serve: stalled", "stall"),
        protocol={"stall_timeout_s": 2.0, "window_s": 3.0},
    ),
    Fault(
        name="watchdog killed",
        what="one of the two processes that watch the engine is killed: the other ends it",
        beside=watchdog_killed,
        expected=Expected(
            exit=0, launch="ok, retried: killed", says="tried again, because that may pass"
        ),
        protocol={"window_s": 2.0},
    ),
    Fault(
        name="crashes on shutdown",
        what="SIGABRT when it is asked to end: what was measured stays",
        engine=("--stop-exit", "-6"),
        expected=Expected(exit=0, says=DONE),
    ),
    Fault(
        name="deaf to SIGTERM",
        what="it goes on when it is asked to end, and is killed",
        engine=("--ignore-sigterm", "true"),
        expected=Expected(exit=0, says=DONE),
    ),
    Fault(
        name="leaves a child",
        what="a process of it goes on behind it, and is ended",
        engine=("--leave-child", "true"),
        expected=Expected(exit=0, says=DONE),
    ),
    Fault(
        name="child escapes",
        what="a process of it moves to a session of its own, and is ended",
        engine=("--child-escapes", "true"),
        expected=Expected(exit=0, says=DONE),
    ),
    Fault(
        name="server goes away",
        what="a server that someone else runs ends under load",
        entry={"url": "http://127.0.0.1:1"},
        before=dying_server,
        protocol={"window_s": 3.0},
        expected=_lost("serve: failed", "the server is gone"),
    ),
)

ADAPTERS = (
    Fault(
        name="no such program",
        what="the adapter names a program that is not there",
        entry={"name": "stranger-no-program"},
        expected=_lost("start: failed", "/nowhere/engine: No such file or directory"),
    ),
    Fault(
        name="adapter raises",
        what="an adapter's command() raises",
        entry={"name": "stranger-raises"},
        expected=_lost("measure: failed", "KeyError: 'no such setting'"),
    ),
    Fault(
        name="adapter exits",
        what="an adapter's command() calls sys.exit",
        entry={"name": "stranger-exits"},
        expected=_lost("measure: failed", "SystemExit: this adapter knows better"),
    ),
    Fault(
        name="adapter blocks",
        what="an adapter's command() never returns",
        entry={"name": "stranger-blocks"},
        expected=_lost("measure: failed", "TimeoutError: did not return for 4 s"),
    ),
    Fault(
        name="adapter returns nonsense",
        what="command() returns a text",
        entry={"name": "stranger-no-command"},
        expected=_lost("measure: failed", "AttributeError: 'str' object has no attribute"),
    ),
    Fault(
        name="request is no JSON",
        what="an adapter's request() returns what JSON cannot hold",
        entry={"name": "stranger-bad-request"},
        expected=_lost("measure: failed", "TypeError: Encoding objects of type object"),
    ),
    Fault(
        name="name not found",
        what="the URL of a stack names a host that DNS does not know",
        entry={"url": "http://no-such-host.invalid:8000"},
        expected=_lost("environment: unsupported", "no server answers at http://no-such-host"),
    ),
)
