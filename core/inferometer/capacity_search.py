"""The highest rate that still meets an SLO: a certified bracket, whatever drives it.

Bisection in which a rate counts as a pass or a fail only when a confidence sequence says so. The
answer is a rate certified to meet the target share of good requests, one certified to miss it, and
a flag where the question has no sharp answer. A state machine in plain arithmetic: a driver is told
which rate to offer for how long, and says how many requests were good and bad.

    search = capacity_search.search(Rules(target=0.9, low=1, high=64))
    ask = next(search)
    while True:
        try:
            ask = search.send(measure(ask))  # -> Told(good=..., bad=...)
        except StopIteration as ended:
            capacity = ended.value
            break

Requests share their fate, so counts are divided by the design effect first (Kish 1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from inferometer.capacity_evidence import divergence, evidence

if TYPE_CHECKING:
    from collections.abc import Generator

Outcome = Literal["pass", "fail", "undecided", "hopeless", "starved"]
Flag = Literal["ill_posed", "below_range", "above_range", "budget", "starved", "failed"]
FEW = 10
"""From so many chunks on, no one of them can decide alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is searched and how.

    ``target``: share of requests that must be good. ``low``/``high``: rates in requests/s.
    ``tolerance``: gap (fail / pass - 1) at which the search ends. ``steps``: how far to step out
    from a rate that stays undecided. ``design_effect``: at least so many requests are worth one,
    or this ``shared`` part of those in flight.
    ``confidence``: that no certificate of the whole search is false. ``settle_s``: offered, not
    counted, after a change of rate; ``chunk_s``: between two looks; ``least_s``/``most_s``: of one
    rate. ``budget_s``: of the whole search. ``ill_posed``: the gap above which it is flagged.
    """

    target: float = 0.9
    low: float = 1.0
    high: float = 64.0
    tolerance: float = 0.1
    steps: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    design_effect: float = 4.0
    shared: float = 0.5
    confidence: float = 0.95
    settle_s: float = 5.0
    chunk_s: float = 10.0
    least_s: float = 20.0
    most_s: float = 360.0
    patience: float = 0.1
    refine_s: float = 780.0
    budget_s: float = 2400.0
    ill_posed: float = 0.25
    most_probes: int = 12

    def __post_init__(self) -> None:
        if not 0 < self.target < 1 or not 0 < self.low < self.high:
            raise ValueError("a search needs a target inside (0, 1) and rates 0 < low < high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Offer ``rate`` requests/s for ``seconds`` and count those sent in that time.

    ``settle_s`` above 0: the rate is new; clear the queue, offer it so long before counting.
    """

    rate: float
    seconds: float
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Requests that met every SLO, and those that did not (failed ones, and late ones still out).

    ``growing``: the queue and the time to first token both rose throughout; the rate does not pass
    while they do. ``starved``: the client was too slow to tell, so nothing counts. ``reused``:
    prompts were sent twice, which a cache may have answered, so the rate does not pass any more.
    ``broken``: the load broke off and no other can be offered; nothing else of it counts.
    ``in_flight``: requests that were out at the same time, on average; 0 where that is not known.
    """

    good: int
    bad: int
    growing: bool = False
    starved: bool = False
    reused: bool = False
    broken: bool = False
    in_flight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One rate: what was counted there and what it says."""

    rate: float
    good: int
    bad: int
    seconds: float
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The answer. ``passes``/``fails`` are certified rates in requests/s, None where none is.

    ``gap`` is ``fails / passes - 1``; ``design_effect`` the one with which a rate passed last.
    ``flag``: ``ill_posed`` (a gap above the limit, the share hardly depends on the rate there; or
    below 0, it does not fall with the rate), ``below_range`` and ``above_range`` (the lowest rate
    fails, the highest passes), ``budget`` (time or probes ran out before the bracket closed),
    ``starved`` (the client could not offer more, and nothing that it could offer failed, or only
    what is too far above),
    ``failed`` (the load broke off: the last of ``probes`` was not finished).
    """

    passes: float | None
    fails: float | None
    gap: float | None
    seconds: float
    flag: Flag | None
    design_effect: float
    probes: tuple[Probe, ...]


def search(rules: Rules) -> Generator[Ask, Told, Capacity]:
    """Ask for one rate after the other and return what is certified."""
    state = _Search(rules)
    while (rate := state.next_rate()) is not None:
        outcome = yield from state.probe(rate)
        if outcome == "undecided" and not (yield from state.step_out(rate)):
            yield from state.refine(rate)
            break
    # A queue that grew steered the search; as an end of the bracket it has to be certified.
    while state.open_above() and not state.spent():
        outcome = yield from state.probe(state.hopeless, certify=True)
        if outcome != "fail":
            break
    return state.result()


@dataclass(slots=True)
class _Search:
    rules: Rules
    passes: float | None = None
    fails: float | None = None
    hopeless: float = math.inf
    """Lowest rate at which the queue grew, which no confidence sequence has certified."""
    ceiling: float = math.inf
    """Lowest rate that the client could not offer."""
    seconds: float = 0.0
    probes: list[Probe] = field(default_factory=list)
    squares: float = 0.0
    """Pearson's statistic of chunks inside their probes, over ``freedom`` degrees."""
    freedom: int = 0
    crowd: float = 0.0
    """Requests in flight at the rate that is on."""
    used: float | None = None
    """The design effect with which a rate passed last."""
    broken: bool = False

    def upper(self) -> float | None:
        """Return the lowest rate that failed, certified or not, or could not be offered."""
        known = min(self.hopeless, self.fails or math.inf, self.ceiling)
        return known if math.isfinite(known) else None

    def spent(self) -> bool:
        over = self.seconds >= self.rules.budget_s or len(self.probes) >= self.rules.most_probes
        return over or self.broken

    def next_rate(self) -> float | None:
        """Return the rate to bisect at, an end of the range once all else is known, or None."""
        low, high = self.passes or self.rules.low, self.upper() or self.rules.high
        if self.spent() or low >= high:
            return None
        if high / low - 1 > self.rules.tolerance:
            return math.sqrt(low * high)
        if self.passes is None:
            return low
        return high if self.upper() is None else None

    def open_above(self) -> bool:
        return self.hopeless < (self.fails or math.inf)

    def effect(self) -> float:
        """Return the design effect: the assumed one, or the chunks' own where it is surely more.

        Surely: by two standard errors, ``sqrt(2 / freedom)`` each. Assumed is at least a share of
        the requests in flight: they are batched together, and slow or quick together.
        """
        assumed = max(self.rules.design_effect, self.crowd * self.rules.shared, 1.0)
        if not self.freedom:
            return assumed
        seen = self.squares / self.freedom
        return seen if seen > assumed * (1 + 2 * math.sqrt(2 / self.freedom)) else assumed

    def futile(self, good: int, bad: int, spent: float) -> bool:
        """Say whether this rate will not be decided in the time it has left.

        Judged as if the share were one standard error farther from the target than it looks.
        """
        rules, effect = self.rules, self.effect()
        if spent < rules.patience * rules.most_s or not good + bad:
            return False
        n = (good + bad) / effect
        share = good / (good + bad)
        error = math.sqrt(max(share * (1 - share), 1 / n) / n)
        away = share + error if share > rules.target else share - error
        gain = divergence(min(max(away, 0.0), 1.0), rules.target)
        lacking = self.bar() - self.seen(good, bad, passing=share > rules.target)
        return lacking > gain * n * (rules.most_s / spent - 1)

    def bar(self) -> float:
        """Return the evidence that certifies one rate: each probe has its part of the error."""
        return math.log(self.rules.most_probes / (1 - self.rules.confidence))

    def certainty(self, chunks: list[Told]) -> Outcome:
        """Say what the counts of one rate certify.

        Of few chunks, whichever is left out: a burst or a lull is no evidence by itself.
        """
        good, bad = sum(t.good for t in chunks), sum(t.bad for t in chunks)
        passing = good > self.rules.target * (good + bad)
        for out in chunks if len(chunks) < FEW else (Told(good=0, bad=0),):
            if self.seen(good - out.good, bad - out.bad, passing=passing) <= self.bar():
                return "undecided"
        return "pass" if passing else "fail"

    def seen(self, good: int, bad: int, *, passing: bool) -> float:
        effect = self.effect()
        return evidence(good / effect, bad / effect, self.rules.target, passing=passing)

    def probe(self, rate: float, *, certify: bool = False) -> Generator[Ask, Told, Outcome]:
        """Offer one rate until it is decided, hopeless, or has had its time."""
        rules, chunks = self.rules, list[Told]()
        outcome: Outcome = "undecided"
        spent, grew = 0.0, 0
        while outcome == "undecided" and spent < rules.most_s:
            settle = 0.0 if chunks else rules.settle_s
            told = yield Ask(rate=rate, seconds=rules.chunk_s, settle_s=settle)
            if told.broken:
                self.broken = True
                break
            chunks.append(told)
            self.crowd = sum(t.in_flight for t in chunks) / len(chunks)
            spent += rules.chunk_s
            self.seconds += rules.chunk_s + settle
            good, bad = sum(t.good for t in chunks), sum(t.bad for t in chunks)
            grew = grew + 1 if told.growing else 0
            if grew >= 2 and good < rules.target * (good + bad) and not certify:
                outcome = "hopeless"
            if spent >= rules.least_s and (said := self.certainty(chunks)) != "undecided":
                outcome = said
            if outcome == "pass" and (told.growing or told.reused):
                outcome = "undecided"
            if told.starved:
                outcome = "starved"
            over = told.reused and spent >= rules.least_s
            if outcome == "undecided" and (over or self.futile(good, bad, spent)):
                break
        # While a queue grows the chunks differ for that, and not because requests share their fate.
        steady = outcome != "starved" and not any(told.growing for told in chunks)
        self.learn(chunks if steady else [])
        good, bad = sum(t.good for t in chunks), sum(t.bad for t in chunks)
        self.probes.append(Probe(rate=rate, good=good, bad=bad, seconds=spent, outcome=outcome))
        self.note(rate, outcome, certify=certify)
        return outcome

    def note(self, rate: float, outcome: Outcome, *, certify: bool) -> None:
        if outcome == "pass":
            self.passes, self.used = max(rate, self.passes or 0.0), self.effect()
        elif outcome == "fail":
            self.fails = min(rate, self.fails or math.inf)
        elif outcome == "hopeless":
            self.hopeless = min(rate, self.hopeless)
        elif outcome == "starved":
            self.ceiling = min(rate, self.ceiling)
        if certify and outcome != "hopeless":
            self.hopeless = math.inf

    def learn(self, chunks: list[Told]) -> None:
        """Add how much more the chunks of one probe differ than independent requests would."""
        good, bad = sum(t.good for t in chunks), sum(t.bad for t in chunks)
        if not good or not bad or len(chunks) < 2:
            return
        share = good / (good + bad)
        for told in chunks:
            n = told.good + told.bad
            if n:
                self.squares += (told.good - n * share) ** 2 / (n * share * (1 - share))
        self.freedom += len(chunks) - 1

    def step_out(self, rate: float) -> Generator[Ask, Told, bool]:
        """Look for a pass below and a fail above a rate that stays undecided.

        A side ends when it is certified, or when the next step reaches what is known already.
        True when it turned out otherwise: what is sought lies all on one side, bisection goes on.
        """
        down = up = True
        for step in self.rules.steps:
            if down and not self.spent():
                lower = rate / (1 + step)
                down = lower > (self.passes or 0.0) and lower >= self.rules.low
                if down:
                    down = (yield from self.probe(lower)) == "undecided"
            if up and not self.spent():
                higher = rate * (1 + step)
                up = higher < (self.upper() or math.inf) and higher <= self.rules.high
                if up:
                    up = (yield from self.probe(higher)) == "undecided"
        return (self.upper() or math.inf) < rate or (self.passes or 0.0) > rate

    def refine(self, rate: float) -> Generator[Ask, Told, None]:
        """Halve the wider side of the bracket around an undecided rate, while time is early.

        Between the certified rate and the nearest undecided one; a side that stays undecided
        there is done.
        """
        sides = {"down", "up"}
        while sides and self.passes and self.fails and self.seconds < self.rules.refine_s:
            low, high = self.passes, self.fails
            if self.spent() or high / low - 1 <= self.rules.tolerance:
                return
            wider = "down" if rate / low > high / rate else "up"
            side = wider if wider in sides else sides.copy().pop()
            open_ = [
                p.rate for p in self.probes if p.outcome == "undecided" and low < p.rate < high
            ]
            below, above = min(open_, default=high), max(open_, default=low)
            middle = math.sqrt(low * below if side == "down" else above * high)
            if (yield from self.probe(middle)) == "undecided":
                sides.discard(side)

    def result(self) -> Capacity:
        passes, fails = self.passes, self.fails
        gap = fails / passes - 1 if passes and fails else None
        flag: Flag | None = None
        wide: Flag
        if self.broken:
            flag = "failed"
        elif gap is not None:
            wide = "starved" if gap > 0 and self.ceiling < (fails or 0) else "ill_posed"
            flag = None if 0 < gap <= self.rules.ill_posed else wide
        elif fails is not None and fails <= self.rules.low:
            flag = "below_range"
        elif passes is not None and passes >= self.rules.high:
            flag = "above_range"
        elif fails is None and math.isfinite(self.ceiling):
            flag = "starved"
        elif self.spent():
            flag = "budget"
        else:
            flag = "ill_posed"
        return Capacity(
            passes=passes,
            fails=fails,
            gap=gap,
            seconds=self.seconds,
            flag=flag,
            design_effect=self.used or self.effect(),
            probes=tuple(self.probes),
        )
