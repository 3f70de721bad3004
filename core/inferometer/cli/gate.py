"""``inferometer gate``: is this worse than the baseline? Exit codes for a pipeline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferometer.cli import common, versus

if TYPE_CHECKING:
    from inferometer.comparison.versus import Gate, Versus

DIRECTORY = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
SUMMARY = "GITHUB_STEP_SUMMARY"


@click.command("gate")
@click.argument("current", type=DIRECTORY)
@click.option("--baseline", type=DIRECTORY, required=True, help="Results to compare with.")
@click.option(
    "--confirm", type=DIRECTORY, help="CURRENT measured again: fail only if this says so too."
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="ID[=PERCENT]",
    help="Gate this metric, with this margin; may be repeated. By default output_tok_s=2, "
    "energy_j_per_output_token=2 (where a meter was asked for) and ttft_p50_ms=5.",
)
@click.option("--rules", type=FILE, metavar="FILE.TOML", help="A table [gate] with all of it.")
@click.option(
    "--detect",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    metavar="PERCENT",
    help="Pass only what could have shown a change of so much.",
)
@versus.shared
@click.option("--json", "json_path", metavar="FILE|-", help="Write the outcome as JSON, always.")
@click.option(
    "--summary",
    type=FILE,
    metavar="FILE",
    help=f"Write the outcome as Markdown; by default it is added to ${SUMMARY} where that is set.",
)
@click.option("--html", "page", type=FILE, metavar="FILE", help="Write the outcome as a page.")
def command(
    *,
    current: Path,
    baseline: Path,
    confirm: Path | None,
    metrics: tuple[str, ...],
    rules: Path | None,
    detect: float | None,
    pairs: tuple[str, ...],
    allow: tuple[str, ...],
    lang: str,
    json_path: str | None,
    summary: Path | None,
    page: Path | None,
) -> None:
    """Fail (3) where the results in CURRENT are worse than those of the baseline.

    Only where the 95 % interval of the ratio lies wholly beyond the margin, and the launches of
    --confirm say so too. What cannot be judged ends with 4.
    """
    versus.check([baseline, current, *([confirm] if confirm else ())], lang)
    from inferometer.baseline import Asked, Rules, against, margins

    asked = margins.with_options(
        margins.load(rules) if rules else Rules(),
        metrics=metrics,
        allow=allow,
        pairs=pairs,
        detect=detect,
    )
    found = against(
        Asked(
            baseline=baseline,
            current=current,
            confirm=confirm,
            allow=asked.allow,
            pairs=asked.pairs,
            gate=asked,
        )
    )
    _tell(found, json_path, summary, page, lang)
    assert found.gate is not None
    _end(found.gate)


def _tell(
    found: Versus, json_path: str | None, summary: Path | None, page: Path | None, lang: str
) -> None:
    """Write JSON first: it is there whatever else fails."""
    if json_path == "-":
        click.echo(common.as_json(found))
    elif json_path is not None:
        versus.write(Path(json_path), f"{common.as_json(found)}\n".encode())
    if json_path != "-":
        versus.show(versus.rendered(found, versus.TEXT, lang))
    if summary is not None:
        versus.write(summary, versus.rendered(found, versus.MARKDOWN, lang))
    elif os.environ.get(SUMMARY):
        _add(Path(os.environ[SUMMARY]), versus.rendered(found, versus.MARKDOWN, lang))
    if page is not None:
        versus.write(page, versus.rendered(found, versus.PAGE, lang))


def _add(path: Path, content: bytes) -> None:
    from inferometer.store import storage_errors

    with storage_errors(path), path.open("ab") as file:
        file.write(content)


def _end(gate: Gate) -> None:
    """Raise unless the gate is passed.

    Raises:
        GateError: a line failed, or would but for a confirmation.
        InconclusiveError: something could not be judged.
    """
    from inferometer.errors import GateError, InconclusiveError

    counted = {one.verdict: 0 for one in gate.lines}
    for one in gate.lines:
        counted[one.verdict] += 1
    of = f"of {len(gate.lines)} numbers"
    if gate.verdict == "failed":
        raise GateError(
            f"{counted['failed']} {of} are worse than their margin, and it is confirmed",
            hint="Find what made it slower; --allow and wider margins hide it.",
        )
    if gate.verdict == "unconfirmed":
        raise GateError(
            f"{counted['unconfirmed']} {of} are worse than their margin; nobody confirmed it yet",
            hint="Measure CURRENT again into another directory, and name that with --confirm.",
        )
    if gate.verdict == "inconclusive":
        raise InconclusiveError(
            f"cannot be judged: {gate.refusals[0] if gate.refusals else 'there is no number'}",
            hint="The outcome lists all of it; mend that, or measure both sides anew.",
        )
