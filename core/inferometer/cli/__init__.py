"""The command line: a lazy group, and the one place where errors become text and exit codes.

stdout carries results only; progress, warnings and errors go to stderr. Exit codes are those of
``docs/reference/exit-codes.md``.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from inferometer.command import Brought

GROUPS = {
    "Measure": {
        "quickstart": "Measure what this machine can, with nothing to prepare.",
        "init": "Write a commented study file to start from.",
        "plan": "Show what a study would run, for how long and for how much.",
        "run": "Measure a study, or resume it, and report.",
        "status": "Tell from another shell how a run stands.",
        "bench": "Measure a server that is already running.",
        "loadhost": "Send loads that another machine asks for.",
    },
    "Results": {
        "report": "Rank stored results and write the report.",
        "launch": "Print how to start the winner, or any stack.",
        "compare": "Compare two results, number by number.",
        "gate": "Fail where results are worse than a baseline.",
        "cost": "Price stored results, and say when the order flips.",
        "fleet": "Size the fleet of a demand, with its monthly bill.",
        "verify": "Tell whether stored results are what was written.",
        "import": "Store what other tools measured, beside ours.",
    },
    "This machine and what is known": {
        "doctor": "Check this machine, and say what to mend.",
        "engines": "List, show, check, install or remove engines.",
        "models": "List, describe or make models: packaged, twins, random.",
        "meters": "List meters of energy and power, or check one.",
        "prices": "List dated prices of an hour of a GPU, with their sources.",
        "plugins": "List what plugins bring, write a new one, or check one.",
        "schema": "Print the JSON Schema of a study, for editors.",
    },
}
"""Title -> name -> help line, kept here so that ``--help`` imports no command."""
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
"""Name -> help line, in the order a newcomer needs them."""
MODULES = {"import": "importing"}
"""Modules that have another name than their command, which is a keyword."""


class LazyGroup(click.Group):
    """A group whose commands are the modules beside this one, imported when used.

    Those of plugins are looked for where all are listed, and where a name is none of ours.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the names in the order a newcomer needs them."""
        return [*COMMANDS, *_brought()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as above
        """Import one command."""
        if cmd_name not in COMMANDS:
            found = _brought().get(cmd_name)
            return _loaded(found) if found else None
        command = importlib.import_module(
            f"inferometer.cli.{MODULES.get(cmd_name, cmd_name)}"
        ).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest among the lazy names too."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                args[0], possibilities=self.list_commands(ctx), ctx=ctx
            ) from error

    def invoke(self, ctx: click.Context) -> object:
        """Run a command, and keep a broken pipe from click, which ends with 1 whatever broke."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            from inferometer.cli.ending import PipeError

            raise PipeError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- as above
        """List the commands by what they are for, without importing them."""
        found = _brought()
        lines = {name: same[0].command.line for name, same in found.items() if len(same) == 1}
        width = max(map(len, (*COMMANDS, *lines)))
        for title, commands in (GROUPS | ({"From plugins": lines} if lines else {})).items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


def _brought() -> dict[str, list[Brought]]:
    from inferometer import command

    return command.brought(COMMANDS)


def _loaded(found: Sequence[Brought]) -> click.Command:
    """Import a plugin's command, or say whose it is that cannot be had."""
    command, distribution = found[0]
    if len(found) > 1:
        names = ", ".join(sorted(it.distribution for it in found))
        raise UsageError(
            f"two plugins bring the command {command.name!r}: {names}",
            hint="Uninstall one, or name the plugins to load in INFEROMETER_PLUGINS.",
        )
    try:
        loaded = command.load()
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"command {command.name!r} of {distribution} cannot be loaded: "
            f"{type(error).__name__}: {error}",
            hint="Mend or uninstall it; see: inferometer plugins",
        ) from error
    assert isinstance(loaded, click.Command)
    return loaded


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="inferometer", message="%(prog)s %(version)s")
def cli() -> None:
    """Which LLM inference stack should serve your model: by throughput, energy and cost."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    from inferometer.redact import guarded

    words = list(sys.argv[1:] if args is None else args)
    _open_streams()
    with guarded():
        try:
            _catch_signals()
            result = cli.main(args=words, prog_name="inferometer", standalone_mode=False)
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 -- the one place
            from inferometer.cli.ending import ended

            return ended(error, words)
    return result if isinstance(result, int) else 0


def _open_streams() -> None:
    """Give us the standard streams that we were started without, so that no file takes a place."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _catch_signals() -> None:
    """Let SIGTERM and a lost terminal end the program the way Ctrl-C does: engines are stopped."""
    import signal

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signal's signature
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup it is ignored, and stays so
            signal.signal(number, stop)
