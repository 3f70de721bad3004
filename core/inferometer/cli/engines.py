"""``inferometer engines``: what each engine can do, and its environment on this machine."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.engine import Engine, Platform
    from inferometer.plugins import Registry

ACCELERATOR = click.Choice(["cpu", "cuda", "rocm"])


@click.group("engines", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List engines, show or check one, install or remove its environment."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(as_json: bool) -> None:
    """List the installed engines."""
    from inferometer.cli import common
    from inferometer.plugins import Registry

    registry = Registry()
    here = _platform(None)
    rows = [_row(engine, here) for _, engine in sorted(registry.engines().items())]
    if as_json:
        click.echo(common.as_json(rows))
    else:
        titles = ("engine", "versions", "environment", "installs on", "profiles")
        table = [tuple(str(row[title.replace(" ", "_")]) for title in titles) for row in rows]
        click.echo("\n".join(common.fitted([titles, *table])))
    common.complain(registry)


@command.command("show", short_help="Show what an engine can do.")
@click.argument("name")
@click.option("--accelerator", type=ACCELERATOR, help="Ask for this one instead of the machine's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(name: str, accelerator: str | None, as_json: bool) -> None:
    """Show what engine NAME can do: options by version, requests, counters, failures."""
    from inferometer import capabilities
    from inferometer.cli import common, showing

    here = _platform(accelerator)
    engine = _engine(name)
    found = capabilities.describe(engine, here)
    environment = _here(engine, here)
    if as_json:
        click.echo(common.as_json({"environment": environment, "capabilities": found}))
    else:
        click.echo("\n".join(showing.lines(found, environment)))


@command.command("check", short_help="Check an adapter against fake servers; no GPU.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(name: str, as_json: bool) -> None:
    """Check the adapter of engine NAME against fake servers: no GPU, about a minute.

    Ends with 3 when a check failed.
    """
    from inferometer.cli import common

    engine = _engine(name)
    conformance = import_module("inferometer.testing.conformance")
    click.echo(f"checking {name} against servers that behave as it does", err=True)
    results = conformance.run(engine, told=common.unsaid if as_json else common.tell_outcome)
    if as_json:
        click.echo(common.as_json(results))
    common.conclude(name, results)


@command.command("install", short_help="Build an engine's environment.")
@click.argument("name")
@click.option("--accelerator", type=ACCELERATOR, help="Build for this one, not the machine's own.")
@click.option(
    "--python-version", metavar="X.Y", help="Build with this Python, found as pythonX.Y on PATH."
)
def install(name: str, accelerator: str | None, python_version: str | None) -> None:
    """Build the environment of engine NAME, as `run` would, and print its interpreter.

    Quick when it is built already.
    """
    from inferometer import environment
    from inferometer.engine import Unsupported
    from inferometer.errors import MachineError
    from inferometer.progress import Lines

    engine = _engine(name)
    platform = _platform(accelerator, python_version)
    try:
        requirements = engine.requirements(platform)
    except Unsupported as refusal:
        hint = " ".join(filter(None, [refusal.remedy, _image_hint(engine, platform)]))
        raise MachineError(refusal.message, hint=hint) from refusal
    home = environment.home_of(requirements, platform, environment.cache_root())
    click.echo(f"{name}: log of the build: {home / 'build.log'}", err=True)
    built = environment.prepare(
        requirements,
        platform,
        environment.cache_root(),
        Lines().note,
        python=_interpreter(python_version),
        keep=False,
    )
    click.echo(f"{name} {built.version}: {home}", err=True)
    click.echo(built.python)


@command.command("remove", short_help="Remove an engine's environment.")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and how large it is.")
@click.option("--all-versions", is_flag=True, help="Also what older locks or other Pythons left.")
def remove(name: str, dry_run: bool, all_versions: bool) -> None:
    """Remove the environment of engine NAME from the cache. Models and results stay."""
    from inferometer import inventory
    from inferometer.cli.common import gigabytes
    from inferometer.errors import MachineError
    from inferometer.plugins import Registry

    registry = Registry()
    engine = _engine(name, registry)
    homes = _homes(engine, registry, all_versions=all_versions)
    total, kept = 0, None
    for home in homes:
        try:
            taken = inventory.remove(home, dry_run=dry_run)
        except MachineError as error:
            kept = kept or error
            continue
        total += taken
        click.echo(f"{'would remove' if dry_run else 'removed'} {home} ({gigabytes(taken)})")
    if not homes:
        click.echo(f"{name}: nothing to remove", err=True)
    elif not dry_run:
        click.echo(f"freed {gigabytes(total)}", err=True)
    if kept is not None:
        raise kept


# -- inside ----------------------------------------------------------------------------------


def _engine(name: str, registry: Registry | None = None) -> Engine:
    from inferometer.errors import UsageError
    from inferometer.plugins import Registry

    registry = registry or Registry()
    engines = registry.engines()
    if name not in engines:
        error = UsageError.unknown("engine", name, engines)
        broken = [f"{row.module}: {row.problem}" for row in registry.problems()]
        if broken:
            error.hint += f" A plugin is broken, which may be why. {'; '.join(broken)}"
        raise error
    return engines[name]


def _platform(accelerator: str | None, python_version: str | None = None) -> Platform:
    from dataclasses import replace

    from inferometer import environment
    from inferometer.errors import UsageError

    platform = environment.current_platform(accelerator)  # type: ignore[arg-type]
    if python_version is None:
        return platform
    parts = python_version.split(".")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise UsageError(
            f"--python-version {python_version}: not a Python version",
            hint="Give major and minor, such as 3.12.",
        )
    return replace(platform, python=python_version)


def _interpreter(python_version: str | None) -> Path:
    import sys

    from inferometer.errors import UsageError

    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python_version in {None, own}:
        return Path(sys.executable)
    found = shutil.which(f"python{python_version}")
    if found is None:
        raise UsageError(
            f"python{python_version}: not found on PATH",
            hint=f"Install it, or leave --python-version out to build with {own}.",
        )
    return Path(found)


def _image_hint(engine: Engine, platform: Platform) -> str:
    from inferometer.engine import Unsupported

    version = engine.versions[-1] if engine.versions else ""
    try:
        image = engine.image(platform, version)
    except Unsupported:
        return ""
    return f"It also comes as a container image: {image}."


def _here(engine: Engine, platform: Platform) -> dict[str, str]:
    """Return the state of an engine's environment on ``platform``, where, and what is to say."""
    from inferometer import environment, inventory
    from inferometer.engine import Unsupported

    if (python := environment.own(engine)) is not None:
        said = "a stand-in runs with our own interpreter: nothing to build"
        return {"state": "ours", "version": "", "python": str(python), "said": said}
    try:
        kept = inventory.current(engine, platform, environment.cache_root())
    except Unsupported as refusal:
        said = f"{refusal.message}. {refusal.remedy}".strip()
        return {"state": "unsupported", "version": "", "python": "", "said": said}
    except Exception as error:  # noqa: BLE001 -- a stranger's code; the line has the error
        said = f"its adapter raised {type(error).__name__}: {error}"
        return {"state": "broken", "version": "", "python": "", "said": said}
    told = {"built": "", "half-built": "a build was cut off; the next one starts over"}
    return {
        "state": kept.state,
        "version": kept.version,
        "python": str(kept.python or ""),
        "said": told.get(kept.state, f"`inferometer engines install {engine.name}` builds it"),
    }


def _row(engine: Engine, here: Platform) -> dict[str, str]:
    from inferometer import capabilities

    known = list(engine.versions)
    found = _here(engine, here)
    on = [
        answer.name.rpartition("-")[2]
        for answer in capabilities.requirements(engine, here.python)
        if not answer.refused and answer.name.startswith(f"{here.system}-{here.machine}-")
    ]
    at = capabilities.serving_platform(engine, here)
    fine = [answer.name for answer in capabilities.profiles(engine, at) if not answer.refused]
    return {
        "engine": engine.name,
        "versions": " to ".join(dict.fromkeys([*known[:1], *known[-1:]])) or "not said",
        "environment": f"{found['state']} {found['version']}".strip(),
        "installs_on": ", ".join(on) or "none",
        "profiles": ", ".join(fine) or "none",
    }


def _homes(engine: Engine, registry: Registry, *, all_versions: bool) -> list[Path]:
    """Return the folders to remove: those of today's locks, or all that bear the engine's names.

    What another installed engine uses today stays.
    """
    from inferometer import capabilities, environment, inventory

    root = environment.cache_root()
    today = _platform(None)
    asked = [today, *capabilities.platforms(today.python)]
    current = set(_current(engine, asked, root))
    if not all_versions:
        names = inventory.distributions(engine, asked)
        return [home for home in inventory.homes(names, root) if home in current]
    others = {
        home
        for name, other in registry.engines().items()
        if name != engine.name
        for home in _current(other, asked, root)
    }
    names = inventory.distributions(engine, asked)
    return [home for home in inventory.homes(names, root) if home in current or home not in others]


def _current(engine: Engine, platforms: list[Platform], root: Path) -> Iterator[Path]:
    import contextlib

    from inferometer import environment
    from inferometer.engine import Unsupported

    for platform in platforms:
        with contextlib.suppress(Unsupported):
            yield environment.home_of(engine.requirements(platform), platform, root)
