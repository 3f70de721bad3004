"""What a results directory holds of one stack on one model: requests and events by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer import api
from inferometer.errors import InconclusiveError, UsageError
from inferometer.records import NOT_ENGINES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from inferometer.comparison import Cell
    from inferometer.records import LaunchRecord, Request, Window

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

MOST_TOKENS_AN_EVENT = 1.05
"""In the mean; above it an event is no step of the engine, and nothing can be told of steps."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a load point offers: ``streams`` of a closed loop, or ``rate`` requests/s."""

    index: int
    workload: str
    load: str
    streams: int | None
    rate: float | None
    """None of a closed loop and of a trace."""

    @property
    def words(self) -> str:
        """Return it as tables show it."""
        return f"{self.workload} at {self.load}"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A window and the load around it. Seconds count from the first send of its load.

    Arrays have a row for each request in the order of sending; NaN is a time that did not come.
    ``at_s`` are the content events of all requests, request by request as ``begins`` says (one
    more entry than requests), ``tokens`` how many each held.
    """

    launch: str
    load: Load
    start_s: float
    end_s: float
    sent_s: Floats
    intended_s: Floats
    first_s: Floats
    last_s: Floats
    """NaN also of a request that was cut or failed."""
    prompt: Counts
    computed: Counts
    """Prompt tokens that no cache held."""
    output: Counts
    early: NDArray[np.bool_]
    """Shortened first requests of an equilibrium start."""
    at_s: Floats
    tokens: Floats
    begins: Counts

    @property
    def length_s(self) -> float:
        """Return how long the window is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Everything of one stack on one model."""

    stack: str
    label: str
    model: str
    study: str
    created: str
    plan_sha256: str
    host: str
    simulated: bool
    records: Sequence[LaunchRecord]
    windows: Sequence[Seen]
    """Of all launches, without load points that a check refused."""
    cells: dict[tuple[str, str], Cell]
    """By workload and load."""
    refused: dict[str, str]
    """Load points that are not used, and why."""
    meters: dict[str, bool]
    """Names of those that were read, and whether they only repeat the time."""

    @property
    def loads(self) -> list[Load]:
        """Return the load points that are used, in order."""
        found = {seen.load.index: seen.load for seen in self.windows}
        return [found[index] for index in sorted(found)]


def read(directory: Path, stack: str | None = None, model: str | None = None) -> Stack:
    """Read one stack on one model; each may be left out where there is one alone.

    Raises:
        UsageError: these are no results, the names are not in them, or a choice is missing.
        InconclusiveError: no window of theirs can be used.
    """
    comparison = api.analyze(directory)
    store = api.results(directory)
    records = [record for record in store.launches() if record.windows]
    stack = _chosen("stack", stack, sorted({str(it.stack.get("id")) for it in records}))
    model = _chosen("model", model, sorted({str(it.model.get("name")) for it in records}))
    records = [it for it in records if (it.stack.get("id"), it.model.get("name")) == (stack, model)]
    cells = {
        (cell.workload, cell.load): cell
        for cell in comparison.cells
        if (cell.stack, cell.model) == (stack, model)
    }
    windows, refused = [], {}
    for record in records:
        requests = api.requests(directory, record.id)
        events = _Events(directory, record.id)
        for window in record.windows:
            load = _load(window)
            cell = cells.get((window.workload, window.load))
            if cell is not None and not cell.valid:
                failed = [check.name for check in cell.checks if check.verdict == "fail"]
                refused[load.words] = f"failed a check: {', '.join(failed)}"
            elif why := _unfit(window):
                refused[load.words] = why
            elif seen := _seen(record.id, window, load, requests, events):
                windows.append(seen)
    if not windows:
        words = "; ".join(f"{name}: {why}" for name, why in refused.items()) or "no window at all"
        raise InconclusiveError(
            f"{directory}: no load point of {stack} on {model} can be used: {words}",
            hint="Measure closed and open loops of a cold workload; see "
            "docs/examples/studies/calibration.toml.",
        )
    first = records[0]
    return Stack(
        stack=stack,
        label=next((it.label for it in comparison.stacks if it.id == stack), stack),
        model=model,
        study=comparison.title,
        created=comparison.created,
        plan_sha256=comparison.plan_sha256,
        host=str(comparison.host.get("cpu_model") or ""),
        simulated=first.environment.get("kind") in NOT_ENGINES,
        records=records,
        windows=windows,
        cells=cells,
        refused=refused,
        meters={it.name: it.follows_throughput for it in comparison.meters if it.reason is None},
    )


def _chosen(kind: str, given: str | None, known: Sequence[str]) -> str:
    if given is not None:
        if given not in known:
            raise UsageError.unknown(kind, given, known, place=f"--{kind}")
        return given
    if len(known) == 1:
        return known[0]
    if not known:
        raise InconclusiveError(
            "the results hold no whole launch with a window",
            hint="Run the study again with the same command; what is missing is made good.",
        )
    raise UsageError(
        f"the results hold {len(known)} {kind}s: {', '.join(known)}", hint=f"Name one: --{kind}."
    )


def _load(window: Window) -> Load:
    return Load(
        index=window.load_point,
        workload=window.workload,
        load=window.load,
        streams=window.concurrency,
        rate=window.rate,
    )


def _unfit(window: Window) -> str:
    """Say why a window cannot be held against the simulator; empty when it can."""
    if window.conversations:
        return "conversations are not simulated"
    if window.cache == "warm":
        return "prompts share beginnings, and the simulated engine keeps no prefixes"
    return ""


class _Events:
    """A launch's events, sorted by request."""

    def __init__(self, directory: Path, launch: str) -> None:
        frame = api.events(directory, launch).sort("request", "t_ns", maintain_order=True)
        self.request = frame["request"].to_numpy().astype(np.int64)
        self.t_ns = frame["t_ns"].to_numpy()
        self.tokens = frame["tokens"].to_numpy().astype(float)
        self.known = (frame["flags"].to_numpy() & 1) == 0

    def of(self, indices: Counts) -> tuple[Counts, Counts]:
        """Return where the events of each request begin and end."""
        return (
            np.searchsorted(self.request, indices, side="left"),
            np.searchsorted(self.request, indices, side="right"),
        )


def _seen(
    launch: str, window: Window, load: Load, requests: Sequence[Request], events: _Events
) -> Seen | None:
    """Return a window's requests, None when nothing was sent."""
    mine = [
        it
        for it in requests
        if it.load_point == window.load_point and it.phase in {"load", "stagger"}
    ]
    mine.sort(key=lambda it: it.sent_ns)
    if not mine:
        return None
    origin = mine[0].sent_ns

    def seconds(values: Sequence[int | None]) -> Floats:
        told = [np.nan if value is None else (value - origin) / 1e9 for value in values]
        return np.asarray(told, float)

    low, high = events.of(np.asarray([it.index for it in mine], np.int64))
    counts = high - low
    places = np.repeat(low - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    places += np.arange(counts.sum())
    tokens = events.tokens[places]
    tokens[~events.known[places]] = 1.0
    finished = np.asarray([it.status == "ok" for it in mine])
    prompt = [it.input_tokens or it.input_tokens_expected for it in mine]
    return Seen(
        launch=launch,
        load=load,
        start_s=(window.start_ns - origin) / 1e9,
        end_s=(window.end_ns - origin) / 1e9,
        sent_s=seconds([it.sent_ns for it in mine]),
        intended_s=seconds([it.intended_ns for it in mine]),
        first_s=seconds([it.first_ns for it in mine]),
        last_s=np.where(finished, seconds([it.last_ns for it in mine]), np.nan),
        prompt=np.asarray(prompt, np.int64),
        computed=np.asarray(
            [n - (it.cached_tokens or 0) for n, it in zip(prompt, mine, strict=True)], np.int64
        ),
        output=np.asarray([it.output_tokens or it.output_tokens_expected for it in mine], np.int64),
        early=np.asarray([it.phase == "stagger" for it in mine]),
        at_s=(events.t_ns[places] - origin) / 1e9,
        tokens=tokens,
        begins=np.concatenate(([0], np.cumsum(counts))),
    )


def told(stack: Stack, name: str) -> Any:
    """Return what the engine said of a setting in its first launch that said it, else None."""
    for record in stack.records:
        found = record.told.get(name)
        if found is not None and found.value is not None:
            return found.value
    return None
