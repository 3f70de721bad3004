"""Whether all launches are known to be of one machine: a mean over several has no interval.

Machines of one model differ by tens of percent, so launches of a few of them say neither how far
off their mean is nor what the next one would do (``core/decisions/0012-several-directories.md``).
Ratios within a round are of one machine and keep theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferometer import nodes
from inferometer.comparison import Comparison, Value
from inferometer.energy.account import counting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.records import LaunchRecord

NO_INTERVAL = "a mean over {what} not shown to be of one machine: no interval"


def boards(records: Iterable[LaunchRecord]) -> frozenset[str]:
    """Return the accelerators under test that have a number of their own (``GPU-4f1c...``)."""
    return frozenset(
        device.name
        for record in records
        for info in record.meters
        if info.scope == "L0" and not info.reason
        for device in counting(info)
        if device.name.startswith("GPU-")
    )


def described(host: Mapping[str, object], node: str) -> Mapping[str, object]:
    """Return what ``host.json`` says of a node; nothing where it does not know it.

    ``""`` is the machine of launches that knew no node.
    """
    if not node:
        return host
    known = host.get("nodes")
    found = known.get(node) if isinstance(known, dict) else None
    return found if isinstance(found, dict) else {}


def one_machine(records: Sequence[LaunchRecord], host: Mapping[str, object]) -> bool:
    """Say whether launches are known to be of one machine, whatever nodes they ran on.

    By the accelerators' own numbers; where none is known, by the hash of one and the same boot.
    """
    named = {nodes.name_of(record) for record in records}
    if len(named) < 2:
        return True
    devices = {boards(one for one in records if nodes.name_of(one) == name) for name in named}
    if devices != {frozenset()}:
        return len(devices) == 1
    boots = {described(host, name).get("boot_sha256") for name in named}
    return len(boots) == 1 and None not in boots


def without_intervals(comparison: Comparison, what: str) -> Comparison:
    """Return a comparison in which only ratios have intervals, as stacks are paired by round.

    ``what`` is not shown to be of one machine: ``nodes``, ``directories``.
    """
    plain = _plain(comparison, NO_INTERVAL.format(what=what))
    assert isinstance(plain, Comparison)
    return plain


def _plain(value: object, why: str) -> object:
    """Return ``value`` with the interval of every number that is no ratio taken out."""
    match value:
        case Value() if value.n > 1 and value.unit != "ratio":
            detail = f"{value.detail}; {why}" if value.detail else why
            return msgspec.structs.replace(value, low=None, high=None, detail=detail)
        case msgspec.Struct():
            fields = value.__struct_fields__
            changed = {name: _plain(getattr(value, name), why) for name in fields}
            return msgspec.structs.replace(value, **changed)
        case list():
            return [_plain(one, why) for one in value]
        case dict():
            return {key: _plain(one, why) for key, one in value.items()}
    return value
