"""Lines of a shell in the documentation: what they run, and whether `inferometer` takes it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import click

from inferometer import cli

HERE = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
PARTS = {"|", "||", "&&", ";", "&", "|&", "(", ")"}
REDIRECTED = re.compile(r"[<>]")
ASSIGNED = re.compile(r"\w+=")
HEADS = {"do", "then", "else", "if", "!", "time", "nohup", "sudo", "exec"}


class Script(NamedTuple):
    """A block of a shell: what it runs in order, and files that it writes from itself."""

    commands: list[list[str]]
    files: dict[str, str]


def script(text: str) -> Script:
    """Read a block; where lines begin with ``$``, the others are what was printed."""
    lines = text.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in prompted(lines)]
    commands: list[list[str]] = []
    files: dict[str, str] = {}
    waiting = iter(lines)
    for first in waiting:
        line = first
        while line.endswith("\\"):
            line = line[:-1] + " " + next(waiting, "")
        if here := HERE.search(line):
            body = []
            for each in waiting:
                if each.strip() == here[1]:
                    break
                body.append(each)
            if name := re.search(r">\s*(\S+)", HERE.sub("", line)):
                files[name[1]] = "\n".join(body) + "\n"
            line = HERE.sub("", line)
        commands += list(split(line))
    return Script(commands, files)


def prompted(lines: list[str]) -> list[str]:
    """Return the lines behind a prompt, with those that go on with them."""
    found: list[str] = []
    for line in lines:
        if line.startswith("$ ") or (found and found[-1].endswith("\\")):
            found.append(line if line.startswith("$ ") else f"$ {line}")
    return found


def split(line: str) -> list[list[str]]:
    """Return the commands of a line, without what only directs their streams."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    reader.whitespace_split = True
    reader.commenters = "#"
    found: list[list[str]] = [[]]
    directed = False
    for word in reader:
        if directed:
            directed = False
        elif REDIRECTED.match(word):
            directed = True
            if found[-1] and found[-1][-1].isdigit():  # as in 2>
                found[-1].pop()
        elif word in PARTS or word in {"{", "}"}:
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def ours(words: list[str]) -> list[str] | None:
    """Return the arguments of `inferometer`, None where a command is another one's."""
    words = list(words)
    while words and (ASSIGNED.match(words[0]) or words[0] in HEADS):
        words.pop(0)
    if words[1:3] == ["-m", "inferometer"]:
        return words[3:]
    return words[1:] if words and Path(words[0]).name == "inferometer" else None


def meant(args: list[str]) -> list[str]:
    """Return arguments without marks: ``[FILE]`` may be left out, ``"$@"`` may be nothing."""
    return [word.strip("[]") if word.startswith("[") else word for word in args if word != "$@"]


class Parsed(NamedTuple):
    """A command line as click understood it."""

    path: str
    params: dict[str, object]
    kinds: dict[str, click.Parameter]


def parsed(args: list[str]) -> Parsed:
    """Parse a command line by the program's own parser; files need not be there.

    Raises:
        click.ClickException: no command, option, value or argument is like that.
    """
    with mock.patch.object(click.Path, "convert", lambda _, value, *_rest: Path(value)):
        context = cli.cli.make_context("inferometer", list(args))
        while isinstance(context.command, click.Group):
            rest = [*getattr(context, "_protected_args", ()), *context.args]
            if not rest and context.command.invoke_without_command:
                break
            name, command, rest = context.command.resolve_command(context, rest)
            assert command is not None
            context = command.make_context(name, rest, parent=context)
    kinds = {param.name or "": param for param in context.command.params}
    return Parsed(context.command_path.partition(" ")[2], context.params, kinds)


INLINE = re.compile(r"(?<!`)`inferometer( [^`]+)`")


def unknown(words: str) -> str:
    """Say what is wrong with a command within a sentence, which may leave out what it needs."""
    names: list[str] = []
    options: list[str] = []
    for word in words.split():
        (options if word.startswith("-") else names).append(word.strip("[],;:.|)"))
    command: click.Command = cli.cli
    context = click.Context(command, info_name="inferometer")
    while isinstance(command, click.Group) and names and names[0].islower():
        below = command.get_command(context, names[0])
        if below is None:
            return f"no command {names[0]!r}"
        command, context = below, click.Context(below, context, info_name=names.pop(0))
    known = {name for param in command.get_params(context) for name in param.opts}
    gone = [
        word for word in options if word.strip("[]").partition("=")[0] not in {*known, "-", "--"}
    ]
    return f"no option {gone[0]!r} of {context.command_path}" if gone else ""
