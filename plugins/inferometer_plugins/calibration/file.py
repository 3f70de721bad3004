"""The calibration file: a simulated engine, where it comes from, and how wrong it was seen to be.

Untrusted when read: every field is checked, and what is wrong is one error that names the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from inferometer.comparison import Kind
from inferometer.errors import InconclusiveError, StorageError, UsageError, words
from inferometer_plugins.simulator.laws import Roofline
from inferometer_plugins.simulator.model import Params

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Schema = Literal["inferometer/calibration/1"]
SCHEMA: Schema = "inferometer/calibration/1"
LARGEST = 16 << 20
"""Bytes of a file that is read."""
MOST_TOKENS = 1_000_000
"""A budget above it is no engine's, and tables of that size would be made."""
LONGEST = 10_000
"""Characters of a text."""
LARGEST_NUMBER = 1e24
"""Anything above it is no count and no measure; a law computed from it would overflow."""
FASTEST_S = 1e-6
"""A step that takes less is none."""
MAKE = "Make one: inferometer simulate calibrate RESULTS -o FILE."


class Parameter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fitted parameter with its standard error over launches; None of one launch alone."""

    name: str
    value: float
    unit: str
    error: float | None = None


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit of the engine: told by it, or assumed because it did not say."""

    name: Literal["max_seqs", "budget", "kv_tokens"]
    value: int | None
    origin: Literal["told", "assumed"]


class Figure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure of a load point that the fit did not see: simulated, and as the study has it.

    Means over launches are those of logarithms, as in the report; ``low`` and ``high`` are the 95 %
    interval of the measured one. ``error`` is predicted over measured, less 1.
    """

    metric: str
    unit: str
    predicted: float | None = None
    measured: float | None = None
    kind: Kind = "measured"
    """Of ``measured``."""
    launches: int = 0
    low: float | None = None
    high: float | None = None
    error: float | None = None
    reason: str | None = None
    """Why there is no error."""


class HeldOut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A load point, predicted by a fit without it."""

    workload: str
    load: str
    requests: int
    """That ended in its windows, over all launches."""
    beyond: list[str] = []
    """Where it lies outside what was fitted: then it is an extrapolation."""
    figures: list[Figure] = []


class Error(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over the load points held out: absolute relative errors of one figure."""

    metric: str
    points: int
    median: float
    largest: float
    largest_at: str


class Reach(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The largest values that the fit saw: what is beyond is an extrapolation."""

    in_flight: float
    """Requests in the server, mean of a window."""
    prompt_tokens: int
    output_tokens: int


class Origin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which results it was made from."""

    study: str
    plan_sha256: str
    launches: list[str]
    date: str
    """When the last launch ended."""
    host: str
    inferometer_version: str


class PowerFit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which meter the watts are from, or why there are none."""

    meter: str | None = None
    kind: Kind | None = None
    residual_share: float | None = None
    reason: str | None = None
    detail: str = ""
    note: str = ""


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stack on one model, to be simulated. What comes of it is ``simulated``, always."""

    schema: Schema = SCHEMA
    stack: str
    label: str
    model: str
    basis: Literal["measured", "simulated"]
    """``simulated``: the launches themselves were simulated, so it says nothing of an engine."""
    origin: Origin
    params: Params
    start_s: float
    """From a request's send to its first step."""
    parameters: list[Parameter]
    residual_share: float
    """Root mean square of what the law leaves, over the time that it expects."""
    limits: list[Limit]
    power: PowerFit
    reach: Reach
    used: list[str]
    """Load points in the fit."""
    refused: dict[str, str] = {}
    """Load points that were not used, and why."""
    held_out: list[HeldOut] = []
    errors: list[Error] = []
    """With each load point left out by itself: the others still tell its workload and its load."""
    workload_errors: list[Error] = []
    """With each workload left out whole: what to expect of requests that were not measured."""

    def error(self, metric: str) -> Error | None:
        """Return how wrong a figure was with a load point left out, None where none was."""
        return next((it for it in self.errors if it.metric == metric), None)

    def workload_error(self, metric: str) -> Error | None:
        """Return how wrong a figure was with a workload left out, None where none was."""
        return next((it for it in self.workload_errors if it.metric == metric), None)


def write(path: Path, calibration: Calibration) -> None:
    """Write a file, whole or not at all.

    Raises:
        StorageError: it cannot be written.
        InconclusiveError: it would be refused when read: no such engine can be simulated.
    """
    problem = next(_problems(calibration), None)
    if problem:
        raise InconclusiveError(
            f"what was fitted cannot be simulated: {problem}",
            hint="Measure more load points, or longer: docs/how-to/plan-a-fleet.md.",
        )
    content = msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n"
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: {error.strerror or error}", hint="Give another file with -o."
        ) from error


def read(path: Path) -> Calibration:
    """Read a file that anybody may have made.

    Raises:
        UsageError: it is none, or a value in it cannot be.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint=MAKE) from error
    if len(content) > LARGEST:
        raise UsageError(f"{path}: no calibration file: more than {LARGEST >> 20} MiB", hint=MAKE)
    try:
        found = msgspec.json.decode(content, type=Calibration)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: no calibration file: {words(error)}", hint=MAKE) from error
    problem = next(_problems(found), None)
    if problem:
        raise UsageError(f"{path}: {problem}", hint=MAKE)
    return found


def _problems(found: Calibration) -> Iterator[str]:
    """Yield what cannot be, in words with the field's path."""
    for path, value in _numbers(msgspec.to_builtins(found), ""):
        if not abs(value) < LARGEST_NUMBER:
            yield f"{path} must be a number, and below {LARGEST_NUMBER:g}"
    for path, text in _texts(msgspec.to_builtins(found), ""):
        if len(text) > LONGEST:
            yield f"{path} has {len(text)} characters, and must have at most {LONGEST}"
    if found.start_s < 0:
        yield f"start_s is {found.start_s}, and must not be below 0"
    for name in ("errors", "workload_errors"):
        for place, it in enumerate(getattr(found, name)):
            if not 0 <= it.median <= it.largest:
                yield f"{name}[{place}] is {it.median:.3g} to {it.largest:.3g}: no absolute errors"
    try:
        yield from _impossible(found.params)
    except ArithmeticError as error:
        yield f"params.law tells no time of a step: {error}"


def _impossible(params: Params) -> Iterator[str]:
    """Yield what no engine can be."""
    for group in ("law", "power", "noise"):
        for name, value in _numbers(msgspec.to_builtins(getattr(params, group)), f"params.{group}"):
            if value < 0 and not name.endswith(("drift_per_h", "warm_up", "thermal")):
                yield f"{name} is {value}, and must not be below 0"
    if params.noise.slow_s <= 0 or params.slowdown <= 0:
        yield "params.noise.slow_s and params.slowdown must be above 0"
    if params.max_seqs < 1 or params.budget <= params.max_seqs:
        yield f"params.budget is {params.budget}, and must be above max_seqs ({params.max_seqs})"
    if params.budget > MOST_TOKENS:
        yield f"params.budget is {params.budget}, and must be at most {MOST_TOKENS:,}"
    if params.kv_tokens is not None and params.kv_tokens < 1:
        yield f"params.kv_tokens is {params.kv_tokens}, and must be at least 1"
    if isinstance(params.law, Roofline) and params.law.sizes.top_k > params.law.sizes.experts:
        yield "params.law.sizes.top_k is above the number of experts"
    elif not any(line.fixed_s >= FASTEST_S for line in params.law.lines(0, 0)):
        yield "params.law: a step takes less than a microsecond"


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float | int]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _numbers(item, f"{path}[{place}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield path, str(key)
            yield from _texts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _texts(item, f"{path}[{place}]")
    elif isinstance(value, str):
        yield path, value


def summary(held_out: Sequence[HeldOut]) -> list[Error]:
    """Return how wrong each figure is over the load points held out."""
    found: dict[str, list[tuple[float, str]]] = {}
    for point in held_out:
        for figure in point.figures:
            if figure.error is not None:
                words = f"{point.workload} at {point.load}"
                found.setdefault(figure.metric, []).append((abs(figure.error), words))
    return [
        Error(
            metric=metric,
            points=len(errors),
            median=_median([size for size, _ in errors]),
            largest=max(errors)[0],
            largest_at=max(errors)[1],
        )
        for metric, errors in found.items()
    ]


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
