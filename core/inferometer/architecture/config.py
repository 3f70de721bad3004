"""A model's ``config.json`` as a stranger's file: every number is checked before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from inferometer.errors import UsageError, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Item = TypeVar("Item", str, int)

HIDDEN = ("hidden_size", "n_embd", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_head")
CONTEXT = ("max_position_embeddings", "n_positions", "model_max_length", "seq_length")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
TOP_K = ("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token")
"""One thing, named differently by family, and again when transformers saves the file anew."""

BITS = ("bits", "w_bit", "num_bits", "weight_bits")
LOADED = {"load_in_8bit": 8, "load_in_4bit": 4}
"""Fields of ``quantization_config`` that say how many bits a weight has."""

LARGEST = 10**9
"""No dimension of a real model is near it."""
MOST_LAYERS = 1_000
LARGEST_JSON = 64 << 20


class MissingError(Exception):
    """A field that the arithmetic needs is not there, or does not say what it must."""

    def __init__(self, field: str, problem: str = "is missing") -> None:
        super().__init__(f"{field} {problem}")
        self.field = field


class Config:
    """A model's ``config.json``, unwrapped to its text part; every access is checked.

    A value that makes no sense is an error (:class:`UsageError`); one that is not there is
    :class:`MissingError`, which costs the facts that need it and nothing else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        raw = read_json(path)
        text = raw.get("text_config")
        inner = text.items() if isinstance(text, dict) else ()
        self.raw = raw | {name: value for name, value in inner if value is not None}
        self.wrapped = isinstance(text, dict)
        model_type = self.raw.get("model_type")
        if not isinstance(model_type, str) or not 0 < len(model_type) <= 100:
            raise self.wrong("model_type", "is not a name")
        self.model_type = model_type

    def assume(self, defaults: Mapping[str, object]) -> None:
        """Take a family's values for fields the file does not have; null in the file stays."""
        self.raw = {**defaults, **self.raw}

    def wrong(self, name: str, problem: str) -> UsageError:
        """Return the error for one field."""
        return UsageError(
            f"{self.path}: {name} {problem}",
            hint="The file is damaged, or of a kind unknown here; compare it with the original.",
        )

    def get(self, *names: str, most: int = LARGEST) -> int | None:
        """Return the first of ``names`` that is set, as a whole number; null counts as unset."""
        for name in names:
            value = self.raw.get(name)
            if value is not None:
                return self._whole(name, value, most)
        return None

    def need(self, *names: str) -> int:
        """Return the first of ``names`` that is set; 0 is a value."""
        value = self.get(*names)
        if value is None:
            raise MissingError(names[0])
        return value

    def one(self, names: Sequence[str], most: int = LARGEST) -> int:
        """Return the first of ``names`` that is set; it must be there, and at least 1."""
        value = self.get(*names, most=most)
        if value is None:
            raise MissingError(names[0])
        if not value:
            raise self.wrong(names[0], "is 0")
        return value

    def alike(self, *names: str) -> int | None:
        """Return the first of ``names`` that is set: a number, or the same one for every layer.

        Raises:
            MissingError: the layers differ, so there is no such number.
        """
        for name in names:
            value = self.raw.get(name)
            if isinstance(value, list) and value and len(value) <= MOST_LAYERS:
                if any(item != value[0] for item in value):
                    raise MissingError(name, "differs between layers")
                value = value[0]
            if value is not None:
                return self._whole(name, value)
        return None

    def _whole(self, name: str, value: object, most: int = LARGEST) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self.wrong(name, f"is not a whole number from 0 to {most:,}")
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value; unset is False."""
        value = self.raw.get(name)
        if not isinstance(value, bool | None):
            raise self.wrong(name, "is neither true nor false")
        return bool(value)

    def names(self, name: str) -> list[str]:
        """Return a list of names, one per layer; unset is empty."""
        return self._list(name, str)

    def indexes(self, name: str) -> list[int]:
        """Return a list of numbers; unset is empty."""
        return self._list(name, int)

    def _list(self, name: str, kind: type[Item]) -> list[Item]:
        value = self.raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MOST_LAYERS:
            raise self.wrong(name, f"is not a list of at most {MOST_LAYERS:,} items")
        if not all(isinstance(item, kind) for item in value):
            raise self.wrong(name, f"holds something that is no {kind.__name__}")
        return value

    # -- what every family calls by the same names ---------------------------------------------

    @property
    def hidden(self) -> int:
        """Return the width of the residual stream."""
        return self.one(HIDDEN)

    @property
    def layers(self) -> int:
        """Return the number of layers."""
        return self.one(LAYERS, most=MOST_LAYERS)

    @property
    def heads(self) -> int:
        """Return the attention heads."""
        return self.one(HEADS)

    @property
    def kv_heads(self) -> int:
        """Return the KV heads; null means as many as attention heads."""
        if "num_key_value_heads" not in self.raw:
            raise MissingError("num_key_value_heads")
        return self.get("num_key_value_heads") or self.heads

    @property
    def head_width(self) -> int:
        """Return the width of one attention head."""
        if width := self.get("head_dim"):
            return width
        if self.hidden % self.heads:
            raise MissingError("head_dim")
        return self.hidden // self.heads

    @property
    def experts(self) -> int:
        """Return the experts per layer; some dense models say 0, 1 or null, which means none."""
        experts = self.alike(*EXPERTS) or 0
        return experts if experts > 1 else 0

    @property
    def has_experts(self) -> bool:
        """Say whether any field speaks of more than one expert."""
        values = [self.raw.get(name) for name in EXPERTS]
        return any(isinstance(it, list) or (isinstance(it, int) and it > 1) for it in values)

    @property
    def top_k(self) -> int:
        """Return how many experts work on a token."""
        value = self.alike(*TOP_K)
        if not value:
            raise MissingError(TOP_K[0])
        if value > self.experts:
            raise self.wrong(TOP_K[0], f"{value} is more than the {self.experts} experts")
        return value

    @property
    def dtype(self) -> str | None:
        """Return the type the weights are meant to be used in."""
        value = self.raw.get("dtype", self.raw.get("torch_dtype"))
        return value.removeprefix("torch.") if isinstance(value, str) else None

    @property
    def quantization(self) -> str | None:
        """Return how the weights are quantised, ``awq 4-bit``; None when the file says nothing."""
        said = self.raw.get("quantization_config")
        if not isinstance(said, dict):
            return None
        method = said.get("quant_method")
        word = method[:32] if isinstance(method, str) and method else "quantised"
        bits = next((said[name] for name in BITS if isinstance(said.get(name), int)), None)
        for name, count in LOADED.items():
            bits = count if said.get(name) is True else bits
        groups = said.get("config_groups")
        for group in groups.values() if isinstance(groups, dict) else ():
            weights = group.get("weights") if isinstance(group, dict) else None
            found = weights.get("num_bits") if isinstance(weights, dict) else None
            bits = min(found, bits or found) if isinstance(found, int) else bits
        return word if bits is None else f"{word} {bits}-bit"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stranger wrote, or raise :class:`UsageError` naming the file."""
    hint = "Compare it with the model's original, or download the model again."
    if not path.is_file():
        raise UsageError(f"{path.parent}: no {path.name}, so this is no model directory", hint=hint)
    try:
        with path.open("rb") as file:  # what is longer is cut off, so it will not decode
            return msgspec.json.decode(file.read(LARGEST_JSON), type=dict[str, Any])
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: not readable as a JSON object: {words(error)}", hint=hint
        ) from error
