"""From options to the result of one bench: prepare, offer, count, judge."""

from __future__ import annotations

import collections
import datetime as dt
import functools
import resource
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import redact
from inferometer.bench import work
from inferometer.bench.figures import figures, look, unsure
from inferometer.bench.options import REQUESTS
from inferometer.bench.verdict import verdict
from inferometer.errors import InconclusiveError, LaunchError
from inferometer.loadgen import address
from inferometer.loadgen.driver import Hooks, LoadPlan, drive
from inferometer.loadgen.handshake import LoadHostError
from inferometer.workloads import traces

if TYPE_CHECKING:
    from inferometer.bench.options import Options
    from inferometer.loadgen.arrivals import Arrivals
    from inferometer.loadgen.driver import Body, LoadResult, Target
    from inferometer.records import Request
    from inferometer.workloads.traces import TraceRow

SCHEMA = "inferometer/bench/1"
STREAMS = 2
"""Streams that warm up for an open loop: with the first request alone, three requests."""
ROOM_S = 30.0
"""Prompts are made for an open loop's duration and so much more, the discarded time among it."""
PAST_LIMIT_S = 60.0
"""Silence ends a load so long after a request's own limit, s: each request ends by that first.

:func:`inferometer.pace.stall_s`, for studies, is shorter than a long limit: a launch that hangs
keeps others waiting and may be tried again. Here is one server, and a long limit is meant.
"""
ERRORS_SHOWN = 10
INTERRUPTED = "interrupted"
"""``broken_off`` of a load that Ctrl-C ended."""


def measure(options: Options) -> dict[str, Any]:
    """Measure once; return the keys of ``docs/reference/bench.md``.

    A load that its server or Ctrl-C broke off is told as far as it went, as ``broken_off``.

    Raises:
        UsageError: the options are no load.
        InconclusiveError: the server cannot be reached, answered no warm-up request, or died
            before it had completed a request.
        LoadHostError: a load host cannot do its part, or was lost.
        KeyboardInterrupt: Ctrl-C came before the first completed request.
    """
    options.check()
    target = address.target_of(
        options.url,
        options.endpoint,
        headers=options.headers,
        api_key_env=options.api_key_env,
        insecure=options.insecure,
    )
    rows = traces.read(options.trace).rows if options.trace is not None else ()
    plan = _plan(options, rows)
    warmup = plan.concurrency + 1 if plan.warmup_requests is None else plan.warmup_requests
    made = work.build(options, rows, warmup, _count(options, plan))
    _allow_files()
    began = dt.datetime.now(dt.UTC)
    parts: list[LoadResult] = []
    broken_off = ""
    try:
        hooks = Hooks(on_broken_off=parts.append)
        source = functools.partial(_again, made.bodies, warmup)
        parts = [drive(target, source, plan, hooks, options.load_hosts)]
    except LoadHostError:
        raise  # the load was not as planned, and says nothing of the server
    except LaunchError as error:
        broken_off = f"{address.shown(options.url)}: {_clean(error.message, target)}"
        if not _completed(parts):
            raise InconclusiveError(
                broken_off,
                hint="Is it serving there? Servers that refuse fields they do not know want "
                "--plain, self-signed certificates --insecure.",
            ) from error
    except KeyboardInterrupt:
        broken_off = INTERRUPTED
        if not _completed(parts):
            raise
    return _head(options, plan, began) | _result(
        options, plan, parts[0], target, reuse=made.reuse, broken_off=broken_off
    )


def _completed(parts: list[LoadResult]) -> bool:
    """Say whether anything was measured before the load was broken off."""
    return any(r.phase == "load" and r.status == "ok" for part in parts for r in part.requests)


def _plan(options: Options, rows: tuple[TraceRow, ...]) -> LoadPlan:
    arrivals = options.schedule(rows)
    warmup = options.warmup_requests
    requests = options.requests
    if requests is None and options.duration_s is None:
        requests = len(rows) or REQUESTS
    elif requests is not None and rows:
        requests = min(requests, len(rows))
    if warmup is None and requests is not None:
        warmup = 1 if arrivals is None else STREAMS + 1
    return LoadPlan(
        concurrency=options.concurrency or STREAMS,
        window_s=options.duration_s or 0.0,
        warmup_requests=warmup,
        requests=requests,
        request_timeout_s=options.request_timeout_s,
        stall_s=options.request_timeout_s + PAST_LIMIT_S,
        arrivals=arrivals,
        max_in_flight=options.max_in_flight,
    )


def _count(options: Options, plan: LoadPlan) -> int:
    """Return how many requests to prepare beside the warm-up's."""
    if plan.requests is not None:
        return plan.requests
    if plan.arrivals is None:
        return max(512, 64 * plan.concurrency)
    return max(1, len(plan.arrivals.until((options.duration_s or 0.0) + ROOM_S)))


def _again(bodies: list[Body], warmup: int, index: int) -> Body:
    """Return the request; past the last one those after the warm-up come again."""
    if index < len(bodies):
        return bodies[index]
    return bodies[warmup + (index - warmup) % (len(bodies) - warmup)]


def _allow_files() -> None:
    """Raise this process's own limit of open files: one connection is one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _head(options: Options, plan: LoadPlan, began: dt.datetime) -> dict[str, Any]:
    """Return what was asked for."""
    return {
        "schema": SCHEMA,
        "started_at": began.isoformat(timespec="seconds"),
        "url": address.shown(options.url),
        "endpoint": options.endpoint,
        "model_id": options.model,
        "load": _load(options, plan.arrivals),
        "num_prompts": plan.requests,
        "request_rate": options.rate,
        "burstiness": options.burstiness if options.rate is not None else None,
        "max_concurrency": options.concurrency or options.max_in_flight,
        "input_tokens": None if options.trace else options.input_tokens,
        "output_tokens": None if options.trace else options.output_tokens,
        "exact_prompts": options.tokenizer is not None,
        "seed": options.seed,
    }


def _result(
    options: Options,
    plan: LoadPlan,
    result: LoadResult,
    target: Target,
    *,
    reuse: float,
    broken_off: str,
) -> dict[str, Any]:
    """Return what came of it."""
    whole = plan.requests is not None and not broken_off
    seen = look(result, whole=whole)
    values, reasons = figures(seen)
    for key in unsure(seen):
        if values.get(key) is not None:
            values[key], reasons[key] = None, "clock_unsure"
    verdicts = verdict(result, options, whole=whole, reuse=reuse, broken_off=broken_off)
    return {
        "prefix_reuse": reuse,
        **values,
        "cut": sum(r.status == "cut" for r in seen.load),
        "retries": result.retries,
        "workers": result.workers,
        "load_hosts": msgspec.to_builtins(result.load_hosts),
        "cpu_seconds": _cpu_seconds(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "broken_off": broken_off or None,
        "valid": all(check.verdict != "fail" for check in verdicts),
        "validity": msgspec.to_builtins(verdicts),
        "reasons": reasons,
        "errors": _error_texts(seen.failed, target),
    }


def _cpu_seconds() -> float:
    """Return the processor time of this process and of the workers it has waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


def _load(options: Options, arrivals: Arrivals | None) -> str:
    if arrivals is None:
        return f"closed loop, {options.concurrency} streams"
    match arrivals.kind:
        case "burst":
            return "burst"
        case "trace":
            return "trace"
        case "gamma":
            return f"{arrivals.rate:g} requests/s, gamma arrivals, shape {arrivals.burstiness:g}"
    return f"{arrivals.rate:g} requests/s, {arrivals.kind} arrivals"


def _error_texts(failed: list[Request], target: Target) -> dict[str, int]:
    """Return the commonest errors and how often each came."""
    texts = collections.Counter(_clean(str(r.error), target) for r in failed)
    return dict(texts.most_common(ERRORS_SHOWN))


def _clean(text: str, target: Target) -> str:
    """Return a text of the server's without what was sent in the headers, which it may repeat."""
    said: str = redact.capped(redact.text(redact.without(text, address.secrets(target))))
    return said
