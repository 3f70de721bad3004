"""What a model directory holds: its facts, its weight files, and the hash of its content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from inferometer.architecture import (
    LARGEST_JSON,
    Config,
    Shape,
    Tensors,
    Work,
    decode,
    describe,
    experts_touched,
    kv_elements,
    prefill,
    read_json,
    touched_by,
)
from inferometer.errors import UsageError, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = [
    "ModelFacts",
    "Shape",
    "Work",
    "decode",
    "experts_touched",
    "inspect",
    "kv_elements",
    "prefill",
    "touched_by",
    "weight_files",
]

Routing = Literal["trained", "synthetic", "none"]
Weights = Literal["trained", "upcycled", "random"]
TENSOR_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
ROUTED = re.compile(r"(^|\.)experts\.")
"""Names of tensors that belong to routed experts (``shared_experts`` do not)."""
SUFFIXES = (".json", ".jinja", ".model", ".tiktoken")
NAMES = ("merges.txt", "vocab.txt")
"""Small files that change what an engine does: these suffixes and names."""
MARKER = "inferometer.json"
"""What made a model that is not as its authors published it; no engine reads it."""
LARGE = 1 << 24


class ModelFacts(Struct, frozen=True, kw_only=True):
    """A model directory in numbers. Unknown is None, and ``unknown`` says what was missing.

    ``active_parameters`` are those that work on one token, with all embeddings (vendors leave
    them out at times; ``embedding_parameters`` are input and output, once if they are one matrix).
    ``counted`` says where the totals come from: the formulas, or tensor shapes (then exact).
    ``approximations`` says in words what the formulas leave out. ``kv_bytes_per_token`` is at the
    model's own ``dtype`` and leaves sliding windows out. ``shape`` is the model layer by layer, for
    :func:`decode`, :func:`prefill` and :func:`kv_elements`; it says which layers have experts.
    ``sha256`` covers what engines read, not the folder's name. ``weights`` says whether they were
    learnt, copied into experts from a dense model, or drawn at random.
    """

    architecture: Literal["dense", "moe"]
    model_type: str
    total_parameters: int | None
    active_parameters: int | None
    embedding_parameters: int | None = None
    counted: Literal["formula", "tensors"] | None
    approximations: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    experts: int | None = None
    top_k: int | None = None
    hidden: int | None
    layers: int | None
    kv_bytes_per_token: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    """How the checkpoint's weights are quantised (``awq 4-bit``); None when they are not."""
    context_length: int | None = None
    shape: Shape | None = None
    weights_bytes: int
    sha256: str
    routing: Routing
    weights: Weights = "trained"


def inspect(directory: Path, cache_root: Path) -> ModelFacts:
    """Return the facts of a model directory; hashes of large files are kept in the cache.

    Raises:
        UsageError: something is missing, or ``config.json`` makes no sense; names file and field.
    """
    path = directory.expanduser().absolute()
    if not path.is_dir():
        raise UsageError(
            f"{path}: no model directory there",
            hint="Give a directory that holds config.json and *.safetensors, or a packaged model.",
        )
    try:
        config = Config(path / "config.json")
        weights = weight_files(path)
        facts = describe(config, read_tensors(weights))
        routing, origin = _marked(path, moe=facts["architecture"] == "moe")
        return ModelFacts(
            **facts,
            weights_bytes=sum(file.stat().st_size for file in weights),
            sha256=content_sha256(path, weights, cache_root),
            routing=routing,
            weights=origin,
        )
    except OSError as error:
        raise UsageError(
            f"{error.filename or path}: cannot be read: {error.strerror or error}",
            hint="Fix the permissions of the model directory.",
        ) from error


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that engines load, in order of name."""
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        shards = read_json(index).get("weight_map")
        names = set(map(str, shards.values())) if isinstance(shards, dict) else set()
    elif (directory / "model.safetensors").is_file():
        names = {"model.safetensors"}
    else:
        names = {file.name for file in directory.glob("*.safetensors")}
    if not names:
        raise UsageError(
            f"{directory}: no weights (*.safetensors)",
            hint="Download the model's safetensors files into it, or convert it to safetensors.",
        )
    for name in names:
        if "/" in name or "\0" in name or not _is_file(directory / name):
            raise UsageError(
                f"{index}: names {name[:80]!r}, which is not in the directory",
                hint="The download is not complete; fetch the missing files.",
            )
    return [directory / name for name in sorted(names)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def read_tensors(files: Iterable[Path]) -> Tensors:
    """Count the elements of all tensors from the files' headers.

    A safetensors file starts with the header's length (8 bytes, little endian) and the header:
    JSON, tensor name -> dtype, shape, data offsets.
    """
    elements: dict[str, int] = {}
    experts = 0
    for file in files:
        try:
            for name, dtype, count in _header(file):
                elements[dtype] = elements.get(dtype, 0) + count
                experts += count if ROUTED.search(name) else 0
        except (struct.error, ValueError, TypeError, RecursionError) as error:
            raise UsageError(
                f"{file}: not a whole safetensors file: {words(error)}",
                hint="The download is not complete, or a pointer stands in place of the file.",
            ) from error
    most = max(elements, key=lambda dtype: elements[dtype], default="")
    return Tensors(
        elements=sum(elements.values()), dtype=TENSOR_TYPES.get(most), expert_elements=experts
    )


class _Tensor(Struct):
    """One entry of a safetensors header."""

    dtype: str
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=1 << 40)]], Meta(max_length=16)]
    data_offsets: tuple[int, int]


def _header(file: Path) -> Iterable[tuple[str, str, int]]:
    """Return name, type and elements of each tensor; ValueError when bytes are missing."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > min(size, LARGEST_JSON):
            raise ValueError(f"{size:,} bytes cannot hold its header")
        raw = msgspec.json.decode(opened.read(length), type=dict[str, msgspec.Raw])
    raw.pop("__metadata__", None)
    tensors = {name: msgspec.json.decode(entry, type=_Tensor) for name, entry in raw.items()}
    needed = 8 + length + max((it.data_offsets[1] for it in tensors.values()), default=0)
    if size < needed:
        raise ValueError(f"{size:,} bytes of {needed:,}")
    return [(name, tensor.dtype, prod(tensor.shape)) for name, tensor in tensors.items()]


def content_sha256(directory: Path, weights: Sequence[Path], cache_root: Path) -> str:
    """Hash what engines read in a model directory: names and contents, in order of name."""
    small = [
        file
        for file in directory.iterdir()
        if (file.suffix in SUFFIXES or file.name in NAMES)
        and file.name != MARKER
        and file.is_file()
    ]
    total = hashlib.sha256()
    for file in sorted({*small, *weights}, key=lambda file: file.name):
        total.update(f"{file.name}\0{_file_sha256(file, cache_root)}\n".encode())
    return total.hexdigest()


def _file_sha256(file: Path, cache_root: Path) -> str:
    """Hash a file; the hash of a large one is kept, keyed by path, size, inode and times."""
    stat = file.stat()
    if stat.st_size < LARGE:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    known = [str(file), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    key = hashlib.sha256(msgspec.json.encode(known)).hexdigest()
    kept = cache_root / "hashes" / key
    try:
        text = kept.read_text(encoding="ascii")
        if len(text) == 64:
            return text
    except (OSError, ValueError):
        pass  # not kept yet
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not truth
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f".{key}-{os.getpid()}")
        temporary.write_text(digest, encoding="ascii")
        temporary.replace(kept)
    return digest


def _marked(directory: Path, *, moe: bool) -> tuple[Routing, Weights]:
    """Return where router and weights come from, as a marker says; without one both were trained.

    Markers before ``weights`` were of upcycled twins alone.
    """
    marker = directory / MARKER
    told = read_json(marker) if marker.exists() else {}
    drawn = moe and told.get("routing") == "synthetic"
    routing: Routing = "synthetic" if drawn else "trained" if moe else "none"
    weights = told.get("weights")
    if weights == "random":
        return routing, "random"
    return routing, "upcycled" if weights == "upcycled" or (drawn and not weights) else "trained"
