"""Compiled: a fleet's day, from event to event: arrivals, ends of runs, outages, restarts."""

from __future__ import annotations

import math

from inferometer_plugins.fleet.books import account, forget, queued, reorder
from inferometer_plugins.fleet.compiling import compiled, entry
from inferometer_plugins.fleet.replica import advance, finish, give, plan, steps_by
from inferometer_plugins.fleet.state import (
    BEGIN,
    BOOT,
    BOOTING,
    BROKEN,
    BUSY,
    BY_BOOT,
    BY_GAP,
    CACHED,
    CHANGE,
    CLOCK,
    COMING,
    DECODING,
    DOWN,
    DRAINING,
    DUE,
    E2E,
    END,
    FACTOR,
    FAILED,
    FAILS,
    FLIGHT,
    GAP,
    HAS,
    HELD,
    HELD_HEAD,
    HELD_TAIL,
    IDLE,
    IN_FLIGHT,
    JOIN_HEAD,
    JOINING,
    LINK,
    LOST,
    MODE,
    NEXT_CHANGE,
    NONE,
    ORDER,
    OUTCOME,
    OUTPUT,
    PREFILL,
    PREFIX,
    PREFIX_AWARE,
    READING,
    RESERVED,
    RESTARTED,
    RESTARTING,
    RETRIED,
    ROUND_ROBIN,
    SERVES,
    SERVING,
    SHARED_QUEUE,
    STARTING,
    STATUS,
    STORED,
    TRIES,
    TTFT,
    TURN,
    UP,
    WAIT_HEAD,
    WAITING,
    WASTED,
    WATTS,
    WAVE_AT,
    WAVE_BUSY,
    WAVE_NEXT,
    WHO,
    State,
)


@compiled
def least(s: State) -> int:
    """Return the replica in service with the fewest requests in flight, the first of those."""
    found, fewest = NONE, 0
    for r in range(len(s.g)):
        if s.g[r, STATUS] == UP and (found < 0 or s.g[r, FLIGHT] < fewest):
            found, fewest = r, s.g[r, FLIGHT]
    return found


@compiled
def route(s: State, request: int) -> int:
    """Return the replica for a request; NONE: it is held for now."""
    y, g = s.y, s.g
    if y[SERVING] == 0:
        return NONE
    total = len(g)
    if s.router == ROUND_ROBIN:
        r: int = y[TURN]
        while g[r, STATUS] != UP:
            r = (r + 1) % total
        y[TURN] = (r + 1) % total
        return r
    if s.router == PREFIX_AWARE and s.q[request, PREFIX] >= 0:
        bound = s.guard * (y[IN_FLIGHT] + 1) / y[SERVING]
        r = s.home[s.q[request, PREFIX]]
        for _ in range(total):
            if g[r, STATUS] == UP and g[r, FLIGHT] < bound:
                return r
            r = (r + 1) % total
    r = least(s)
    if s.router == SHARED_QUEUE and g[r, FLIGHT] >= s.most:
        return NONE
    return r


@compiled
def send(s: State, request: int, now: float) -> None:
    """Give a request to a replica, or hold it."""
    y = s.y
    r = NONE
    if s.router != SHARED_QUEUE or y[HELD] == 0:
        r = route(s, request)
    if r >= 0:
        give(s, r, request, now)
        return
    s.q[request, LINK] = NONE
    if y[HELD] == 0:
        y[HELD_HEAD] = request
    else:
        s.q[y[HELD_TAIL], LINK] = request
    y[HELD_TAIL] = request
    y[HELD] += 1
    queued(s, 1, now)


@compiled
def release(s: State, now: float) -> None:
    """Give held requests to replicas, as long as there is one for the first of them."""
    y = s.y
    while y[HELD] > 0:
        request = y[HELD_HEAD]
        r = route(s, request)
        if r < 0:
            return
        y[HELD_HEAD] = s.q[request, LINK]
        y[HELD] -= 1
        queued(s, -1, now)
        give(s, r, request, now)


@compiled
def again(s: State, request: int, now: float) -> None:
    """Send a request that lost its replica from the start, unless it was so too often."""
    s.y[WASTED] += s.q[request, HAS]
    s.q[request, HAS] = 0
    s.q[request, CACHED] = NONE
    if s.q[request, TRIES] >= s.retries:
        s.q[request, OUTCOME] = LOST
        s.t[request, TTFT] = math.inf
        s.t[request, E2E] = math.inf
        return
    s.t[request, TTFT] = -1.0
    s.q[request, TRIES] += 1
    s.y[RETRIED] += 1
    send(s, request, now)


@compiled
def unlist(s: State, head: int, count: int, now: float) -> None:
    """Send the requests of a list again."""
    for _ in range(count):
        following = s.q[head, LINK]
        again(s, head, now)
        head = following


@compiled
def stop(s: State, r: int, now: float) -> None:
    """Count the steps that a run had made by ``now``, and what its sequences made."""
    g = s.g
    account(s, r, now)
    if g[r, MODE] == BUSY:
        advance(s, r, steps_by(s, r, now - s.f[r, BEGIN]))
    for spot in range(g[r, DECODING]):
        request = s.heap[r, spot, WHO]
        s.q[request, HAS] = s.q[request, OUTPUT] - max(s.heap[r, spot, DUE] - g[r, CLOCK], 0)


@compiled
def empty(s: State, r: int, now: float) -> None:
    """Take ``r`` out of service; whoever was there is sent again."""
    f, g, y = s.f, s.g, s.y
    stop(s, r, now)
    waiting, joining, decoding = g[r, WAITING], g[r, JOINING], g[r, DECODING]
    reading = g[r, READING]
    y[IN_FLIGHT] -= g[r, FLIGHT]
    queued(s, -waiting, now)
    for column in (WAITING, JOINING, DECODING, FLIGHT, STORED, RESERVED, PREFILL):
        g[r, column] = 0
    g[r, READING] = NONE
    f[r, END] = math.inf
    reorder(s, r)
    for spot in range(decoding):
        again(s, s.heap[r, spot, WHO], now)
    unlist(s, g[r, JOIN_HEAD], joining, now)
    if reading >= 0:
        again(s, reading, now)
    unlist(s, g[r, WAIT_HEAD], waiting, now)


@compiled
def turn(s: State, r: int, status: int, at: float) -> None:
    """Let the status of ``r`` be another one, until ``at``."""
    s.y[SERVING] += int(status == UP) - int(s.g[r, STATUS] == UP)
    s.g[r, STATUS] = status
    s.f[r, CHANGE] = at
    soonest = math.inf
    for other in range(len(s.f)):
        soonest = min(soonest, s.f[other, CHANGE])
    s.x[NEXT_CHANGE] = soonest


@compiled
def boot(s: State, r: int, now: float) -> None:
    """Start ``r``, which has nothing to do."""
    account(s, r, now)
    s.g[r, MODE] = BOOTING
    s.f[r, WATTS] = s.boot_w
    turn(s, r, STARTING, now + s.boot_s)


@compiled
def serve(s: State, r: int, now: float) -> None:
    """Put ``r`` into service."""
    f, g, y = s.f, s.g, s.y
    account(s, r, now)
    g[r, MODE] = IDLE
    f[r, WATTS] = s.idle_w
    f[r, FACTOR] = s.chance[y[BOOT] % len(s.chance), BY_BOOT]
    y[BOOT] += 1
    f[r, SERVES] = now
    f[r, FAILS] = now + s.chance[y[GAP] % len(s.chance), BY_GAP]
    y[GAP] += 1
    forget(s, r)
    turn(s, r, UP, f[r, FAILS])


@compiled
def wave(s: State, now: float) -> None:
    """Drain the next replicas of a rolling restart."""
    y = s.y
    while y[WAVE_BUSY] < s.at_once and y[WAVE_NEXT] < len(s.g):
        r = y[WAVE_NEXT]
        y[WAVE_NEXT] += 1
        if s.g[r, STATUS] != UP:
            continue
        y[WAVE_BUSY] += 1
        s.g[r, RESTARTING] = 1
        if s.g[r, FLIGHT] == 0:
            drained(s, r, now)
        else:
            turn(s, r, DRAINING, min(s.f[r, FAILS], now + s.drain_s))


@compiled
def drained(s: State, r: int, now: float) -> None:
    """Restart a replica that has finished what it had."""
    s.y[RESTARTED] += 1
    boot(s, r, now)


@compiled
def restarted(s: State, r: int, now: float) -> None:
    """Let the wave go on, if ``r`` was of it."""
    if s.g[r, RESTARTING]:
        s.g[r, RESTARTING] = 0
        s.y[WAVE_BUSY] -= 1
        wave(s, now)


@compiled
def change(s: State, now: float) -> None:
    """Let happen what is due: a failure, the end of a repair or of a boot, an end of patience."""
    f, g = s.f, s.g
    r = 0
    while f[r, CHANGE] > now:
        r += 1
    status = g[r, STATUS]
    if status == BROKEN:
        boot(s, r, now)
    elif status == STARTING:
        serve(s, r, now)
        restarted(s, r, now)
        release(s, now)
    elif f[r, FAILS] <= now:
        s.y[FAILED] += 1
        turn(s, r, BROKEN, now + s.repair_s)
        empty(s, r, now)
        g[r, MODE] = DOWN
        f[r, WATTS] = s.down_w
        restarted(s, r, now)
    else:
        empty(s, r, now)
        drained(s, r, now)


@entry
def run(s: State, events: int) -> bool:
    """Let up to so many events pass; return whether the day is over.

    Of events at the same time: outages, then arrivals, then ends of runs.
    """
    x, y, g = s.x, s.y, s.g
    if y[BOOT] == 0:
        for r in range(len(g)):
            serve(s, r, 0.0)
    total = len(s.at)
    for _ in range(events):
        coming = y[COMING]
        arrival = s.at[coming] if coming < total else math.inf
        r = s.ranks[0, ORDER]
        end, outage = s.f[r, END], min(x[NEXT_CHANGE], x[WAVE_AT])
        now = min(arrival, end, outage)
        if now >= s.day_s:
            for each in range(len(g)):
                stop(s, each, s.day_s)
            queued(s, 0, s.day_s)
            return True
        if outage <= now:
            if x[WAVE_AT] <= now:
                x[WAVE_AT] = math.inf
                wave(s, now)
            else:
                change(s, now)
        elif arrival <= now:
            send(s, coming, now)
            y[COMING] += 1
        else:
            go_on(s, r, now)
    return False


@compiled
def go_on(s: State, r: int, now: float) -> None:
    """End the run of ``r`` and begin what comes next."""
    g = s.g
    finish(s, r, now)
    if g[r, STATUS] == DRAINING and g[r, FLIGHT] == 0:
        plan(s, r, now)
        drained(s, r, now)
        return
    if s.router == SHARED_QUEUE and s.y[HELD] > 0 and g[r, STATUS] == UP:
        take(s, r, now)
    plan(s, r, now)


@compiled
def take(s: State, r: int, now: float) -> None:
    """Let ``r``, whose run has just ended, take from the queue of all."""
    y, g = s.y, s.g
    while y[HELD] > 0 and g[r, FLIGHT] < s.most:
        request = y[HELD_HEAD]
        y[HELD_HEAD] = s.q[request, LINK]
        y[HELD] -= 1
        queued(s, -1, now)
        give(s, r, request, now)
