"""What ``compare`` and ``gate`` share: options, and how the outcome is shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from inferometer.cli import speaking
from inferometer.language import ENGLISH
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from inferometer.comparison.versus import Versus

TEXT, MARKDOWN, PAGE = "text", "md", "html"


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both have."""
    pair = click.option(
        "--pair",
        "pairs",
        multiple=True,
        metavar="NEW=OLD",
        help="Compare this stack with that one of the baseline; may be repeated.",
    )
    allow = click.option(
        "--allow",
        multiple=True,
        metavar="TOPIC",
        help="Compare although this differs: hardware, driver, system, clocks, model, answers, "
        "prompts, protocol, meters, price, slo or instrument; may be repeated.",
    )
    return pair(allow(speaking.lang(command)))


def check(roots: Sequence[Path], language: str) -> None:
    """Refuse a wrong directory or language before the analysis is imported.

    Raises:
        UsageError: one is no results directory, nothing in it was measured, or nobody writes in
            this language.
    """
    from inferometer.errors import UsageError
    from inferometer.store import Store

    if language != ENGLISH.code:
        from inferometer.plugins import Registry

        speaking.check(Registry().renderers(), language)
    for root in roots:
        store = Store(root)
        if store.holds_only_imported():
            raise UsageError(
                f"{root}: holds only what other tools measured, and no launches to compare",
                hint="`inferometer report` shows it.",
            )
        store.plan()


def rendered(versus: Versus, name: str, language: str) -> bytes:
    """Return what the renderer ``name`` makes of it, in a language.

    Raises:
        UsageError: there is no such renderer, it cannot show this, or not in this language.
        InferometerError: it failed.
    """
    from inferometer.errors import InferometerError, UsageError
    from inferometer.guests import stdout_to_stderr
    from inferometer.plugins import Registry
    from inferometer.renderer import VersusRenderer

    known = Registry().renderers()
    able = {key: one for key, one in known.items() if isinstance(one, VersusRenderer)}
    if name not in able:
        raise UsageError.unknown("report format for two results", name, able)
    renderer = speaking.one_in(name, able[name], language)
    assert isinstance(renderer, VersusRenderer)
    try:
        with stdout_to_stderr():
            files = renderer.render_versus(versus)
        return b"".join(files.values())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise InferometerError(
            f"report format {name}: {type(error).__name__}: {error}",
            hint="Report this to the format's author; --json has everything.",
        ) from error


def show(content: bytes, name: str = TEXT) -> None:
    """Print what the renderer ``name`` made; nothing in it moves a terminal's cursor."""
    if name in {TEXT, MARKDOWN} or sys.stdout.isatty():
        click.echo(plain(content.decode(errors="replace")), nl=not content.endswith(b"\n"))
    else:  # a file's bytes: of a page hashes are told
        click.echo(content, nl=False)


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    from inferometer.store import storage_errors, write_whole

    with storage_errors(path):
        write_whole(path, content)
