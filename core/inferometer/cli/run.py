"""``inferometer run``: measure or resume, then have the results analysed by another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferometer.cli import executing, hosts, speaking
from inferometer.language import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from inferometer.executor import Cluster
    from inferometer.loadgen.driver import Host
    from inferometer.plugins import Registry
    from inferometer.study import Study


@click.command("run")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    help="Results directory; by default one under results/ that is named after study and plan.",
)
@click.option("--executor", default="local", help="What runs the launches: `local`, or `ray`.")
@click.option("--address", help="Where it is reached; short for --executor-option address=...")
@click.option("--executor-option", "pairs", multiple=True, metavar="KEY=VALUE", help="For it.")
@hosts.option
@speaking.lang
def command(
    study: Path,
    results: Path | None,
    *,
    executor: str,
    address: str | None,
    pairs: Sequence[str],
    load_hosts: str | None,
    token_file: Path | None,
    lang: str,
) -> None:
    """Measure STUDY, or resume it, and report.

    The same command line resumes: launches that are finished are not measured again.
    """
    from inferometer import plan as plans
    from inferometer import study as studies
    from inferometer.cli.common import check_names, check_paths
    from inferometer.errors import UsageError
    from inferometer.plugins import Registry

    text = studies.read(study)
    loaded = studies.parse(text, str(study))
    registry = Registry()
    given = [*pairs, *([f"address={address}"] if address is not None else [])]
    bring = executing.chosen(registry, executor, given)
    check_names(loaded, registry, str(study))
    check_paths(loaded, str(study))
    speaking.check(registry.renderers(), lang)
    if results is None:
        results = Path("results") / f"{study.stem}-{plans.expand(loaded).sha256[:8]}"
    if load_hosts is not None and executor != "local":
        raise UsageError(
            f"--load-hosts and --executor {executor}: the nodes send their own loads",
            hint="Give one of them.",
        )
    with hosts.opened(load_hosts, token_file) as found:
        measure(loaded, text, results, registry, lang, open_cluster=bring, load_hosts=found)


def measure(
    study: Study,
    text: str,
    results: Path,
    registry: Registry,
    lang: str = ENGLISH.code,
    *,
    open_cluster: Callable[[Path, str], AbstractContextManager[Cluster | None]] | None = None,
    load_hosts: tuple[Host, ...] = (),
) -> None:
    """Run every launch that is not finished, then report; on the nodes of a cluster, if given.

    ``load_hosts`` send the loads instead of this machine.

    Raises:
        IncompleteError: some launches failed; the rest is stored and reported.
        InferometerError: whatever kept the runner from going on.
    """
    from inferometer import board, runner
    from inferometer.errors import IncompleteError

    click.echo(f"results go to {results}", err=True)  # `status` asks for it, and who resumes
    display = board.choose()
    try:
        bring = open_cluster or runner.here
        outcome = runner.run(
            study, text, results, registry, display, open_cluster=bring, load_hosts=load_hosts
        )
    finally:
        display.done()
    click.echo(f"results: {outcome.results}", err=True)
    code = analyse(outcome.results, lang)
    if outcome.failed:
        raise IncompleteError(
            f"{outcome.failed} of {outcome.planned} launches failed; the others are stored",
            hint=f"See {outcome.results / 'failed'}; run the same command again to retry them.",
        )
    if code:
        raise click.exceptions.Exit(code)


def analyse(results: Path, lang: str = ENGLISH.code) -> int:
    """Report in another process and return its exit code.

    Measuring never shares a process with the analysis: importing it costs memory and time that
    belong to the engines. ``-P`` keeps the working directory's files from shadowing modules.
    """
    line = [sys.executable, "-P", "-m", "inferometer", "report", str(results)]
    line += ["--lang", lang] if lang != ENGLISH.code else []
    code = subprocess.run(line, check=False).returncode
    return code if code >= 0 else 128 - code  # killed by a signal: as a shell says it
