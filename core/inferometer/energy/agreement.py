"""Two instruments on one thing: they agree, or neither is believed.

Compared are sensors of one kind, one scope and one boundary, device by device where they name the
same ones, else by their sums. A counter corroborates a power sensor and the other way round; two
counters may be one and the same register.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from inferometer.energy.account import sensor_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.energy.account import Account

LONG_S = 30.0
AGREEMENT = 0.02
"""Largest difference over :data:`LONG_S` or more."""
AGREEMENT_SHORT = 0.05
"""Largest difference over less: the edges weigh more."""
UNITS = (1e3, 3.6e3, 1e6, 3.6e6)
"""Ratios that mean a wrong unit, not a wrong sensor: mJ, Wh, uJ, kWh."""
NEAR = 0.1


class Verdict(NamedTuple):
    """What other instruments say of a meter: ``reason`` where there is no number any more."""

    reason: str | None
    detail: str


def verdicts(accounts: Sequence[Account], length_s: float) -> list[Verdict | None]:
    """Return one verdict an account of one window; None where nothing can be said of it."""
    found: list[Verdict | None] = [
        Verdict(None, alone(one, accounts)) if _measured(one) else None for one in accounts
    ]
    for left, right in combinations(range(len(accounts)), 2):
        pair = accounts[left], accounts[right]
        if not comparable(*pair):
            continue
        seen = judge(*pair, length_s)
        for place, other in ((left, pair[1]), (right, pair[0])):
            before = found[place]
            if before is not None and before.reason is None:
                found[place] = _told(seen, other) if _tells(seen, pair) else before
    return found


def _tells(seen: Verdict, pair: Sequence[Account]) -> bool:
    return seen.reason is not None or pair[0].info.instrument != pair[1].info.instrument


def _told(seen: Verdict, other: Account) -> Verdict:
    return seen._replace(detail=f"{seen.detail} ({other.info.name})")


def _measured(one: Account) -> bool:
    return sensor_of(one.info).measured and one.joules.energy_j is not None


def alone(one: Account, accounts: Sequence[Account]) -> str:
    """Return the words for a meter that nothing corroborates."""
    mute = [
        other
        for other in accounts
        if other is not one
        and sensor_of(other.info).measured
        and other.joules.energy_j is None
        and _same_place(one, other)
    ]
    if mute:
        other = mute[0]
        return f"uncorroborated: {other.info.name} gives no number ({other.joules.reason})"
    return "uncorroborated: one instrument alone"


def comparable(left: Account, right: Account) -> bool:
    """Say whether two accounts measured the same thing."""
    return _measured(left) and _measured(right) and _same_place(left, right)


def _same_place(left: Account, right: Account) -> bool:
    places = [(one.info.kind, one.info.scope, one.info.boundary) for one in (left, right)]
    return places[0] == places[1]


def judge(left: Account, right: Account, length_s: float) -> Verdict:
    """Compare two accounts of one window."""
    limit = AGREEMENT if length_s >= LONG_S else AGREEMENT_SHORT
    for name, ratio in ratios(left, right):
        where = f"{name}: " if name else ""
        unit = next((u for u in UNITS if abs(max(ratio, 1 / ratio) / u - 1) <= NEAR), None)
        if unit is not None:
            return Verdict("unit_suspect", f"{where}apart by a factor near {unit:g}")
        if max(ratio, 1 / ratio) - 1 > limit:
            words = f"{where}differ by {100 * (max(ratio, 1 / ratio) - 1):.1f} %"
            return Verdict("disputed", f"{words}, {100 * limit:g} % are allowed")
    return Verdict(None, f"corroborated: agrees within {100 * limit:g} %")


def ratios(left: Account, right: Account) -> Iterator[tuple[str, float]]:
    """Return the ratio of the joules of each shared device, or of the sums where none is shared."""
    shared = sorted(set(left.devices) & set(right.devices))
    for name in shared:
        yield name, (left.devices[name].energy_j or 0.0) / (right.devices[name].energy_j or 1.0)
    if not shared:
        yield "", (left.joules.energy_j or 0.0) / (right.joules.energy_j or 1.0)


def settle(accounts: Sequence[Account], length_s: float) -> list[Account]:
    """Return the accounts with what the instruments say of each other."""
    return [_settled(*pair) for pair in zip(accounts, verdicts(accounts, length_s), strict=True)]


def _settled(one: Account, verdict: Verdict | None) -> Account:
    if verdict is None:
        return one
    energy = one.joules.energy_j if verdict.reason is None else None
    joules = one.joules._replace(energy_j=energy, reason=verdict.reason, detail=verdict.detail)
    return type(one)(info=one.info, joules=joules, devices=one.devices)
