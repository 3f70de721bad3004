"""The conformance kit of executors: orders that are refused at once, and one whole study.

In a pytest file::

    from inferometer.testing import executors

    test_executor = executors.suite(MyExecutor())

Without pytest, :func:`run`. Its nodes must be there; the study is of the simulated engine, so no
GPU is needed. An executor that measures in this process is not asked for nodes.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from inferometer import api, study
from inferometer.executor import Done, Executor, Lost, Order, Said
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.testing.check import (
    Check,
    applies,
    cases,
    check,
    checks_of,
    complete_check,
    known_of,
    name_check,
    need,
    printed,
    ran,
)
from inferometer.testing.check import named as found
from inferometer.testing.engine import write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from inferometer.executor import Cluster, Heard, Option
    from inferometer.testing.check import Result

SHARED = b'{"version": "0"}'
"""A run of another version: every order of it is refused at once, in words that name ours."""
ENGINE = "simulator"
PATIENCE_S = 120.0
"""For an order to be answered; also where processes have to be started on nodes first."""
LOOK_S = 0.2
STUDY = """name = "conformance of an executor"
[protocol]
rounds = 1
window_s = 0.5
discard_s = 0.1
idle_s = 0
soak_s = 0
probe = false
[[engines]]
name = "{engine}"
[[models]]
name = "made-up"
path = "{model}"
[[workloads]]
name = "short"
input_tokens = 32
output_tokens = 4
[[loads]]
concurrency = 2
"""


@dataclass(frozen=True, slots=True)
class Kit:
    """One executor with the options to open it by, and its known failures by check id."""

    executor: Executor
    options: Mapping[str, Option] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Cluster]:
        """Open it for a run that is made up; nothing to check where it brings no nodes."""
        with (
            tempfile.TemporaryDirectory() as folder,
            self.executor.open(self.options, Path(folder), "0" * 64) as cluster,
        ):
            applies(cluster is not None, "it brings no nodes: this process measures")
            assert cluster is not None
            yield cluster


def run(
    executor: Executor | str,
    *,
    options: Mapping[str, Option] | None = None,
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Check an executor, or the installed one of that name; takes as long as its nodes do.

    ``options`` are given to it, as by ``--executor-option``. ``known`` are the reasons of failures
    by check id (left out: the executor's own ``known_failures``), ``only`` names the checks to run,
    ``told`` gets each result at once.

    Raises:
        UsageError: no installed plugin brings such an executor, or there is no such check.
    """
    return ran(CHECKS, _kit(executor, options, known), only, told)


def suite(
    executor: Executor | str,
    *,
    options: Mapping[str, Option] | None = None,
    known: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """Return a pytest function with one case for each check; the arguments are those of `run`."""
    return cases(CHECKS, lambda: contextlib.nullcontext(_kit(executor, options, known)))


def _kit(
    executor: Executor | str,
    options: Mapping[str, Option] | None,
    known: Mapping[str, str] | None,
) -> Kit:
    thing = found("executor", executor, Registry().executors)
    return Kit(thing, options or {}, known_of(thing, known))


# -- checks --------------------------------------------------------------------------------------


complete: Check[Kit] = complete_check(Executor, lambda kit: kit.executor)
name: Check[Kit] = name_check(lambda kit: kit.executor, "behind ``--executor``")


@check
def options_are_declared(kit: Kit) -> None:
    """Each option has a plain name and is a text or a number: it comes from the command line."""
    for key, type_ in kit.executor.options.items():
        need(re.fullmatch(r"[a-z][a-z0-9_]*", key), f"{key!r}: use lower case and underscores")
        need(type_ in {str, int, float}, f"{key} is a {type_}, not a str, an int or a float")


@check
def nodes_say_what_they_are(kit: Kit) -> None:
    """It brings a node at least; each has a key of its own, a machine and processors."""
    with kit.opened() as cluster:
        nodes = cluster.nodes()
        need(nodes, "it brings no node, and raises no MachineError")
        keys = [node.key for node in nodes]
        need(all(keys) and len(keys) == len(set(keys)), f"keys: {', '.join(keys)}")
        for node in nodes:
            need(node.machine, f"{node.key} is on no machine")
            need(node.cpus > 0, f"{node.key} has {node.cpus} processors")
            need(node.gpus >= 0 and node.memory_bytes >= 0, f"{node.key} has less than nothing")


@check
def nodes_stay_the_same(kit: Kit) -> None:
    """Asked again, and opened again, it knows the same machines: blocks of a study rely on it."""
    with kit.opened() as cluster:
        first = {node.machine for node in cluster.nodes()}
        need({node.machine for node in cluster.nodes()} == first, "others from call to call")
    with kit.opened() as cluster:
        need({node.machine for node in cluster.nodes()} == first, "others when opened again")


@check
def orders_are_answered_whole(kit: Kit) -> None:
    """What ``api.perform`` answers on a node comes back byte by byte."""
    wanted = api.perform(SHARED, b"{}", lambda _: None)
    with kit.opened() as cluster:
        cluster.share(SHARED)
        cluster.start(Order(id="one", node=cluster.nodes()[0], content=b"{}"))
        (done,) = _ends(cluster, {"one"})
        need(isinstance(done, Done), f"lost: {getattr(done, 'why', done)}")
        assert isinstance(done, Done)
        need(done.answer == wanted, f"{done.answer[:200]!r} instead of {wanted[:200]!r}")


@check
def each_order_is_answered_once(kit: Kit) -> None:
    """Orders that are given together each end once, under their own ids, and nothing follows."""
    ids = {"one", "two", "three"}
    with kit.opened() as cluster:
        cluster.share(SHARED)
        nodes = cluster.nodes()
        for place, id_ in enumerate(sorted(ids)):
            cluster.start(Order(id=id_, node=nodes[place % len(nodes)], content=b"{}"))
        ended = _ends(cluster, ids)
        need(len(ended) == len(ids), f"{len(ended)} ends of {len(ids)} orders")
        more = [each for each in cluster.heard(0) if not isinstance(each, Said)]
        need(not more, f"another end: {more}")


@check
def nothing_is_heard_of_nothing(kit: Kit) -> None:
    """Without an order nothing is heard, and listening comes to an end."""
    with kit.opened() as cluster:
        heard = [*cluster.heard(LOOK_S), *cluster.settle()]
        need(not heard, f"heard {heard}")


@check
def cancelling_ends_all(kit: Kit) -> None:
    """When ``cancel`` returns, no order runs any more; it may come twice, and without orders."""
    with kit.opened() as cluster:
        cluster.cancel()
        cluster.share(SHARED)
        cluster.start(Order(id="one", node=cluster.nodes()[0], content=b"{}"))
        cluster.cancel()
        cluster.heard(0)  # what was answered until then
        late = [each for each in cluster.heard(LOOK_S) if not isinstance(each, Said)]
        need(not late, f"heard after it: {late}")


@check
def measures_a_study(kit: Kit) -> None:
    """A study of the simulated engine is measured on its nodes, and its results are whole here."""
    with kit.opened():
        pass  # it brings nodes
    applies(ENGINE in Registry().engines(), f"no plugin brings the engine {ENGINE!r}")
    from inferometer.runner import run as measure  # noqa: PLC0415 -- for this check alone

    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder, "model"), _tokenizer())
        text = STUDY.format(engine=ENGINE, model=Path(folder, "model"))
        results, display = Path(folder, "results"), Silent()
        with printed() as written:
            outcome = measure(
                study.parse(text, "study.toml"),
                text,
                results,
                Registry(),
                display,
                open_cluster=partial(kit.executor.open, kit.options),
            )
        said = "; ".join(words for what, words in display.said if what == "warning")
        need(outcome.finished == outcome.planned == 1, f"{outcome.failed} launches failed. {said}")
        (launch,) = api.results(results).launches()
        need(launch.node, "the launch does not name its node")
        need(not written, f"printed {b''.join(written)[:60]!r}")


def _ends(cluster: Cluster, ids: set[str]) -> list[Heard]:
    """Listen until these orders are over; return how each ended."""
    ended: list[Heard] = []
    until = time.monotonic() + PATIENCE_S
    while {each.id for each in ended} != ids:
        heard: Sequence[Heard] = cluster.heard(LOOK_S)
        strange = {each.id for each in heard} - ids
        need(not strange, f"heard of orders that nobody gave: {', '.join(strange)}")
        ended += [each for each in heard if isinstance(each, Done | Lost)]
        need(time.monotonic() < until, f"only {len(ended)} of {len(ids)} orders ended in time")
    return ended


def _tokenizer() -> str:
    """Return a ``tokenizer.json`` of single bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: id_ for id_, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made.to_str()


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
"""In the order in which they run and are told."""
