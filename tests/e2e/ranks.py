"""Stands in for SGLang's server, in the interpreter that :func:`written` makes.

Rank 0 of several is ready only when all others have reached it where its flags say; then it is the
oracle. The others only live. Each leaves a note: its flags, and the raylet it descends from.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = "0.5.18"


def written(folder: Path) -> Path:
    """Write an interpreter that has this as its SGLang; return its path."""
    site, program = folder / "site", folder / "python"
    (site / "sglang").mkdir(parents=True)
    (site / "sglang" / "__init__.py").touch()
    server = f"from tests.e2e.ranks import main\nmain({str(folder)!r})\n"
    (site / "sglang" / "launch_server.py").write_text(server)
    known = site / f"sglang-{VERSION}.dist-info"
    known.mkdir()
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: sglang\nVersion: {VERSION}\n")
    program.write_text(f'#!/bin/sh\nPYTHONPATH={site}:{ROOT} exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return program


def raylet() -> int:
    """Return the process id of the raylet above this process; 0: there is none."""
    pid = os.getppid()
    while pid > 1:
        if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet":
            return pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def main(folder: str) -> None:
    """Be one rank."""
    parser = argparse.ArgumentParser()
    for flag in ("--port", "--tp-size", "--node-rank", "--nnodes"):
        parser.add_argument(flag, type=int, default=0)
    parser.add_argument("--model-path")
    parser.add_argument("--dist-init-addr")
    given = parser.parse_known_args()[0]
    note = {**vars(given), "pid": os.getpid(), "raylet": raylet()}
    (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(note))
    if given.dist_init_addr:
        host, _, port = given.dist_init_addr.partition(":")
        if given.node_rank:
            joined((host, int(port)))
        else:
            gathered((host, int(port)), given.nnodes - 1)
    oracle = ("-m", "inferometer.testing.oracle", "--port", str(given.port))
    os.execv(sys.executable, [sys.executable, *oracle, "--model", given.model_path])


def gathered(where: tuple[str, int], others: int) -> None:
    """Wait until so many have come."""
    with socket.create_server(where) as meeting:
        for _ in range(others):
            meeting.accept()[0].close()


def joined(where: tuple[str, int]) -> None:
    """Reach rank 0, and live until ended."""
    while True:
        with suppress(OSError), socket.create_connection(where):
            break
        time.sleep(0.05)
    while True:
        signal.pause()
