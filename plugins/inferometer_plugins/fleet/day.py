"""What a simulated day leaves: a row for each request, joules and seconds for each replica."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from inferometer_plugins.fleet.state import FINISHED, LOST, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inferometer_plugins.fleet.spec import Fleet, Traffic

    Floats = NDArray[np.float64]

MODES = ("idle", "busy", "booting", "down")
"""What a replica draws power for: the last axis of ``Day.joules`` and ``Day.seconds``."""
BIN_S = 300.0
What = Literal["ttft", "tpot", "e2e"]


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
    begun: NDArray[np.bool_]
    """[N] whether it had its first token."""
    replica: NDArray[np.int32]
    """[N] where it last was; -1: nowhere."""
    cached: NDArray[np.int32]
    """[N] prompt tokens that were not computed, thanks to the prefix cache."""
    tries: NDArray[np.int32]
    """[N] times it was sent again."""
    outcome: NDArray[np.int32]
    """[N] 0 unfinished, 1 finished, 2 lost."""
    factor: Floats
    """[R] on the time of every step, since its last boot."""
    serves_s: Floats
    """[R] since when it is in service; as ``factor`` NaN: it is not when the day ends."""
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

    def latencies(self, what: What) -> NDArray[np.float32]:
        """Return all of ``ttft``, ``tpot`` or ``e2e`` in seconds.

        TPOT, (E2E - TTFT) / (output tokens - 1), is of requests with two output tokens or more.
        One that had no first token when the day ended is infinitely late, as a lost one is: a
        fleet that leaves its queue waiting meets no limit. One between its tokens then is left out.
        """
        if what != "tpot":
            return self.ttft_s if what == "ttft" else self.e2e_s
        done = (self.output > 1) & (self.outcome == FINISHED)
        found = (self.e2e_s[done] - self.ttft_s[done]) / (self.output[done] - 1).astype(np.float32)
        never = (self.outcome == LOST) | ((self.outcome == UNFINISHED) & ~self.begun)
        never &= self.output > 1
        return np.concatenate((found, np.full(np.count_nonzero(never), np.inf, np.float32)))

    def percentiles(self, what: What, shares: Sequence[float]) -> list[float]:
        """Return exact percentiles of ``ttft``, ``tpot`` or ``e2e`` in seconds.

        Each is the least value that at least its share of the requests do not exceed; NaN where
        there are no requests.
        """
        found = self.latencies(what)
        count = len(found)
        if not count:
            return [math.nan for _ in shares]
        places = [min(max(math.ceil(share * count - 1e-9), 1), count) - 1 for share in shares]
        ordered = np.partition(found, sorted(set(places)))
        return [float(ordered[place]) for place in places]

    def watts_by_hour(self) -> list[tuple[float, float]]:
        """Return for each hour the mean and the highest five minutes' mean, in watts."""
        per_bin, lengths = self.joules_by_bin.sum(axis=1), self._bins_s()
        each = round(3600 / self.bin_s)
        return [
            (
                float(per_bin[low : low + each].sum() / lengths[low : low + each].sum()),
                float((per_bin[low : low + each] / lengths[low : low + each]).max()),
            )
            for low in range(0, len(per_bin), each)
        ]

    def _bins_s(self) -> Floats:
        """Return how long each bin lasts: the last may be cut."""
        starts = self.bin_s * np.arange(len(self.joules_by_bin))
        return np.asarray(np.minimum(self.bin_s, self.day_s - starts))

    def summary(self) -> Summary:
        """Return the figures."""
        ttft, tpot, e2e = (self.percentiles(it, (0.5, 0.99)) for it in ("ttft", "tpot", "e2e"))
        done = self.outcome == FINISHED
        by_mode, energy_j = self.joules.sum(axis=0), float(self.joules.sum())
        output, counts, seconds = int(self.output[done].sum()), self.counts, self.seconds
        return Summary(
            replicas=self.fleet.replicas,
            day_s=self.day_s,
            offered=len(done),
            finished=int(np.count_nonzero(done)),
            lost=int(np.count_nonzero(self.outcome == LOST)),
            unfinished=int(np.count_nonzero(self.outcome == UNFINISHED)),
            retried=counts["retried"],
            preempted=counts["preempted"],
            failures=counts["failures"],
            restarts=counts["restarts"],
            prompt_tokens=int(self.prompt[done].sum()),
            output_tokens=output,
            wasted_tokens=counts["tokens_wasted"],
            read_tokens=counts["tokens_read"],
            cache_hits=counts["hits"],
            cache_lookups=counts["lookups"],
            ttft_p50_s=ttft[0],
            ttft_p99_s=ttft[1],
            tpot_p50_s=tpot[0],
            tpot_p99_s=tpot[1],
            e2e_p50_s=e2e[0],
            e2e_p99_s=e2e[1],
            energy_j=energy_j,
            mean_w=energy_j / self.day_s,
            peak_w=max(peak for _, peak in self.watts_by_hour()),
            idle_j=float(by_mode[0]),
            busy_j=float(by_mode[1]),
            booting_j=float(by_mode[2]),
            down_j=float(by_mode[3]),
            busy_share=float(seconds[:, 1].sum() / seconds.sum()),
            queue_mean=float((self.queue_by_bin * self._bins_s()).sum() / self.day_s),
            queue_max=counts["queue_max"],
            j_per_output_token=energy_j / output if output else math.nan,
            output_tok_s=output / self.day_s,
            compiled=self.compiled,
        )
