"""What results directories must share to be pooled, and whether one is another's copy."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from inferometer import single_machine
from inferometer.analyze import created, host_of, study_of
from inferometer.energy.account import counting
from inferometer.engine import LaunchSpec
from inferometer.errors import UsageError
from inferometer.plan import stack_ids
from inferometer.provenance import MACHINE
from inferometer.records import NOT_ENGINES
from inferometer.tables import environment_sha256, model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.plan import Plan
    from inferometer.records import LaunchRecord, MeterInfo
    from inferometer.store import Store
    from inferometer.study import EngineEntry, Study

SAME_HOST = "machine"
"""The hash that launches carry of it."""
UNSHAPING = ("rounds", "seed", "port", "ready_timeout_s")
"""Fields of [protocol] that give no number another value."""
PLACES = ("python", "pass_env", "api_key_env", "container_args")
"""Fields of an engine that say where it is found; its environment's hash says what it is."""

SETTINGS = {known.name for known in fields(LaunchSpec)} - {"kv_cache_tokens", "kv_cache_bytes"}
"""What engines resolve that must agree; room for the cache hangs on the memory that was free."""


class Key(NamedTuple):
    """One thing that must agree: what is compared, and its words (none where they say nothing)."""

    compared: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of a results directory before its requests are read."""

    name: str
    store: Store
    plan: Plan
    study: Study
    host: dict[str, Any]
    records: list[LaunchRecord]
    day: str

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return what tells each launch from any other, with its id."""
        return {
            hashlib.sha256(
                msgspec.json.encode(record, order="deterministic")
            ).hexdigest(): record.id
            for record in self.records
        }


def head(name: str, store: Store) -> Head:
    """Read plan, study, host and launch records.

    Raises:
        UsageError: it is no results directory, or a file is damaged.
    """
    records, host = store.launches(), host_of(store)
    return Head(
        name=name,
        store=store,
        plan=store.plan(),
        study=study_of(store),
        host=host,
        records=records,
        day=created(host, [*records, *store.failures()]),
    )


def refuse_copies(heads: Sequence[Head]) -> None:
    """Refuse a directory that is given twice, or shares launches with another: they count once.

    Raises:
        UsageError: names both.
    """
    prints = [head.fingerprints for head in heads]
    for index, one in enumerate(heads):
        for before, other in enumerate(heads[:index]):
            if one.store.root.resolve() == other.store.root.resolve():
                raise UsageError(
                    f"{other.store.root} and {one.store.root} are the same directory",
                    hint="Give every results directory once.",
                )
            mine = prints[index]
            common = sorted(mine[key] for key in mine.keys() & prints[before].keys())
            if common:
                raise UsageError(
                    f"{other.store.root} and {one.store.root} have {len(common)} launches in "
                    f"common, the first is {common[0]}: one is a copy of the other",
                    hint="Leave one of them out; the one with more launches holds everything.",
                )


def keys(head: Head, *, price: bool) -> dict[str, Key]:
    """Return everything in which directories must agree to be pooled, by name.

    ``price``: the study's price counts, because no scenario stands in for it.
    """
    return {
        **_machine(head),
        **_software(head),
        **_resolved(head.records),
        **_meters(head.records),
        **_study(head.study, price=price),
        **_stops(head),
    }


def one_machine(heads: Sequence[Head]) -> bool:
    """Say whether it is known that all come from one machine.

    By the accelerators' own numbers; where none is known, by the hash of one and the same boot:
    one host can hold several accelerators, which differ as those of several hosts do.
    """
    if not all(single_machine.one_machine(head.records, head.host) for head in heads):
        return False
    devices = {single_machine.boards(head.records) for head in heads}
    boots = {head.host.get("boot_sha256") for head in heads}
    if devices != {frozenset()}:
        return len(devices) == 1
    return len(heads) == 1 or (len(boots) == 1 and None not in boots)


def _machine(head: Head) -> dict[str, Key]:
    found = {name: _key(head.host.get(field)) for name, field in MACHINE.items()}
    files = head.host.get("workload_files")
    for path, digest in files.items() if isinstance(files, dict) else ():
        found[f"content of {path}"] = Key(str(digest), str(digest)[:12])
    seen = sorted({_accelerators(record) for record in head.records} - {""})
    found["metered accelerators"] = _key("; ".join(seen) or None)
    hashes = sorted({record.host_sha256 for record in head.records})
    return {**found, SAME_HOST: Key(json.dumps(hashes), ", ".join(text[:12] for text in hashes))}


def _accelerators(record: LaunchRecord) -> str:
    """Return the accelerators that a launch's meters cover, with their power limits, in words."""
    devices = {
        device.name: device
        for info in record.meters
        if info.scope == "L0" and not info.reason
        for device in counting(info)
    }
    words = Counter(
        f"{device.model or 'unknown'}, "
        + ("limit not known" if device.power_limit_w is None else f"{device.power_limit_w:g} W")
        for device in devices.values()
    )
    return ", ".join(f"{count} x {text}" for text, count in sorted(words.items()))


def _software(head: Head) -> dict[str, Key]:
    """Return what ran: each stack's software, each model's weights, and who measured."""
    found = {"inferometer": _key(head.host.get("inferometer_version"))}
    for record in head.records:
        stack, model = stack_id(record), model_name(record)
        kind = "made up" if record.environment.get("kind") in NOT_ENGINES else "run"
        sha = environment_sha256(record)
        version = str(record.stack.get("engine_version"))
        what = (kind, sha, version, str(record.stack.get("parallelism")))
        words = f"{version}, {sha[:12] or 'no hash'}, {kind}"
        found[f"environment of {stack}"] = Key(json.dumps(what), words)
        found[f"settings of {stack} on {model}"] = Key(_text([record.asked, record.precision]), "")
        weights = str(record.model.get("sha256") or "")
        own = f" for {stack}" if record.model.get("checkpoint") else ""
        found[f"weights of {model}{own}"] = Key(weights, weights[:12])
    return found


def _resolved(records: Sequence[LaunchRecord]) -> dict[str, Key]:
    """Return what engines say that they resolved, a key each: a backend may hang on the driver."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, told in record.told.items():
            if name in SETTINGS and told.value is not None:
                key = f"{name} of {stack_id(record)} on {model_name(record)}"
                found.setdefault(key, set()).add(str(told.value))
    return {key: _key(", ".join(sorted(values))) for key, values in found.items()}


def _meters(records: Sequence[LaunchRecord]) -> dict[str, Key]:
    found: dict[str, set[str]] = {}
    for record in records:
        for info in record.meters:
            found.setdefault(info.name, set()).add(_meter_words(info))
    return {f"meter {name}": _key(", ".join(sorted(words))) for name, words in found.items()}


def _meter_words(info: MeterInfo) -> str:
    if info.reason:
        return f"not read ({info.reason})"
    return ", ".join(filter(None, (info.scope, info.kind, info.instrument, info.boundary)))


def _study(study: Study, *, price: bool) -> dict[str, Key]:
    protocol = msgspec.to_builtins(study.protocol)
    found = {
        f"protocol.{name}": _key(value) for name, value in protocol.items() if name not in UNSHAPING
    }
    for stack, entry in zip(stack_ids(study), study.engines, strict=True):
        found[f"engine {stack}"] = Key(_text(_engine(entry)), "")
    for model in study.models:
        found[f"model {model.name}"] = Key(str(model.twin_of), "")
        if not isinstance(model.quality, UnsetType):
            found[f"quality of {model.name}"] = Key(_text(model.quality), "")
    for workload in study.workloads:
        found[f"workload {workload.name}"] = Key(_text(workload), "")
    # Launches know a load point by its number, which follows from the order of both.
    found["workloads, in order"] = _key([workload.name for workload in study.workloads])
    labels = ", ".join(load.label for load in study.loads)
    found["loads"] = Key(_text(study.loads), labels)
    for meter in study.meters:
        found[f"options of meter {meter.name}"] = Key(_text(meter.options), "")
    for name in ("tuning", "energy", "slo"):
        found[name] = Key(_text(getattr(study, name)), "")
    if price:
        told = study.price
        words = f"{told.usd_per_hour:g} USD/h" if told and told.usd_per_hour else ""
        found["price"] = Key(_text(told), words)
    return found


def _engine(entry: EngineEntry) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(entry)
    kept = {name: value for name, value in told.items() if name not in PLACES}
    return kept | {"checkpoints": sorted(entry.checkpoints)}


def _stops(head: Head) -> dict[str, Key]:
    """Return a key that no other has for a study that stops by its own looks.

    It has spent its error rate on them, so it is pooled with none.
    """
    if isinstance(head.study.sequential, UnsetType):
        return {}
    return {"looks": Key(head.name, "its own, between its rounds")}


def _key(value: object) -> Key:
    if value is None:
        return Key("null", "not known")
    words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return Key(_text(value), words or "none")


def _text(value: object) -> str:
    return msgspec.json.encode(None if value is UNSET else value, order="deterministic").decode()
