"""Does every fault of a meter give its reason and no number, and does none of their twins?

    python -m tests.benchmarks.energy_faults

The table of :mod:`tests.unit.energy.faults`, written out. A fault spoils what two instruments read
of two accelerators; its twin looks much the same and is all right.
"""

from __future__ import annotations

import collections

from tests.unit.energy import faults


def main() -> int:
    """Print the table; 1 when a fault gave a number or another reason, or a twin gave none."""
    print("| fault | reason | windows | with that reason | with a number | twins with a number |")
    print("|---|---|---|---|---|---|")
    good = True
    for fault in faults.CATALOGUE:
        seen = collections.Counter(faults.caught(fault))
        twins = faults.clean(fault)
        right = seen[fault.reason] == seen.total() and set(twins) == {None}
        print(
            f"| {fault.name} | `{fault.reason}` | {seen.total()} | {seen[fault.reason]} | "
            f"{seen[None]} | {twins.count(None)} of {len(twins)} |{'' if right else ' wrong'}",
            flush=True,
        )
        good &= right
    print(f"\n{len(faults.CATALOGUE)} faults")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
