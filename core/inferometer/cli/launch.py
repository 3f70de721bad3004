"""``inferometer launch``: the lines that start the winner, or any stack, to paste into a shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison.starts import Start
    from inferometer.store import Store


@click.command("launch")
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("stack", required=False)
@click.option("--model", help="Of this model alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(results: Path, stack: str | None, model: str | None, as_json: bool) -> None:
    """Print how STACK was started in RESULTS; without STACK, each that leads a ranking.

    The lines are for bash: exact flags, generated configuration, variables, the container's own
    command. Port 8000 stands for the port that each launch had. Secrets are not stored; the lines
    name what must be set.
    """
    from inferometer.cli.common import as_json as document
    from inferometer.startlines import starts
    from inferometer.store import Store

    store = Store(results)
    store.plan()  # a wrong directory is said before the analysis is imported
    found = _chosen(starts([store]), stack, model)
    first: dict[tuple[str, str], list[str]] = {}
    if stack is None:
        first = _first_places(store)
        found = _leading(found, first)
    if as_json:
        click.echo(document(found))
        return
    if len(found) > 1:
        click.echo(f"{len(found)} ways to start; name a STACK and --model for one", err=True)
    shown = (lines(one, first.get((one.stack, one.model), [])) for one in found)
    click.echo("\n\n".join(map("\n".join, shown)))


def _chosen(known: Sequence[Start], stack: str | None, model: str | None) -> list[Start]:
    """Return those that were asked for.

    Raises:
        UsageError: no stack or model has that name.
        InconclusiveError: no launch is whole, or none was started by us.
    """
    from inferometer.errors import InconclusiveError, UsageError

    if not known:
        raise InconclusiveError(
            "no whole launch here has a command: none is finished, or the server ran already",
            hint="Measure first, with engines that inferometer starts.",
        )
    for what, asked, names in (
        ("stack", stack, {one.stack for one in known}),
        ("model", model, {one.model for one in known}),
    ):
        if asked is not None and asked not in names:
            raise UsageError.unknown(what, asked, names, place="inferometer launch")
    found = [one for one in known if stack in {None, one.stack} and model in {None, one.model}]
    if not found:
        raise UsageError(
            f"{stack} has no whole launch of {model}",
            hint=f"It has of: {', '.join(one.model for one in known if one.stack == stack)}.",
        )
    return found


def _first_places(store: Store) -> dict[tuple[str, str], list[str]]:
    """Return stack and model -> the objectives in which it is first, alone or shared."""
    from inferometer.analyze import analyze

    first: dict[tuple[str, str], list[str]] = {}
    for ranking in analyze(store.root).rankings:
        if ranking.primary and ranking.at == "load":
            best = min((entry.place for entry in ranking.entries), default=0)
            # one launch each allows no order: such a place is not told without saying so
            ordered = ranking.n_rounds > 1 or len(ranking.entries) < 2
            words = ranking.objective if ordered else f"{ranking.objective} (one launch, no order)"
            for entry in ranking.entries:
                said = first.setdefault((entry.stack, ranking.model), [])
                if entry.place == best and words not in said:
                    said.append(words)
    return {key: objectives for key, objectives in first.items() if objectives}


def _leading(found: Sequence[Start], first: Mapping[tuple[str, str], Sequence[str]]) -> list[Start]:
    """Return those that have a first place.

    Raises:
        InconclusiveError: nobody is ranked.
    """
    from inferometer.errors import InconclusiveError

    leading = [one for one in found if (one.stack, one.model) in first]
    if not leading:
        raise InconclusiveError(
            "no stack was ranked, so there is no winner to start",
            hint=f"Name a stack: {', '.join(dict.fromkeys(one.stack for one in found))}.",
        )
    return leading


def lines(one: Start, first: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines, comments above; it leads in the objectives ``first``."""
    leads = f"; first, alone or shared, in {', '.join(first)}" if first else ""
    yield _comment(f"{one.stack} on {one.model}, as launch {one.launch} started it{leads}")
    for name, what in one.places.items():
        yield _comment(f"{name}: {what}; the path is the measuring machine's")
    for name in one.secrets:
        yield _comment(f"{name}: a secret, not stored; set it first")
    yield from map(_comment, one.notes)
    yield one.script


def _comment(text: str) -> str:
    """Return one line that a shell passes over, whatever a name holds: a line break would run."""
    from inferometer.redact import plain

    return f"# {' '.join(plain(text).split())}"
