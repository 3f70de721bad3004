"""Stands in for SGLang's compiled kernels: every name can be imported, one can be called.

On a processor without AMX SGLang falls back to PyTorch for attention and sampling; what is left of
the kernels in that case is one table copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

__version__ = "0.4.10"
"""The kernel version that SGLang 0.5.23 asks for."""


def __getattr__(name: str) -> Callable[..., NoReturn]:
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError(f"sgl_kernel.{name}: this is a stub without kernels")

    return missing


def assign_req_to_token_pool_cpu(
    req_pool_indices: Any, req_to_token: Any, start: Any, end: Any, out_cache_loc: Any, _: int
) -> None:
    """Write each request's new cache slots into its row of the table, from start to end."""
    taken = 0
    for row, first, last in zip(
        req_pool_indices.tolist(), start.tolist(), end.tolist(), strict=True
    ):
        slots = out_cache_loc[taken : taken + last - first]
        req_to_token[row, first:last] = slots.to(req_to_token.dtype)
        taken += last - first
