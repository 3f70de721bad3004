"""Run a load from ordinary code: start an event loop, offer, return what happened.

Both functions block; stop them with ``should_stop`` or Ctrl-C.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from typing import TYPE_CHECKING, TypeVar

import uvloop

from inferometer.loadgen import far
from inferometer.loadgen.answer import Answer
from inferometer.loadgen.arrivals import Arrivals
from inferometer.loadgen.closed import ClosedLoop
from inferometer.loadgen.conduct import Conductor
from inferometer.loadgen.deal import Dealer, Share, worker_count
from inferometer.loadgen.far import Host
from inferometer.loadgen.http import Target
from inferometer.loadgen.offer import Body, Hooks, LoadPlan, LoadResult, Source, never
from inferometer.loadgen.open import OpenLoop
from inferometer.loadgen.remote import Remote
from inferometer.loadgen.soak import Listener, Patience, Soak, Soaked

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import FrameType

    from inferometer.loadgen.conduct import Sender

__all__ = [
    "Answer",
    "Arrivals",
    "Body",
    "Hooks",
    "Host",
    "LoadPlan",
    "LoadResult",
    "Source",
    "Target",
    "collect",
    "drive",
    "soaked",
]

T = TypeVar("T")


def drive(
    target: Target,
    source: Source,
    plan: LoadPlan,
    hooks: Hooks | None = None,
    hosts: Sequence[Host] = (),
) -> LoadResult:
    """Offer ``plan`` to ``target`` and return what happened; blocks until it is over.

    A large load is sent by several processes: see :func:`inferometer.loadgen.deal.worker_count`.
    With ``hosts`` all of it is sent from there, and nothing from here.

    Raises:
        UsageError: ``hosts`` cannot send this load.
        LaunchError: the server is gone, answers nothing but errors, or ``should_stop`` said so; or
            a worker process died, or a load host is lost.
    """
    return _blocking(_drive(target, source, plan, hooks or Hooks(), hosts))


async def _drive(
    target: Target, source: Source, plan: LoadPlan, hooks: Hooks, hosts: Sequence[Host]
) -> LoadResult:
    senders: Sequence[Sender]
    if hosts:
        senders = await far.senders(hosts, target, source, plan)
        return await Conductor(plan, hooks, senders).run()
    count = worker_count(plan, len(os.sched_getaffinity(0)))
    dealer = Dealer(source, plan, count)
    shares = [Share(number, count) for number in range(count)]
    if count > 1:
        senders = [Remote(target, plan, dealer, share) for share in shares]
    elif plan.arrivals is None:
        senders = [ClosedLoop(target, plan, dealer)]
    else:
        senders = [OpenLoop(target, plan, dealer, shares[0])]
    return await Conductor(plan, hooks, senders).run()


def soaked(
    target: Target, source: Source, plan: LoadPlan, patience: Patience, hooks: Hooks
) -> Soaked:
    """Load ``target`` with a closed loop until its rates hold still; return what was seen.

    One process sends it all: nothing is stamped for a figure here.

    Raises:
        LaunchError: as :func:`drive` does.
    """
    return _blocking(_soaked(target, source, plan, patience, hooks))


async def _soaked(
    target: Target, source: Source, plan: LoadPlan, patience: Patience, hooks: Hooks
) -> Soaked:
    soak = Soak(plan, hooks, Listener(target, plan, Dealer(source, plan)), patience)
    await soak.run_parts()
    return soak.result


def collect(
    target: Target,
    bodies: Sequence[Body],
    concurrency: int,
    *,
    request_timeout_s: float = 600.0,
    stall_s: float = 300.0,
    load_point: int = -1,
    first_index: int = 0,
    should_stop: Callable[[], str | None] = never,
) -> list[Answer]:
    """Send ``bodies`` once, the first alone, and return their answers in that order.

    Requests carry phase ``probe`` and ``load_point`` (-1: none). Failed ones are answers whose
    request has status ``error``. Raises LaunchError as :func:`drive` does.
    """
    plan = LoadPlan(
        concurrency=concurrency,
        warmup_requests=len(bodies),
        requests=0,
        request_timeout_s=request_timeout_s,
        stall_s=stall_s,
        load_point=load_point,
        first_index=first_index,
    )
    return _blocking(_collect(target, bodies, plan, Hooks(should_stop=should_stop)))


async def _collect(
    target: Target, bodies: Sequence[Body], plan: LoadPlan, hooks: Hooks
) -> list[Answer]:
    load = ClosedLoop(target, plan, Dealer(bodies.__getitem__, plan), phase="probe")
    (part,) = await Conductor(plan, hooks, [load]).run_parts()
    return [answer for _, answer in sorted(part.whole.items())]


def _blocking(main: Coroutine[None, None, T]) -> T:
    """Run on a loop of its own; Ctrl-C cancels ``main`` and comes out as KeyboardInterrupt.

    So do the other signals that the program takes for Ctrl-C: an exception raised by their handler
    inside a callback of the loop would be logged there and forgotten.
    """
    stops: list[int] = []
    collecting = gc.isenabled()
    gc.disable()  # a collection among a million kept packets would stop every stream
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_stoppable(main, stops))
    except asyncio.CancelledError:
        if stops:
            raise KeyboardInterrupt from None
        raise
    finally:
        if collecting:
            gc.enable()


async def _stoppable(main: Coroutine[None, None, T], stops: list[int]) -> T:
    """Await ``main``; the first signal that has a handler cancels it and is noted in ``stops``."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stop(number: int, _frame: FrameType | None) -> None:
        if stops:
            raise KeyboardInterrupt
        stops.append(number)
        loop.call_soon_threadsafe(task.cancel)

    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if callable(signal.getsignal(n))]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # a thread cannot have handlers
    previous = [(number, signal.signal(number, stop)) for number in ours]
    try:
        return await main
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
