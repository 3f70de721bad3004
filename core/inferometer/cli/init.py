"""``inferometer init``: a commented study file."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path), default="study.toml")
def command(path: Path) -> None:
    """Write a commented study file to PATH (study.toml). An existing file is left alone."""
    from inferometer.errors import UsageError

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(path))
    except FileExistsError as error:
        raise UsageError(
            f"{path}: exists", hint="Give another path: inferometer init OTHER.toml"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", hint="Give a path that can."
        ) from error
    click.echo(f"wrote {path}; next: inferometer plan {path}", err=True)


def template(path: Path) -> str:
    """Return the template with ``path`` in its comments."""
    from importlib.resources import files

    text = (files("inferometer") / "templates" / "study.toml").read_text(encoding="utf-8")
    return text.replace("{path}", shlex.quote(str(path)))
