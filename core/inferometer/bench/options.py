"""What ``inferometer bench`` was asked for, and what of it contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from inferometer.errors import UsageError
from inferometer.loadgen.arrivals import Arrivals

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.loadgen.address import Endpoint
    from inferometer.loadgen.driver import Host
    from inferometer.workloads.traces import TraceRow

REQUESTS = 300
"""Unless asked otherwise: as many as a p99 needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags of ``inferometer bench``; ``docs/reference/bench.md`` describes each.

    Exactly one of ``concurrency``, ``rate``, ``burst`` and ``trace`` is the load. Lengths are
    distributions as :func:`inferometer.workloads.lengths.parse` reads them.
    """

    url: str
    model: str
    endpoint: Endpoint = "completions"
    concurrency: int | None = None
    rate: float | None = None
    arrivals: Literal["poisson", "gamma", "constant"] = "poisson"
    burstiness: float = 1.0
    burst: bool = False
    trace: Path | None = None
    max_in_flight: int | None = None
    requests: int | None = None
    duration_s: float | None = None
    warmup_requests: int | None = None
    input_tokens: str = "128"
    output_tokens: str = "128"
    tokenizer: Path | None = None
    seed: int
    headers: tuple[str, ...] = ()
    api_key_env: str | None = None
    insecure: bool = False
    plain: bool = False
    extra_body: dict[str, Any] = field(default_factory=dict)
    request_timeout_s: float = 600.0
    load_hosts: tuple[Host, ...] = ()
    """Where the load comes from, instead of from here."""

    def check(self) -> None:
        """Raise UsageError for flags that do not go together."""
        loads = {
            "--concurrency": self.concurrency is not None,
            "--rate": self.rate is not None,
            "--burst": self.burst,
            "--trace": self.trace is not None,
        }
        given = [name for name, is_set in loads.items() if is_set]
        if len(given) != 1:
            raise UsageError(
                f"{' and '.join(given) or 'no load'}: give exactly one of {', '.join(loads)}",
                hint="For example --concurrency 8, or --rate 2 --arrivals poisson.",
            )
        if self.requests is not None and self.duration_s is not None:
            raise UsageError("--requests and --duration exclude each other", hint="Give one.")
        if self.burst and self.duration_s is not None:
            raise UsageError(
                "--burst has a number of requests, not a duration", hint="Give --requests."
            )
        if self.burstiness != 1.0 and self.arrivals != "gamma":
            raise UsageError(
                "--burstiness is the shape of --arrivals gamma alone", hint="Give both, or neither."
            )
        if self.max_in_flight is not None and self.concurrency is not None:
            raise UsageError(
                "--max-in-flight caps an open loop; --concurrency is a cap already",
                hint="Give one of them.",
            )

    def schedule(self, trace: tuple[TraceRow, ...]) -> Arrivals | None:
        """Return the arrivals of an open loop, None for a closed one."""
        if self.concurrency is not None:
            return None
        if self.burst:
            return Arrivals(kind="burst")
        if self.rate is None:
            return Arrivals(kind="trace", offsets_s=tuple(row.offset_s for row in trace))
        return Arrivals(
            kind=self.arrivals, rate=self.rate, burstiness=self.burstiness, seed=self.seed
        )
