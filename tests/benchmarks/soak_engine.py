"""The simulator's server with a fault in a given share of its lives: an engine of ``soak_faults``.

Each start draws by its number, which is its line in the file ``SOAK_DRAWS``.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from inferometer_plugins.simulator import server

FAULTS = (
    "exits on load",
    "never ready",
    "killed in mid-life",
    "exits in mid-life",
    "stops in mid-life",
    "answers errors",
    "cuts answers off",
    "ignores SIGTERM",
    "leaves a child",
)
SOON_S = 1.0
"""A fault of mid-life comes between the first answer and so long behind it."""


def drawn() -> tuple[str, float]:
    """Return the fault of this life, empty for none, and when it comes; write it down."""
    share, seed = float(os.environ["SOAK_SHARE"]), os.environ["SOAK_SEED"]
    with Path(os.environ["SOAK_DRAWS"]).open("ab", buffering=0) as file:
        number = file.tell() // LINE
        rng = random.Random(f"{seed}/{number}")
        fault = rng.choice(FAULTS) if rng.random() < share else ""
        file.write(f"{fault or 'none':<{LINE - 1}}\n".encode())
    return fault, rng.uniform(0, SOON_S)


LINE = 32


def later(seconds: float, what: Any) -> None:
    """Do something in a thread, once the first answer has begun."""

    def wait() -> None:
        begun.wait()
        time.sleep(seconds)
        what()

    threading.Thread(target=wait, daemon=True).start()


begun = threading.Event()


class Answering(server.Connection):
    """Answers as the fault has it."""

    fault = ""
    after_s = 0.0
    _first_s: float | None = None

    def token(self) -> None:
        """Begin, and then fail where it is to."""
        begun.set()
        Answering._first_s = Answering._first_s or time.monotonic()
        due = time.monotonic() - Answering._first_s > self.after_s
        if due and self.fault == "cuts answers off" and self._transport is not None:
            self._transport.abort()
            return
        if due and self.fault == "answers errors" and self._made == 0:
            self._write(server.framed(server.event({"error": {"message": "no", "code": 500}})))
            self._write(b"0\r\n\r\n")
            self._ask = None
            return
        super().token()


def main() -> None:
    """Serve, as long as the fault lets it."""
    fault, after_s = drawn()
    if fault == "exits on load":
        sys.exit("cannot allocate what was never asked for")
    if fault == "never ready":
        time.sleep(3600)
    if fault == "leaves a child":
        subprocess.Popen(["sleep", "3600"], start_new_session=True)
    ends = {
        "killed in mid-life": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exits in mid-life": lambda: os._exit(3),
        "stops in mid-life": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    }
    if fault in ends:
        later(after_s, ends[fault])
    Answering.fault, Answering.after_s = fault, after_s
    vars(server)["Connection"] = Answering
    server.main()
    if fault == "ignores SIGTERM":
        with contextlib.suppress(KeyboardInterrupt):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)


if __name__ == "__main__":
    main()
