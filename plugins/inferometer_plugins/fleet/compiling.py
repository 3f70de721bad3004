"""Compile the inner functions with numba where it is there; else they run as they are.

Both ways give the same bytes: no fast-math, no generators of numba's own, no overflow.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

numba: Any
try:
    numba = importlib.import_module("numba")
except ImportError:
    numba = None

COMPILED = numba is not None and not numba.config.DISABLE_JIT
"""Whether this process compiles; ``NUMBA_DISABLE_JIT=1`` switches it off."""

OPTIONS = {"error_model": "numpy", "_nrt": False}
"""Nothing is allocated in compiled functions and nothing raised: a third less to compile."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function that others call."""
    return cast("Function", numba.njit(**OPTIONS)(function)) if numba is not None else function


def entry(function: Function) -> Function:
    """Compile a function that Python calls, and keep the machine code on disk.

    numba looks at the file of the function alone when it asks whether a kept one is stale; the
    name here holds a digest of all files of the package, so that none is ever used.
    """
    if numba is None:
        return function
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    function.__qualname__ += f"_{digest.hexdigest()[:12]}"
    try:
        return cast("Function", numba.njit(cache=True, **OPTIONS)(function))
    except RuntimeError:  # neither beside the sources nor in the user's cache can it be kept
        return cast("Function", numba.njit(**OPTIONS)(function))
