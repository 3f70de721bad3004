"""Measure what this machine's processor can do: bytes/s of its memory, FLOP/s of its cores.

Runs as a child process, for a few seconds, while no engine runs. Usage::

    python processor_rates.py THREADS BYTES

Needs numpy, and of torch what there is. Prints one line of JSON: ``read_s`` and ``copy_s``
(bytes/s), ``flops`` (FLOP/s by type), ``by`` (what computed each).

Reading: THREADS threads each sum the products of two float32 arrays; together they hold BYTES,
which should be several times the last cache. Copying: each byte counts twice, read and written
(that a cache may read a line before it is written is left out). FLOP/s: products of square
matrices, float32 by numpy's BLAS, and where the interpreter has torch float32 and bfloat16 by it.
The best of several repetitions each, because a peak is a bound.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SIDE = 2048
SECONDS = 1.0
"""How long each measurement repeats, at least three times."""
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(threads: int, size: int) -> None:
    """Print the rates."""
    for name in LIMITS:  # read when the library is loaded
        os.environ[name] = str(threads)
    read_s, copy_s = memory(threads, size)
    flops, by = {"float32": by_numpy()}, {"float32": "numpy"}
    for kind, found in by_torch(threads).items():
        if found > flops.get(kind, 0.0):
            flops[kind], by[kind] = found, "torch"
    print(json.dumps({"read_s": read_s, "copy_s": copy_s, "flops": flops, "by": by}))


def best(work, amount: float) -> float:
    """Return the best rate, in units of ``amount`` a second, of a call that does it once."""
    rates, began = [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - began < SECONDS:
        start = time.perf_counter()
        work()
        rates.append(amount / (time.perf_counter() - start))
    return max(rates)


def memory(threads: int, size: int) -> tuple[float, float]:
    """Return bytes/s of reading, and of copying."""
    import numpy as np  # noqa: PLC0415 -- after the limits are set

    each = size // threads // 2 // 4
    moved = 2.0 * 4 * each * threads
    with ThreadPoolExecutor(threads) as pool:  # both calls let other threads run
        # Filled by the threads: memory lies with the processor that writes it first.
        pairs = list(pool.map(lambda _: tuple(np.ones((2, each), np.float32)), range(threads)))
        read_s = best(lambda: list(pool.map(lambda pair: pair[0].dot(pair[1]), pairs)), moved)
        copy_s = best(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)), moved)
    return read_s, copy_s


def by_numpy() -> float:
    """Return float32 FLOP/s of numpy's matrix product, all threads."""
    import numpy as np  # noqa: PLC0415 -- after the limits are set

    left = np.ones((SIDE, SIDE), np.float32)
    right, out = left.copy(), left.copy()
    return best(lambda: np.matmul(left, right, out=out), 2.0 * SIDE**3)


def by_torch(threads: int) -> dict[str, float]:
    """Return FLOP/s of torch's matrix products by type; none where there is no torch."""
    try:
        import torch  # noqa: PLC0415 -- large, and not everywhere
    except ImportError:
        return {}
    torch.set_num_threads(threads)
    found = {}
    for kind in ("float32", "bfloat16"):
        left = torch.ones((SIDE, SIDE), dtype=getattr(torch, kind))
        right = left.clone()
        found[kind] = best(lambda one=left, two=right: torch.mm(one, two), 2.0 * SIDE**3)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
