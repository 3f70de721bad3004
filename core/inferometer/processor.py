"""What this machine's processor can do, measured before any engine runs: ``host.json``.

For machines without accelerators: nobody prints what two cores of a virtual machine can read. A
child process reads, copies and multiplies for a few seconds
(:mod:`inferometer.scripts.processor_rates`), with as many threads as an engine may use and arrays
several times the size of the last cache. It runs in an engine's interpreter where that one has
torch, because numpy computes no bfloat16; then the rate in it is what that engine's own library
reaches in large products. A neighbour on the machine makes the figures too low: what is seen
above them is said, not hidden.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.environment import Environment
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.prepare import Prepared

SCRIPT = Path(__file__).parent / "scripts" / "processor_rates.py"
TIMEOUT_S = 60.0
LEAST_BYTES = 1 << 29
CACHES = 4
"""The arrays are so many times the last cache, unless memory forbids it."""
MEMORY_SHARE = 8
"""They take at most one part in so many of the memory."""


def probed(prepared: Prepared, note: Callable[[str], None]) -> dict[str, Any]:
    """Return what ``host.json`` holds under ``processor``: the rates, or the reason for none.

    ``read_s`` and ``copy_s`` in bytes/s, ``flops`` in FLOP/s by type, ``threads``,
    ``cache_bytes`` (of the last cache, None where the system does not tell), ``array_bytes``,
    ``seen`` (date), ``by`` (what computed each type).
    """
    if prepared.platform.accelerator != "cpu":
        return {"reason": "accelerators serve, so the processor was not probed"}
    stacks = [stack for stack in prepared.stacks.values() if not stack.engine.simulated]
    if not stacks:
        return {"reason": "only simulated engines run, so the processor was not probed"}
    built = [each.environment for each in stacks if isinstance(each.environment, Environment)]
    if all(each.address is not None for each in built):
        return {"reason": "the engines run elsewhere, so the processor was not probed"}
    own = (each.python for each in built if each.ours and "torch" in each.distributions)
    python = next(own, Path(sys.executable))
    note("measuring what the processor can do, for a few seconds")
    return measured(python, prepared.cores, prepared.memory_bytes)


def measured(python: Path, threads: int, memory_bytes: int) -> dict[str, Any]:
    """Run the probe with ``python``; what goes wrong is the reason, and stops nothing."""
    cache = last_cache_bytes()
    size = min(max(LEAST_BYTES, CACHES * (cache or 0)), memory_bytes // MEMORY_SHARE)
    argv = [str(python), "-I", str(SCRIPT), str(threads), str(size)]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            check=True,
            cwd="/",
            env={key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            text=True,
            timeout=TIMEOUT_S,
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return {"reason": f"the probe failed: {plain(str(said).strip()[-200:])}"}
    return {
        **found,
        "threads": threads,
        "array_bytes": size,
        "cache_bytes": cache,
        "seen": datetime.now(UTC).date().isoformat(),
    }


def last_cache_bytes(root: Path = Path("/")) -> int | None:
    """Return the size of the first processor's last cache, all that share it together."""
    sizes = []
    for index in root.glob("sys/devices/system/cpu/cpu0/cache/index*"):
        try:
            text = (index / "size").read_text(encoding="ascii").strip()
            level = int((index / "level").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append((level, int(text[:-1]) << 10))
    return max(sizes)[1] if sizes else None
