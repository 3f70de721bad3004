"""The study most tests of the pipeline begin with: two oracles, a dense model and its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.studies import CPU_TIME, DECLARED, PRICE, RAPL, SHORT, STREAMS, Table, oracle, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SLOWER = oracle("--itl-ms", "4")
PROTOCOL: Table = {"rounds": 1, "window_s": 0.6, "discard_s": 0.1, "probe": False, "idle_s": 0}


def text_of(
    models: Path,
    *,
    engines: Sequence[Table] = (oracle("--itl-ms", "2"), SLOWER),
    only: str = "",
    moe: Path | None = None,
    workloads: Sequence[Table] = (SHORT,),
    meters: Sequence[Table] = (DECLARED, CPU_TIME, RAPL),
    **protocol: Any,
) -> str:
    """Return the study; ``only`` is the one model it keeps, ``moe`` another place of the twin."""
    known = [
        {"name": "dense", "path": models / "dense"},
        {"name": "moe", "path": moe or models / "moe", "twin_of": "dense"},
    ]
    return written(
        "pipeline",
        protocol=PROTOCOL | protocol,
        price=PRICE,
        engines=engines,
        models=[model for model in known if only in {"", model["name"]}],
        workloads=workloads,
        loads=[STREAMS],
        meters=meters,
    )


def second(*words: str, **more: Any) -> list[Table]:
    """Return the two engines, the second with other options."""
    return [oracle("--itl-ms", "2"), oracle(*words, **more)]
