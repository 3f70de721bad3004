"""Compiled helpers: joules and queues by time, heaps, the lists of prefixes that are kept."""

from __future__ import annotations

from inferometer_plugins.fleet.compiling import compiled
from inferometer_plugins.fleet.state import (
    DECODING,
    DUE,
    END,
    JOULES,
    KEPT,
    MODE,
    NEWER,
    NONE,
    OLDER,
    ORDER,
    QUEUE,
    QUEUE_MAX,
    QUEUE_SINCE,
    QUEUED,
    SECONDS,
    SINCE,
    SPOT,
    WATTS,
    WHO,
    State,
)


@compiled
def account(s: State, r: int, until: float) -> None:
    """Book what replica ``r`` drew since it was last asked for."""
    since, watts, mode = s.f[r, SINCE], s.f[r, WATTS], s.g[r, MODE]
    if until <= since:
        return
    s.spent[r, mode, SECONDS] += until - since
    s.spent[r, mode, JOULES] += watts * (until - since)
    s.f[r, SINCE] = until
    place = int(since / s.bin_s)
    edge = (place + 1) * s.bin_s
    while edge < until:
        s.bins[place, mode] += watts * (edge - since)
        since = edge
        place += 1
        edge = (place + 1) * s.bin_s
    s.bins[place, mode] += watts * (until - since)


@compiled
def queued(s: State, by: int, now: float) -> None:
    """Book the queue up to ``now``, and let it change ``by`` so many requests."""
    since, length = s.x[QUEUE_SINCE], s.y[QUEUED]
    s.x[QUEUE_SINCE] = now
    s.y[QUEUED] = length + by
    s.y[QUEUE_MAX] = max(s.y[QUEUE_MAX], length + by)
    if length == 0 or now <= since:
        return
    place = int(since / s.bin_s)
    edge = (place + 1) * s.bin_s
    while edge < now:
        s.bins[place, QUEUE] += length * (edge - since)
        since = edge
        place += 1
        edge = (place + 1) * s.bin_s
    s.bins[place, QUEUE] += length * (now - since)


@compiled
def reorder(s: State, r: int) -> None:
    """Put replica ``r`` where its END belongs among all."""
    ranks, f = s.ranks, s.f
    key, spot = f[r, END], ranks[r, SPOT]
    while spot > 0:
        above = (spot - 1) >> 1
        other = ranks[above, ORDER]
        if f[other, END] <= key:
            break
        ranks[spot, ORDER] = other
        ranks[other, SPOT] = spot
        spot = above
    size = len(ranks)
    while True:
        below = 2 * spot + 1
        if below >= size:
            break
        if below + 1 < size and f[ranks[below + 1, ORDER], END] < f[ranks[below, ORDER], END]:
            below += 1
        other = ranks[below, ORDER]
        if f[other, END] >= key:
            break
        ranks[spot, ORDER] = other
        ranks[other, SPOT] = spot
        spot = below
    ranks[spot, ORDER] = r
    ranks[r, SPOT] = spot


@compiled
def rise(s: State, r: int, spot: int, step: int) -> int:
    """Move those above ``spot`` that end after ``step`` down; return the free place."""
    heap = s.heap
    while spot > 0:
        above = (spot - 1) >> 1
        if heap[r, above, DUE] <= step:
            break
        heap[r, spot, DUE], heap[r, spot, WHO] = heap[r, above, DUE], heap[r, above, WHO]
        spot = above
    return spot


@compiled
def push(s: State, r: int, step: int, request: int) -> None:
    """Let ``request`` decode on ``r`` until ``step``."""
    spot = rise(s, r, s.g[r, DECODING], step)
    s.g[r, DECODING] += 1
    s.heap[r, spot, DUE], s.heap[r, spot, WHO] = step, request


@compiled
def remove(s: State, r: int, spot: int) -> None:
    """Take the sequence at ``spot`` of the heap of ``r`` out; the last one fills the gap."""
    heap = s.heap
    size = s.g[r, DECODING] - 1
    s.g[r, DECODING] = size
    if spot == size:
        return
    step, request = heap[r, size, DUE], heap[r, size, WHO]
    spot = rise(s, r, spot, step)
    while True:
        below = 2 * spot + 1
        if below >= size:
            break
        if below + 1 < size and heap[r, below + 1, DUE] < heap[r, below, DUE]:
            below += 1
        if heap[r, below, DUE] >= step:
            break
        heap[r, spot, DUE], heap[r, spot, WHO] = heap[r, below, DUE], heap[r, below, WHO]
        spot = below
    heap[r, spot, DUE], heap[r, spot, WHO] = step, request


@compiled
def keep(s: State, r: int, prefix: int) -> None:
    """Make ``prefix`` the one that ``r`` used last; the least recently used goes where it must."""
    ends = s.kept.shape[1] - 1
    if s.kept[r, prefix, NEWER] >= 0:
        drop(s, r, prefix)
    elif s.g[r, KEPT] == s.keeps:
        drop(s, r, s.kept[r, ends, NEWER])
    youngest = s.kept[r, ends, OLDER]
    s.kept[r, youngest, NEWER] = prefix
    s.kept[r, prefix, OLDER] = youngest
    s.kept[r, prefix, NEWER] = ends
    s.kept[r, ends, OLDER] = prefix
    s.g[r, KEPT] += 1


@compiled
def drop(s: State, r: int, prefix: int) -> None:
    """Take a prefix out of the cache of ``r``."""
    newer, older = s.kept[r, prefix, NEWER], s.kept[r, prefix, OLDER]
    s.kept[r, older, NEWER] = newer
    s.kept[r, newer, OLDER] = older
    s.kept[r, prefix, NEWER] = NONE
    s.g[r, KEPT] -= 1


@compiled
def forget(s: State, r: int) -> None:
    """Empty the prefix cache of ``r``."""
    ends = s.kept.shape[1] - 1
    for prefix in range(ends):
        s.kept[r, prefix, NEWER] = NONE
    s.kept[r, ends, NEWER] = ends
    s.kept[r, ends, OLDER] = ends
    s.g[r, KEPT] = 0
