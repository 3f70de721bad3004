"""Puts the stand-in for container runtimes in front of PATH; what its containers were is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.programs import until

SCRIPT = Path(__file__).with_name("fake_runtime.py")
DIGEST = f"sha256:{'d1' * 32}"
ID = f"sha256:{'1d' * 32}"
IMAGES = {
    "oracle:1": {"Id": ID, "RepoDigests": [f"other/place@{DIGEST}", f"oracle@{DIGEST}"]},
    "built-here": {"Id": ID, "RepoDigests": []},
}


class Runtimes:
    """docker, podman and apptainer for one test."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = state
        self.daemon: subprocess.Popen[bytes] | None = None
        programs, image = state / "bin", state / "image"
        for folder in (programs, image):
            folder.mkdir(parents=True)
        for name in ("docker", "podman", "apptainer"):
            line = f'exec {sys.executable} -I {SCRIPT} client {state} {name} "$@"'
            write_program(programs / name, line)
        write_program(image / "python3", f'exec {sys.executable} "$@"')
        (state / "images.json").write_text(json.dumps(IMAGES))
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def start(self) -> None:
        """Start the daemon of docker and podman."""
        line = [sys.executable, "-I", str(SCRIPT), "daemon", str(self.state)]
        self.daemon = subprocess.Popen(line, cwd="/")
        assert until((self.state / "up").exists, 60, every_s=0.01)

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait()

    def calls(self, word: str = "") -> list[dict[str, Any]]:
        """Return what clients were asked, those of one subcommand."""
        lines = (self.state / "calls.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [call for call in found if not word or call["args"][0] == word]

    def making(self) -> bool:
        """Say whether the daemon is making a container (for as long as ``slow_s`` says)."""
        return (self.state / "making").exists()

    def containers(self) -> list[str]:
        """Return the containers that there are, as the runtime lists them."""
        line = ["docker", "ps", "--all", "--quiet", "--filter", "name=."]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()


def write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
