"""What a simulated day leaves: a row for each request, joules and seconds for each replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inferometer_plugins.fleet.spec import Fleet, Traffic

    Floats = NDArray[np.float64]

MODES = ("idle", "busy", "booting", "down")
"""What a replica draws power for: the last axis of ``Day.joules`` and ``Day.seconds``."""
BIN_S = 300.0


class Summary(Struct, frozen=True, kw_only=True):
    """The figures of a day. Kind: ``simulated``. Times in seconds; infinite: lost requests."""

    replicas: int
    day_s: float
    offered: int
    finished: int
    lost: int
    """Gave up after ``Fleet.retries``."""
    unfinished: int
    """In the fleet when the day ended."""
    retried: int
    """Times that a request was sent again, because its replica failed or was stopped."""
    preempted: int
    failures: int
    restarts: int
    prompt_tokens: int
    """Of finished requests."""
    output_tokens: int
    """Of finished requests."""
    wasted_tokens: int
    """Output made, and lost with a replica."""
    read_tokens: int
    """Prompt tokens computed: less what was cached, more what was read again."""
    cache_hits: int
    cache_lookups: int
    ttft_p50_s: float
    ttft_p99_s: float
    tpot_p50_s: float
    tpot_p99_s: float
    e2e_p50_s: float
    e2e_p99_s: float
    energy_j: float
    mean_w: float
    peak_w: float
    """The highest mean of five minutes."""
    idle_j: float
    busy_j: float
    booting_j: float
    down_j: float
    busy_share: float
    """Of replicas' time."""
    queue_mean: float
    """Requests that wait for a place, in the mean of the day."""
    queue_max: int
    j_per_output_token: float
    """Of finished requests; NaN: there were none."""
    output_tok_s: float
    compiled: bool
    """False: numba was not there and plain Python did it, with the same result."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """N requests by time of arrival; R replicas; B bins of ``bin_s``; four modes (``MODES``).

    A request without its first (last) token when the day ended counts in ``ttft_s`` (``e2e_s``)
    with the time it had lasted by then, a lower bound; a lost one is infinite.
    """

    fleet: Fleet
    traffic: Traffic
    seed: int
    day_s: float
    bin_s: float
    compiled: bool
    at_s: Floats
    """[N] when it was sent."""
    prompt: NDArray[np.int32]
    output: NDArray[np.int32]
    """[N] asked for."""
    made: NDArray[np.int32]
    """[N] tokens made in the last try."""
    ttft_s: NDArray[np.float32]
    """[N] first token of the try that counts less first send."""
    e2e_s: NDArray[np.float32]
    replica: NDArray[np.int16]
    """[N] where it last was; -1: nowhere."""
    cached: NDArray[np.int32]
    """[N] prompt tokens that were not computed, thanks to the prefix cache."""
    tries: NDArray[np.int8]
    """[N] times it was sent again."""
    outcome: NDArray[np.int8]
    """[N] 0 unfinished, 1 finished, 2 lost."""
    joules: Floats
    """[R, 4]"""
    seconds: Floats
    """[R, 4]"""
    joules_by_bin: Floats
    """[B, 4] of the fleet."""
    queue_by_bin: Floats
    """[B] requests that wait for a place, mean."""
    counts: dict[str, int]
    """tokens made, wasted and read, preemptions, failures, restarts, hits, lookups, queue_max."""

    def percentile(self, what: str, share: float) -> float:
        """Return the exact percentile of ``ttft``, ``tpot`` or ``e2e`` in seconds.

        The least value that at least ``share`` of the requests do not exceed; NaN: no requests.
        TPOT is of requests with two output tokens or more that finished or were lost.
        """
        raise NotImplementedError

    def summary(self) -> Summary:
        """Return the figures."""
        raise NotImplementedError

    def watts_by_hour(self) -> list[tuple[float, float]]:
        """Return for each hour the mean and the highest five minutes' mean, in watts."""
        raise NotImplementedError


def plain(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON has it: what is not finite becomes None."""
    raise NotImplementedError
