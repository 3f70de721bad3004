"""What a study must hold together, beyond the types of its keys: problems by key path."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inferometer import capacity_rules, model_rules, problems, secret_rules
from inferometer.engine import LaunchSpec
from inferometer.workloads import rules as workload_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


DATED = {"price": "the price was seen", "energy": "these values were true"}
"""Tables whose values are of a day, and what was so on it."""
DECLARED = {
    "energy": ("pue", "carbon_g_per_kwh", "host_power_w"),
    "slo": ("ttft_ms", "tpot_ms", "e2e_ms"),
}
"""Tables that must say at least one of these."""


def find(document: dict[str, Any]) -> Iterator[problems.Problem]:
    """Find what types cannot say. Values of a wrong type are left to the walker."""
    engines = _tables(document, "engines")
    yield from _doubles(document)
    yield from _places(document)
    yield from model_rules.find(_tables(document, "models"))
    yield from _checkpoints(document)
    yield from _days(document)
    yield from _declared(document)
    yield from _workloads(document)
    yield from _loads(document)
    yield from _pairings(document)
    yield from _tuning(document)
    yield from capacity_rules.problems(document)
    yield from _sequential(document)
    wrong_urls = {f"{place}.url" for place, entry in engines if _server_url(entry)}
    yield from (each for each in secret_rules.find(document, engines) if each[0] not in wrong_urls)


def _tables(document: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    entries = document.get(key)
    if not isinstance(entries, list):
        return []
    return [
        (f"{key}[{index}]", entry) for index, entry in enumerate(entries) if isinstance(entry, dict)
    ]


def _doubles(document: dict[str, Any]) -> Iterator[problems.Problem]:
    unique = {"models": "name", "workloads": "name", "meters": "name", "engines": "alias"}
    for key, name in unique.items():
        first: dict[str, str] = {}
        for place, entry in _tables(document, key):
            if name in entry and (value := repr(entry[name])) in first:
                yield f"{place}.{name}", f"{problems.shown(entry[name])} is also {first[value]}"
            elif name in entry:
                first[value] = place
    names = [entry.get("name") for _, entry in _tables(document, "engines")]
    for place, entry in _tables(document, "engines"):
        if "alias" in entry and entry["alias"] in names:
            yield (
                f"{place}.alias",
                f"{problems.shown(entry['alias'])} is the name of an engine here",
            )
    seen: dict[str, str] = {}
    for place, entry in _tables(document, "engines"):
        same = repr(sorted(entry.items()))
        if same in seen:
            words = "rounds are set in [protocol]; for an A/A study give each an alias"
            yield place, f"is the same stack as {seen[same]}; {words}"
        seen.setdefault(same, place)


PLACES = ("python", "container", "url")
NEEDS: Mapping[str, Sequence[str]] = {
    "image": ("container",),
    "container_args": ("container",),
    "engine_version": ("container", "url"),
    "served_model_name": ("url",),
    "api_key_env": ("url",),
}
"""Keys of ``[[engines]]`` that mean something beside certain others only."""


def _places(document: dict[str, Any]) -> Iterator[problems.Problem]:
    """Check where each engine runs, and that what it is told can reach it there."""
    models = _tables(document, "models")
    for place, entry in _tables(document, "engines"):
        given = [key for key in PLACES if key in entry]
        if len(given) > 1:
            had = " and ".join(f"'{key}'" for key in given)
            yield place, f"needs at most one of 'python', 'container' and 'url', has {had}"
            continue
        for key, owners in NEEDS.items():
            if key in entry and not any(owner in entry for owner in owners):
                listed = " or ".join(f"'{owner}'" for owner in owners)
                yield f"{place}.{key}", f"needs {listed}"
        if "container" in entry and not {"image", "engine_version"} & set(entry):
            yield (
                f"{place}.container",
                "needs 'engine_version', for the engine's own image, or 'image'",
            )
        if "url" in entry:
            yield from _server(place, entry, len(models))


def _server(place: str, entry: dict[str, Any], models: int) -> Iterator[problems.Problem]:
    """Refuse what would need a server of our own."""
    if wrong := _server_url(entry):
        yield f"{place}.url", wrong
    if models > 1:
        yield (
            f"{place}.url",
            f"a server serves one model, and this study has {models}: give each a study of its own",
        )
    # dtype is a declaration here; nothing else can be
    spec = {known.name for known in dataclasses.fields(LaunchSpec)} - {"dtype"}
    for key, value in entry.items():
        if key in spec or key == "pass_env" or (key == "profile" and value != "defaults"):
            yield f"{place}.{key}", "cannot be applied: the server at 'url' is not ours to start"


def _server_url(entry: dict[str, Any]) -> str:
    return _url(entry["url"]) if isinstance(entry.get("url"), str) else ""


def _url(text: str) -> str:
    """Return what is wrong with a server's URL; it is stored, so no secret may be in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        return f"not a usable URL: {error}"
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return "may hold no user, password or query: name the key's variable in api_key_env"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "must be http:// or https:// with a host, such as http://127.0.0.1:8000"
    return ""


def _checkpoints(document: dict[str, Any]) -> Iterator[problems.Problem]:
    models = [str(entry.get("name")) for _, entry in _tables(document, "models")]
    for place, entry in _tables(document, "engines"):
        chosen = entry.get("checkpoints")
        for name in chosen if isinstance(chosen, dict) else ():
            if name not in models:
                words = f"is no model of this study; models: {', '.join(models) or 'none'}"
                yield f"{place}.checkpoints", f"{problems.shown(name)} {words}"


def _days(document: dict[str, Any]) -> Iterator[problems.Problem]:
    for name, what in DATED.items():
        table = document.get(name)
        text = table.get("date") if isinstance(table, dict) else None
        if not isinstance(text, str):
            continue
        day = _day(text)
        # Today where the day begins first, so that no zone sees its own today refused.
        latest = dt.datetime.now(dt.timezone(dt.timedelta(hours=14))).date()
        if day is None:
            words = f"{problems.shown(text)} is no day; write it as 2026-01-31"
            yield f"{name}.date", words
        elif day > latest:
            yield f"{name}.date", f"{text} is in the future; give the day on which {what}"


def _declared(document: dict[str, Any]) -> Iterator[problems.Problem]:
    """Check that a table of declared values declares something."""
    for name, keys in DECLARED.items():
        table = document.get(name)
        if isinstance(table, dict) and not set(keys) & set(table):
            yield name, f"needs at least one of {', '.join(map(repr, keys))}"


def _day(text: str) -> dt.date | None:
    # fromisoformat alone would also take 20260131 and 2026-W05-6.
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


EQUALIZED_WARM = (
    '"equalized" turns prefix caching off, but {} is warm: set prefix_caching = true here, '
    'or cache = "cold" there'
)


def _workloads(document: dict[str, Any]) -> Iterator[problems.Problem]:
    for place, work in _tables(document, "workloads"):
        for key, text in workload_rules.problems(work):
            yield f"{place}.{key}".rstrip("."), text
        for where, entry in _tables(document, "engines"):
            limit, total = entry.get("max_model_len"), workload_rules.longest(work)
            if isinstance(limit, int) and total is not None and 0 < limit < total:
                yield f"{where}.max_model_len", f"{limit} is less than the {total} of {place}"
            if work.get("cache") == "warm" and entry.get("prefix_caching") is False:
                yield f"{where}.prefix_caching", f"false, but {place} is warm"
            equalized = entry.get("profile") == "equalized" and "prefix_caching" not in entry
            if work.get("cache") == "warm" and equalized:
                yield f"{where}.profile", EQUALIZED_WARM.format(place)


LOADS = ("concurrency", "rate", "trace")
BURST = (
    "a burst has no steady state, so no window: `inferometer bench --burst` measures one; give "
    "'rate' with arrivals = \"gamma\" and burstiness below 1 for uneven arrivals"
)


def _loads(document: dict[str, Any]) -> Iterator[problems.Problem]:
    first: dict[str, str] = {}
    for place, entry in _tables(document, "loads"):
        found = list(_load(entry))
        yield from ((f"{place}.{key}".rstrip("."), text) for key, text in found)
        if found:
            continue
        kind = next(key for key in LOADS if key in entry)
        same = repr(sorted(_normal(entry).items()))
        if same in first:
            yield f"{place}.{kind}", f"{problems.shown(entry[kind])} is also {first[same]}"
        first.setdefault(same, place)


def _load(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, message) of one ``[[loads]]`` table."""
    for key in ("burst", "arrivals"):
        if key in entry and (key == "burst" or entry[key] == "burst"):
            yield key, BURST
            return
    given = [key for key in LOADS if key in entry]
    if len(given) != 1:
        had = " and ".join(f"'{key}'" for key in given) or "none"
        yield "", f"needs exactly one of 'concurrency', 'rate' and 'trace', has {had}"
        return
    whose = {"arrivals": "rate", "burstiness": "rate", "time_scale": "trace"}
    for key, owner in whose.items():
        if key in entry and owner not in entry:
            yield key, f"needs '{owner}', and this load has '{given[0]}'"
    if "max_in_flight" in entry and "concurrency" in entry:
        yield "max_in_flight", "caps an open loop; 'concurrency' is a cap already"
    if "rate" in entry and ("burstiness" in entry) != (entry.get("arrivals") == "gamma"):
        text = "missing: gamma needs the shape of its gaps (1 is Poisson, below 1 burstier)"
        yield "burstiness", 'needs arrivals = "gamma"' if "burstiness" in entry else text


def _normal(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a load another one than its neighbours."""
    text = {"arrivals": "poisson", **entry}
    if isinstance(text.get("trace"), str):
        text["trace"] = Path(text["trace"]).stem  # the name of its workload
    return {
        k: float(v) if isinstance(v, int | float) and problems.finite(v) else v
        for k, v in text.items()
    }


def _pairings(document: dict[str, Any]) -> Iterator[problems.Problem]:
    """Check that every workload has a load to run at, and every load a workload."""
    workloads, loads = _tables(document, "workloads"), _tables(document, "loads")
    others = [entry for _, entry in loads if "trace" not in entry]
    if document.get("workloads", []) == [] and (others or not loads):
        absent = (
            "needs at least 1 entry" if "workloads" in document else "missing: an array is needed"
        )
        yield "workloads", absent
    for place, entry in workloads:
        if loads and not others:
            yield place, "is never run: every load is a trace, which brings its own lengths"
        elif "turns" in entry and others and not any("concurrency" in load for load in others):
            yield (
                f"{place}.turns",
                "needs a closed loop, [[loads]] concurrency: a next turn waits for the answer",
            )
    protocol = document.get("protocol")
    given = protocol if isinstance(protocol, dict) else {}
    unset = [f"protocol.{key}" for key in ("discard_s", "window_s") if key not in given]
    for place, entry in loads:
        if "trace" in entry and unset:
            words = "so that every stack's window has the same part of it"
            yield f"{place}.trace", f"needs {' and '.join(unset)}, {words}"


def _tuning(document: dict[str, Any]) -> Iterator[problems.Problem]:
    """Check that a search is asked for where it is described, and described where asked for."""
    tuned = [
        place for place, entry in _tables(document, "engines") if entry.get("profile") == "tuned"
    ]
    table = document.get("tuning")
    if not isinstance(table, dict):
        for place in tuned if table is None else ():
            yield f"{place}.profile", '"tuned" needs a budget: add [tuning] with trials = 8'
        return
    if not tuned:
        yield "tuning", 'is for profile = "tuned", which no engine of this study has'
    if not {"trials", "minutes"} & set(table):
        yield "tuning", "needs 'trials', 'minutes' or both: what each search may spend"
    yield from _tuning_load(document, table)
    meters = [str(entry.get("name")) for _, entry in _tables(document, "meters")]
    energy = table.get("objective") == "energy"
    if energy and not meters:
        yield "tuning.objective", '"energy" needs a meter: add [[meters]]'
    elif "meter" in table and not energy:
        yield "tuning.meter", 'needs objective = "energy"'
    elif "meter" in table and table["meter"] not in meters:
        known = ", ".join(meters)
        yield "tuning.meter", f"{problems.shown(table['meter'])} is none of [[meters]]: {known}"


def _tuning_load(document: dict[str, Any], table: dict[str, Any]) -> Iterator[problems.Problem]:
    known = {
        "workload": ("name", _tables(document, "workloads")),
        "concurrency": ("concurrency", _tables(document, "loads")),
    }
    closed = [load for _, load in known["concurrency"][1] if "concurrency" in load]
    if not closed:
        text = (
            "needs a closed loop, [[loads]] concurrency: an open loop offers every trial the same"
        )
        yield "tuning", text
        return
    for key, (name, entries) in known.items():
        values = [entry[name] for _, entry in entries if name in entry]
        if key in table and table[key] not in values:
            listed = ", ".join(map(str, values))
            yield f"tuning.{key}", f"{problems.shown(table[key])} is not in this study: {listed}"


LOOKS = (3, 8)
"""Rounds after which a sequential study first and last looks: its error level is for these."""
WITH_PRIOR = 2
"""Rounds after which it first looks where earlier launches gave a prior of the variance."""


def _sequential(document: dict[str, Any]) -> Iterator[problems.Problem]:
    """Check that a sequential study may look, and may stop looking."""
    if not isinstance(document.get("sequential"), dict):
        return
    protocol = document.get("protocol")
    rounds = protocol.get("rounds", LOOKS[0]) if isinstance(protocol, dict) else LOOKS[0]
    if isinstance(rounds, int) and not LOOKS[0] <= rounds <= LOOKS[1]:
        words = f"must be {LOOKS[0]} to {LOOKS[1]} with [sequential]: its looks are calibrated"
        yield "protocol.rounds", f"{words} for these, is {rounds}"
