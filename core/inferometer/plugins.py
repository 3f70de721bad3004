"""Finds plugins and keeps a broken one from taking the program down.

pluggy's own loader imports every entry point and lets the first broken one end the program, so
the loop is ours: a plugin that cannot be imported, declares an unknown hook, raises in a hook or
returns something else than asked is one :class:`Row` with a problem. What a plugin prints goes to
stderr: stdout carries results only.

``INFEROMETER_PLUGINS`` names the only entry points to load, separated by commas; empty means none.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from inferometer import command, deprecated, guests, hooks
from inferometer.command import Command
from inferometer.engine import Engine
from inferometer.errors import UsageError, closest
from inferometer.executor import Executor
from inferometer.importer import Importer
from inferometer.loadhosts import LoadHosts
from inferometer.meter import EnergyMeter
from inferometer.prices import PriceBook, checked
from inferometer.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import EntryPoint

VARIABLE = command.VARIABLE
KINDS = {
    "engine": ("inferometer_engines", Engine),
    "executor": ("inferometer_executors", Executor),
    "importer": ("inferometer_importers", Importer),
    "load hosts": ("inferometer_load_hosts", LoadHosts),
    "meter": ("inferometer_meters", EnergyMeter),
    "price book": ("inferometer_price_books", PriceBook),
    "renderer": ("inferometer_renderers", Renderer),
    "command": (command.HOOK, Command),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing a plugin brought, or one thing that is wrong with it (``problem`` not empty)."""

    kind: str
    """A key of :data:`KINDS`; ``plugin`` where the plugin as a whole is meant."""
    name: str
    distribution: str
    version: str
    module: str
    problem: str = ""
    deprecated: str = ""
    """What it uses that is going away, and what to do; empty: nothing."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A thing and the plugin it came from."""

    thing: Any
    row: Row


class Registry:
    """The installed plugins. Nothing is imported before something is asked for.

    ``plugins`` replaces the installed entry points, and ``only`` the environment variable.
    ``taken`` are names that no command of a plugin may have.
    """

    def __init__(
        self,
        plugins: Iterable[EntryPoint] | None = None,
        *,
        only: Iterable[str] | None = None,
        taken: Iterable[str] = (),
    ) -> None:
        self._given = None if plugins is None else tuple(plugins)
        self._only = command.named_in_environment() if only is None else frozenset(only)
        self._taken = frozenset(taken)
        self._plugins: dict[str, EntryPoint] | None = None
        self._manager = pluggy.PluginManager(hooks.GROUP)
        self._manager.add_hookspecs(hooks)
        self._problems: list[Row] = []
        self._old: list[Row] = []
        self._found: dict[str, list[_Found]] = {}

    def engines(self) -> dict[str, Engine]:
        """Return the engines by name, or raise :class:`UsageError` where two share one."""
        return self._by_name("engine")

    def executors(self) -> dict[str, Executor]:
        """Return the executors by name, or raise :class:`UsageError` where two share one."""
        return self._by_name("executor")

    def importers(self) -> dict[str, Importer]:
        """Return the importers by format, or raise :class:`UsageError` where two share one."""
        return self._by_name("importer")

    def load_hosts(self) -> dict[str, LoadHosts]:
        """Return what starts load hosts by name; raise :class:`UsageError` where two share one."""
        return self._by_name("load hosts")

    def meters(self) -> dict[str, EnergyMeter]:
        """Return the meters by name, or raise :class:`UsageError` where two share one."""
        return self._by_name("meter")

    def price_books(self) -> dict[str, PriceBook]:
        """Return the price books that can be read, by name.

        Raises:
            UsageError: two share a name.
        """
        return self._by_name("price book")

    def renderers(self) -> dict[str, Renderer]:
        """Return the renderers by name, or raise :class:`UsageError` where two share one."""
        return self._by_name("renderer")

    def things(self, kind: str) -> dict[str, Any]:
        """Return the things of one kind by name; of two that share one the first. Never raises."""
        return {item.row.name: item.thing for item in reversed(self._collect(kind))}

    def report(self) -> list[Row]:
        """Return everything found, and everything wrong, sorted; never raises."""
        rows = []
        for kind in KINDS:
            found = self._collect(kind)
            for item in found:
                twins = _others(item, found)
                rows.append(
                    replace(item.row, problem=_shared(kind, item, twins)) if twins else item.row
                )
        rows += [*self._problems, *self._old]
        return sorted(rows, key=lambda row: (row.kind, row.name, row.module))

    def problems(self) -> list[Row]:
        """Return the rows of :meth:`report` that have a problem."""
        return [row for row in self.report() if row.problem]

    def _by_name(self, kind: str) -> dict[str, Any]:
        found = self._collect(kind)
        for item in found:
            if twins := _others(item, found):
                raise UsageError(
                    f"two plugins bring {_shared(kind, item, twins)}",
                    hint=f"Uninstall one, or name the plugins to load in {VARIABLE}.",
                )
        return {item.row.name: item.thing for item in found}

    def _collect(self, kind: str) -> list[_Found]:
        """Call one hook of every plugin, once."""
        if kind not in self._found:
            plugins = self._load()
            hook, protocol = KINDS[kind]
            found: list[_Found] = []
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                point = plugins[implementation.plugin_name]
                with self._guarded(point, f"{hook}() raised"):
                    for thing in implementation.function():
                        found += self._checked(kind, protocol, thing, point)
            self._found[kind] = found
        return self._found[kind]

    def _checked(self, kind: str, protocol: type, thing: Any, point: EntryPoint) -> list[_Found]:
        name = getattr(thing, "name", None)
        row = _row(point, kind=kind, name=str(name or point.name))
        row = replace(row, deprecated="; ".join(deprecated.of_thing(kind, thing)))
        members = [member for member in vars(protocol) if not member.startswith("_")]
        lacking = [member for member in members if not hasattr(thing, member)]
        if not isinstance(name, str) or not name:
            problem = f"returned {type(thing).__name__}, which has no name"
        elif lacking:
            problem = f"lacks {', '.join(lacking)} (see {protocol.__module__}.{protocol.__name__})"
        elif kind == "command":
            problem = self._of_command(thing, point)
            if not problem:
                with self._guarded(point, "cannot be loaded", row):
                    thing.load()
                    return [_Found(thing, row)]
                return []
        elif kind == "price book":
            # Read at once: a book is worth no more than what stands in it.
            with self._guarded(point, "cannot be read", row):
                checked(thing)
                return [_Found(thing, row)]
            return []
        else:
            return [_Found(thing, row)]
        self._problems.append(replace(row, problem=problem))
        return []

    def _of_command(self, thing: Any, point: EntryPoint) -> str:
        if point.group != command.GROUP:
            return f"commands are found in the entry-point group {command.GROUP} alone"
        return command.unsound(thing, self._taken)

    def _load(self) -> dict[str, EntryPoint]:
        """Import every plugin, once, and register those that are sound."""
        if self._plugins is None:
            self._plugins = {}
            points = _installed() if self._given is None else self._given
            for point in sorted(points, key=lambda point: (point.name, point.value)):
                if self._only is None or point.name in self._only:
                    self._register(point, self._plugins)
            self._miss({point.name for point in points})
        return self._plugins

    def _register(self, point: EntryPoint, plugins: dict[str, EntryPoint]) -> None:
        key = f"{_row(point).distribution}:{point.group}:{point.name}"
        with self._guarded(point, "cannot be imported"):
            module = point.load()
            if problem := _hook_problem(module):
                self._problems.append(replace(_row(point), problem=problem))
                return
            self._manager.register(module, key)
            plugins[key] = point
            self._old += [replace(_row(point), deprecated=it) for it in _deprecated(module)]

    def _miss(self, known: set[str]) -> None:
        for name in sorted((self._only or frozenset()) - known):
            near = closest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            row = Row(kind="plugin", name=name, distribution="", version="", module="")
            self._problems.append(
                replace(row, problem=f"named in {VARIABLE}, but not installed{hint}")
            )

    @contextlib.contextmanager
    def _guarded(self, point: EntryPoint, what: str, row: Row | None = None) -> Iterator[None]:
        """Turn whatever a plugin raises, ``SystemExit`` too, into a row: ``row`` with a problem."""
        said: list[str] = []
        try:
            with guests.hosted() as said:
                yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 -- a stranger's code; the row has the error
            said.append(f"{what}: {type(error).__name__}: {error}".rstrip(": "))
        for text in said:
            self._problems.append(replace(row or _row(point), problem=" ".join(text.split())))


def _installed() -> tuple[EntryPoint, ...]:
    return (*entry_points(group=hooks.GROUP), *entry_points(group=command.GROUP))


def _marked(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, f"{hooks.GROUP}_impl", None) is not None
    ]


def _deprecated(module: Any) -> list[str]:
    return deprecated.of_hooks(_marked(module))


def _hook_problem(module: Any) -> str:
    """Say what is wrong with a plugin's hooks, as declared; empty when nothing is."""
    known = [hook for hook, _ in KINDS.values()]
    marked = _marked(module)
    unknown = [name for name in marked if name not in known]
    unmarked = [name for name in known if hasattr(module, name) and name not in marked]
    if unknown:
        near = closest(unknown[0], known)
        return f"unknown hook {unknown[0]}()" + (f"; did you mean {near}()?" if near else "")
    if unmarked:
        return f"{unmarked[0]}() is not marked with @inferometer.hookimpl"
    return "" if marked else f"implements none of the hooks {', '.join(known)}"


def _row(point: EntryPoint, *, kind: str = "plugin", name: str = "") -> Row:
    distribution = point.dist
    return Row(
        kind=kind,
        name=name or point.name,
        distribution=distribution.name if distribution else "",
        version=distribution.version if distribution else "",
        module=point.value,
    )


def _others(item: _Found, found: list[_Found]) -> list[_Found]:
    return [other for other in found if other is not item and other.row.name == item.row.name]


def _shared(kind: str, item: _Found, twins: list[_Found]) -> str:
    origins = sorted(f"{it.row.distribution} ({it.row.module})" for it in (item, *twins))
    return f"{kind} {item.row.name!r}: {', '.join(origins)}"
