"""Checks of what an adapter declares: nothing is started."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from inferometer.engine import QUANTITIES, Engine, Unsupported
from inferometer.testing.check import (
    Failed,
    applies,
    check,
    checks_of,
    complete_check,
    name_check,
    need,
)
from inferometer.testing.conformance.kit import PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.engine import FailureClass, Platform
    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Kit

PIN = re.compile(r"[A-Za-z0-9][\w.\-]*(\[[\w,\-]+\])?==[\w.+!\-]+(\s*;.*)?(\s+--hash=\S+)*")
DEADLINES_S = (5.0, 7200.0)


complete: Check[Kit] = complete_check(Engine, lambda kit: kit.engine)
name: Check[Kit] = name_check(lambda kit: kit.engine, "in a study and in a file name")


@check
def frozen(kit: Kit) -> None:
    """It is a value that nobody can change."""
    try:
        setattr(kit.engine, "name", kit.engine.name)  # noqa: B010 -- it is meant to fail
    except (AttributeError, TypeError):
        return
    raise Failed("its name can be set: make it a frozen dataclass")


@check
def distributions(kit: Kit) -> None:
    """It names the distributions in which the engine is found."""
    found = kit.engine.distributions
    need(found and not isinstance(found, str), f"{found!r} is no list of distributions")
    need(all(re.fullmatch(r"[\w.\-]+", each) for each in found), f"{found!r} holds no names")


@check
def routes(kit: Kit) -> None:
    """Every route it declares is a path."""
    engine = kit.engine
    found = {"endpoint": engine.endpoint, "readiness": engine.readiness.path}
    if engine.metrics:
        found["metrics"] = engine.metrics.path
    if engine.cache_reset:
        found["cache_reset"] = engine.cache_reset.path
    found |= {f"resolved_configuration {path}": path for path in engine.resolved_configuration}
    wrong = [which for which, path in found.items() if not re.fullmatch(r"/[!-~]*", path)]
    need(not wrong, f"not a path: {', '.join(wrong)}")


@check
def readiness_deadline(kit: Kit) -> None:
    """Its limit for loading is finite, and long enough for a process to start."""
    low, high = DEADLINES_S
    said = kit.engine.readiness.deadline_s
    need(low <= said <= high, f"{said:g} s is not between {low:g} and {high:g} s")


@check
def lock_pinned(kit: Kit) -> None:
    """Its requirements pin every distribution, and the engine's own is among them."""
    locks = dict(_locks(kit))
    applies(locks, "it has no environment of its own on any platform")
    for platform, (lock, distribution) in locks.items():
        lines = [line.split(" #")[0].strip() for line in lock.replace("\\\n", " ").splitlines()]
        wanted = [line for line in lines if line and not line.startswith("#")]
        loose = [line for line in wanted if not PIN.fullmatch(line)]
        need(wanted and not loose, f"{platform}: not pinned: {', '.join(loose[:5]) or 'nothing'}")
        names = {_normal(re.split(r"[\[=]", line)[0]) for line in wanted}
        need(_normal(distribution) in names, f"{platform}: {distribution} is not in its own lock")
        known = {_normal(each) for each in kit.engine.distributions}
        need(_normal(distribution) in known, f"{distribution} is not one of its distributions")


def _locks(kit: Kit) -> Iterator[tuple[Platform, tuple[str, str]]]:
    for platform in PLATFORMS:
        try:
            found = kit.engine.requirements(platform)
        except Unsupported:
            continue
        yield platform, (found.lock, found.distribution)


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@check
def image_tagged(kit: Kit) -> None:
    """The container image it names is of exactly the version asked for."""
    found = {}
    for platform in PLATFORMS:
        try:
            found[platform] = kit.engine.image(platform, kit.version)
        except Unsupported:
            continue
    applies(found, "it knows no container image")
    for platform, image in found.items():
        tag = image.rpartition(":")[2]
        need(re.fullmatch(r"[a-z0-9.\-_/:]+:[\w.\-]+", image), f"{platform}: {image!r} is no image")
        need(kit.version in tag, f"{platform}: {image} is not tagged {kit.version}")


@check
def platforms_answered(kit: Kit) -> None:
    """On every platform each question is answered or refused, and one platform has a command."""
    kit.platform()
    for platform, which, ask in _questions(kit):
        try:
            ask()
        except Unsupported:
            continue
        except Exception as error:
            raise Failed(f"{which} on {platform}: {type(error).__name__}: {error}") from error


@check
def platform_refusals_help(kit: Kit) -> None:
    """Whoever is refused on a platform is told which one, and what to do instead."""
    refusals = []
    for platform, which, ask in _questions(kit):
        try:
            ask()
        except Unsupported as refusal:
            refusals.append((platform, which, refusal))
    applies(refusals, "it refuses no platform")
    for platform, which, refused in refusals:
        where = f"{which} on {platform}: {refused.message!r}"
        need(kit.engine.name in refused.message, f"{where} does not name the engine")
        need(refused.remedy, f"{where} has no remedy")


def _questions(kit: Kit) -> Iterator[tuple[Platform, str, Callable[[], object]]]:
    engine = kit.engine
    for platform in PLATFORMS:
        at = kit.context(platform=platform)
        yield platform, "requirements", partial(engine.requirements, platform)
        yield platform, "image", partial(engine.image, platform, kit.version)
        yield platform, "command", partial(engine.command, at)


# -- failure classes -----------------------------------------------------------------------------


@check
def failure_patterns(kit: Kit) -> None:
    """Every failure class has a pattern that compiles and does not match just anything."""
    applies(kit.engine.failures, "it declares no failure classes")
    for known in kit.engine.failures:
        try:
            found = re.search(known.pattern, "INFO: loading the model, 42 % done")
        except re.error as error:
            raise Failed(f"{known.pattern!r}: {error}") from error
        need(not found, f"{known.pattern!r} matches an ordinary line")


@check
def failure_remedies(kit: Kit) -> None:
    """Every failure class has one word for its reason and a sentence for the next step."""
    applies(kit.engine.failures, "it declares no failure classes")
    for known in kit.engine.failures:
        need(re.fullmatch(r"[a-z]+(_[a-z]+)*", known.reason), f"{known.reason!r} is no word")
        remedy = known.remedy
        whole = remedy[:1].isupper() and remedy.endswith(".")
        need(whole, f"{known.reason}: {remedy!r} is no sentence")


@check
def failure_order(kit: Kit) -> None:
    """What one failure class is for is not taken by another that stands before it."""
    applies(kit.engine.failures, "it declares no failure classes")
    for message, reason in messages(kit):
        need(classified(kit, message) == reason, f"{message!r} is {classified(kit, message)}")


def classified(kit: Kit, text: str) -> str:
    """Return the reason of the first class that matches, as a launch does."""
    return next((f.reason for f in kit.engine.failures if re.search(f.pattern, text)), "failed")


def messages(kit: Kit) -> list[tuple[str, str]]:
    """Return lines with the reason they stand for: the engine's own, else made from patterns."""
    if kit.behaviour.messages:
        return list(kit.behaviour.messages)
    made = [(sample(known), known.reason) for known in kit.engine.failures]
    return [(line, reason) for line, reason in made if line]


def sample(known: FailureClass) -> str:
    """Return a line that a simple pattern matches; empty when it is not simple enough."""
    text = re.split(r"(?<!\\)\|", known.pattern)[0]
    text = re.sub(r"\[\^?(.)[^\]]*\][*+?]?", r"\1", text)
    text = re.sub(r"\(\?[:i]*:?|[()^$]", "", text)
    text = re.sub(r"\\[dws][*+?]?", "x", text).replace("\\b", "")
    text = re.sub(r"(?<!\\)\.[*+]\??", "x", text)
    text = re.sub(r"\\(.)", r"\1", text)
    return text if re.search(known.pattern, text) else ""


# -- counters ------------------------------------------------------------------------------------


@check
def counter_names(kit: Kit) -> None:
    """Its counters have canonical names, and nothing is counted twice."""
    applies(kit.engine.metrics, "it has no counters")
    assert kit.engine.metrics is not None
    names = [counter.name for counter in kit.engine.metrics.counters]
    unknown = sorted(set(names) - set(QUANTITIES))
    need(not unknown, f"not in QUANTITIES: {', '.join(unknown)}")
    # Counters of one name add up; gauges do not, and one series must not count for two.
    gauges = [each for each in names if QUANTITIES[each][1] == "gauge"]
    series = [f"{c.source} {dict(c.labels)}" for c in kit.engine.metrics.counters]
    for group in (gauges, series):
        twice = sorted({each for each in group if group.count(each) > 1})
        need(not twice, f"told twice: {', '.join(twice)}")


@check
def counter_units(kit: Kit) -> None:
    """Each counter's family has the unit and the kind of the quantity it is taken for."""
    applies(kit.engine.metrics, "it has no counters")
    assert kit.engine.metrics is not None
    for counter in kit.engine.metrics.counters:
        if counter.name not in QUANTITIES:
            continue
        unit, kind = QUANTITIES[counter.name]
        said = f"{counter.source} as {counter.name}"
        need("_created" not in counter.source, f"{said}: that is a time stamp")
        need("_bucket" not in counter.source, f"{said}: that is a part of a histogram")
        seconds = "seconds" in counter.source and not counter.source.endswith("_count")
        need(seconds == (unit == "s") or unit == "steps", f"{said}: wrong unit")
        if kit.engine.metrics.form == "prometheus":
            grows = counter.source.endswith(("_total", "_count", "_sum"))
            need(grows == (kind == "counter"), f"{said}: a {kind} is not called so")


@check
def counters_enough(kit: Kit) -> None:
    """It tells at least the prompt tokens, the output tokens and the requests that ended."""
    applies(kit.engine.metrics, "it has no counters")
    assert kit.engine.metrics is not None
    lacking = {"prompt_tokens", "output_tokens", "requests_finished"} - {
        counter.name for counter in kit.engine.metrics.counters
    }
    need(not lacking, f"it lacks {', '.join(sorted(lacking))}")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
