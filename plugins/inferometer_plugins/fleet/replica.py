"""Compiled: one replica, from change to change of its batch.

The rules are those of ``simulator.scheduler``: a token for every decoding sequence, what is left
of the budget for prompts, first come, first served. Between two changes steps grow evenly with the
context, so a run of k of them takes ``k * base + grow * k * (k + 1) / 2``.
"""

from __future__ import annotations

import math

from inferometer_plugins.fleet.books import account, keep, push, queued, remove, reorder
from inferometer_plugins.fleet.compiling import compiled
from inferometer_plugins.fleet.state import (
    BASE,
    BEGIN,
    BUSY,
    CACHED,
    CLOCK,
    DECODING,
    DUE,
    E2E,
    END,
    FACTOR,
    FINISHED,
    FLIGHT,
    GROW,
    HAS,
    HITS,
    IDLE,
    IN_FLIGHT,
    JOIN_HEAD,
    JOIN_TAIL,
    JOINING,
    LINK,
    LOOKUPS,
    MADE,
    MODE,
    NEWER,
    NONE,
    OUTCOME,
    OUTPUT,
    PLACE,
    PREEMPTED,
    PREFILL,
    PREFIX,
    PROMPT,
    READ,
    READING,
    RESERVED,
    RUN,
    SERIAL,
    STORED,
    TTFT,
    UNREAD,
    WAIT_HEAD,
    WAIT_TAIL,
    WAITING,
    WATTS,
    WHO,
    State,
)


@compiled
def give(s: State, r: int, request: int, now: float) -> None:
    """Queue a request at ``r``."""
    g = s.g
    s.q[request, PLACE] = r
    g[r, FLIGHT] += 1
    s.y[IN_FLIGHT] += 1
    alone = g[r, WAITING] == 0
    s.q[request, LINK] = NONE
    if alone:
        g[r, WAIT_HEAD] = request
    else:
        s.q[g[r, WAIT_TAIL], LINK] = request
    g[r, WAIT_TAIL] = request
    g[r, WAITING] += 1
    queued(s, 1, now)
    if g[r, MODE] == IDLE:
        plan(s, r, now)
    elif alone and g[r, PREFILL] == 0 and fits(s, r):
        cut(s, r, now)


@compiled
def wait_first(s: State, r: int, request: int, now: float) -> None:
    """Put a preempted request at the head of the line."""
    g = s.g
    s.q[request, LINK] = g[r, WAIT_HEAD] if g[r, WAITING] else NONE
    if g[r, WAITING] == 0:
        g[r, WAIT_TAIL] = request
    g[r, WAIT_HEAD] = request
    g[r, WAITING] += 1
    s.y[PREEMPTED] += 1
    queued(s, 1, now)


@compiled
def lasts(s: State, r: int, steps: int) -> float:
    """Return the seconds of the first ``steps`` of the run."""
    found: float = steps * s.f[r, BASE] + s.f[r, GROW] * (0.5 * steps * (steps + 1))
    return found


@compiled
def steps_by(s: State, r: int, seconds: float) -> int:
    """Return how many steps of the run are over after ``seconds`` of it."""
    half = 0.5 * s.f[r, GROW]
    rise = s.f[r, BASE] + half
    steps = int(2.0 * seconds / (rise + math.sqrt(rise * rise + 4.0 * half * seconds)))
    while lasts(s, r, steps + 1) <= seconds:
        steps += 1
    while steps > 0 and lasts(s, r, steps) > seconds:
        steps -= 1
    found: int = min(steps, s.g[r, RUN])
    return found


@compiled
def cut(s: State, r: int, now: float) -> None:
    """End the run with the step that is under way: someone can join."""
    steps = steps_by(s, r, now - s.f[r, BEGIN])
    if lasts(s, r, steps) < now - s.f[r, BEGIN]:
        steps += 1
    steps = max(steps, 1)
    if steps < s.g[r, RUN]:
        s.g[r, RUN] = steps
        s.f[r, END] = s.f[r, BEGIN] + lasts(s, r, steps)
        reorder(s, r)


@compiled
def fits(s: State, r: int) -> bool:
    """Return whether a place and cache are free for the first in line."""
    g = s.g
    active = g[r, DECODING] + g[r, JOINING]
    if active >= s.most:
        return False
    if s.kv == 0:
        return True
    head = g[r, WAIT_HEAD]
    free = s.kv - g[r, STORED] - g[r, RESERVED] - active
    found: bool = s.q[head, PROMPT] + s.q[head, HAS] <= free
    return found


@compiled
def admit(s: State, r: int, now: float) -> None:
    """Begin to read the first in line."""
    g = s.g
    request = g[r, WAIT_HEAD]
    g[r, WAIT_HEAD] = s.q[request, LINK]
    g[r, WAITING] -= 1
    queued(s, -1, now)
    context = s.q[request, PROMPT] + s.q[request, HAS]
    g[r, READING] = request
    g[r, RESERVED] += context
    g[r, UNREAD] = context
    if s.q[request, CACHED] >= 0:
        return  # preempted: all is read again
    s.q[request, CACHED] = 0
    if s.keeps > 0 and s.q[request, PREFIX] >= 0:
        s.y[LOOKUPS] += 1
        if s.kept[r, s.q[request, PREFIX], NEWER] >= 0:
            s.y[HITS] += 1
            s.q[request, CACHED] = min(int(s.share * context), context - 1)
            g[r, UNREAD] -= s.q[request, CACHED]


@compiled
def read(s: State, r: int, room: int, now: float) -> int:
    """Give ``room`` tokens of a step to prompts and return how many were given."""
    g = s.g
    given = 0
    while room > given:
        if g[r, READING] < 0:
            if g[r, WAITING] == 0 or not fits(s, r):
                break
            admit(s, r, now)
        chunk = min(g[r, UNREAD], room - given)
        given += chunk
        g[r, UNREAD] -= chunk
        if g[r, UNREAD] == 0:
            request = g[r, READING]
            g[r, READING] = NONE
            s.q[request, LINK] = NONE
            if g[r, JOINING] == 0:
                g[r, JOIN_HEAD] = request
            else:
                s.q[g[r, JOIN_TAIL], LINK] = request
            g[r, JOIN_TAIL] = request
            g[r, JOINING] += 1
    return given


@compiled
def make_room(s: State, r: int, now: float) -> None:
    """Preempt the youngest until each decoding sequence can store one more token."""
    g = s.g
    while g[r, STORED] + g[r, RESERVED] + g[r, DECODING] > s.kv:
        if g[r, READING] >= 0:
            request = g[r, READING]
            g[r, READING] = NONE
            g[r, RESERVED] -= s.q[request, PROMPT] + s.q[request, HAS]
        else:
            spot = 0
            for other in range(1, g[r, DECODING]):
                if s.q[s.heap[r, other, WHO], LINK] > s.q[s.heap[r, spot, WHO], LINK]:
                    spot = other
            request = s.heap[r, spot, WHO]
            s.q[request, HAS] = s.q[request, OUTPUT] - (s.heap[r, spot, DUE] - g[r, CLOCK])
            g[r, STORED] -= s.q[request, PROMPT] + s.q[request, HAS] - 1
            remove(s, r, spot)
        wait_first(s, r, request, now)


@compiled
def choose(s: State, r: int, prefill: int, steps: int) -> int:
    """Set the time of the run's steps by the line that is highest; return how many it holds for."""
    n, stored = s.g[r, DECODING], s.g[r, STORED]
    at = n + prefill if s.by_tokens else n
    fixed, slope = s.table[0, at] + s.prompt_s * prefill, s.slope[0]
    if len(s.slope) == 2:
        context = stored + n
        low, flat = s.table[1, at] + s.prompt_s * prefill, s.slope[1]
        here, there = fixed + slope * context, low + flat * context
        if there > here or (there == here and flat > slope):
            fixed, slope, low, flat = low, flat, fixed, slope
        if n > 0 and flat > slope:
            crossing = (fixed - low) / (flat - slope)
            steps = min(steps, 1 + int((crossing - context) / n))
    s.f[r, BASE] = (fixed + slope * stored) * s.f[r, FACTOR]
    s.f[r, GROW] = slope * n * s.f[r, FACTOR]
    return steps


@compiled
def plan(s: State, r: int, now: float) -> None:
    """Begin the next run of ``r``, or let it idle."""
    f, g = s.f, s.g
    account(s, r, now)
    if s.kv > 0:
        make_room(s, r, now)
    n, prefill = g[r, DECODING], 0
    if g[r, WAITING] > 0 or g[r, READING] >= 0:
        prefill = read(s, r, s.budget - n, now)
    g[r, PREFILL] = prefill
    if n == 0 and prefill == 0:
        g[r, MODE] = IDLE
        f[r, WATTS] = s.idle_w
        f[r, END] = math.inf
    else:
        steps = 1
        if prefill == 0:
            steps = s.heap[r, 0, DUE] - g[r, CLOCK]
            if s.kv > 0:
                steps = min(steps, (s.kv - g[r, STORED] - g[r, RESERVED]) // n)
        g[r, RUN] = choose(s, r, prefill, steps)
        g[r, MODE] = BUSY
        f[r, WATTS] = s.busy_w + s.prefill_w * prefill / s.budget + s.batch_w * n / s.most
        f[r, BEGIN] = now
        f[r, END] = now + lasts(s, r, g[r, RUN])
    reorder(s, r)


@compiled
def advance(s: State, r: int, steps: int) -> None:
    """Count the tokens of decoding sequences of ``steps``."""
    made = s.g[r, DECODING] * steps
    s.g[r, CLOCK] += steps
    s.g[r, STORED] += made
    s.y[MADE] += made


@compiled
def finish(s: State, r: int, now: float) -> None:
    """End the run of ``r``: tokens, first tokens, last tokens."""
    g = s.g
    advance(s, r, g[r, RUN])
    s.y[READ] += g[r, PREFILL]
    request = g[r, JOIN_HEAD]
    for _ in range(g[r, JOINING]):
        following = s.q[request, LINK]
        context = s.q[request, PROMPT] + s.q[request, HAS]
        left = s.q[request, OUTPUT] - s.q[request, HAS]
        g[r, RESERVED] -= context
        g[r, STORED] += context
        s.y[MADE] += 1
        if s.t[request, TTFT] < 0:
            s.t[request, TTFT] = now - s.at[request]
        if s.keeps > 0 and s.q[request, PREFIX] >= 0:
            keep(s, r, s.q[request, PREFIX])
        push(s, r, g[r, CLOCK] + left - 1, request)
        s.q[request, LINK] = g[r, SERIAL]
        g[r, SERIAL] += 1
        request = following
    g[r, JOINING] = 0
    while g[r, DECODING] > 0 and s.heap[r, 0, DUE] <= g[r, CLOCK]:
        request = s.heap[r, 0, WHO]
        remove(s, r, 0)
        g[r, STORED] -= s.q[request, PROMPT] + s.q[request, OUTPUT] - 1
        s.q[request, HAS] = s.q[request, OUTPUT]
        s.t[request, E2E] = now - s.at[request]
        s.q[request, OUTCOME] = FINISHED
        g[r, FLIGHT] -= 1
        s.y[IN_FLIGHT] -= 1
