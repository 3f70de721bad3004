"""The searches for capacity at an SLO at the end of a launch: offer rates, store what came of it.

:mod:`inferometer.capacity_search` decides which rate comes next and what is certified;
:mod:`inferometer.capacity_watch` judges the requests of a rate while it is on. Here the rates are
offered: one open loop each, cut as soon as the search knows enough.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from inferometer import capacity_search, point, redact, scores, store
from inferometer.capacity_records import CapacityProbe, CapacitySearch
from inferometer.capacity_search import Rules
from inferometer.capacity_watch import Watching, limits
from inferometer.errors import LaunchError
from inferometer.loadgen.address import secrets
from inferometer.loadgen.arrivals import Arrivals
from inferometer.loadgen.driver import Hooks, LoadPlan, drive
from inferometer.plan import LoadPoint
from inferometer.point import INDEX_STEP, hushed, request_bodies, wrapped
from inferometer.study import LoadEntry
from inferometer.work import AFTER_S, STREAMS, Work
from inferometer.workloads import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.capacity_search import Ask, Capacity
    from inferometer.declared import Capacity as Asked
    from inferometer.plan import Plan
    from inferometer.point import Live
    from inferometer.study import WorkloadEntry
    from inferometer.workloads.datasets import Pair

MOST_TOKENS = 4_000_000
"""Prompt tokens prepared for one rate: most rates are decided long before their time is over. One
that is not when they have all been sent does not pass: a cache may answer what comes after."""
LEAST = 64
LONGEST_S = 60.0
USUAL_S = 900.0
"""Searches that may take so long have the rules that were tried; shorter ones shorter parts."""


def search_all(live: Live, plan: Plan, say: Callable[[str], None]) -> None:
    """Search the capacity of a live server with each workload, and store it.

    A server that does not outlive a search has been measured at its load points all the same: the
    search then says ``failed``.
    """
    planned = plan.capacity
    if planned is None or not planned.wanted(live.launch):
        return
    number = len(live.launch.points)
    for workload in planned.workloads:
        found = Search(
            live=live,
            plan=plan,
            workload=workload,
            rules=rules_of(planned.asked),
            number=number,
            say=say,
        ).run()
        number += len(found.probes)
        store.append_lines(live.folder / "capacity.jsonl", [found])


def rules_of(asked: Asked) -> Rules:
    """Return the rules of a search that may take ``asked.minutes``.

    In a short one everything is shorter in proportion, so that there are as many looks.
    """
    budget_s = asked.minutes * 60
    unit = min(1.0, budget_s / USUAL_S)
    return Rules(
        target=asked.share,
        low=asked.low,
        high=asked.high,
        tolerance=asked.tolerance,
        budget_s=budget_s,
        refine_s=13 / 15 * budget_s,
        settle_s=5.0 * unit,
        chunk_s=10.0 * unit,
        least_s=20.0 * unit,
        most_s=min(360.0, budget_s / 3),
        ill_posed=max(0.25, 2 * asked.tolerance),
    )


@dataclass(slots=True, kw_only=True)
class Search:
    """One search on one live server with one workload; ``number`` is its first load point."""

    live: Live
    plan: Plan
    workload: WorkloadEntry
    rules: Rules
    number: int
    say: Callable[[str], None]
    probes: list[CapacityProbe] = field(default_factory=list)

    @property
    def wanted(self) -> dict[str, float]:
        """Return the limits of the SLO."""
        assert self.plan.capacity is not None
        return limits(self.plan.capacity.slo)

    def run(self) -> CapacitySearch:
        """Search; return what was found, its requests stored."""
        self.rules = self._slowed()
        asking = capacity_search.search(self.rules)
        ask, found = next(asking), None
        while found is None:
            watching = Watching(asking=asking, ask=ask, wanted=self.wanted, first=self._warmup())
            try:
                self.probes.append(self._offer(ask, watching))
            except LaunchError as error:
                found = watching.broke()
                return self._told(found, self._why(ask, error))
            ask, found = watching.ask or ask, watching.found
        return self._told(found)

    def _why(self, ask: Ask, error: LaunchError) -> str:
        """Return what broke a load off, as it is stored: a server may repeat a key."""
        said = redact.without(error.message, secrets(self.live.target))
        why = f"at {ask.rate:.3g} requests/s: {redact.capped(redact.text(said))}"
        self.say(f"capacity, {self.workload.name}: broken off {why}")
        return why

    # -- one rate --------------------------------------------------------------------------------

    def _offer(self, ask: Ask, watching: Watching) -> CapacityProbe:
        """Offer a rate until the search wants another one; store its requests.

        The verdict and the counts are the search's own, and come with its end.
        """
        load = LoadEntry(rate=ask.rate)
        index = self.number + len(self.probes)
        load_point = LoadPoint(index=index, workload=self.workload, load=load)
        self.say(f"capacity, {self.workload.name} at {ask.rate:.3g} requests/s")
        work = self._work(ask.rate)
        lengths = list(work.output_tokens)
        live = self.live
        watching.fresh = len(lengths)
        bodies = request_bodies(live.engine, live.model, work.prompts, lengths, seed=live.seed)
        result = drive(
            live.target,
            lambda place: bodies[wrapped(place, len(bodies), work.again)],
            self._load(load_point, work),
            Hooks(
                on_window_set=watching.opened,
                should_stop=live.server.dead,
                look_s=self.rules.chunk_s,
                enough=watching.look,
            ),
            live.load_hosts,
        )
        hidden = secrets(live.target)
        rows = [hushed(row, hidden) for row in result.requests]
        store.append_lines(live.folder / "capacity_requests.jsonl", rows)
        window = point.window(load_point, result, work)
        return CapacityProbe(
            rate=ask.rate,
            outcome="undecided",
            good=0,
            bad=0,
            missed=watching.why,
            growing=watching.growing,
            output_tokens=sum(scores.tokens_by_batch(window, result.requests, result.chunks)),
            window=window,
        )

    def _load(self, load_point: LoadPoint, work: Work) -> LoadPlan:
        """Return one open loop that goes on for longer than the search can want."""
        return LoadPlan(
            concurrency=work.streams,
            warmup_requests=work.warmup,
            discard_s=self.rules.settle_s,
            window_s=self.rules.most_s + 2 * self.rules.chunk_s + AFTER_S,
            request_timeout_s=self.plan.protocol.request_timeout_s,
            stall_s=self.plan.protocol.stall_s,
            load_point=load_point.index,
            first_index=load_point.index * INDEX_STEP,
            arrivals=work.arrivals,
        )

    def _work(self, rate: float) -> Work:
        """Return the requests of one rate: fresh, and for all stacks of a round alike.

        The k-th rate of each stack has the same lengths, texts and gaps, the gaps divided by the
        rate: what chance does to one stack it does to the others.
        """
        seed = self.plan.protocol.seed + self.live.launch.round
        key = f"capacity/{self.workload.name}/{len(self.probes)}"
        digest = hashlib.sha256(f"{seed}/{key}".encode()).hexdigest()
        arrivals = Arrivals(kind="poisson", rate=rate, seed=int(digest[:12], 16))
        warmup, tokenizer = self._warmup(), self.live.tokenizer
        whole_s = self.rules.settle_s + self.rules.most_s + 2 * self.rules.chunk_s + AFTER_S
        offsets = arrivals.until(whole_s)
        count = warmup + max(LEAST, len(offsets))
        pairs = _affordable(requests.draw(self.workload, count, f"{seed}/{key}", tokenizer), warmup)
        prompts = requests.prompts(self.workload, pairs, tokenizer, seed=seed, salt=key)
        return Work(
            prompts=prompts,
            output_tokens=tuple(pair.output_tokens for pair in pairs),
            warmup=warmup,
            streams=STREAMS,
            again=warmup,
            reuse=prompts.reuse,
            arrivals=arrivals,
            offsets_s=tuple(offsets),
        )

    def _warmup(self) -> int:
        """Return the requests before a rate: one, or of a warm cache one a shared beginning."""
        return max(STREAMS, self.workload.prefix_groups)

    def _slowed(self) -> Rules:
        """Return the rules for requests that take their time.

        A new rate is offered for as long as a request may stay before it counts, so that the server
        has filled up; and looks are further apart than that, or what is seen at two of them would
        be the same requests.
        """
        rules, stay_s = self.rules, self._residence_s()
        chunk_s = max(rules.chunk_s, 2 * stay_s)
        return replace(
            rules,
            settle_s=max(rules.settle_s, stay_s),
            chunk_s=chunk_s,
            least_s=2 * chunk_s,
            most_s=max(rules.most_s, 4 * chunk_s),
        )

    def _residence_s(self) -> float:
        """Return how long a request may be in the server and still be good, on average."""
        found = self.plan.protocol.discard_s or 0.0
        lengths = [
            pair.output_tokens
            for pair in requests.draw(self.workload, LEAST, "residence", self.live.tokenizer)
        ]
        mean = sum(lengths) / len(lengths)
        if {"ttft_ms", "tpot_ms"} <= set(self.wanted):
            found = max(found, (self.wanted["ttft_ms"] + self.wanted["tpot_ms"] * mean) / 1e3)
        elif "e2e_ms" in self.wanted:
            found = max(found, self.wanted["e2e_ms"] / 1e3)
        return min(found, LONGEST_S, self.rules.budget_s / 60)

    # -- what came of it -------------------------------------------------------------------------

    def _told(self, found: Capacity, failure: str = "") -> CapacitySearch:
        whole = found.probes[: len(self.probes)]  # not the one that broke off
        probes = [
            msgspec.structs.replace(probe, outcome=said.outcome, good=said.good, bad=said.bad)
            for probe, said in zip(self.probes, whole, strict=True)
        ]
        return CapacitySearch(
            workload=self.workload.name,
            limits=self.wanted,
            share=self.rules.target,
            confidence=self.rules.confidence,
            low=self.rules.low,
            high=self.rules.high,
            tolerance=self.rules.tolerance,
            budget_s=self.rules.budget_s,
            seconds=found.seconds,
            passes=found.passes,
            fails=found.fails,
            flag="failed" if failure else found.flag,
            failure=failure,
            design_effect=found.design_effect,
            probes=probes,
        )


def _affordable(pairs: list[Pair], warmup: int) -> list[Pair]:
    """Return the first of ``pairs`` with :data:`MOST_TOKENS` prompt tokens, and at least some."""
    total = 0
    for place, pair in enumerate(pairs):
        total += pair.input_tokens
        if total > MOST_TOKENS and place >= warmup + LEAST:
            return pairs[:place]
    return pairs
