"""One load point of a launch that is being served: offer the load, store what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferometer import pace, redact, retokenise, store
from inferometer.counting import Counting, empty_cache
from inferometer.engine import Completion
from inferometer.loadgen.address import secrets
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, drive
from inferometer.place import HERE, Place
from inferometer.records import Window
from inferometer.work import work

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from inferometer.engine import Engine
    from inferometer.launch import Server
    from inferometer.loadgen.driver import Host, LoadResult
    from inferometer.loadgen.http import Target
    from inferometer.plan import Launch, LoadPoint
    from inferometer.records import Request
    from inferometer.store import Store
    from inferometer.study import Protocol
    from inferometer.work import Work
    from inferometer.workload import PromptSet

INDEX_STEP = 10_000_000
"""Request indices of load point k begin at k times this: unique within a launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A launch whose server answers. ``model`` is the name requests use."""

    launch: Launch
    folder: Path
    server: Server
    engine: Engine
    seed: int | None
    model: str
    target: Target
    tokenizer: Path
    windows: Mapping[int, float]
    """Length of each load point's window in s, where an earlier launch decided on it."""
    load_hosts: Sequence[Host] = ()
    """Send its loads; without any this machine does."""


class Measured(NamedTuple):
    """A window that is over, and the requests of its load, which are stored."""

    window: Window
    requests: Sequence[Request]


def measure(
    live: Live, point: LoadPoint, protocol: Protocol, window_set: Callable[[int, int], None]
) -> Measured:
    """Offer one load point and store its rows; ``window_set`` is told the window's bounds ahead.

    Raises:
        LaunchError: the server is gone, or answers nothing but errors.
    """
    planned = work(live.tokenizer, point, live.launch.round, protocol)
    bodies = work_bodies(live, planned)
    cold = planned.prompts.cache == "cold"
    told: dict[str, Any] = {
        "cache_reset": empty_cache(live.engine.cache_reset, live.server) if cold else ""
    }
    counting = Counting(live.engine.metrics, live.server)

    def told_ahead(start_ns: int, end_ns: int) -> None:
        counting.window_set(start_ns, end_ns)
        window_set(start_ns, end_ns)

    try:
        result = drive(
            live.target,
            lambda index: bodies[wrapped(index, len(bodies), planned.again)],
            load_plan(point, planned, protocol, live.windows.get(point.index)),
            Hooks(
                on_window_set=told_ahead,
                on_window_end=lambda _t: counting.window_closed(),
                should_stop=live.server.dead,
            ),
            live.load_hosts,
        )
    except BaseException:
        counting.abandon()
        raise
    told |= counting.result()
    begun = {point.index * INDEX_STEP + first for first in planned.firsts}
    hidden = secrets(live.target)
    rows = [hushed(phased(row, begun), hidden) for row in result.requests]
    store.append_lines(live.folder / "requests.jsonl", rows)
    store.append_chunks(live.folder / "chunks.bin", result.chunks)
    measured = msgspec.structs.replace(window(point, result, planned), **told)
    return Measured(retokenise.told(measured, result, live.tokenizer), rows)


def known_windows(results: Store, launch: Launch, place: Place = HERE) -> dict[int, float]:
    """Return how long each load point's window was in the first round of this stack and model.

    That of an open loop is any stack's: all of them are to see the same arrivals.
    """
    if place.windows is not None:
        return place.windows
    known: dict[int, tuple[int, float]] = {}
    for record in results.each(f"-{launch.model.name}-"):
        if record.model["name"] != launch.model.name:
            continue
        own = record.stack["id"] == launch.stack and record.round < launch.round
        for seen in record.windows:
            if own or seen.arrivals:
                found = (record.position, (seen.end_ns - seen.start_ns) * 1e-9)
                known[seen.load_point] = min(found, known.get(seen.load_point, found))
    return {load_point: seconds for load_point, (_, seconds) in known.items()}


def load_plan(
    point: LoadPoint, planned: Work, protocol: Protocol, window_s: float | None = None
) -> LoadPlan:
    """Return what the load path is asked for; ``window_s`` for where the study does not say."""
    return LoadPlan(
        concurrency=planned.streams,
        warmup_requests=planned.warmup,
        discard_s=protocol.discard_s,
        window_s=protocol.window_s or window_s,
        spread=pace.SPREAD,
        think_s=point.workload.think_s or 0.0,
        request_timeout_s=protocol.request_timeout_s,
        stall_s=protocol.stall_s,
        load_point=point.index,
        first_index=point.index * INDEX_STEP,
        arrivals=planned.arrivals,
        max_in_flight=point.load.max_in_flight,
    )


def phased(row: Request, begun: Collection[int]) -> Request:
    """Return ``row``, of phase ``stagger`` if it stands for a request that began earlier."""
    if row.index in begun:
        return msgspec.structs.replace(row, phase="stagger")
    return row


def hushed(row: Request, hidden: Sequence[str]) -> Request:
    """Return ``row`` with its error as it is stored: a server may repeat a key, at any length."""
    if row.error is None:
        return row
    said = redact.plain(redact.text(redact.without(row.error, hidden)))
    return msgspec.structs.replace(row, error=redact.capped(said))


def wrapped(index: int, count: int, again: int) -> int:
    """Return which of ``count`` bodies request ``index`` sends; past the end, those from ``again``.

    Prompts used twice are seen by the validity check ``fresh prompts``.
    """
    return index if index < count else again + (index - again) % (count - again)


def work_bodies(live: Live, planned: Work) -> list[Body]:
    """Return the requests of ``planned`` in the words of a live engine."""
    return request_bodies(
        live.engine,
        live.model,
        planned.prompts,
        planned.output_tokens,
        planned.turns,
        seed=live.seed,
    )


def request_bodies(
    engine: Engine,
    model: str,
    prompts: PromptSet,
    lengths: Sequence[int],
    turns: Sequence[tuple[int | None, float]] = (),
    *,
    seed: int | None = None,
) -> list[Body]:
    """Return the request bodies of a prompt set in the engine's words, ready to send."""
    return [
        Body(
            content=msgspec.json.encode(
                engine.request(
                    Completion(
                        model=model,
                        prompt_ids=ids,
                        prompt_text=text,
                        output_tokens=length,
                        seed=seed,
                    )
                )
            ),
            prompt=index,
            input_tokens=len(ids),
            output_tokens=length,
            conversation=conversation,
            think_s=think_s,
        )
        for index, (ids, text, length, (conversation, think_s)) in enumerate(
            zip(
                prompts.ids,
                prompts.text,
                lengths,
                turns or [(None, 0.0)] * len(prompts),
                strict=True,
            )
        )
    ]


def window(point: LoadPoint, result: LoadResult, planned: Work) -> Window:
    """Return the stored description of a measured window."""
    return Window(
        load_point=point.index,
        workload=point.workload.name,
        load=point.label,
        concurrency=point.load.concurrency,
        arrivals=planned.arrivals.kind if planned.arrivals else "",
        rate=point.load.rate,
        work_sha256=planned.sha256(),
        prompts=len(planned.prompts),
        cache=planned.prompts.cache,
        reuse=planned.reuse,
        conversations=bool(planned.turns),
        think_s=point.workload.think_s or 0.0,
        **result.facts(),
    )
