"""How long a step takes: the largest of some straight lines in the tokens that are attended to.

A step computes one token for each decoding sequence and a chunk of waiting prompts. Lines, so that
a run of steps with the same sequences needs no look at each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1e-3


class Line(NamedTuple):
    """Seconds of a step: ``fixed_s + context_s * (tokens attended to)``."""

    fixed_s: float
    context_s: float


class Linear(Struct, frozen=True, kw_only=True, tag="linear"):
    """``a + b * decoding + c * context + d * prompt tokens``, in seconds.

    The defaults are the fixed world in which rules of measuring are tried.
    """

    a_s: float = 6 * MS
    b_s: float = 0.02 * MS
    c_s: float = 4e-5 * MS
    d_s: float = 0.04 * MS

    def lines(self, decoding: int, prefill: int) -> Sequence[Line]:
        """Return the one line of a step with ``prefill`` prompt tokens."""
        return (Line(self.a_s + self.b_s * decoding + self.d_s * prefill, self.c_s),)


class Hardware(Struct, frozen=True, kw_only=True):
    """An accelerator, or several that work as one: what the maker says, and what is achieved."""

    flops_s: float
    """In the precision of the weights."""
    bytes_s: float
    memory_bytes: float
    flops_share: float = 0.5
    """Achieved of the peak; as the next, an assumption to replace by a measurement."""
    bytes_share: float = 0.7
    usable_share: float = 0.9
    """Of the memory, for weights and cache."""


class Sizes(Struct, frozen=True, kw_only=True):
    """A model in bytes and FLOPs. Dense: leave the experts out."""

    always_bytes: float
    """Weights that every step reads: all but the experts."""
    flops_per_token: float
    """Twice the parameters that work on a token."""
    kv_bytes_per_token: float
    experts: int = 0
    top_k: int = 0
    expert_bytes: float = 0.0
    """Of expert number i, over all layers."""

    @property
    def weight_bytes(self) -> float:
        """Return the bytes of all weights."""
        return self.always_bytes + self.experts * self.expert_bytes

    def read_bytes(self, tokens: int) -> float:
        """Return the weights that a step of ``tokens`` reads, under even routing.

        A layer's experts touched: ``E * (1 - (1 - k / E) ** tokens)``.
        """
        if not self.experts:
            return self.always_bytes
        touched = self.experts * (1 - (1 - self.top_k / self.experts) ** tokens)
        return self.always_bytes + touched * self.expert_bytes


class Roofline(Struct, frozen=True, kw_only=True, tag="roofline"):
    """``overhead + max(bytes / bandwidth, FLOPs / FLOP/s)``: weights and cache against arithmetic.

    Attention's own FLOPs, activations and traffic between accelerators are left out.
    """

    hardware: Hardware
    sizes: Sizes
    overhead_s: float = 1 * MS

    def lines(self, decoding: int, prefill: int) -> Sequence[Line]:
        """Return the line of memory and that of arithmetic."""
        tokens, hardware = decoding + prefill, self.hardware
        bytes_s = hardware.bytes_s * hardware.bytes_share
        read_s = self.sizes.read_bytes(tokens) / bytes_s
        flops_s = hardware.flops_s * hardware.flops_share
        return (
            Line(self.overhead_s + read_s, self.sizes.kv_bytes_per_token / bytes_s),
            Line(self.overhead_s + self.sizes.flops_per_token * tokens / flops_s, 0.0),
        )

    def kv_tokens(self) -> int:
        """Return the tokens that the cache holds beside the weights.

        Raises:
            ValueError: the weights do not fit.

        """
        free = self.hardware.memory_bytes * self.hardware.usable_share - self.sizes.weight_bytes
        if free <= 0:
            raise ValueError(
                f"{self.sizes.weight_bytes / 2**30:.1f} GiB of weights do not fit in "
                f"{self.hardware.usable_share:.0%} of {self.hardware.memory_bytes / 2**30:.1f} GiB"
            )
        return int(free / self.sizes.kv_bytes_per_token)


Law = Linear | Roofline


def steepest(lines: Sequence[Line], stored: int, decoding: int, steps: int) -> tuple[Line, int]:
    """Return the line that says the time of the next steps, and for how many of ``steps``.

    ``stored`` tokens are in the cache of ``decoding`` sequences before the first of them.
    """
    if len(lines) == 1:
        return lines[0], steps
    context = stored + decoding
    best = max(lines, key=lambda line: (line.fixed_s + line.context_s * context, line.context_s))
    for line in lines:
        if line.context_s > best.context_s and decoding:
            crossing = (best.fixed_s - line.fixed_s) / (line.context_s - best.context_s)
            steps = min(steps, 1 + int((crossing - context) / decoding))
    return best, steps
