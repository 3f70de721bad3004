"""The nodes of a run on several machines: what each ran, and which rounds were split."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import UnsetType

from inferometer.language import tr, trs
from inferometer.reasons import listing
from inferometer_reports.blocks import Heading, Table, say
from inferometer_reports.escape import line
from inferometer_reports.phrases import plural

if TYPE_CHECKING:
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View


def section(view: View) -> list[Block]:
    """Return how rounds lie on nodes, and each node with its hardware; nothing without nodes."""
    found = view.comparison.nodes
    if isinstance(found, UnsetType):
        return []
    whole = tr(
        "The launches ran on {nodes}. A round is given whole to one node, so that stacks are "
        "compared on one machine and what a node does to all of them cancels.",
        nodes=plural(len(found.nodes), "node"),
    )
    told = [whole]
    if found.split:
        told.append(
            tr(
                "Split over nodes, as after one was lost: {rounds}. Launches of such a round are "
                "compared only with those on the same node; where the rounds were fixed "
                "beforehand, it counts in no ranking of stacks that it parts.",
                rounds=listing(
                    tr("round {number}", number=str(round_ + 1)) for round_ in found.split
                ),
            )
        )
    if not found.one_machine:
        told.append(
            tr(
                "The nodes are not shown to be one machine, so only ratios have intervals: a mean "
                "over a few machines has none."
            )
        )
    rows = [
        [
            line(one.name) or tr("no node"),
            str(one.launches),
            str(one.rounds),
            _hardware(view, one.name),
        ]
        for one in found.nodes
    ]
    header = trs("Node", "Whole launches", "Whole rounds", "Hardware")
    return [Heading(3, tr("Nodes")), say(" ".join(told)), Table(header, rows)]


def _hardware(view: View, name: str) -> str:
    """Return a node's accelerators and processor as ``host.json`` has them."""
    host = view.comparison.host
    known = host.get("nodes")
    own = known.get(name) if isinstance(known, dict) and name else host if not name else None
    if not isinstance(own, dict):
        return tr("n/a (unknown)")
    gpus = own.get("gpus")
    models = Counter(str(gpu) for gpu in gpus) if isinstance(gpus, list) else Counter()
    words = [f"{count} x {model}" for model, count in sorted(models.items())]
    return line("; ".join([*words, str(own.get("cpu_model") or tr("processor not known"))]))
