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
@click.option("--probe", is_flag=True, help="Instead, measure how much this machine can send.")
@click.option(
    "--target-tok-s",
    type=click.FloatRange(min=0, min_open=True),
    help="With --probe: output tokens/s to be sent, for which hosts are counted...",
)
@click.option(
    "--target-streams", type=click.IntRange(min=1), help="... in so many streams at once."
)
def command(
    listen: str,
    token_file: Path | None,
    api_key_env: str | None,
    target_tok_s: float | None,
    target_streams: int | None,
    *,
    leashed: bool,
    probe: bool,
) -> None:
    """Send loads that another machine asks for, until Ctrl-C.

    That one names this with --load-hosts and knows the same token. Prints the address on stdout.
    """
    from inferometer.errors import UsageError

    if (target_tok_s is None) != (target_streams is None) or (target_tok_s and not probe):
        raise UsageError(
            "--target-tok-s and --target-streams are one target of --probe",
            hint="For example --probe --target-tok-s 40000 --target-streams 800.",
        )
    if probe:
        _probe(target_tok_s, target_streams)
    else:
        _serve(listen, token_file, api_key_env, leashed=leashed)


def _serve(listen: str, token_file: Path | None, api_key_env: str | None, *, leashed: bool) -> None:
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


def _probe(target_tok_s: float | None, target_streams: int | None) -> None:
    from inferometer.bench import probe

    speed = probe.STREAM_TOK_S
    if target_tok_s is not None and target_streams is not None:
        speed = target_tok_s / target_streams

    def told(step: probe.Step) -> None:
        verdict = step.why or "carried"
        click.echo(f"{step.streams} streams, {step.tok_s:.0f} tok/s: {verdict}", err=True)

    found = probe.probe(speed, told)
    least = "" if found.limit == "client" else "at least "
    click.echo(
        f"measured: one process carries {least}{found.streams} streams of {speed:.4g} tok/s, "
        f"{found.tok_s:.0f} tok/s"
    )
    if not found.apart:
        click.echo("the oracle shared its only core: without it there is more room")
    whole = found.tok_s * found.processes
    kind = "measured" if found.processes == 1 else "estimated"
    click.echo(
        f"{kind}: this machine runs {found.processes} of them as a load host, {least}{whole:.0f} "
        "tok/s"
    )
    if target_tok_s is not None:
        hosts = found.hosts(target_tok_s)
        click.echo(
            f"estimated: {target_tok_s:.0f} tok/s in {target_streams} streams need "
            f"{'at most ' if least else ''}{hosts} host{'s' if hosts != 1 else ''} like this one, "
            f"each asked for {probe.MARGIN:.0%} of what it carries"
        )
