"""Which nodes make a launch together, where a stack needs more accelerators than a node has.

Nodes are dealt in groups as large as the largest stack needs. A group is then one place, as a node
is: a block's rounds are made there one after another, and a smaller stack uses the first of its
nodes while the others idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.hands import Hands
    from inferometer.plan import Launch, Plan


def accelerators(launch: Launch) -> int:
    """Return what a launch's engine uses: tensor x pipeline x data parallel size."""
    entry = launch.engine
    return entry.tensor_parallel_size * entry.pipeline_parallel_size * entry.data_parallel_size


def span(needed: int, gpus: int) -> int:
    """Return the fewest nodes of ``gpus`` accelerators that give ``needed``, each as many.

    One where nodes have none: an engine on processors is on one machine.
    """
    if gpus == 0 or needed <= gpus:
        return 1
    return next(nodes for nodes in range(-(-needed // gpus), needed + 1) if needed % nodes == 0)


def refuse(plan: Plan, hands: Hands, one_node: Mapping[str, str], per_node: int) -> None:
    """Refuse a launch over several nodes that cannot be, before the first launch.

    ``one_node`` holds stacks that are started on one node only, with the reason. Nodes are alike.

    Raises:
        UsageError: names the stack, and what keeps it from more than one node.
    """
    gpus = min((node.gpus for node in hands.nodes.values()), default=0)
    for launch in plan.launches:
        needed = accelerators(launch)
        if launch.engine.url or (nodes := span(needed, gpus)) == 1:
            continue
        if why := _why_not(launch, nodes, len(hands.nodes), one_node, per_node):
            raise UsageError(
                f"{launch.stack}: {needed} accelerators (tensor x pipeline x data parallel), "
                f"a node has {gpus}: {why}",
                hint="Lower the sizes, or start such a server by hand and name its url.",
            )


def _why_not(
    launch: Launch, nodes: int, there: int, one_node: Mapping[str, str], per_node: int
) -> str:
    if launch.stack in one_node:
        return f"more than one node is needed, and {one_node[launch.stack]}"
    if launch.engine.data_parallel_size > 1:
        return "several nodes share the tensor and pipeline parallel ranks of one replica only"
    if launch.engine.profile == "tuned":
        return "a search is made on one node"
    if per_node > 1:
        return "a launch over several nodes takes all of each (per_node)"
    if there < nodes:
        return f"it needs {nodes} nodes, and {there} are there"
    return ""


def deal(plan: Plan, hands: Hands) -> None:
    """Make groups of the nodes, each under the name of its first; those left over idle."""
    gpus = min((node.gpus for node in hands.nodes.values()), default=0)
    largest = max(
        (span(accelerators(each), gpus) for each in plan.launches if not each.engine.url), default=1
    )
    if largest == 1:
        return
    names = sorted(hands.nodes)
    whole = len(names) - len(names) % largest
    for first in range(0, whole, largest):
        head, *others = names[first : first + largest]
        hands.beside[head] = tuple(hands.nodes[name] for name in others)
        hands.journal.aside(f"{head} measures, with it {', '.join(others)}")
    for name in names:
        if name not in hands.beside:
            hands.drop(name)
    if idle := names[whole:]:
        hands.journal.warn(f"{', '.join(idle)}: idle: launches take {largest} nodes at a time")
