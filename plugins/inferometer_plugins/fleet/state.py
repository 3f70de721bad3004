"""The state of a simulated day as flat arrays, which compiled functions share.

Per replica a row of ``f`` (floats) and one of ``g`` (whole numbers); the constants here name the
columns. Per request a row of ``q``. Requests that wait or were just read are linked lists through
LINK; those that decode are a heap by the step that ends them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Longs = NDArray[np.int64]
    Ints = NDArray[np.int32]

NONE = -1

# f: joules are booked up to SINCE; a run of like steps lasts from BEGIN to END, its k-th step takes
# (BASE + k * GROW) seconds; CHANGE is when it fails, is repaired, has booted or is stopped;
# SERVES is since when it has been in service
SINCE, WATTS, BEGIN, END, BASE, GROW, FACTOR, FAILS, CHANGE, SERVES = range(10)
FLOATS = 10

# g: MODE is the index into day.MODES; RUN the steps of the run; CLOCK the steps made since the boot
MODE, STATUS, DECODING, PREFILL, RUN, CLOCK, STORED = range(7)
RESERVED, READING, UNREAD, WAIT_HEAD, WAIT_TAIL, WAITING = range(7, 13)
JOIN_HEAD, JOIN_TAIL, JOINING, FLIGHT, SERIAL, KEPT, RESTARTING = range(13, 20)
LONGS = 20

IDLE, BUSY, BOOTING, DOWN = range(4)  # modes
UP, DRAINING, STARTING, BROKEN = range(4)  # statuses
UNFINISHED, FINISHED, LOST = range(3)  # outcomes

# x: floats of the fleet
QUEUE_SINCE, NEXT_CHANGE, WAVE_AT = range(3)
# y: whole numbers of the fleet; HELD requests are those that no replica has
HELD_HEAD, HELD_TAIL, HELD, TURN, SERVING, IN_FLIGHT, QUEUED, QUEUE_MAX = range(8)
MADE, WASTED, READ, PREEMPTED, FAILED, RESTARTED, RETRIED, HITS, LOOKUPS = range(8, 17)
GAP, BOOT, WAVE_NEXT, WAVE_BUSY, COMING = range(17, 22)
WHOLE = 22

# q: HAS counts tokens made (of a sequence that decodes, as of when it was last read); LINK is the
# next in a list (of one that decodes, its number among those that joined)
PROMPT, OUTPUT, PREFIX, HAS, LINK, CACHED, PLACE, TRIES, OUTCOME = range(9)
COLUMNS = 9
# the last axis of t, heap, ranks, kept, chance, spent; the last column of bins
TTFT, E2E = range(2)
DUE, WHO = range(2)
ORDER, SPOT = range(2)
NEWER, OLDER = range(2)
BY_GAP, BY_BOOT = range(2)
SECONDS, JOULES = range(2)
QUEUE = 4

ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE, SHARED_QUEUE = range(4)


class State(NamedTuple):
    """Everything. Arrays change in place; numbers do not."""

    f: Floats
    """[R, FLOATS]"""
    g: Longs
    """[R, LONGS]"""
    x: Floats
    y: Longs
    at: Floats
    """[N] sent, rising."""
    q: Ints
    """[N, COLUMNS]"""
    t: NDArray[np.float32]
    """[N, 2] seconds; below 0: not yet."""
    heap: Longs
    """[R, most, 2] sequences that decode, by the step that ends them."""
    ranks: Longs
    """[R, 2] replicas by END, as a heap, and where in it each is."""
    kept: Ints
    """[R, P + 1, 2] the prefixes used next after and before one; P is both ends; -1: not kept."""
    home: Longs
    """[P] the replica that a prefix belongs to."""
    table: Floats
    """[1 or 2, tokens] seconds of a step that do not depend on the context."""
    slope: Floats
    """[1 or 2] seconds for each token attended to."""
    prompt_s: float
    """Seconds for each prompt token, where the table goes by decoding sequences."""
    by_tokens: bool
    """The table goes by all tokens of a step."""
    chance: Floats
    """[K, 2] in the order they are needed: seconds in service until a failure; by boot a factor on
    the time of each step."""
    spent: Floats
    """[R, 4, 2] by mode."""
    bins: Floats
    """[B, 5] joules by mode, then requests that wait times seconds."""
    bin_s: float
    day_s: float
    budget: int
    most: int
    kv: int
    """0: no limit."""
    keeps: int
    share: float
    router: int
    guard: float
    idle_w: float
    busy_w: float
    """Idle, and what any step adds."""
    prefill_w: float
    batch_w: float
    boot_w: float
    down_w: float
    boot_s: float
    repair_s: float
    retries: int
    at_once: int
    drain_s: float
