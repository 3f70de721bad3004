"""The nodes of a run as results name them, and whether they are alike.

Results are published, so that a node is ``node-1`` there, never a machine's own name. The same
machine keeps its name over all runs into one directory, by a hash that ``host.json`` keeps.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from inferometer import provenance
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.executor import Node
    from inferometer.jobs import Surveyed
    from inferometer.store import Store

ALIKE = (
    "Launches of unlike machines cannot be pooled: choose nodes of one kind with "
    "--executor-option, and measure each kind into a directory of its own."
)


def identities(nodes: Sequence[Node]) -> dict[str, str]:
    """Return a hash of each node's machine by the node's key; nodes of one machine are counted."""
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for node in sorted(nodes, key=lambda node: node.key):
        count = seen[node.machine] = seen.get(node.machine, 0) + 1
        words = f"inferometer node {node.machine} {count}"
        found[node.key] = hashlib.sha256(words.encode()).hexdigest()[:16]
    return found


def known(store: Store) -> dict[str, dict[str, Any]]:
    """Return what ``host.json`` says of each node, by its name; nothing where there is none."""
    if not (store.root / "host.json").is_file():
        return {}
    nodes = store.host().get("nodes")
    return nodes if isinstance(nodes, dict) else {}


def named(nodes: Sequence[Node], before: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return each node's name by its key: the one it had, else the next, by order of hash."""
    hashes = identities(nodes)
    names = {str(each.get("identity")): name for name, each in before.items()}
    for identity in sorted(set(hashes.values()) - set(names)):
        names[identity] = f"node-{len(names) + 1}"
    return {key: names[identity] for key, identity in hashes.items()}


def refuse_unlike(seen: Mapping[str, Surveyed]) -> None:
    """Refuse nodes that differ in what decides a launch.

    Raises:
        UsageError: names the first node that differs from the first one, and in what.
    """
    (first, model), *others = sorted(seen.items())
    for name, other in others:
        for what, one, here in _facts(model, other):
            if one != here:
                raise UsageError(
                    f"{name}: {what} is {_short(here)}, on {first} it is {_short(one)}", hint=ALIKE
                )


def _facts(one: Surveyed, other: Surveyed) -> Iterator[tuple[str, object, object]]:
    for field in provenance.IDENTITY:
        yield f"{field} of the machine", one.host.get(field), other.host.get(field)
    for words, facts in (
        ("environment of", (one.environments, other.environments)),
        ("model", (one.models, other.models)),
        ("file", (one.files, other.files)),
    ):
        for name in sorted({*facts[0], *facts[1]}):
            yield f"{words} {name}", facts[0].get(name), facts[1].get(name)


def _short(value: object) -> str:
    text = "not there" if value is None else str(value)
    return text[:16] if len(text) == 64 else text[:200]


def described(
    nodes: Mapping[str, tuple[str, Surveyed]], before: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return ``host.json``: the first node's description, and every node's, with its clocks.

    ``nodes`` are identity and survey by name.
    """
    first = nodes[min(nodes)][1]
    own = {
        name: {"identity": identity, **seen.host, **seen.clock}
        for name, (identity, seen) in sorted(nodes.items())
    }
    for node in own.values():
        node.pop("processor", None)
    return {
        **first.host,
        **first.clock,
        "workload_files": first.files,
        "nodes": {**before, **own},
    }
