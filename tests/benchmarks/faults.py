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
import sys
import time
from pathlib import Path
from typing import Any

from inferometer.testing import faults


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
    rows = [
        of_fault(fault, given.runs, given.window)
        for fault in faults.CATALOGUE
        if chosen(fault.name, given.only)
    ]
    if given.clean and chosen("clean", given.only):
        rows += [
            of_clean(loop, part, given.window)
            for loop, part in (
                ("closed", given.clean - given.clean // 2),
                ("open", given.clean // 2),
            )
        ]
    show(rows)
    print(f"\n{time.monotonic() - began:.0f} s")
    if given.json:
        with given.json.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return 0 if all(row["good"] == row["runs"] for row in rows) else 1


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


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print("| fault | check that must catch it | caught | other checks that failed | warned |")
    print("|---|---|---|---|---|")
    for row in rows:
        words = [
            ", ".join(f"{name} {n}" for name, n in row[key].items()) or "none"
            for key in ("others", "warned")
        ]
        good = f"{row['good']} of {row['runs']}"
        if row["check"] == "none":
            good = f"{row['runs'] - row['good']} false alarms in {row['runs']}"
        print(f"| {row['name']} | {row['check']} | {good} | {' | '.join(words)} |")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
