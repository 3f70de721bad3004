"""The faults that a load must not hide, each put into a real run of the load path.

A run drives an oracle in a process of its own, with the client in this one, and asks the checks
what they think. Nothing touches a verdict: a fault is in the server, in the bodies sent, in the
client's thread, in the plan, or in what a lying client leaves of its own records. ::

    checks = run(CATALOGUE[0], seed=1)      # of the named fault
    checks = run(None, loop="open", seed=1)  # clean

Prompts are words that the oracle counts as tokens; a word of its answers is a token, too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from tokenizers import Tokenizer, models, pre_tokenizers

from inferometer import checks, retokenise
from inferometer.loadgen.driver import Arrivals, Body, LoadPlan, LoadResult, Target, drive
from inferometer.records import Window
from inferometer.testing.script import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.comparison import Check

HOST = "127.0.0.1"
STREAMS = 8
RATE = 100.0
INPUT, OUTPUT = 12, 20
SERVER: dict[str, Any] = {"ttft_ms": 20.0, "itl_ms": 3.0}
"""Request time 77 ms: 104 requests/s on 8 streams, 8 in flight at 100 requests/s."""
DISCARD_S, WINDOW_S = 0.3, 1.0
PROMPTS = 1000
"""Of one run: more than any sends."""
MS = 1_000_000
Loop = Literal["closed", "open"]
Randomly = random.Random


def as_sent(body: dict[str, Any], _draw: Randomly) -> dict[str, Any]:
    """Leave a request as it is."""
    return body


def as_measured(result: LoadResult, _draw: Randomly) -> LoadResult:
    """Leave a result as it is."""
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault and the check that must catch it.

    ``server`` are options of the oracle, ``body`` changes what is sent behind the client's back,
    ``client`` runs beside the load, ``plan`` changes it, and ``result`` is a client that lies.
    ``salt`` is that of the prompts: another one is other work than the other stack's.
    """

    name: str
    caught_by: str
    loop: Loop = "closed"
    server: dict[str, Any] = field(default_factory=dict)
    body: Callable[[dict[str, Any], Randomly], dict[str, Any]] = as_sent
    client: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    plan: dict[str, Any] = field(default_factory=dict)
    result: Callable[[LoadResult, Randomly], LoadResult] = as_measured
    salt: str = "same"


# -- the faults ----------------------------------------------------------------------------------


@contextlib.contextmanager
def busy_thread() -> Iterator[None]:
    """Hold the interpreter for about 0.1 s at a time, as a client does that counts as it reads."""
    stop = threading.Event()

    def hold() -> None:
        size = 1_000_000
        while not stop.is_set():
            began = time.monotonic()
            sum(range(size))  # one call into C: nothing else runs meanwhile
            size = max(1, round(size * 0.1 / max(1e-3, time.monotonic() - began)))

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ends_early(body: dict[str, Any], draw: Randomly) -> dict[str, Any]:
    """End one answer in five somewhere before its length, as without ``ignore_eos``."""
    if draw.random() < 0.2:
        return body | {"max_tokens": draw.randrange(1, body["max_tokens"])}
    return body


def ten_percent_short(body: dict[str, Any], _draw: Randomly) -> dict[str, Any]:
    """Let every answer be a tenth shorter than pinned."""
    return body | {"max_tokens": round(0.9 * body["max_tokens"])}


def with_template(body: dict[str, Any], _draw: Randomly) -> dict[str, Any]:
    """Add what a chat template would."""
    return body | {"prompt": f"user {body['prompt']} assistant"}


def dropped(result: LoadResult, draw: Randomly) -> LoadResult:
    """Forget one request in ten, as a client does that gives up on slow ones."""
    kept = [r for r in result.requests if r.phase != "load" or draw.random() >= 0.1]
    return _keeping(result, kept)


def skewed(result: LoadResult, draw: Randomly) -> LoadResult:
    """Stamp the answers by a clock that is 100 ms off, one way or the other."""
    skew = draw.choice((-100, 100)) * MS
    moved = [
        msgspec.structs.replace(
            r,
            first_ns=r.first_ns and r.first_ns + skew,
            last_ns=r.last_ns and r.last_ns + skew,
            end_ns=r.end_ns and r.end_ns + skew,
        )
        for r in result.requests
    ]
    chunks = [(index, tokens, flags, t + skew) for index, tokens, flags, t in result.chunks]
    return dataclasses.replace(result, requests=moved, chunks=chunks)


def _keeping(result: LoadResult, kept: list[Any]) -> LoadResult:
    known = {r.index for r in kept}
    chunks = [chunk for chunk in result.chunks if chunk[0] in known]
    return dataclasses.replace(result, requests=kept, chunks=chunks)


CATALOGUE = (
    Fault(
        name="slow client",
        caught_by="loop lag",
        client=busy_thread,
        plan={"warmup_requests": 2},
    ),
    Fault(name="dropped requests", caught_by="lost requests", result=dropped),
    Fault(name="dropped requests, open", caught_by="lost requests", result=dropped, loop="open"),
    Fault(name="prefix leak", caught_by="cold cache", server={"cached_tokens": 4}),
    Fault(name="eos not ignored", caught_by="output length", body=ends_early),
    Fault(name="outputs 10 % short", caught_by="output length", body=ten_percent_short),
    Fault(name="unequal prompts", caught_by="same work", salt="another"),
    Fault(name="unequal prompts, template", caught_by="prompt length", body=with_template),
    Fault(name="clock skew 100 ms", caught_by="one clock", result=skewed),
    Fault(name="clock skew 100 ms, open", caught_by="one clock", result=skewed, loop="open"),
    Fault(
        name="drain inside the window",
        caught_by="closed under load",
        plan={"requests": 150, "window_s": 0.0},
    ),
    Fault(
        name="growing queue",
        caught_by="growing queue",
        loop="open",
        server={"capacity": 2},
        plan={"window_s": 2.0},
    ),
)
"""The nine faults that concern the client; some have two faces."""


# -- a run ---------------------------------------------------------------------------------------


def run(
    fault: Fault | None,
    *,
    seed: int,
    loop: Loop = "closed",
    window_s: float = WINDOW_S,
    target: Target | None = None,
) -> list[Check]:
    """Return what the checks say of one short run with ``fault``, or of a clean one.

    ``target`` is a server that :func:`serving` started; without it the run starts one of its own.
    """
    fault = fault or Fault(name="clean", caught_by="", loop=loop)
    draw = random.Random(f"{fault.name}/{seed}")  # noqa: S311 -- a fault that repeats, no secret
    plan = _plan(fault, seed, window_s)
    texts = [_prompt(fault.salt, seed, index) for index in range(PROMPTS)]
    bodies = [_body(fault, text, index, draw) for index, text in enumerate(texts)]
    server = serving(fault) if target is None else contextlib.nullcontext(target)
    with server as where, fault.client():
        result = drive(where, bodies.__getitem__, plan)
    result = fault.result(result, draw)
    works = len({fault.salt, "same"})
    return checks.judge(
        checks.observe(_window(result, plan), result.requests, result.chunks, works=works)
    )


def _plan(fault: Fault, seed: int, window_s: float) -> LoadPlan:
    arrivals = None
    if fault.loop == "open":
        arrivals = Arrivals(kind="poisson", rate=RATE, seed=seed)
    plan = LoadPlan(concurrency=STREAMS, window_s=window_s, discard_s=DISCARD_S, arrivals=arrivals)
    return dataclasses.replace(plan, **fault.plan)


def _prompt(salt: str, seed: int, index: int) -> str:
    """Return words, the first of which no other prompt has."""
    draw = random.Random(f"{salt}/{seed}/{index}")  # noqa: S311 -- text, no secret
    return " ".join((f"{salt}-{seed}-{index}", *draw.choices(WORDS, k=INPUT - 1)))


def _body(fault: Fault, text: str, index: int, draw: Randomly) -> Body:
    said = {
        "model": "oracle",
        "prompt": text,
        "max_tokens": OUTPUT,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    return Body(msgspec.json.encode(fault.body(said, draw)), index, INPUT, OUTPUT)


def _window(result: LoadResult, plan: LoadPlan) -> Window:
    """Return the window as a study records it."""
    window = Window(
        load_point=0,
        workload="fault",
        load="fault",
        concurrency=STREAMS if plan.arrivals is None else None,
        arrivals=plan.arrivals.kind if plan.arrivals else "",
        rate=plan.arrivals.rate if plan.arrivals else None,
        work_sha256="",
        prompts=PROMPTS,
        **result.facts(),
    )
    return retokenise.told(window, result, _tokenizer())


@functools.lru_cache(maxsize=1)
def _tokenizer() -> Path:
    """Return a tokenizer to whom each of the oracle's words is one token."""
    vocabulary = {word: index for index, word in enumerate((*WORDS, "[UNK]"))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 -- no password
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = Path(tempfile.mkdtemp(prefix="inferometer-faults-")) / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@contextlib.contextmanager
def serving(fault: Fault | None = None) -> Iterator[Target]:
    """Start the oracle of ``fault`` in a process of its own, and end it."""
    given = fault.server if fault else {}
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    flags = [
        word
        for name, value in (SERVER | given).items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    program = [sys.executable, "-m", "inferometer.testing.oracle", "--port", str(port), *flags]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield Target(host=HOST, port=port, path="/v1/completions")
        finally:
            server.terminate()


def _wait_for(port: int, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
