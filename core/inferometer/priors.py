"""What earlier studies on this machine say of the spread of launches, asked when a run begins.

The analysis works it out in another process, so that measuring loads no table library. It is
stored with the results, so that they are read again without the other directories.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import UnsetType

from inferometer import provenance
from inferometer.errors import UsageError
from inferometer.records import Prior
from inferometer.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.study import Study

MODULE = "inferometer.earlier"
"""Reads a study's text and prints its list of :class:`~inferometer.records.Prior`."""
_LEAVE_OUT = "Leave it out of sequential.earlier: it says nothing of the launches here."


def learn(study: Study, text: str, results: Store) -> list[Prior] | None:
    """Return the priors of a study that names earlier results; None where there are none to store.

    None for a study that names none, and for results that have them stored already.

    Raises:
        UsageError: a directory holds no results, those of another machine or of another window,
            or launches that another one holds as well; or it cannot be analysed.
    """
    asked = study.sequential
    if isinstance(asked, UnsetType) or not asked.earlier or results.has_priors():
        return None
    roots = [Path(name) for name in asked.earlier]
    here = provenance.describe_host()
    for root in roots:
        _refuse_unlike(study, Store(root), here)
    _refuse_doubles([results.root, *roots])
    line = [sys.executable, "-P", "-m", MODULE, *map(str, roots)]
    done = subprocess.run(line, input=text.encode(), capture_output=True, check=False)
    try:
        return msgspec.json.decode(done.stdout, type=list[Prior])
    except msgspec.DecodeError as error:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UsageError(
            f"sequential.earlier: cannot be analysed: {''.join(last) or 'no answer'}",
            hint="See what inferometer report says of each directory.",
        ) from error


def _refuse_unlike(study: Study, store: Store, here: Mapping[str, object]) -> None:
    """Raise unless launches there spread as they would here: same machine, same window."""
    there, plan = store.host(), store.plan()
    for words, key in provenance.MACHINE.items():
        if there.get(key) != here.get(key):
            seen = ["not known" if host.get(key) is None else host[key] for host in (there, here)]
            raise UsageError(
                f"{store.root}: measured on another machine: {words} ({key} in host.json): "
                f"{seen[0]}, here {seen[1]}",
                hint=_LEAVE_OUT,
            )
    windows = [protocol.window_s or "unset" for protocol in (plan.protocol, study.protocol)]
    if windows[0] != windows[1]:
        raise UsageError(
            f"{store.root}: protocol.window_s is {windows[0]}, in this study {windows[1]}",
            hint=_LEAVE_OUT,
        )


def _refuse_doubles(roots: list[Path]) -> None:
    """Raise where two directories hold one launch: it would count twice."""
    seen: dict[tuple[str, str | None, int, int], Path] = {}
    for root in roots:
        for record in Store(root).launches():
            launch = (record.id, record.node, record.started_ns, record.ended_ns)
            other = seen.setdefault(launch, root)
            if other is not root:
                raise UsageError(
                    f"{root}: holds launch {record.id}, which {other} holds as well",
                    hint="Name each earlier study once in sequential.earlier.",
                )
