"""Where a scenario does not fit the results: said by line and key, before anything is priced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inferometer.cost import pricing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferometer.cells import Evidence
    from inferometer.cost.cases import Case
    from inferometer.cost.pricing import Ground
    from inferometer.cost.scenario import Terms
    from inferometer.problems import Problem
    from inferometer.records import LaunchRecord

NO_GPU = "it is per GPU, and these results say of no GPU; set [machine] gpus, or "


def misfits(case: Case, evidence: Evidence, around: Ground) -> Iterator[Problem]:
    """Yield every key of the scenario that these results contradict, or say nothing of.

    A price of another accelerator than the one that served, a price per GPU where no GPU is
    known, a meter that the results do not have.
    """
    for index, terms in enumerate(case.terms):
        key = f"hours[{index}]"
        yield from _of_gpu(key, terms, evidence, around)
        owned = terms.entry.owned
        known = dict.fromkeys([*evidence.meters, *(one.name for one in evidence.study.meters)])
        if owned is not None and owned.meter is not None and owned.meter not in known:
            names = ", ".join(known) or "none"
            words = f"no meter {owned.meter!r} in these results, which have: {names}; or power_kw"
            yield f"{key}.owned.meter", words
    for index, one in enumerate(case.scenario.surcharges):
        served = [r for r in evidence.records if r.stack.get("engine") == one.engine]
        if one.usd_per_gpu_hour is not None and _unknown(served, around):
            yield f"surcharges[{index}].usd_per_gpu_hour", f"{NO_GPU}usd_per_hour instead"


def strangers(case: Case, evidence: Evidence) -> list[str]:
    """Return a warning for each surcharge of an engine that is not in these results."""
    engines = sorted({launch.engine.name for launch in evidence.plan.launches})
    return [
        f"surcharge {one.what!r} is in no bill: these results have no engine {one.engine!r}, "
        f"only {', '.join(engines)}"
        for one in case.scenario.surcharges
        if one.engine not in engines
    ]


def same_gpu(quoted: str, driver: str) -> bool:
    """Say whether the driver's name is of the accelerator that the market calls ``quoted``.

    Word by word: a B200 is no GB200 and an A10 no A100, but ``GB200 NVL72`` is ``NVIDIA GB200``.
    """
    wanted, told = _words(quoted), _words(driver)
    family = next((word for word in wanted if any(map(str.isdigit, word))), None)
    return family in told if family else set(wanted) <= set(told)


def _of_gpu(key: str, terms: Terms, evidence: Evidence, around: Ground) -> Iterator[Problem]:
    """Check a rented price per GPU. A scenario that names the GPU under [machine] is believed."""
    entry = terms.entry
    if terms.quote is None or entry.per == "machine":
        return
    key += ".quote" if entry.quote else ".gpu" if entry.gpu else ".price"
    if _unknown(evidence.records, around):
        yield key, f'{NO_GPU}per = "machine"'
        return
    quoted = terms.quote.gpu if entry.quote else entry.gpu
    told = around.machine.gpu if around.machine is not None else None
    served = {n for r in evidence.records for n in pricing.accelerators(r, around)}
    others = sorted(n for n in ({told} if told else served) if quoted and not same_gpu(quoted, n))
    if others:
        words = "take a quote of that accelerator (inferometer prices --gpu NAME)"
        yield key, f"a price of {quoted}, but {', '.join(others)} served; {words}"


def _unknown(records: Iterable[LaunchRecord], around: Ground) -> bool:
    return any(pricing.reserved(record, around) is None for record in records)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.casefold())
