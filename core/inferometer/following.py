"""A rank of an engine on several nodes, on a node that does not measure."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from inferometer import jobs, launch, marks, store
from inferometer.engine import Unsupported
from inferometer.errors import LaunchError
from inferometer.jobs import Follow, Followed, Job, Refused
from inferometer.ports import lease
from inferometer.starting import HOST, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.engine import Group
    from inferometer.executor import Gather
    from inferometer.jobs import Measure
    from inferometer.plan import Plan
    from inferometer.prepare import Prepared
    from inferometer.store import Store

LOOK_S = 0.2
"""Between two looks whether the launch is over."""


@contextmanager
def followers(
    asked: Measure, group: Group, gather: Gather, *, shared: bool
) -> Iterator[Callable[[], str | None]]:
    """Have the other nodes start their ranks; yield what says why one of them is gone."""
    ranks = [replace(group, rank=rank) for rank in range(1, group.nodes)]
    contents = [
        Job(
            shared=shared,
            what=Follow(launch=asked.launch, attempt=asked.place.attempt, group=rank),
        )
        for rank in ranks
    ]
    with gather([msgspec.json.encode(content) for content in contents]) as answered:
        yield lambda: _why(answered())


def _why(answer: bytes | None) -> str | None:
    if answer is None:
        return None
    try:
        said = jobs.decoder.decode(answer)
    except jobs.UNREADABLE as error:
        return f"a node that was to follow gave an answer that cannot be read: {error}"
    match said:
        case Followed(why=why) if why:
            return why
        case Refused(message=message):
            return f"a node could not follow: {message}"
        case _:
            return "a node that was to follow ended"


def follow(
    plan: Plan, prepared: Prepared, results: Store, asked: Follow, over: Callable[[], bool]
) -> Followed:
    """Start the engine of one rank, and end it when the launch is over.

    Its log stands beside the launch's, as ``server-RANK.log``, where the directory is shared.
    """
    stack = prepared.stacks[asked.launch.stack]
    recipe = Recipe(plan, prepared, results, asked.launch)
    rank = asked.group.rank
    folder = results.root / "partial" / asked.attempt
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"server-{rank}.log"
    try:
        with lease(HOST) as port:  # nobody asks there, but some engines open it on every rank
            command = stack.engine.command(recipe.context(port, asked.group))
            store.write_files(recipe.files, command.files)
            mark = marks.fresh(results.root, asked.launch.id)
            secrets = stack.entry.pass_env
            with launch.follow(command, log, stack.engine.failures, secrets, mark) as gone:
                while not over():
                    if why := gone():
                        return Followed(why=f"rank {rank}: {why}")
                    time.sleep(LOOK_S)
    except (LaunchError, Unsupported) as error:
        return Followed(why=f"rank {rank}: {error.message}")
    return Followed()
