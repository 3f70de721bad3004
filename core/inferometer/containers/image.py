"""A container image on this machine: found, identified, and asked what it holds. Never pulled."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.engine import Unsupported
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.study import Runtime

ASK_S = 60.0
RUN_S = 300.0
"""A first container of an image may unpack it."""
CLIENT = frozenset(
    {
        *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE"),
        *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS"),
        *("APPTAINER_CACHEDIR", "APPTAINER_CONFIGDIR", "APPTAINER_TMPDIR"),
    }
)
CLIENT_PREFIXES = ("DOCKER_", "PODMAN_", "CONTAINER_", "CONTAINERS_")
INSTALL: Mapping[Runtime, str] = {
    "docker": "https://docs.docker.com/engine/install/",
    "podman": "https://podman.io/docs/installation",
    "apptainer": "https://apptainer.org/docs/admin/latest/installation.html",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that is here. ``reference`` names exactly this one; a tag may move to another.

    ``digest`` is ``repository@sha256:...`` as its registry knows it, None for an image that came
    from none (built here, or a SIF file); ``id`` is its hash here (``sha256:...``). ``rootless``:
    root inside is the user outside.
    """

    runtime: Runtime
    program: Path
    version: str
    """Of the runtime."""
    name: str
    """As the study or the adapter gives it."""
    reference: str
    digest: str | None
    id: str
    rootless: bool = False

    def record(self) -> dict[str, Any]:
        """Return what a launch record keeps of it."""
        return {
            "runtime": self.runtime,
            "runtime_version": self.version,
            "image": self.name,
            "image_digest": self.digest,
            "image_id": self.id,
        }


def client_variables() -> dict[str, str]:
    """Return what of our environment a runtime's client needs: how it finds its daemon, its files.

    Variables that would change what is in the container (``APPTAINER_BIND``, ...) are not handed
    on.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name in CLIENT or name.startswith(CLIENT_PREFIXES)
    }


def program(runtime: Runtime) -> Path:
    """Return where the runtime's client is, or raise :class:`Unsupported`."""
    found = shutil.which(runtime)
    if found is None:
        raise Unsupported(
            f"{runtime}: not installed here (no such program on PATH)",
            remedy=f"Install it ({INSTALL[runtime]}), or set another container or python.",
        )
    return Path(found).absolute()


def find(runtime: Runtime, name: str) -> Image:
    """Return the image called ``name``, a path of a SIF file for apptainer.

    Raises:
        Unsupported: the runtime is missing or its daemon does not answer, or there is no such
            image; says the command that would fetch it.
    """
    client = program(runtime)
    if runtime == "apptainer":
        return _sif(client, name)
    version, rootless = _podman(client) if runtime == "podman" else _docker(client)
    done = ask([client, "image", "inspect", "--format", "{{json .}}", name])
    if done.returncode:
        raise Unsupported(
            f"{runtime}: no image {name} on this machine ({last(done)})",
            remedy=f"Fetch it first: {runtime} pull {name}",
        )
    try:
        told = json.loads(done.stdout)
        told = told[0] if isinstance(told, list) else told
        own, digests = str(told["Id"]), [str(each) for each in told.get("RepoDigests") or ()]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unsupported(
            f"{runtime}: cannot tell which image {name} is: {error!r}",
            remedy=f"See what `{runtime} image inspect {name}` says.",
        ) from error
    digest = _digest(name, digests)
    return Image(
        runtime=runtime,
        program=client,
        version=version,
        name=name,
        reference=digest or own,
        digest=digest,
        id=own if ":" in own else f"sha256:{own}",
        rootless=rootless,
    )


def held(image: Image, code: str) -> str:
    """Return what ``code`` prints when the image's own Python runs it, without network or GPU.

    Raises:
        Unsupported: the image has no Python, or the code failed.
    """
    name = f"inferometer-look-{secrets.token_hex(4)}"
    line: list[str | Path]
    if image.runtime == "apptainer":
        line = [image.program, "exec", "--cleanenv", "--no-mount", "home,cwd", image.reference]
        line += ["python3", "-c", code]
    else:
        line = [image.program, "run", "--rm", "--pull", "never", "--name", name]
        line += ["--network", "none", "--entrypoint", "python3", image.reference, "-c", code]
    try:
        done = ask(line, timeout_s=RUN_S)
    except Unsupported:
        if image.runtime != "apptainer":  # the client was given up, its container may be there
            ask([image.program, "rm", "--force", name])
        raise
    if done.returncode:
        raise Unsupported(
            f"{image.name}: its Python cannot say what it holds: {last(done)}",
            remedy="Give an image of the engine, with python3 on its PATH.",
        )
    return done.stdout


def ask(
    line: Sequence[str | Path], *, timeout_s: float = ASK_S
) -> subprocess.CompletedProcess[str]:
    """Run a client's command; raise :class:`Unsupported` when it does not end or start."""
    try:
        return subprocess.run(
            [str(part) for part in line],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=client_variables(),
            check=False,
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        words = " ".join(str(part) for part in line[1:3])
        raise Unsupported(
            f"{Path(line[0]).name}: `{words}` failed: {error}",
            remedy=f"Try `{Path(line[0]).name} {words}` in a shell.",
        ) from error


def last(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line a client said of its failure, without control characters."""
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Run '")]
    return plain(told[-1].strip())[:500] if told else f"exit status {done.returncode}"


def _docker(client: Path) -> tuple[str, bool]:
    """Return the daemon's version, and whether it runs without root."""
    done = ask([client, "version", "--format", "{{.Server.Version}}"])
    if done.returncode and "permission denied" in done.stderr:
        raise Unsupported(
            "docker: this user may not talk to its daemon",
            remedy="Add the user to the group docker and log in again, or use podman.",
        )
    if done.returncode or not done.stdout.strip():
        raise Unsupported(
            f"docker: its daemon does not answer: {last(done)}",
            remedy="Start it (`sudo systemctl start docker`), or set DOCKER_HOST.",
        )
    options = ask([client, "info", "--format", "{{json .SecurityOptions}}"]).stdout
    return plain(done.stdout.strip()), "name=rootless" in options


def _podman(client: Path) -> tuple[str, bool]:
    done = ask([client, "info", "--format", "{{.Version.Version}} {{.Host.Security.Rootless}}"])
    words = done.stdout.split()
    if done.returncode or len(words) != 2:
        raise Unsupported(
            f"podman: does not work here: {last(done)}", remedy="Try `podman info` in a shell."
        )
    return plain(words[0]), words[1] == "true"


def _digest(name: str, digests: Sequence[str]) -> str | None:
    """Return the digest under the name that was asked for, else any, else None."""
    repository = name.partition("@")[0]
    head, _, tail = repository.rpartition(":")
    repository = head if head and "/" not in tail else repository
    own = [each for each in digests if each.partition("@")[0].endswith(repository)]
    return next(iter([*own, *digests]), None)


def _sif(client: Path, name: str) -> Image:
    """Return a SIF file as an image: its hash is the file's SHA-256."""
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise Unsupported(
            f"apptainer: no image file {name}",
            remedy="Make one first, such as: apptainer pull engine.sif docker://IMAGE, and set "
            'image = "engine.sif".',
        )
    done = ask([client, "--version"])
    if done.returncode:
        raise Unsupported(
            f"apptainer: does not work here: {last(done)}", remedy="Try `apptainer --version`."
        )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Image(
        runtime="apptainer",
        program=client,
        version=plain(done.stdout.split()[-1]) if done.stdout.split() else "",
        name=name,
        reference=str(path),
        digest=None,
        id=f"sha256:{sha256}",
        rootless=True,
    )
