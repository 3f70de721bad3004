"""Put every fault of tests/faults into a run; print what was expected, what was found, how long.

``--only WORD`` takes the faults with this word in their name; ``--at-once N`` runs so many beside
each other. Ends with 1 when one of them is not seen as it should be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.conftest import trained
from tests.faults.catalogue import CATALOGUE
from tests.faults.fault import disagreements, others_than
from tests.faults.running import put
from tests.programs import hear_signals

from inferometer.testing.engine import write_model


def one(name: str, models: Path) -> bool:
    """Run one fault and print its line; return whether it was seen as it should be."""
    fault = next(fault for fault in CATALOGUE if fault.name == name)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fault-") as folder:
        found = put(fault, Path(folder), models)
    wrong = disagreements(fault.expected, found)
    told_apart = all(disagreements(other, found) for other in others_than(fault.expected))
    verdict = "pass" if told_apart and not wrong else "FAIL"
    expected = fault.expected.brief()
    seconds = time.monotonic() - began
    seen = found.brief(fault.expected)
    print(f"{fault.name:28} {expected:52} {seen:52} {seconds:5.1f} s {verdict}", flush=True)
    for line in wrong:
        print(f"    {line}")
    return verdict == "pass"


def main() -> int:
    """Run those asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--at-once", type=int, default=3)
    asked = parser.parse_args()
    hear_signals()
    chosen = [fault.name for fault in CATALOGUE if asked.only in fault.name]
    print(f"{'fault':28} {'expected':52} {'found':52}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="models-") as folder:
        models = Path(folder)
        tokenizer = models / "tokenizer.json"
        trained("bytes").save(str(tokenizer))
        write_model(models / "dense", tokenizer.read_text())
        with ProcessPoolExecutor(asked.at_once) as pool:  # msgspec's first use is for one thread
            good = sum(pool.map(one, chosen, [models] * len(chosen)))
    print(f"{good} of {len(chosen)} faults as expected, in {time.monotonic() - began:.0f} s")
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
