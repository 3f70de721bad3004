"""A fake server's setup, from what an adapter declares and what is known of its engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inferometer.engine import ApiKey, Command
from inferometer.testing.fakes.scene import Setup, paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inferometer.engine import Engine, LaunchContext
    from inferometer.testing.conformance.behaviours import Behaviour
    from inferometer.testing.conformance.kit import Variant

NEVER_ADDED = ("--made-up-flag",)
"""What the variants of a launch hold that no engine knows."""


def options(commands: Iterable[Command]) -> set[str]:
    """Return the options that commands use, without their values."""
    words = {word.partition("=")[0] for each in commands for word in each.argv[1:]}
    return {word for word in words if word.startswith("--")} - set(NEVER_ADDED)


def settings(commands: Iterable[Command]) -> set[str]:
    """Return the fields of the configuration files that are JSON, by dotted path."""
    found: set[str] = set()
    for each in commands:
        for text in each.files.values():
            try:
                found |= paths(json.loads(text))
            except ValueError:
                continue
    return found


def setup_of(
    engine: Engine,
    behaviour: Behaviour,
    at: LaunchContext,
    command: Command,
    variants: Iterable[Variant],
) -> Setup:
    """Return a fake that knows every option and field the adapter has a use for, and no other."""
    used = [command, *(each.said for each in variants if isinstance(each.said, Command))]
    reset, metrics = engine.cache_reset, engine.metrics
    ready = {(command.readiness or engine.readiness).path, engine.readiness.path}
    key = engine.api_key or ApiKey()
    done = behaviour.reset_done or (reset.says if reset else "")
    return Setup(
        model=str(at.model_path),
        model_name=at.model_name,
        files=str(at.files),
        options=sorted(options(used) | ({key.flag} if key.flag else set())),
        settings=sorted(settings(used)),
        routes=sorted(behaviour.routes),
        needs=dict(behaviour.needs),
        endpoint=engine.endpoint,
        ready=sorted(route.partition("?")[0] for route in ready),
        metrics=metrics.path if metrics else "",
        form=metrics.form if metrics else "prometheus",
        drains=bool(metrics and metrics.drains),
        reset_method=reset.method if reset else "",
        reset_path=reset.path.partition("?")[0] if reset else "",
        reset_done=done,
        reset_refused=behaviour.reset_refused,
        answers=dict(map(_answer, engine.resolved_configuration)),
        series=_series(engine, behaviour),
        ranks=[dict(rank) for rank in behaviour.ranks],
        generating=list(behaviour.generating),
        starting=behaviour.starting,
        starting_headers=dict(behaviour.starting_headers),
        error_shape=behaviour.error_shape,
        unknown_fields=behaviour.unknown_fields,
        fields=sorted(behaviour.fields or engine.request_fields),
        usage=behaviour.usage,
        token_ids=behaviour.token_ids,
        first_by_prefill=behaviour.first_by_prefill,
        warm_up=behaviour.warm_up,
        unknown_option=behaviour.unknown_option,
        unknown_setting=behaviour.unknown_setting,
        port_taken=behaviour.port_taken,
        key_variable=key.variable,
        key_flag=key.flag,
    )


def _answer(path: str) -> tuple[str, dict[str, Any]]:
    route, _, key = path.partition("#")
    return route, {"made_up": True, **({key: {"made_up": True}} if key else {})}


def _series(engine: Engine, behaviour: Behaviour) -> list[tuple[str, dict[str, str], str]]:
    known: Iterable[tuple[str, Mapping[str, str], str]] = behaviour.series
    if not known and engine.metrics:
        known = [(each.source, each.labels, each.name) for each in engine.metrics.counters]
    return [(source, dict(labels), name) for source, labels, name in known]
