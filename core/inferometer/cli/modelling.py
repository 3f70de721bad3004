"""What ``inferometer models`` shows: the packaged models, and one model in words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer import packaged
from inferometer.architecture import read_json
from inferometer.cli import common
from inferometer.inventory import size_bytes
from inferometer.making.room import BYTES
from inferometer.model import MARKER, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from inferometer.model import ModelFacts

BATCHES = (1, 8, 32, 128)
ROUTING = {
    "none": "none: every token takes the same way",
    "trained": "as its authors published it",
    "synthetic": "synthetic: its router was drawn, so it stands for no trained mixture",
}
WEIGHTS = {
    "trained": "",
    "upcycled": ", experts copied from a dense model",
    "random": ", drawn at random",
}


def listed(root: Path) -> list[dict[str, Any]]:
    """Return the packaged models, made or not, and what else stands in the cache."""
    folders = {folder: name for name, folder in packaged.kept(root)}
    rows = []
    for name, recipe in packaged.PACKAGED.items():
        folder = packaged.available(name, root)
        folders.pop(folder, None) if folder is not None else None
        rows.append(_row(name, "made" if folder else "not made", folder, recipe))
    rows += [_row(name, "older recipe", folder, None) for folder, name in folders.items()]
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the rows as columns."""
    titles = ("model", "state", "size", "what", "where")
    cells = [
        (
            row["name"],
            row["state"],
            common.gigabytes(row["size_bytes"]) if row["path"] else "-",
            row["what"],
            row["path"] or f"`inferometer models prepare {row['name']}` makes it",
        )
        for row in rows
    ]
    yield from common.fitted([titles, *cells])


def marker(folder: Path) -> dict[str, Any] | None:
    """Return what ``inferometer.json`` says of a model, None where there is none."""
    path = folder / MARKER
    return read_json(path) if path.exists() else None


def steps(facts: ModelFacts) -> list[dict[str, Any]]:
    """Return what a decode step reads of the weights, by tokens in it; empty without a shape.

    The bytes of a parameter are those of the model's type, or where its weights are quantised the
    size of the files over the parameters.
    """
    if facts.shape is None or not facts.total_parameters:
        return []
    each = facts.weights_bytes / facts.total_parameters
    if facts.quantization is None:
        each = BYTES.get(facts.dtype or "", each)
    found = [decode(facts.shape, batch=batch, context=0, weight_bytes=each) for batch in BATCHES]
    return [
        {
            "tokens": work.tokens,
            "experts_touched": work.experts_touched,
            "weight_bytes_per_token": work.weight_bytes / work.tokens,
        }
        for work in found
    ]


def document(folder: Path, facts: ModelFacts, made: dict[str, Any] | None) -> dict[str, Any]:
    """Return everything as one JSON document; ``made`` is the content of ``inferometer.json``."""
    return {"path": str(folder), "facts": facts, "steps": steps(facts), "made": made}


def lines(folder: Path, facts: ModelFacts, made: dict[str, Any] | None) -> Iterator[str]:
    """Yield a model in words, then the table of steps."""
    rows = [("model", str(folder)), *_facts(facts), ("router", ROUTING[facts.routing])]
    rows += _made(made)
    rows += [("approximate", note) for note in facts.approximations]
    rows += [("unknown", note) for note in facts.unknown]
    yield from common.fitted([*rows, ("sha256", facts.sha256)])
    if found := steps(facts):
        yield ""
        yield from common.columns(
            [
                ("tokens in a step", "experts touched in a layer", "weights read per token"),
                *[
                    (
                        row["tokens"],
                        _touched(row["experts_touched"], facts.experts),
                        f"{row['weight_bytes_per_token'] / 1e6:,.1f} MB",
                    )
                    for row in found
                ],
            ]
        )
        if facts.architecture == "moe":
            yield "(expected under uniform independent routing; real routing is skewed: fewer)"


# -- inside ----------------------------------------------------------------------------------


def _row(name: str, state: str, folder: Path | None, recipe: Any) -> dict[str, Any]:
    what = "no longer used"
    if recipe is not None:
        what = f"dense, {recipe.wheel.license}"
        if recipe.twin_of:
            what = f"MoE twin of {recipe.twin_of}, {recipe.experts} experts, top {recipe.top_k}"
    return {
        "name": name,
        "state": state,
        "what": what,
        "size_bytes": size_bytes(folder) if folder else 0,
        "path": str(folder) if folder else None,
    }


def _facts(facts: ModelFacts) -> Iterator[tuple[str, str]]:
    kind = "dense"
    if facts.architecture == "moe":
        kind = "mixture of experts"
        if facts.experts:
            kind += f", {facts.experts} experts, {facts.top_k or 'unknown'} for each token"
    yield "architecture", f"{kind}; {facts.model_type}, {_or_unknown(facts.layers)} layers"
    counted = f" (from {facts.counted})" if facts.counted == "tensors" else ""
    total, active = _or_unknown(facts.total_parameters), _or_unknown(facts.active_parameters)
    yield "parameters", f"{total} in all, {active} active{counted}"
    if facts.embedding_parameters is not None:
        yield "embeddings", f"{facts.embedding_parameters:,} of them, counted as active"
    packed = f", {facts.quantization}" if facts.quantization else ""
    size, origin = common.gigabytes(facts.weights_bytes), WEIGHTS[facts.weights]
    yield "weights", f"{size}, {facts.dtype or 'unknown'}{packed}{origin}"
    yield "KV cache", f"{_or_unknown(facts.kv_bytes_per_token)} bytes for each token of context"
    yield "context", f"{_or_unknown(facts.context_length)} tokens"


def _made(made: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Say what made a model; its marker may be anybody's, so nothing is taken for granted."""
    if made is None:
        return
    wheel, source = made.get("wheel"), made.get("source")
    by = [str(made.get("made_by") or made.get("script") or "unknown")]
    if isinstance(source, dict):
        by.append(f"from {source.get('name')} (sha256 {str(source.get('sha256'))[:16]})")
    elif isinstance(wheel, dict):
        by.append(f"from {wheel.get('distribution')} {wheel.get('version')}")
    if made.get("seed") is not None:
        by.append(f"seed {made['seed']}")
    yield "made by", ", ".join(by)
    verified = made.get("verified")
    if isinstance(verified, dict):
        from inferometer.making.sameness import words

        try:
            yield "checked", words(verified)
        except (LookupError, TypeError, ValueError):
            yield "checked", "its marker does not say how"


def _touched(touched: float | None, experts: int | None) -> str:
    return "-" if touched is None else f"{touched:.1f} of {experts}"


def _or_unknown(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
