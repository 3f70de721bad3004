"""Why a number is absent, in words. A missing value is never 0, blank or a dash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterable

WORDS = {
    "not_run": "not run",
    "failed": "failed",
    "not_ready": "not ready in time",
    "stalled": "nothing arrived any more",
    "timed_out": "the launch took too long",
    "out_of_memory": "out of memory",
    "killed": "the engine was killed",
    "port_in_use": "its port was taken",
    "runtime_failed": "the container's runtime failed",
    "not_returned": "not returned in time",
    "unsupported": "the engine does not support it",
    "no_sensor": "no power sensor",
    "no_device": "no device to read",
    "not_told": "the engine does not say",
    "counter_reset": "the engine started again",
    "unreadable_counters": "its counters cannot be read",
    "not_recorded": "not recorded",
    "no_permission": "no permission to read the sensor",
    "coverage_low": "the sensor covered too little of the window",
    "bad_reading": "the sensor gave a value that cannot be",
    "meter_reset": "the sensor's counter ran backwards",
    "gap": "the sensor was not read for too long",
    "flat_line": "the sensor repeated itself",
    "window_short": "the window is too short to measure joules in",
    "edges_unsure": "too coarse a sensor for so short a window",
    "device_lost": "a device under test was not metered",
    "device_extra": "a device that is not under test was metered",
    "devices_unclear": "which devices the engine uses is not known",
    "mig": "the accelerator is partitioned, its sensor is not",
    "shared_device": "someone else used the accelerator",
    "unit_suspect": "the sensor's unit is in doubt",
    "in_phase": "the load kept step with a sensor that looks part of the time",
    "no_peaks": "what the hardware can do is not known",
    "speculative": "speculative decoding: a step is not a token",
    "dense": "a dense model has no experts",
    "device_starved": "the accelerator was not the bottleneck",
    "other_boundary": "metered at another boundary",
    "no_price": "no price given",
    "no_division": "nothing tells how the bill is divided",
    "ill_posed": "the share of good requests hardly depends on the rate",
    "below_range": "missed the SLO at the lowest rate that was tried",
    "above_range": "met the SLO at the highest rate that was tried",
    "budget": "the minutes ran out before both ends were certified",
    "never_equal": "at none are they equal",
    "too_few_samples": "too few samples",
    "slo_never_met": "SLO never met",
    "out_of_range": "outside the measured range",
    "stale": "stale",
    "withheld": "withheld",
    "disputed": "two instruments disagree",
    "uncorroborated": "one instrument alone",
    "clock_unsure": "clock not certain",
    "starved": "the load generator could not keep up",
    "disturbed": "something else kept the machine busy",
    "fell_behind": "did not keep up with the offered load",
    "other_node": "not measured on one node with the others",
    "parity_failed": "answers differ",
    "not_compared": "of another precision, and its answers were not compared",
    "not_comparable": "what it hangs on differs",
    "offered": "an open loop delivers what is offered",
    "unequal_work": "the stacks got unequal work",
    "throttled": "the accelerator was throttled",
    "unequal_limits": "the accelerators ran under different power limits",
    "below_idle": "not above its own idle",
    "no_baseline": "no stretch of idle was measured",
    "not_declared": "not declared",
    "shapes_alike": "the workloads are too much alike",
    "no_fit": "prompts, answers and idle do not explain the energy",
    "synthetic_routing": "random router, not a trained model",
    "random_weights": "random weights, not a trained model",
}


def reason_words(reason: str | None) -> str:
    """Return the words for a reason code; an unknown code is shown as it is."""
    if not reason:
        return tr("no reason given")
    return tr(WORDS.get(reason, reason.replace("_", " ")))


def listing(names: Iterable[str]) -> str:
    """Return ``A``, ``A and B`` or ``A, B and C``."""
    items = list(names)
    if len(items) < 2:
        return "".join(items)
    return tr("{first} and {last}", first=", ".join(items[:-1]), last=items[-1])
