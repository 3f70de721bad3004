"""What ``inferometer engines show`` prints: one engine's capabilities as text for a terminal."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from inferometer.cli.common import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.capabilities import Answer, Capabilities, Wording


def lines(found: Capabilities, environment: dict[str, str]) -> Iterator[str]:
    """Yield the lines; ``environment`` is the state of the engine's environment here."""
    yield from fitted(list(_head(found, environment)))
    yield from _platforms("installs on", found.name, found.requirements)
    yield from _platforms("container images", found.name, found.images)
    profiles = [(it.name, f"no: {it.refused}" if it.refused else it.given) for it in found.profiles]
    yield from _section(f"profiles on {found.serving_platform}", profiles)
    yield from _terms(found)
    yield from _counters(found)
    yield from _section(
        "failures it names",
        [(it["reason"], f"{it['remedy']} ({it['pattern']})") for it in found.failures],
    )


def _head(found: Capabilities, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    state = f"{environment['state']} {environment['version']}".strip()
    said = environment["said"] or environment["python"]
    ready, reset = found.readiness, found.cache_reset
    yield (
        "engine",
        found.name + (" (a stand-in: never ranks with measured)" if found.simulated else ""),
    )
    yield "environment here", f"{state}: {said}" if said else state
    yield "distributions", ", ".join(found.distributions)
    yield "versions checked", ", ".join(found.versions) or "not said"
    yield "endpoint", found.endpoint
    yield "request fields", ", ".join(found.request_fields) or "not known"
    yield "sent with each", ", ".join(found.request_sent)
    yield "ready when", f"GET {ready['path']} answers 200, within {ready['deadline_s']:.0f} s"
    says = f" says {reset['says']!r}" if reset and reset["says"] else ""
    yield (
        "cache reset",
        f"{reset['method']} {reset['path']}{says}" if reset else "none: prompts differ",
    )
    yield "configuration", ", ".join(found.resolved_configuration) or "not disclosed"


def _section(title: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield ""
    yield title
    if rows:
        yield from (f"  {line}" for line in fitted(rows, 78))
    else:
        yield "  none"


def _platforms(title: str, name: str, answers: Sequence[Answer]) -> Iterator[str]:
    """Yield where the answer is yes, then each reason for no with the platforms it holds for."""
    refused: dict[str, list[str]] = {}
    for it in answers:
        if it.refused:
            # The platform stands beside the reason.
            place = rf"{re.escape(it.name)}(?: \(Python [\d.]+\))?"
            where = rf"(?: of it| for|, this is)?(?: {place}| \({place}(?:, [\w.]+)?\))"
            reason = re.sub(where, "", it.refused).removeprefix(f"{name}: ")
            refused.setdefault(reason, []).append(it.name)
    rows = [(it.name, it.given) for it in answers if not it.refused]
    rows += [("no", f"{reason}: {', '.join(names)}") for reason, names in refused.items()]
    yield from _section(title, rows)


def _terms(found: Capabilities) -> Iterator[str]:
    rows = [
        (f"{term} = {it.value}", it.since, _said(it))
        for term, wordings in found.terms.items()
        for it in wordings
    ]
    yield from _section(
        f"terms of a study on {found.serving_platform}, by the checked version where they begin",
        rows,
    )


def _said(wording: Wording) -> str:
    if wording.refused:
        return f"refused: {wording.refused}"
    return " ".join(map(_quoted, wording.words)) or "nothing said: it is so by itself"


def _quoted(word: str) -> str:
    return shlex.quote(word) if word.startswith("{") else word


def _counters(found: Capabilities) -> Iterator[str]:
    metrics = found.metrics
    if metrics is None:
        yield from _section("counters", [])
        return
    drains = ", drained by each reading" if metrics["drains"] else ""
    rows = [
        (it["name"], f"{it['unit']} ({it['kind']})", it["source"] + _labels(it["labels"]))
        for it in metrics["counters"]
    ]
    yield from _section(f"counters at {metrics['path']} ({metrics['form']}{drains})", rows)


def _labels(labels: dict[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""
