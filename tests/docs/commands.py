"""Every command and option as Markdown, as click itself has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from tests.docs.pages import REFERENCE

from inferometer import cli, command

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "inferometer"
"""The distribution whose commands the page lists."""
PLUGINS = "From plugins"


def bundled() -> dict[str, str]:
    """Return the commands that bundled plugins bring, with their lines."""
    brought = command.brought(cli.COMMANDS)
    return {
        name: same[0].command.line
        for name, same in brought.items()
        if {each.distribution for each in same} == {OURS}
    }


def groups() -> dict[str, dict[str, str]]:
    """Return the commands by what they are for, as ``--help`` lists them."""
    return cli.GROUPS | {PLUGINS: bundled()}


def walked(found: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Yield a command's context, and those of what is below it."""
    yield context
    if isinstance(found, click.Group):
        for name in found.list_commands(context):
            below = found.get_command(context, name)
            assert below is not None
            yield from walked(below, click.Context(below, context, info_name=name))


def every() -> Iterator[click.Context]:
    """Yield the context of every command that the page lists, groups before what is in them."""
    top = click.Context(cli.cli, info_name="inferometer")
    for commands in groups().values():
        for name in commands:
            found = cli.cli.get_command(top, name)
            assert found is not None
            yield from walked(found, click.Context(found, top, info_name=name))


def rows(context: click.Context) -> str:
    """Return the table of a command's options, as its help prints them."""
    records = [
        each
        for option in context.command.get_params(context)
        if isinstance(option, click.Option) and "--help" not in option.opts
        if (each := option.get_help_record(context)) is not None
    ]
    if not records:
        return ""
    lines = [f"| `{_cell(names)}` | {_prose(_cell(words))} |" for names, words in records]
    return "\n".join(["| option | meaning |", "|---|---|", *lines]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(text: str) -> str:
    """Return text that stands outside of code: nothing in it opens a tag or stresses."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def described(context: click.Context) -> str:
    """Return a command's heading, usage, words and options."""
    pieces = " ".join(context.command.collect_usage_pieces(context))
    page = REFERENCE / f"{context.info_name}.md"
    level = "###" if context.parent and context.parent.parent is None else "####"
    head = f"{level} `{context.command_path}`\n\n"
    usage = f"```text\n{context.command_path} {pieces}\n```\n\n"
    words = "\n\n".join(_paragraph(each) for each in (context.command.help or "").split("\n\n"))
    more = f" More: [{page.stem}]({page.name})." if level == "###" and page.is_file() else ""
    return f"{head}{usage}{words}{more}\n\n{rows(context)}"


def _paragraph(text: str) -> str:
    """Return a paragraph of a help text; one that click may not wrap is a block."""
    if text.startswith("\b"):
        return f"```text\n{text.removeprefix(chr(8)).strip(chr(10))}\n```"
    return _prose(" ".join(text.split()))


def reference() -> str:
    """Return the part of the page that is made of the commands."""
    top = {title: set(commands) for title, commands in groups().items()}
    lines: list[str] = []
    for title, names in top.items():
        lines.append(f"## {title}\n")
        for context in every():
            path = context.command_path.split()
            if path[1] in names:
                lines.append(described(context))
    return "\n".join(lines)
