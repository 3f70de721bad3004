"""A stand-in for docker, podman and apptainer: their clients, and one daemon for the first two.

    python fake_runtime.py daemon STATE
    python fake_runtime.py client STATE (docker|podman|apptainer) ARGS...

A container is a process of the daemon, so it outlives the client that asked for it, as a real one
does. Flags that are not known are refused. ``STATE/calls.jsonl`` keeps each client's arguments,
``STATE/images.json`` the images that are there, ``STATE/image`` their programs. Flags and answers
are those of docker 28 and podman 5. ``STATE/slow_s``: seconds that making a container takes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

VALUED = {
    *("--name", "--network", "--shm-size", "--user", "--stop-signal", "--security-opt", "--gpus"),
    *("--device", "--group-add", "--mount", "--env", "--entrypoint", "--pull", "--ulimit"),
}
PLAIN = {"--rm", "--init"}
DOWN = "Cannot connect to the Docker daemon at unix:///fake.sock. Is the docker daemon running?"
DENIED = "permission denied while trying to connect to the Docker daemon socket at unix:///fake"


class RefusedError(Exception):
    """A client's error: exit status and words."""


def parsed(args: list[str], valued: set[str], plain: set[str]) -> tuple[list[Any], list[str]]:
    """Return (flag, value) pairs and the words from the first that is no flag."""
    found: list[Any] = []
    rest = list(args)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in plain:
            found.append((flag, ""))
        elif flag in valued:
            found.append((flag, rest.pop(0)))
        else:
            raise RefusedError(125, f"unknown flag: {flag}")
    return found, rest


class Daemon:
    """Images and running containers."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def serve(self) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(self.state / "daemon.sock"))
        server.listen()
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        (self.state / "up").touch()
        while True:
            client, _ = server.accept()
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def end(self) -> None:
        for process in self.running.values():
            os.killpg(process.pid, signal.SIGKILL)
        os._exit(0)

    def answer(self, client: socket.socket) -> None:
        data, fds, _, _ = socket.recv_fds(client, 1 << 20, 2)
        asked = json.loads(data)
        try:
            out = self.do(asked["args"], asked["env"], fds)
            said = {"rc": 0, "out": out, "err": ""} if isinstance(out, str) else out
        except RefusedError as error:
            said = {"rc": error.args[0], "out": "", "err": error.args[1]}
        for fd in fds:
            os.close(fd)
        try:
            client.sendall(json.dumps(said).encode())
            client.close()
        except OSError:
            pass  # the client was killed

    def do(self, args: list[str], env: dict[str, str], fds: list[int]) -> Any:
        if args[0] == "run":
            return self.run(args[1:], env, fds)
        out = ""
        match args:
            case ["stop", "-t", grace, name]:
                out = self.stop(name, float(grace))
            case ["rm", "--force", name]:
                out = self.stop(name, 0.0) if name in self.running else ""
            case ["signal", number, name]:
                self.running[name].send_signal(int(number))
            case _:
                out = self.told(args)
        return out

    def told(self, args: list[str]) -> str:
        match args:
            case ["version", "--format", "{{.Server.Version}}"]:
                out = "28.2.2"
            case ["info", "--format", "{{json .SecurityOptions}}"]:
                out = '["name=seccomp,profile=builtin"]'
            case ["info", "--format", _]:
                out = "5.4.0 true"
            case ["image", "inspect", "--format", "{{json .}}", name]:
                out = json.dumps(self.image(name, 1))
            case ["container", "inspect", "--format", "{{.State.Pid}}", name]:
                out = str(self.running[name].pid) if name in self.running else "0"
            case ["ps", "--all", "--quiet", "--filter", which]:
                pattern = which.removeprefix("name=")
                return "".join("f00\n" for name in self.running if re.search(pattern, name))
            case _:
                raise RefusedError(125, f"unknown command: {' '.join(args)}")
        return f"{out}\n"

    def image(self, name: str, status: int) -> dict[str, Any]:
        for tag, image in json.loads((self.state / "images.json").read_text()).items():
            if name in {tag, image["Id"], *image["RepoDigests"]}:
                return dict(image)
        raise RefusedError(status, f"Error response from daemon: No such image: {name}")

    def stop(self, name: str, grace_s: float) -> str:
        if name not in self.running:
            raise RefusedError(1, f"Error response from daemon: No such container: {name}")
        process = self.running[name]
        if grace_s:
            process.terminate()
        end = time.monotonic() + grace_s
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while name in self.running:
            time.sleep(0.02)
        return f"{name}\n"

    def make(self, name: str) -> None:
        """Take the time that is asked for; the client may be gone afterwards."""
        slow = self.state / "slow_s"
        if slow.exists() and not name.startswith("inferometer-look"):
            (self.state / "making").touch()
            time.sleep(float(slow.read_text()))
            (self.state / "making").unlink()

    def run(self, args: list[str], env: dict[str, str], fds: list[int]) -> Any:
        flags, (image, *words) = parsed(args, VALUED, PLAIN)
        values = dict(flags)
        self.image(image, 125)
        name = values["--name"]
        if name in self.running:
            raise RefusedError(125, f"Conflict. The container name {name} is already in use")
        inside = {"PATH": str(self.state / "image")}
        for flag, value in flags:
            if flag == "--env":
                key, equals, given = value.partition("=")
                inside |= {key: given} if equals else ({key: env[key]} if key in env else {})
            elif flag == "--mount":
                fields = dict(f.partition("=")[::2] for f in value.split(","))
                if not Path(fields["source"]).exists():
                    raise RefusedError(125, f"bind source path does not exist: {fields['source']}")
        program = self.state / "image" / values["--entrypoint"]
        if not program.exists():
            what = f'exec: "{values["--entrypoint"]}": executable file not found in $PATH'
            raise RefusedError(127, f"Error response from daemon: failed to create task: {what}")
        self.make(name)
        process = subprocess.Popen(
            [str(program), *words],
            stdin=subprocess.DEVNULL,
            stdout=fds[0],
            stderr=fds[1],
            env=inside,
            cwd="/",
            start_new_session=True,
        )
        self.running[name] = process
        code = process.wait()
        del self.running[name]
        return {"rc": code if code >= 0 else 128 - code, "out": "", "err": ""}


def client(state: Path, runtime: str, args: list[str]) -> int:
    with (state / "calls.jsonl").open("a") as file:
        line = {"runtime": runtime, "args": args, "env": dict(os.environ)}
        file.write(json.dumps(line) + "\n")
    if runtime == "apptainer":
        return apptainer(state, args)
    try:
        said = asked(state, args)
    except OSError:
        sys.stderr.write(f"{DENIED if (state / 'denied').exists() else DOWN}\n")
        return 125 if args[0] == "run" else 1
    sys.stdout.write(said["out"])
    if said["err"]:
        sys.stderr.write(f"{runtime}: {said['err']}\n\nRun '{runtime} run --help' for more\n")
    return int(said["rc"])


def asked(state: Path, args: list[str]) -> Any:
    daemon = socket.socket(socket.AF_UNIX)
    daemon.connect(str(state / "daemon.sock"))
    if args[0] == "run":  # --sig-proxy is on by default
        name = args[args.index("--name") + 1]
        signal.signal(signal.SIGTERM, lambda n, _: asked(state, ["signal", str(n), name]))
    said = json.dumps({"args": args, "env": dict(os.environ)}).encode()
    socket.send_fds(daemon, [said], [1, 2])
    data = b""
    while part := daemon.recv(1 << 20):
        data += part
    return json.loads(data)


def apptainer(state: Path, args: list[str]) -> int:
    if args == ["--version"]:
        sys.stdout.write("apptainer version 1.3.4\n")
        return 0
    assert args[0] == "exec"
    valued = {"--no-mount", "--home", "--mount"}
    flags, (image, program, *words) = parsed(args[1:], valued, {"--cleanenv", "--nv", "--rocm"})
    assert Path(image).is_file(), image
    own = "APPTAINERENV_"
    inside = {k.removeprefix(own): v for k, v in os.environ.items() if k.startswith(own)}
    home = dict(flags).get("--home", "/")
    inside |= {"PATH": str(state / "image"), "HOME": home}
    path = state / "image" / program
    os.execve(path, [str(path), *words], inside)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "daemon":
        Daemon(Path(sys.argv[2])).serve()
    try:
        sys.exit(client(Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
    except RefusedError as refused:
        sys.stderr.write(f"{refused.args[1]}\n")
        sys.exit(refused.args[0])
