"""One container: its command line, the variables of its client, and how it is ended by name."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inferometer.containers import devices
from inferometer.containers.image import ask, client_variables
from inferometer.engine import FailureClass, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.containers.image import Image
    from inferometer.study import Runtime

PYTHON = Path("/in-the-image/python3")
"""Given to adapters as the interpreter: what stands in its folder is found on the image's PATH."""
AMD = ("--device", "/dev/kfd", "--device", "/dev/dri", "--group-add", "video")
GPUS: Mapping[tuple[Runtime, str], Sequence[str]] = {
    ("docker", "cuda"): ("--gpus", "all"),
    ("podman", "cuda"): ("--device", "nvidia.com/gpu=all"),
    ("apptainer", "cuda"): ("--nv",),
    ("docker", "rocm"): AMD,
    ("podman", "rocm"): AMD,
    ("apptainer", "rocm"): ("--rocm",),
}
FAILURES = (
    FailureClass(
        r"could not select device driver|unresolvable CDI devices|failed to inject devices",
        "unsupported",
        "Give the runtime access to the GPUs: install the NVIDIA Container Toolkit; for podman "
        "also run `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`.",
    ),
    FailureClass(
        r"executable file not found in \$PATH|\"[^\"]+\": executable file `?[^ ]+ not found",
        "failed",
        "The image does not hold the engine's program; give the engine's own image.",
    ),
    FailureClass(
        r"(?i)cannot connect to the docker daemon|error during connect|unable to connect to podman|"
        r"TLS handshake timeout|containerd: .*(deadline exceeded|connection refused)",
        "runtime_failed",
        "See whether the container's runtime runs, and what its own log says.",
    ),
)
"""What a runtime says when a container does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container to be. ``mounts`` are seen read-only at their own paths, ``home`` writable."""

    image: Image
    name: str
    home: Path
    mounts: tuple[Path, ...]
    accelerator: Literal["cpu", "cuda", "rocm"]
    shm_bytes: int
    """Most that processes inside may share through ``/dev/shm``."""
    args: tuple[str, ...] = ()
    """Further flags of the runtime, from the study."""

    def argv(self, words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
        """Return the client's command line for an engine's ``words``.

        Variables are named, their values stay in the client's environment: a secret is never on a
        command line, which every user of the machine may read.
        """
        image = self.image
        key = (image.runtime, self.accelerator)
        gpus = () if devices.flagged(self.args) else GPUS.get(key, ())
        mounts = [part for path in self.mounts for part in ("--mount", mount(path, "ro"))]
        if image.runtime == "apptainer":
            options = ["exec", "--cleanenv", "--no-mount", "cwd", "--home", f"{self.home}"]
            line = [str(image.program), *options, *mounts, *gpus, *self.args, image.reference]
            return [*line, *map(inside, words)]
        program, *rest = map(inside, words)
        return [
            *(str(image.program), "run", "--rm", "--init", "--pull", "never"),
            *("--name", self.name, "--stop-signal", "SIGTERM"),
            # The engine's shared memory goes with the container, and no port is translated.
            *("--network", "host", "--shm-size", str(self.shm_bytes)),
            *("--user", "0:0" if image.rootless else f"{os.getuid()}:{os.getgid()}"),
            # SELinux would keep a container from files that are not labelled for it.
            *(("--security-opt", "label=disable") if image.runtime == "podman" else ()),
            *gpus,
            *mounts,
            *("--mount", mount(self.home)),
            *self._named(variables),
            *self.args,
            *("--entrypoint", program, image.reference, *rest),
        ]

    def variables(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the client, in which the engine's variables are."""
        own = client_variables()
        if self.image.runtime == "apptainer":
            return own | {f"APPTAINERENV_{name}": value for name, value in variables.items()}
        return {**variables, **own}

    def _named(self, variables: Mapping[str, str]) -> list[str]:
        own = client_variables()
        # A user without an entry in the image's passwd has no name and no home.
        given = {"HOME": str(self.home), "USER": "inferometer", "LOGNAME": "inferometer"}
        words = [f"{name}={value}" for name, value in given.items() if name not in variables]
        words += [
            f"{name}={value}" if own.get(name, value) != value else name
            for name, value in variables.items()
        ]
        return [part for word in words for part in ("--env", word)]

    def ending(self, grace_s: float) -> dict[str, list[str]]:
        """Return the commands that stop, remove and list it; none where it is a child of ours."""
        if self.image.runtime == "apptainer":
            return {}
        client = str(self.image.program)
        return {
            "stop": [client, "stop", "-t", str(round(grace_s)), self.name],
            "remove": [client, "rm", "--force", self.name],
            "list": [client, "ps", "--all", "--quiet", "--filter", f"name=^{self.name}$"],
        }

    def session(self) -> int | None:
        """Return the session of the engine's processes, None when the runtime cannot tell.

        The first process of a container leads a session (setsid(2), runc and crun alike), and the
        runtimes know its number outside: ``State.Pid``.
        """
        client = self.image.program
        line = ["container", "inspect", "--format", "{{.State.Pid}}", self.name]
        try:
            said = ask([client, *line]).stdout.strip()
        except Unsupported:
            return None
        return int(said) if said.isdigit() and said != "0" else None


def inside(word: str) -> str:
    """Return a word of an adapter's command as the image knows it: programs by their names."""
    path = Path(word)
    return path.name if path.parent == PYTHON.parent else word


def mount(path: Path, *options: str) -> str:
    """Return ``--mount``'s value: the same path inside, quoted as CSV like all three read it."""
    text = io.StringIO()
    fields = ["type=bind", f"source={path}", f"destination={path}", *options]
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def seeing(container: Container | None, folder: Path | None) -> Container | None:
    """Return ``container`` with one more folder to see, where there are both."""
    if container is None or folder is None:
        return container
    return replace(container, mounts=(*container.mounts, folder))


def seen(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return ``folders`` and those their files link to, which a container must see as well.

    A model in the hub's cache is a folder of links to ``../../blobs``.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        found[folder] = None
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            target = file.resolve()
            if file.is_symlink() and target.exists() and not target.is_relative_to(folder):
                found[target if target.is_dir() else target.parent] = None
    return tuple(found)
