"""The counters of a fake engine server, and the page that tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.engine import QUANTITIES

if TYPE_CHECKING:
    from inferometer.testing.fakes.scene import Scene, Setup

CREATED = 1.76e9
"""A time stamp, as in families that end in ``_created``; no counter is near it."""


class Tally:
    """Counts by canonical name, from the engine's own warm-up on."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.running = self.aborted = 0
        self.counts: dict[str, float] = {}
        self.drained: list[dict[str, float]] = []
        if any(setup.warm_up):
            self.finish(self.begin(setup.warm_up[0], 0), setup.warm_up[1])

    def steer(self, scene: Scene) -> None:
        """Follow a new scene."""
        if scene.restarted:
            self.counts, self.drained = {}, []

    def begin(self, prompt_tokens: int, cached: int) -> dict[str, float]:
        """Open a request; return what its prompt counts."""
        self.running += 1
        return {
            "prompt_tokens": prompt_tokens,
            "prompt_tokens_computed": prompt_tokens - cached,
            "prompt_tokens_cached": cached,
            "prefix_cache_queries": prompt_tokens,
            "prefix_cache_hits": cached,
        }

    def finish(self, prompt: dict[str, float], output_tokens: int, *, whole: bool = True) -> None:
        """Close a request: ``whole`` unless its client went away."""
        self.running -= 1
        self.aborted += not whole
        done = {
            **prompt,
            "output_tokens": max(0, output_tokens - self.setup.first_by_prefill),
            "requests_finished": int(whole),
            "requests_aborted": int(not whole),
            "steps": output_tokens,
        }
        self.drained.append(done)
        for name, value in done.items():
            self.counts[name] = self.counts.get(name, 0) + value

    def page(self) -> bytes:
        """Return the counters as the engine tells them."""
        return self.json() if self.setup.form == "json" else self.prometheus()

    def value(self, name: str) -> float:
        """Return a quantity; what is never counted here stays 0."""
        return float(self.running if name == "requests_running" else self.counts.get(name, 0.0))

    def prometheus(self) -> bytes:
        """Return text with every rank's series, and with families that are only near ours."""
        lines = []
        for family, labels, name in self.setup.series:
            kind = QUANTITIES[name][1] if name else "counter"
            lines.append(f"# HELP {family} Told by a fake.\n# TYPE {family} {kind}")
            for rank in self.setup.ranks or [{}]:
                said = ",".join(f'{key}="{value}"' for key, value in {**rank, **labels}.items())
                value = self.value(name) if name else 0.0
                lines.append(f"{family}{{{said}}} {value}")
                lines.append(f"{family}_created{{{said}}} {CREATED}")
                lines.append(f"{family.removesuffix('_total')}_created{{{said}}} {CREATED}")
        return ("\n".join(lines) + "\n").encode()

    def json(self) -> bytes:
        """Return a list of records; one for each finished request, or one of all."""
        records: list[dict[str, float]] = self.drained if self.setup.drains else [self.counts]
        if self.setup.drains:
            self.drained = []
        return msgspec.json.encode([self._record(record) for record in records])

    def _record(self, counts: dict[str, float]) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for path, labels, name in self.setup.series:
            *parents, last = path.split(".")
            place = record
            for parent in parents:
                place = place.setdefault(parent, {})
            counted = self.running if name == "requests_running" else counts.get(name, 0)
            place[last] = counted
            record.update(labels)
        return record
