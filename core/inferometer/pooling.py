"""Whether launches may be added to those that a results directory holds: one machine, one work."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.plan import Plan
    from inferometer.store import Store


def kept_processor(store: Store) -> object:
    """Return the processor's rates that an earlier run of this study measured; None for none."""
    if not (store.root / "host.json").is_file():
        return None
    known = store.host().get("processor")
    return known if isinstance(known, dict) and "reason" not in known else None


def refuse_another_machine(
    plan: Plan, store: Store, environments: Mapping[str, str | None], host_sha256: str
) -> None:
    """Refuse to add to results of another machine or of other software: they could not be pooled.

    ``environments`` are hashes by stack.

    Raises:
        UsageError: names the launch and what differs.
    """
    trials = (store.search(each.stack, each.model.name) for each in plan.searches)
    for record in chain.from_iterable(each.each() for each in (store, *trials)):
        stack = str(record.stack["id"])
        same = {
            "machine": (record.host_sha256, host_sha256),
            f"environment of {stack}": (
                record.environment.get("sha256"),
                environments[stack],
            ),
        }
        for what, (stored, here) in same.items():
            if stored != here:
                raise UsageError(
                    f"{store.root}: launch {record.id} was measured with another {what}",
                    hint="Give another directory with --results, or restore what was there.",
                )


def refuse_other_files(store: Store, files: Mapping[str, str]) -> None:
    """Refuse to add to launches whose work came from files that have changed since.

    Raises:
        UsageError: names the file.
    """
    known = store.host().get("workload_files") if store.whole_ids() else None
    for path, digest in known.items() if isinstance(known, dict) else ():
        if files.get(path, digest) != digest:
            raise UsageError(
                f"{path}: not the file that the launches in {store.root} were measured with",
                hint="Give another directory with --results, or restore the file.",
            )
