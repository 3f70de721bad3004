"""``inferometer init``: a commented study file, or a commented scenario of costs."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--cost", is_flag=True, help="Write what an hour costs instead (cost.toml).")
def command(path: Path | None, cost: bool) -> None:
    """Write a commented study file to PATH (study.toml). An existing file is left alone."""
    from inferometer.errors import UsageError

    name = "cost.toml" if cost else "study.toml"
    path = path or Path(name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(path, name))
    except FileExistsError as error:
        flag = " --cost" if cost else ""
        raise UsageError(
            f"{path}: exists", hint=f"Give another path: inferometer init OTHER.toml{flag}"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", hint="Give a path that can."
        ) from error
    then = f"cost RESULTS {path}" if cost else f"plan {path}"
    click.echo(f"wrote {path}; next: inferometer {then}", err=True)


def template(path: Path, name: str = "study.toml") -> str:
    """Return the template of ``name`` with ``path`` in its comments."""
    from importlib.resources import files

    text = (files("inferometer") / "templates" / name).read_text(encoding="utf-8")
    return text.replace("{path}", shlex.quote(str(path)))
