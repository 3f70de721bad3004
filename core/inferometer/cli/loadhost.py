"""``inferometer loadhost``: send loads that another machine asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferometer.cli import hosts

if TYPE_CHECKING:
    from pathlib import Path


@click.command("loadhost")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:7433",
    show_default=True,
    help="Address of this machine that the measuring one can reach; port 0 takes a free one.",
)
@hosts.token_file
@click.option("--api-key-env", metavar="NAME", help="Variable that holds the server's API key.")
@click.option("--leashed", is_flag=True, help="End when stdin does.")
def command(
    listen: str, token_file: Path | None, api_key_env: str | None, *, leashed: bool
) -> None:
    """Send loads that another machine asks for, until Ctrl-C.

    That one names this with --load-hosts and knows the same token. Prints the address on stdout.
    """
    import contextlib
    import os

    from inferometer.errors import MachineError, UsageError
    from inferometer.loadgen import host

    known = hosts.token(token_file)
    key = os.environ.get(api_key_env, "").strip() if api_key_env else ""
    if api_key_env and not key:
        raise UsageError(
            f"--api-key-env {api_key_env}: that variable holds no key",
            hint=f"Set it first: export {api_key_env}=...",
        )
    name, port = hosts.address_of(listen, "--listen", least_port=0)
    try:
        listening = host.listen(name, port)
    except OSError as error:
        raise MachineError(
            f"--listen {listen}: {error}",
            hint="Name an address of this machine, and a port that nothing else uses.",
        ) from error
    click.echo(f"{listen.rpartition(':')[0]}:{listening.getsockname()[1]}")
    serving = host.LoadHost(known, lambda line: click.echo(line, err=True), key)
    with contextlib.suppress(KeyboardInterrupt):  # how a person ends it
        host.run(serving, listening, leashed=leashed)
