"""How a launch's engine is started here: what its adapter is told, and what is shown of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from inferometer import prepare
from inferometer.engine import Group, LaunchContext, tuned
from inferometer.environment import Environment
from inferometer.launch import contained, inherited
from inferometer.ports import lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inferometer.containers.running import Container
    from inferometer.engine import Command
    from inferometer.place import Place
    from inferometer.plan import Launch, Plan
    from inferometer.prepare import Prepared
    from inferometer.store import Store

HOST = "127.0.0.1"
ANY = "0.0.0.0"  # noqa: S104 -- looked at only: where ranks of other nodes meet this one


@contextmanager
def rendezvous(place: Place) -> Iterator[Group | None]:
    """Hold a port of this node where the ranks of an engine meet; None: there is one rank."""
    if place.nodes == 1:
        yield None
        return
    with lease(ANY) as port:
        yield Group(nodes=place.nodes, rank=0, address=place.address, port=port)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One launch of a plan, on this machine."""

    plan: Plan
    prepared: Prepared
    results: Store
    launch: Launch

    @property
    def files(self) -> Path:
        """Where configuration files stand: one folder for all rounds of a stack."""
        name = f"{self.launch.stack}-{self.launch.model.name}"
        return self.results.root.absolute() / "configurations" / name

    def context(self, port: int, group: Group | None = None) -> LaunchContext:
        """Return what the adapter may use."""
        stack = self.prepared.stacks[self.launch.stack]
        model = self.prepared.model(self.launch)
        spec = stack.spec
        own = spec.dtype in {"auto", model.facts.dtype}
        return LaunchContext(
            python=stack.usable().python,
            version=stack.version,
            model_path=model.path,
            model_name=str(model.path),
            host=HOST,
            port=port,
            platform=self.prepared.platform,
            spec=tuned(spec, self.launch.settings),
            profile=stack.entry.profile,
            cores=self.prepared.cores,
            memory_bytes=self.prepared.memory_bytes,
            files=self.files,
            kv_bytes_per_token=model.facts.kv_bytes_per_token if own else None,
            moe=model.facts.architecture == "moe",
            streams=self._streams(),
            group=group,
        )

    def shown_context(self, port: int, group: Group | None, node: str | None) -> LaunchContext:
        """Return the same with the node's name in results for its address, which none may hold."""
        named = None if group is None else replace(group, address=node or "")
        return self.context(port, named)

    def _streams(self) -> int | None:
        key = (self.launch.stack, self.launch.model.name)
        searches = (s for s in self.plan.searches if (s.stack, s.model.name) == key)
        return next((search.point.load.concurrency for search in searches), None)

    def container(self, name: str) -> Container | None:
        """Return the container of a launch, if it has one; the name tells it from every other."""
        return prepare.container(self.launch, self.prepared, self.files, f"inferometer-{name}")

    def shown(self, command: Command) -> list[str]:
        """Return what was started, without what differs in each launch."""
        container = self.container(self.launch.stack)
        if container is None:
            return list(command.argv)
        entry = self.prepared.stacks[self.launch.stack].entry
        inside = contained(command.env, entry.pass_env, container.args)
        return container.argv(command.argv, inside)

    def inherited(self) -> dict[str, str]:
        """Return what of our environment the engine saw: a container little, a server nothing."""
        stack = self.prepared.stacks[self.launch.stack]
        known = stack.environment
        if isinstance(known, Environment) and known.address is not None:
            return {}
        given = inherited(stack.entry.pass_env)
        if isinstance(known, Environment) and known.image is not None:
            own = contained({}, stack.entry.pass_env, stack.entry.container_args)
            return {name: value for name, value in given.items() if name in own}
        return given
