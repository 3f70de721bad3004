"""What a model is made of, as values: mixers, MLPs, layers. Numbers are elements, not bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

MixerKind = Literal["attention", "latent", "linear", "mamba", "mamba2", "convolution"]


class Mixer(Struct, frozen=True, kw_only=True):
    """What mixes tokens in one layer: attention, or a recurrence with a state of constant size."""

    kind: MixerKind
    parameters: int
    kv_elements: int = 0
    """Kept per token of context."""
    index_elements: int = 0
    """Kept per token beside them by an indexer (sparse attention), and read for every token."""
    attended: int | None = None
    """Most tokens a query attends to: a window, a chunk, an indexer's choice. None: all."""
    keeps_all: bool = True
    """False when the cache holds no more than ``attended`` tokens."""
    decode_flops: int = 0
    """Per token and attended token, when one token is added (latent attention: absorbed)."""
    prefill_flops: int = 0
    """The same, when a prompt is read."""
    index_flops: int = 0
    """Per token and token of context, attended or not."""
    state_elements: int = 0
    """Kept per sequence, whatever its length."""
    state_flops: int = 0
    """Per token, to bring the state up to date and to read it; an estimate."""


class Mlp(Struct, frozen=True, kw_only=True):
    """A layer's MLP. ``parameters`` work on every token: a dense MLP, or router and shared expert.

    Of ``experts`` experts of ``expert_parameters`` each, ``top_k`` work on a token.
    """

    parameters: int
    experts: int = 0
    top_k: int = 0
    expert_parameters: int = 0
    expert_width: int = 0
    shared_width: int = 0

    @property
    def all_parameters(self) -> int:
        """Return the parameters with all experts."""
        return self.parameters + self.experts * self.expert_parameters

    @property
    def active_parameters(self) -> int:
        """Return the parameters that work on one token."""
        return self.parameters + self.top_k * self.expert_parameters


class Layers(Struct, frozen=True, kw_only=True):
    """Layers that are alike, by number from 0."""

    numbers: tuple[int, ...]
    mixer: Mixer
    mlp: Mlp


class Shape(Struct, frozen=True, kw_only=True):
    """A decoder: its layers, and the matrices that tokens enter and leave by."""

    hidden: int
    vocabulary: int
    tied: bool
    """Input and output embeddings are one matrix."""
    layers: tuple[Layers, ...]

    @property
    def embedding_parameters(self) -> int:
        """Return the parameters of input and output embeddings."""
        return self.output_parameters * (1 if self.tied else 2)

    @property
    def output_parameters(self) -> int:
        """Return the parameters of the output matrix: read in every step, even if tied."""
        return self.vocabulary * self.hidden

    @property
    def total_parameters(self) -> int:
        """Return all parameters, norms and biases left out."""
        return self.embedding_parameters + self.sum(
            (each.mixer.parameters + each.mlp.all_parameters, each) for each in self.layers
        )

    @property
    def active_parameters(self) -> int:
        """Return those that work on one token; all embeddings count."""
        return self.embedding_parameters + self.sum(
            (each.mixer.parameters + each.mlp.active_parameters, each) for each in self.layers
        )

    @property
    def kv_elements(self) -> int:
        """Return what one token leaves in the cache while every window still holds it."""
        return self.sum(
            (each.mixer.kv_elements + each.mixer.index_elements, each) for each in self.layers
        )

    @property
    def state_elements(self) -> int:
        """Return what a sequence keeps whatever its length."""
        return self.sum((each.mixer.state_elements, each) for each in self.layers)

    @property
    def moe_layers(self) -> tuple[int, ...]:
        """Return the numbers of the layers with experts."""
        return tuple(sorted(it for each in self.layers if each.mlp.experts for it in each.numbers))

    @staticmethod
    def sum(values: Iterable[tuple[int, Layers]]) -> int:
        """Add a number per layer over groups of layers that are alike."""
        return sum(value * len(group.numbers) for value, group in values)
