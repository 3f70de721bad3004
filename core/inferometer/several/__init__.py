"""One report over several results directories: pooled where they agree, else side by side.

Directories are pooled when everything that shapes their numbers agrees (:mod:`.manifest`) and the
stacks have the same ratios in all of them (:mod:`inferometer.uncertainty.blocks`). See
``core/decisions/0012-several-directories.md``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import inferometer
from inferometer.comparison.several import Several
from inferometer.errors import UsageError
from inferometer.provenance import MACHINE
from inferometer.several import manifest
from inferometer.several.beside import apart, because, side_by_side
from inferometer.several.groups import Asked, found_of, lost_of
from inferometer.several.manifest import SAME_HOST
from inferometer.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from inferometer.comparison import Missing
    from inferometer.comparison.several import Apart
    from inferometer.several.manifest import Head, Key


def analyze_several(
    roots: Sequence[Path],
    scenario: Path | None = None,
    *,
    as_of: date | None = None,
    max_price_age: int | None = None,
    weights: bool = False,
) -> Several:
    """Analyse several results directories; the options are those of ``analyze``.

    A directory that cannot be read is named in ``left_out``; the others are reported.

    Raises:
        UsageError: no directory can be read, one is given twice or is another's copy; or the
            scenario does not hold together or does not fit the results.
    """
    asked = Asked(scenario, as_of, max_price_age, weights)
    lost: list[Missing] = []
    heads = _heads(roots, lost)
    manifest.refuse_copies(heads)
    alike: dict[tuple[tuple[str, str], ...], list[Head]] = {}
    for head in heads:
        known = _keys(head, asked)
        alike.setdefault(tuple((k, known[k].compared) for k in sorted(known)), []).append(head)
    found = [found_of(group, asked, lost) for group in alike.values()]
    groups = [group for one in found for group in one.groups]
    if not groups:
        raise UsageError("; ".join(one.detail for one in lost), hint=lost[0].fix)
    first = {
        group.name: _keys(head, asked)
        for one in found
        for group, head in zip(one.groups, one.heads, strict=True)
    }
    differences = _named(apart(first))
    return Several(
        title="; ".join(dict.fromkeys(group.comparison.title for group in groups)),
        created=max(group.comparison.created for group in groups),
        inferometer_version=inferometer.__version__,
        groups=groups,
        apart=differences,
        why=[
            *([because(list(first), differences)] if differences else []),
            *(one.why for one in found if one.why),
        ],
        tables=side_by_side({g.name: g.comparison for g in groups}) if len(groups) > 1 else [],
        left_out=lost,
    )


def names(roots: Sequence[Path]) -> list[str]:
    """Return a short name for each path: its last part, or as many as tell it from the others."""
    parts = [Path(os.path.abspath(root)).parts for root in roots]
    found = []
    for own in parts:
        others = [other for other in parts if other != own]
        depth = 1
        while depth < len(own) and any(other[-depth:] == own[-depth:] for other in others):
            depth += 1
        found.append("/".join(own[-depth:]).strip("/") or "root")
    return found


def _heads(roots: Sequence[Path], lost: list[Missing]) -> list[Head]:
    found = []
    for name, root in zip(names(roots), roots, strict=True):
        try:
            found.append(manifest.head(name, Store(root)))
        except (UsageError, OSError) as error:
            lost.append(lost_of(name, error))
    return found


def _keys(head: Head, asked: Asked) -> dict[str, Key]:
    return manifest.keys(head, price=asked.scenario is None)


def _named(differences: list[Apart]) -> list[Apart]:
    """Leave out the machine's hash where a field of the machine says what it stands for."""
    if any(one.what in MACHINE for one in differences):
        return [one for one in differences if one.what != SAME_HOST]
    return differences
