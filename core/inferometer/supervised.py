"""Our end of the supervisor: it starts an engine, says what became of it, and is told to end it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferometer import abandoned, oom
from inferometer.errors import LaunchError, MachineError, StorageError
from inferometer.failing import first_exception, log_tail
from inferometer.processes import alive, start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.engine import FailureClass
    from inferometer.guard import Trip
    from inferometer.marks import Mark

SUPERVISOR = Path(__file__).parent / "scripts" / "supervise.py"
GRACE_S = 15.0
STOP_S = 110.0
"""Beyond the grace: for killing what is left, and for a runtime to remove its container."""
KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
"""Exit codes of an engine's own process, and of a container's client."""


class Supervised:
    """One engine: its pid line, its last line, and the pipe that holds its supervisor."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        log: Path,
        failures: Sequence[FailureClass],
        others: Callable[[], str | None] | None = None,
        mark: Mark | None = None,
    ) -> None:
        self.process, self.others, self.mark = process, others, mark
        self.log = log
        self.failures = failures
        self.pid: int | None = None
        """Of the engine's own process."""
        self.exit_code: object = None
        self.tripped: Trip | None = None
        """Why we ended it ourselves."""
        self.ended = False
        self.kills = oom.kills()
        """How often the kernel had killed for memory before."""

    def engine_pid(self) -> int:
        """Return the pid of the engine's own process. Raises LaunchError: it was not started."""
        said = self._line()
        if "pid" not in said:
            why = said.get("error", "no reason given")
            raise LaunchError(
                f"the engine's command could not be started: {why}",
                hint="Check the interpreter or path in the study's [[engines]] entry.",
            )
        self.pid = int(str(said["pid"]))
        return self.pid

    def _line(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return msgspec.json.decode(line, type=dict[str, object]) if line.strip() else {}

    def why_dead(self) -> str | None:
        """Say why the engine is gone, or is about to be; None while it runs."""
        if self.tripped is not None:
            return self.tripped.words
        if self.process.poll() is None:
            return self.others() if self.others is not None else None
        if not self.ended:
            self.exit_code, self.ended = self._line().get("exit"), True
        if self.exit_code is None:
            return "the engine was ended, because its supervisor was killed"
        if self.exit_code in KILLED:
            return f"the engine was killed (SIGKILL); {oom.words(self.kills)}"
        return f"the engine ended by itself (exit code {self.exit_code})"

    def failure(
        self, message: str, *, stage: str, reason: str = "failed", hint: str = ""
    ) -> MachineError:
        """Return the error of a launch that failed, with what its log says."""
        if (trip := self.tripped) is not None:
            if trip.storage:
                return StorageError(trip.words, hint=trip.hint)
            tail = log_tail(self.log)
            words = message if trip.words in message else f"{trip.words}: {message}"
            return LaunchError(
                words, hint=trip.hint, reason=trip.reason, stage=stage, log_tail=tail
            )
        tail = log_tail(self.log)
        cause = first_exception(self.log)
        text = "\n".join([cause or "", *tail])
        for known in self.failures:
            if re.search(known.pattern, text):
                reason, hint = known.reason, known.remedy
                break
        else:
            reason, hint = self._by_exit(reason, hint)
        said = f"{message}: {cause}" if cause else message
        return LaunchError(said, hint=hint, reason=reason, stage=stage, log_tail=tail)

    def known(self, error: Exception) -> MachineError | None:
        """Return what is known of an error that came while it served; None: no more than it says.

        The log knows more than the client that lost its server.
        """
        if isinstance(error, LaunchError) and error.stage == "serve":
            said = self._gone() or error.message
            return self.failure(said, stage="serve", reason=error.reason, hint=error.hint)
        if self.tripped is not None and not isinstance(error, MachineError):
            return self.failure(str(error), stage="serve")
        return None

    def _gone(self) -> str | None:
        """Return why the engine is gone; None while its own process is there.

        Its client sees that before its supervisor, which first ends what it left, has said why.
        """
        if self.pid is None or start_of(self.pid) is not None:
            return None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=GRACE_S + STOP_S)
        return self.why_dead()

    def refuse_full(self) -> None:
        """Raise StorageError where that was why we ended it, and nobody has asked."""
        if (trip := self.tripped) is not None and trip.storage:
            raise StorageError(trip.words, hint=trip.hint)

    def _by_exit(self, reason: str, hint: str) -> tuple[str, str]:
        """Return reason and hint as the way in which it ended has them."""
        if self.ended and (self.exit_code is None or self.exit_code in KILLED):
            if oom.more(self.kills):
                return "out_of_memory", oom.HINT
            return "killed", "Somebody sent it SIGKILL: look into the kernel's log (dmesg)."
        return reason, hint or "Read server.log in the folder of the failed launch."

    def trip(self, trip: Trip, *, at_once: bool, session_id: int | None) -> None:
        """End the engine because of ``trip``; ``at_once`` without asking it."""
        self.tripped = self.tripped or trip
        if at_once and session_id is not None:
            for pid in alive(session_id):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self._let_go()

    def _let_go(self) -> None:
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()

    def stop(self) -> str:
        """End the engine; return what is wrong when something of it is left, else nothing."""
        self._let_go()
        try:
            self.process.wait(timeout=GRACE_S + STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # the supervisor and what relays for it
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self.process.returncode in {0, 127} or self._swept():
            return ""
        return "processes of the engine could not be ended; what runs next would not be alone"

    def _swept(self) -> bool:
        """Do the work of a supervisor that was killed; say whether nothing is left."""
        if self.mark is None:
            return False
        abandoned.ended(lambda mark: mark == self.mark)
        return not any(left.processes for left in abandoned.find(lambda mark: mark == self.mark))


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    *,
    note: Path | None = None,
    ending: Mapping[str, list[str]] | None = None,
    grace_s: float = GRACE_S,
) -> subprocess.Popen[bytes]:
    """Start a supervisor with an engine, or the client of its container, of a session of its own.

    ``note`` is what it removes when nothing of the launch is left; ``ending`` has the commands that
    end a container.
    """
    orders: dict[str, object] = {"note": str(note)} if note is not None else {}
    if ending:
        orders["container"] = ending
    words = [msgspec.json.encode(orders).decode()] if orders else []
    return subprocess.Popen(
        [sys.executable, "-I", str(SUPERVISOR), str(grace_s), str(log), *words, "--", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(env),
        start_new_session=True,
    )
