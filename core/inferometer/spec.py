"""How a model is to be served, in the field's terms, and how adapters answer for each term."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")
Profile = Literal["defaults", "equalized", "tuned"]


class Speculative(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Speculative decoding: ``tokens`` drafted at a time, by ``model`` where one is needed."""

    method: Literal["draft_model", "eagle", "eagle3", "mtp", "ngram"]
    tokens: Annotated[int, Meta(ge=1)]
    model: Annotated[str, Meta(min_length=1)] | None = None
    """Directory of the draft model or head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The nodes that one launch is started on, as one of them is told of it."""

    nodes: int
    rank: int
    """From 0; the engine of rank 0 answers requests, the others follow it."""
    address: str
    """Of rank 0's node, as the others reach it."""
    port: int
    """On rank 0's node, for the engine's own: where its ranks meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """How a model is to be served, in the field's terms; None leaves the engine's default.

    An adapter translates every field that is set, or refuses it by name: see :func:`translated`.
    """

    dtype: str = "bfloat16"
    tensor_parallel_size: int = 1
    """Accelerators that share each layer."""
    pipeline_parallel_size: int = 1
    """Groups of layers, each on accelerators of its own."""
    data_parallel_size: int = 1
    """Whole replicas behind one address."""
    expert_parallel_size: int = 1
    """Accelerators over which whole experts are spread."""
    max_model_len: int | None = None
    """Longest context, prompt and answer, in tokens."""
    max_num_seqs: int | None = None
    """Most requests in one batch."""
    max_num_batched_tokens: int | None = None
    """Most tokens in one step."""
    kv_cache_dtype: str | None = None
    """``bfloat16``, ``fp8``, ... as the engine knows them; ``auto`` is the model's own."""
    kv_cache_tokens: int | None = None
    """Capacity of one replica's KV cache in tokens."""
    kv_cache_bytes: int | None = None
    """Capacity of the KV cache in bytes on each accelerator."""
    prefix_caching: bool | None = None
    chunked_prefill: bool | None = None
    """Whether a long prompt is computed in several steps."""
    graphs: bool | None = None
    """CUDA graphs and compilation; False means eager."""
    quantization: str | None = None
    """The engine's word for how weights are quantised, where the checkpoint does not say."""
    speculative: Speculative | None = None
    stream_interval: int | None = None
    """Tokens in one streamed event."""
    attention_backend: str | None = None
    """The engine's word for its attention kernels."""
    moe_backend: str | None = None
    """The engine's word for its mixture-of-experts kernels."""
    seed: int | None = None
    extra_args: tuple[str, ...] = ()
    """Passed to the engine as they are, last."""
    extra_env: Mapping[str, str] = field(default_factory=dict)

    def asked(self) -> dict[str, Any]:
        """Return what an adapter has to answer for: ``dtype``, and every field that is set."""
        return {
            known.name: getattr(self, known.name)
            for known in fields(self)
            if known.name == "dtype"
            or (not known.name.startswith("extra_") and getattr(self, known.name) != known.default)
        }


EQUAL: Mapping[str, Any] = {
    "max_num_batched_tokens": 8192,
    "max_num_seqs": 256,
    "prefix_caching": False,
    "chunked_prefill": True,
    "seed": 0,
}
"""What the profile ``equalized`` sets where a study leaves it open: the same for every engine."""


def profiled(spec: LaunchSpec, profile: Profile) -> LaunchSpec:
    """Return ``spec`` with what ``profile`` adds to it; what the study sets stays.

    ``equalized`` needs an absolute KV capacity: the engines' own memory fractions mean different
    things. Its KV data type is the model's, said aloud. What an engine alone has words for (its
    sampling defaults, the largest graph) its adapter adds.

    ``tuned`` starts from the defaults; what its search found is added by :func:`tuned`.

    Raises:
        Unsupported: ``equalized`` without a KV capacity.
    """
    if profile != "equalized":
        return spec
    if spec.kv_cache_tokens is None and spec.kv_cache_bytes is None:
        raise Unsupported(
            "profile 'equalized' needs an absolute KV capacity",
            remedy="Set kv_cache_tokens, the same for every engine of the study.",
        )
    equal = dict(EQUAL)
    if spec.dtype != "auto":
        equal["kv_cache_dtype"] = spec.dtype
    return replace(spec, **{k: v for k, v in equal.items() if getattr(spec, k) is None})


TUNABLE = frozenset(
    {
        *("max_num_seqs", "max_num_batched_tokens", "chunked_prefill", "graphs"),
        *("attention_backend", "moe_backend"),
    }
)
"""Fields that a search may set: they change how fast an answer comes. What changes the answer
itself, the accelerators in use or how it is streamed is the study's to say."""


class Setting(Struct, frozen=True, kw_only=True):
    """One knob at one value; ``extra_args`` are its flags where it is no field of the spec."""

    knob: str
    value: int | str | bool
    extra_args: tuple[str, ...] = ()

    def __str__(self) -> str:
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f"{self.knob} = {value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """Something worth trying at one or a few values that are not the engine's default.

    ``name`` is a field of :data:`TUNABLE`, or a word of the adapter's own, and then ``flags``
    holds the command-line flags of each value. ``why`` says what it trades, and who says so.
    """

    name: str
    values: tuple[int | str | bool, ...]
    why: str
    flags: Mapping[int | str | bool, tuple[str, ...]] = field(default_factory=dict)

    def settings(self) -> list[Setting]:
        """Return the values to try, in order."""
        return [
            Setting(knob=self.name, value=value, extra_args=self.flags.get(value, ()))
            for value in self.values
        ]


def tuned(spec: LaunchSpec, settings: Iterable[Setting]) -> LaunchSpec:
    """Return ``spec`` with what a search found; flags go before the study's own, which win."""
    found = tuple(settings)
    named: dict[str, Any] = {one.knob: one.value for one in found if one.knob in TUNABLE}
    flags = tuple(flag for one in found for flag in one.extra_args)
    return replace(spec, **named, extra_args=(*flags, *spec.extra_args))


def open_knobs(
    engine: str, knobs: Iterable[Knob], spec: LaunchSpec, said: Iterable[str] = ()
) -> list[Knob]:
    """Return the knobs that ``spec`` leaves open; what a study sets is not searched.

    ``said`` names those that it sets in the engine's own words.

    Raises:
        Unsupported: there is none, so there is nothing to tune.
        ValueError: an adapter's knob is neither a tunable field nor has flags.
    """
    known = list(knobs)
    for knob in known:
        own = knob.name not in LaunchSpec.__slots__ and set(knob.flags) >= set(knob.values)
        if not knob.values or not (knob.name in TUNABLE or own):
            raise ValueError(f"{engine}: knob {knob.name!r} is not one that may be tuned")
    given = {*spec.asked(), *said, *(word.partition("=")[0] for word in spec.extra_args)}
    found = [k for k in known if given.isdisjoint([k.name, *chain(*k.flags.values())])]
    if found:
        return found
    raise Unsupported(
        f"{engine}: profile 'tuned' has nothing to try here: "
        + ("the study sets every knob" if known else "the adapter knows no knob on this platform"),
        remedy="Leave a knob open in [[engines]], or choose another profile.",
    )


class Unsupported(Exception):  # noqa: N818 -- an answer, not a fault
    """An adapter cannot do what was asked.

    The message names the field or platform and why; ``remedy`` is the next step.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy[:1].lower()}{remedy[1:]}" if remedy else message)
        self.message = message
        self.remedy = remedy


def translated(engine: str, spec: LaunchSpec, words: Mapping[str, Callable[[Any], T]]) -> list[T]:
    """Return each field that is set in the engine's words, in the order of :class:`LaunchSpec`.

    Raises:
        Unsupported: a field has no word here; names it.
    """
    found = []
    for name, value in spec.asked().items():
        if name not in words:
            raise Unsupported(f"{engine}: {name} has no equivalent in this engine")
        found.append(words[name](value))
    return found


def valued(flag: str) -> Callable[[Any], tuple[str, ...]]:
    """Return the word for a field whose value follows ``flag`` on the command line."""
    return lambda value: (flag, str(value))


def switched(on: str, off: str) -> Callable[[Any], tuple[str, ...]]:
    """Return the word for a field that is on or off; an empty flag is the engine's default."""
    return lambda value: tuple(flag for flag in [on if value else off] if flag)


def release(version: str) -> tuple[int, int, int]:
    """Return the release numbers of ``0.32.0``, ``0.33rc1`` and the like; zeros of anything else.

    A candidate counts as its release.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def refuse_older(engine: str, version: str, oldest: str) -> None:
    """Raise :class:`Unsupported` for a release of ``engine`` before ``oldest``."""
    if release(version) < release(oldest):
        raise Unsupported(
            f"{engine}: version {version} is not known here", remedy=f"Use {oldest} or newer."
        )


def since(version: str, table: Mapping[str, T]) -> T | None:
    """Return the entry of ``table`` (by first release) that holds for ``version``.

    None when ``version`` is older than all of them.
    """
    ordered = sorted(table, key=release, reverse=True)
    return next((table[first] for first in ordered if release(first) <= release(version)), None)
