"""Engine environments: a venv per locked requirements, built once and kept in the cache.

Layout, under ``<cache>/environments/<name>-<hash16>/``::

    lock            held while building or removing; a second process waits
    used            held, shared, by each process that runs engines from here: no removing then
    build.log       pip's whole output, kept
    lock.txt        the requirements that were installed
    venv-XXXXXXXX/  the environment (a venv cannot be moved, so it is built where it stays)
    complete.json   written last: it names the venv and says that it is whole

Without ``complete.json`` whatever stands there is half-built and is removed. Each attempt gets a
folder of its own, so that a pip that outlived a killed build cannot write into the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform as host
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs

from inferometer.containers import image as images
from inferometer.containers.running import PYTHON
from inferometer.engine import Platform, Unsupported
from inferometer.errors import EnvironmentBuildError, UsageError
from inferometer.installing import cache_errors, clean_variables, held, install

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.attached import Address
    from inferometer.containers.image import Image
    from inferometer.engine import Engine, Requirements

Accelerator = Literal["cpu", "cuda", "rocm"]

# Runs in the environment's interpreter, which may be older than ours.
PROBE = """
import importlib.metadata as m, json, platform
found = {}
for d in m.distributions():
    if d.metadata["Name"]:
        found.setdefault(d.metadata["Name"], d.version)
print(json.dumps({"python": platform.python_version(), "distributions": found}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An interpreter and what is installed with it; or an image, or a server that is there.

    ``sha256`` covers the interpreter's version and every distribution's, of an image its hash, of
    a server what it says of itself: equal hashes, equal software. ``distributions`` is keyed by
    normalised name; ``version`` is the engine's.
    """

    python: Path
    """Of an image or a server a stand-in."""
    sha256: str
    kind: Literal["venv", "python", "container", "url"]
    distributions: Mapping[str, str]
    version: str
    image: Image | None = None
    address: Address | None = None
    lock: str = ""
    """The requirements that it was installed from; empty where we did not install it."""

    @property
    def ours(self) -> bool:
        """Say whether ``python`` can be run here."""
        return self.image is None and self.address is None

    def record(self) -> dict[str, Any]:
        """Return what a launch record keeps of the environment."""
        if self.address is not None:
            return {"kind": self.kind, "sha256": self.sha256, **self.address.record()}
        if self.image is not None:
            own = {"version_from": "image", "distributions": dict(self.distributions)}
            return {"kind": self.kind, "sha256": self.sha256, **self.image.record(), **own}
        return {
            "kind": self.kind,
            "sha256": self.sha256,
            "python": str(self.python),
            "distributions": dict(self.distributions),
            **({"lock_sha256": hashed(self.lock)} if self.lock else {}),
        }

    def locks(self) -> dict[str, str]:
        """Return what results keep of its requirements: a file, named by its hash."""
        return {f"{hashed(self.lock)}.txt": self.lock} if self.lock else {}


def hashed(text: str) -> str:
    """Return the SHA-256 (hex) of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def cache_root() -> Path:
    """Return where environments and models are kept: ``INFEROMETER_CACHE``, or the user's cache."""
    chosen = os.environ.get("INFEROMETER_CACHE")
    return Path(chosen or platformdirs.user_cache_dir("inferometer")).expanduser().absolute()


def accelerator() -> Accelerator:
    """Return what this machine can compute on, from drivers alone (nothing is imported)."""
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        return "cuda"
    return "rocm" if Path("/dev/kfd").exists() else "cpu"


def current_platform(accelerator_: Accelerator | None = None) -> Platform:
    """Return the platform of this process; an accelerator given here is not looked for."""
    machine = host.machine().lower()
    return Platform(
        system=host.system().lower(),
        machine={"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        accelerator=accelerator_ or accelerator(),
    )


def key(requirements: Requirements, platform: Platform) -> str:
    """Return the hash (hex) that names an environment's folder: what it holds, and for what."""
    rows = (line.split("#")[0] for line in requirements.lock.splitlines())
    lines = (row.partition(" --hash=")[0].strip() for row in rows)  # they change nothing in it
    pins = [line for line in lines if line]
    content = [pins, requirements.distribution, str(platform)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def own(engine: Engine) -> Path | None:
    """Return our own interpreter for a stand-in, which needs no other environment; else None."""
    return Path(sys.executable) if engine.simulated else None


def home_of(requirements: Requirements, platform: Platform, cache_root: Path) -> Path:
    """Return the folder of an environment, built or not."""
    name = stem(requirements.distribution) + key(requirements, platform)[:16]
    return cache_root.expanduser().absolute() / "environments" / name


def stem(distribution: str) -> str:
    """Return how the names of a distribution's environments begin; 16 digits of a hash follow."""
    return f"{_normal(distribution)}-"


def prepare(
    requirements: Requirements,
    platform: Platform,
    cache_root: Path,
    progress: Callable[[str], None],
    *,
    python: Path = Path(sys.executable),
    keep: bool = True,
) -> Environment:
    """Return the environment of ``requirements``, built now if it is not in the cache.

    It is made from interpreter ``python``, whose version ``platform`` names. ``keep`` keeps it
    from being removed while this process lives.

    Raises:
        EnvironmentBuildError: it could not be built, or was changed since; names log and remedy.
    """
    home = home_of(requirements, platform, cache_root)
    with cache_errors(EnvironmentBuildError, home):
        home.mkdir(parents=True, exist_ok=True)
        with held(home / "lock", lambda: progress(f"waiting: {home} is being built elsewhere")):
            found = _stored(home, requirements.distribution)
            if found is None:
                found = _build(home, requirements, python, progress)
            if keep:
                _use(home)
            lock = (home / "lock.txt").read_text(encoding="utf-8")
    return replace(found, lock=lock)


def existing(python: Path, distribution: str) -> Environment:
    """Return the environment of a user's interpreter.

    Raises:
        UsageError: there is no such interpreter, or ``distribution`` is not installed in it.
    """
    path = python.expanduser().absolute()  # not resolved: a venv's interpreter is a symlink
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageError(
            f"{path}: no interpreter there",
            hint="Give the path of an executable, such as /opt/engine/bin/python.",
        )
    try:
        return _environment(path, "python", distribution)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"{path}: does not work as a Python interpreter: {error}",
            hint=f"Try `{path} --version`.",
        ) from error
    except LookupError as error:
        raise UsageError(
            f"{path}: {distribution} is not installed in this environment",
            hint=f"Run `{path} -m pip install {distribution}`, or leave `python` out of the "
            "study to have an environment built.",
        ) from error


def contained(image: Image, distributions: Sequence[str], version: str | None) -> Environment:
    """Return the environment inside ``image``: what its own Python says is installed.

    ``version`` is the engine's as the study states it.

    Raises:
        Unsupported: the image holds none of ``distributions``, or another version.
    """
    try:
        answer = json.loads(images.held(image, PROBE).strip().rpartition("\n")[2])
        inside = {_normal(name): str(held) for name, held in answer["distributions"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unsupported(
            f"{image.name}: its Python does not say what it holds: {error!r}",
            remedy="Give an image whose python3 prints nothing of its own.",
        ) from error
    found = next((inside[_normal(d)] for d in distributions if _normal(d) in inside), None)
    if found is None:
        raise Unsupported(
            f"{image.name}: {distributions[0]} is not among what its Python has",
            remedy="Give an image of the engine.",
        )
    if version is not None and found.partition("+")[0] != version.partition("+")[0]:
        raise Unsupported(
            f"{image.name}: holds {distributions[0]} {found}, not {version}",
            remedy="Correct image or engine_version.",
        )
    return Environment(
        python=PYTHON,
        sha256=hashlib.sha256(image.id.encode()).hexdigest(),
        kind="container",
        distributions=dict(sorted(inside.items())),
        version=found,
        image=image,
    )


def elsewhere(address: Address) -> Environment:
    """Return the environment of a server that someone else runs: what it says of itself."""
    return Environment(
        python=PYTHON,
        sha256=address.sha256,
        kind="url",
        distributions={},
        version=address.version,
        address=address,
    )


# -- inside ----------------------------------------------------------------------------------


def _normal(name: str) -> str:
    """Return a distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


_USED: dict[Path, int] = {}


def _use(home: Path) -> None:
    """Hold ``home/used`` until this process ends, in whatever way: the system lets go of it."""
    if home not in _USED:
        descriptor = os.open(home / "used", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _USED[home] = descriptor


def _environment(python: Path, kind: Literal["venv", "python"], distribution: str) -> Environment:
    """Ask an interpreter what it has; LookupError when ``distribution`` is not among it."""
    done = subprocess.run(
        [str(python), "-c", PROBE],
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
        env=clean_variables(),
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"exit status {done.returncode}: {last}")
    answer = json.loads(done.stdout.strip().rpartition("\n")[2])
    distributions = {_normal(name): version for name, version in answer["distributions"].items()}
    content = [answer["python"], sorted(distributions.items())]
    return Environment(
        python=python,
        sha256=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        kind=kind,
        distributions=dict(sorted(distributions.items())),
        version=distributions[_normal(distribution)],
    )


def _stored(home: Path, distribution: str) -> Environment | None:
    """Return the whole environment in ``home``, or None when it has to be built.

    One that is whole but no longer works or differs is an error, not rebuilt: it may be in use.
    """
    try:
        marker = json.loads((home / "complete.json").read_text(encoding="utf-8"))
        python = home / str(marker["venv"]) / "bin" / "python"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    if not python.exists():  # the interpreter it was made from is gone: nothing can be using it
        return None
    try:
        found = _environment(python, "venv", distribution)
        problem = (
            "" if found.sha256 == marker.get("sha256") else "its Python or a distribution changed"
        )
    except (OSError, ValueError, LookupError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise EnvironmentBuildError(
            f"{home}: no longer the environment that was built: {problem}",
            hint=f"Delete {home} to have it built again, or name your own interpreter with "
            "`python` in the study.",
        )
    return found


def _build(
    home: Path, requirements: Requirements, python: Path, progress: Callable[[str], None]
) -> Environment:
    """Build the environment in ``home``, whose lock is held, and mark it whole."""
    (home / "complete.json").unlink(missing_ok=True)
    for left in home.glob("venv-*"):
        progress(f"removing a half-built environment: {left}")
        shutil.rmtree(left, ignore_errors=True)
    venv = Path(tempfile.mkdtemp(prefix="venv-", dir=home))
    try:
        (home / "lock.txt").write_text(requirements.lock, encoding="utf-8")
        with (home / "build.log").open("w", encoding="utf-8") as log:
            install(venv, home, requirements, log, progress, python=python)
        found = _environment(venv / "bin" / "python", "venv", requirements.distribution)
        _mark(home, {"venv": venv.name, "sha256": found.sha256, "version": found.version})
    except (LookupError, ValueError, subprocess.TimeoutExpired) as error:
        raise EnvironmentBuildError(
            f"{requirements.distribution}: installed, but cannot be read back: {error!r}",
            hint=f"Read {home / 'build.log'}: does the lock hold {requirements.distribution}?",
        ) from error
    finally:
        if not (home / "complete.json").exists():
            shutil.rmtree(venv, ignore_errors=True)
    return found


def _mark(home: Path, content: object) -> None:
    """Write ``complete.json`` so that it is whole or absent."""
    temporary = home / ".complete.json.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(home / "complete.json")
