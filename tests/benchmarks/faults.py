"""Is every fault of the client caught by name, and does no clean run raise an alarm?

    python tests/benchmarks/faults.py [--runs 20] [--clean 50] [--only NAME ...] [--json FILE]

Each fault is put into a real run against the oracle (see ``inferometer.testing.faults``). Clean
runs are closed and open loops in turn. ``--only`` takes parts of names (``clean`` for the clean
runs), so that the catalogue can be run in pieces. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.testing import faults

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    """Run what was asked for; 1 when a fault escaped or a clean run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--clean", type=int, default=50)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--window", type=float, default=faults.WINDOW_S, help="seconds")
    parser.add_argument("--json", type=Path, help="append one line a fault")
    given = parser.parse_args()
    began = time.monotonic()
    print("| fault | check that must catch it | caught | other checks that failed | warned |")
    print("|---|---|---|---|---|")
    good = True
    for row in rows(given):
        show(row)
        good &= row["good"] == row["runs"]
        if given.json:
            with given.json.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0 if good else 1


def rows(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Run and yield what was asked for, one row a fault and a kind of clean load."""
    for fault in faults.CATALOGUE:
        if chosen(fault.name, given.only):
            yield of_fault(fault, given.runs, given.window)
    half = given.clean // 2
    for loop, runs in (("closed", given.clean - half), ("open", half)):
        if chosen(f"clean, {loop} loop", given.only):
            yield of_clean(loop, runs, given.window)


def chosen(name: str, only: list[str]) -> bool:
    """Say whether ``name`` was asked for."""
    return not only or any(part in name for part in only)


def of_fault(fault: faults.Fault, runs: int, window_s: float) -> dict[str, Any]:
    """Return how often ``fault`` was caught by the check that must, and what else failed."""
    caught, others = 0, collections.Counter[str]()
    with contextlib.ExitStack() as stack:
        # a queue that has grown would still be there in the next run
        shared = "capacity" not in fault.server
        target = stack.enter_context(faults.serving(fault)) if shared else None
        for seed in range(runs):
            found = faults.run(fault, seed=seed, window_s=window_s, target=target)
            failed = {c.name for c in found if bad(c)}
            caught += fault.caught_by in failed
            others.update(failed - {fault.caught_by})
    return {
        "name": fault.name,
        "check": fault.caught_by,
        "good": caught,
        "runs": runs,
        "others": dict(others),
        "warned": {},
    }


def of_clean(loop: Any, runs: int, window_s: float) -> dict[str, Any]:
    """Return how many clean runs raised no alarm, and the checks that did or warned."""
    good, failed, warned = 0, collections.Counter[str](), collections.Counter[str]()
    with faults.serving() as target:
        for seed in range(runs):
            found = faults.run(None, seed=seed, loop=loop, window_s=window_s, target=target)
            good += not any(map(bad, found))
            failed.update(f"{c.name}: {c.value}" for c in found if bad(c))
            warned.update(c.name for c in found if c.verdict in ("warn", "unknown"))
    name = f"clean, {loop} loop"
    return {
        "name": name,
        "check": "none",
        "good": good,
        "runs": runs,
        "others": dict(failed),
        "warned": dict(warned),
    }


def bad(check: Any) -> bool:
    """Say whether a check failed."""
    return bool(check.verdict == "fail")


def show(row: dict[str, Any]) -> None:
    """Print a row of the table as soon as it is known."""
    words = [
        ", ".join(f"{name} {n}" for name, n in row[key].items()) or "none"
        for key in ("others", "warned")
    ]
    good = f"{row['good']} of {row['runs']}"
    if row["check"] == "none":
        good = f"{row['runs'] - row['good']} false alarms in {row['runs']}"
    print(f"| {row['name']} | {row['check']} | {good} | {' | '.join(words)} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
