"""The objectives that a load point must meet: the scenario's, else the study's, else none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.cost.capacity import SLACK
from inferometer.cost.scenario import Objectives
from inferometer.declared import Slo

if TYPE_CHECKING:
    from inferometer.comparison import Cell
    from inferometer.cost.scene import Scene

SHARE = Objectives().share
NAMES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E"}


def met(scene: Scene, cell: Cell) -> bool:
    """Say whether enough of a cell's requests were good; of any cell where nothing was asked."""
    return (_good_share(scene, cell) or 0.0) >= _share(scene) - SLACK


def words(scene: Scene) -> str:
    """Return the objectives in words, or that there are none."""
    slo = _slo(scene)
    if slo is None:
        return "none was set: full load, however long people wait"
    limits = [
        f"{name} <= {limit:g} ms"
        for key, name in NAMES.items()
        if (limit := getattr(slo, key)) is not None
    ]
    return f"{', '.join(limits)} for {_share(scene):.0%} of the requests"


def _slo(scene: Scene) -> Slo | None:
    given = scene.evidence.study.slo
    return scene.case.slo or (given if isinstance(given, Slo) else None)


def _share(scene: Scene) -> float:
    slo = _slo(scene)
    if slo is None:
        return 0.0
    return slo.share if isinstance(slo, Objectives) else SHARE


def _good_share(scene: Scene, cell: Cell) -> float | None:
    """Return the share of the requests that ended which met every objective; 1 without any."""
    if _slo(scene) is None:
        return 1.0
    return cell.values["slo_attainment"].value
