"""What of the contracts with plugins is going away, and what takes its place.

``docs/reference/compatibility.md`` promises that nothing goes without having stood here for two
minor releases. Who still uses it is told by ``inferometer plugins`` and ``plugins check`` alone: a
plugin's author can do something about it, whoever measures cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Deprecation(NamedTuple):
    """One thing that is going away."""

    since: str
    """The release that said so first, such as ``0.3``."""
    until: str
    """The release in which it is gone: two minor ones later at least."""
    instead: str
    """What to do, a sentence in the imperative."""

    def words(self, what: str) -> str:
        """Return what is said of a plugin that uses ``what``."""
        return f"{what} is deprecated since {self.since} and gone in {self.until}: {self.instead}"


HOOKS: Mapping[str, Deprecation] = {}
"""By the hook's name."""
MEMBERS: Mapping[tuple[str, str], Deprecation] = {}
"""By kind (a key of :data:`inferometer.plugins.KINDS`) and the member's name."""


def of_hooks(names: Iterable[str]) -> list[str]:
    """Return what is said of the hooks that a plugin implements."""
    return [HOOKS[name].words(f"{name}()") for name in names if name in HOOKS]


def of_thing(kind: str, thing: object) -> list[str]:
    """Return what is said of the members that a thing has."""
    return [
        old.words(f"{kind}.{member}")
        for (of, member), old in MEMBERS.items()
        if of == kind and hasattr(thing, member)
    ]
