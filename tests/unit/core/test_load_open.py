"""The open loop: schedules that hold, and stalls that show. Chat, keys, TLS on the way."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from scipy import stats

from inferometer.errors import LaunchError, UsageError
from inferometer.loadgen import address
from inferometer.loadgen.arrivals import Arrivals, most_within
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, Target, drive
from inferometer.loadgen.offer import Progress
from inferometer.testing.oracle import Options, Oracle

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.loadgen.driver import LoadResult
    from inferometer.records import Request

TOKENS = 4
FAST = Options(ttft_ms=2, itl_ms=0)


def source(index: int) -> Body:
    request = {"prompt": [index, 1], "max_tokens": TOKENS, "stream": True}
    return Body(msgspec.json.encode(request), index, 2, TOKENS)


def chat(index: int) -> Body:
    messages = [{"role": "user", "content": f"word{index} two"}]
    request = {"messages": messages, "max_tokens": 8, "stream": True}
    return Body(msgspec.json.encode(request), index, 2, 8)


def offered(
    oracle: Oracle, arrivals: Arrivals, requests: int, *, warmup: int = 2, cap: int | None = None
) -> LoadResult:
    plan = LoadPlan(
        concurrency=2,
        warmup_requests=warmup,
        requests=requests,
        arrivals=arrivals,
        max_in_flight=cap,
    )
    return drive(Target("127.0.0.1", oracle.port), source, plan)


def load(result: LoadResult) -> list[Request]:
    return [request for request in result.requests if request.phase == "load"]


def spread(values: list[int]) -> float:
    gaps = [b - a for a, b in itertools.pairwise(values)]
    return statistics.pstdev(gaps) / statistics.fmean(gaps)


# -- the schedule itself -----------------------------------------------------------------


def test_constant_gaps_are_equal() -> None:
    assert Arrivals(kind="constant", rate=4).first(4) == [0, 0.25, 0.5, 0.75]
    assert Arrivals(kind="constant", rate=4).until(0.6) == [0, 0.25, 0.5]


@pytest.mark.parametrize(("kind", "shape"), [("poisson", 1.0), ("gamma", 0.25), ("gamma", 4.0)])
def test_gaps_follow_their_distribution(kind: str, shape: float) -> None:
    burstiness = 7.0 if kind == "poisson" else shape  # which a Poisson process ignores
    for seed in range(5):
        arrivals = Arrivals(kind=kind, rate=50, burstiness=burstiness, seed=seed)  # type: ignore[arg-type]
        offsets = arrivals.first(4000)
        gaps = [b - a for a, b in itertools.pairwise((0.0, *offsets))]
        expected = stats.gamma(shape, scale=1 / (50 * shape))
        assert stats.kstest(gaps, expected.cdf).pvalue > 0.001
        assert arrivals.first(4000) == offsets
    assert Arrivals(kind="poisson", seed=1).first(9) != Arrivals(kind="poisson", seed=2).first(9)


def test_bursts_and_traces() -> None:
    assert Arrivals(kind="burst").first(3) == [0, 0, 0]
    trace = Arrivals(kind="trace", offsets_s=(0.0, 0.5, 0.5, 2.0))
    assert trace.first(9) == [0.0, 0.5, 0.5, 2.0]
    assert trace.until(2.0) == [0.0, 0.5, 0.5]
    with pytest.raises(ValueError, match="burst"):
        Arrivals(kind="burst").until(1)
    for wrong in ({"rate": 0.0}, {"burstiness": 0.0}, {"offsets_s": (1.0, 0.5)}):
        with pytest.raises(ValueError, match="must"):
            Arrivals(kind="trace", **wrong)


def test_connections_are_estimated_from_the_densest_stretch() -> None:
    assert most_within([0, 0, 0], 0.0) == 3
    assert most_within([0, 1, 2, 2.5, 3, 9], 1.0) == 3
    assert most_within([], 1.0) == 0


# -- sending on it -----------------------------------------------------------------------


def test_constant_arrivals_are_even_as_meant_and_nearly_as_sent() -> None:
    with Oracle(FAST) as oracle:
        sent = load(offered(oracle, Arrivals(kind="constant", rate=10), 20))
    assert spread([r.intended_ns for r in sent]) < 1e-6
    gaps_ns = [b.sent_ns - a.sent_ns for a, b in itertools.pairwise(sent)]
    assert statistics.median(abs(gap - 1e8) for gap in gaps_ns) < 3e7


def test_poisson_arrivals_pass_a_ks_test() -> None:
    with Oracle(FAST) as oracle:
        sent = load(offered(oracle, Arrivals(kind="poisson", rate=150, seed=6), 300))
    # as its seed decides: a busy machine sends later, never sooner
    gaps = [(b.intended_ns - a.intended_ns) * 1e-9 for a, b in itertools.pairwise(sent)]
    assert all(request.sent_ns >= request.intended_ns for request in sent)
    assert stats.kstest(gaps, stats.expon(scale=1 / 150).cdf).pvalue > 0.01


def test_a_burst_goes_out_at_once_and_every_request_is_answered() -> None:
    with Oracle(Options(ttft_ms=300)) as oracle:
        result = offered(oracle, Arrivals(kind="burst"), 40)
        assert oracle.connections == 40
    sent = load(result)
    assert len({r.intended_ns for r in sent}) == 1
    assert max(r.sent_ns for r in sent) < min(r.first_ns or 0 for r in sent)
    assert [r.status for r in sent] == ["ok"] * 40
    assert len({r.stream for r in sent}) == 40
    assert sorted(r.prompt for r in sent) == list(range(2, 42))


def test_a_trace_is_replayed_at_its_offsets() -> None:
    offsets = (0.0, 0.05, 0.05, 0.3)
    with Oracle(FAST) as oracle:
        sent = load(offered(oracle, Arrivals(kind="trace", offsets_s=offsets), 99, warmup=0))
    began = sent[0].intended_ns
    assert [round((r.intended_ns - began) * 1e-9, 6) for r in sent] == list(offsets)
    assert all(0 <= r.sent_ns - r.intended_ns < 2e9 for r in sent)


def test_a_window_of_an_open_loop_closes_under_load() -> None:
    with Oracle(Options(ttft_ms=100)) as oracle:
        plan = LoadPlan(
            concurrency=2,
            window_s=0.5,
            discard_s=0.2,
            arrivals=Arrivals(kind="constant", rate=100),
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert [r.phase for r in result.requests].count("warmup") == 3
    sent = load(result)
    late_ns = max(r.sent_ns - r.intended_ns for r in sent)
    window_ns = result.end_ns - result.start_ns
    inside = [r for r in sent if result.start_ns <= r.intended_ns <= result.end_ns]
    assert window_ns - late_ns - 2e7 <= len(inside) * 1e7 <= window_ns + 1e7
    assert {r.status for r in sent} == {"ok", "cut"}
    # what was sent within the last 100 ms cannot have been answered
    assert {r.status for r in sent if r.sent_ns > result.end_ns - 90_000_000} <= {"cut"}
    assert result.discarded_ns >= 0.05e9  # of 0.2 s, less what held the first request up
    assert max(r.sent_ns for r in result.requests) <= result.end_ns


def test_a_short_trace_leaves_the_window_its_length() -> None:
    with Oracle(FAST) as oracle:
        plan = LoadPlan(
            concurrency=1,
            warmup_requests=0,
            window_s=0.4,
            discard_s=0.0,
            arrivals=Arrivals(kind="trace", offsets_s=(0.1, 0.2)),
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert result.end_ns - result.start_ns >= 0.39e9
    assert [r.status for r in result.requests] == ["ok", "ok"]


# -- what a stall looks like -------------------------------------------------------------


def test_a_stall_of_two_seconds_shows_from_the_intended_send() -> None:
    with Oracle(Options(ttft_ms=2, itl_ms=0, stall_at_s=0.5, stall_s=2.0)) as oracle:
        sent = load(offered(oracle, Arrivals(kind="constant", rate=40), 120, warmup=0))
    waits = [((r.first_ns or 0) - r.intended_ns) * 1e-9 for r in sent]
    assert {r.status for r in sent} == {"ok"}
    assert max(waits) > 1.8
    # 2 s at 40/s arrive during the stall and wait for its rest: 1 s in the mean
    assert sum(wait > 0.05 for wait in waits) >= 70
    assert min(waits) < 0.1


def test_requests_held_back_by_a_cap_keep_their_intended_time() -> None:
    with Oracle(Options(ttft_ms=2, itl_ms=0, stall_at_s=0.3, stall_s=1.0)) as oracle:
        sent = load(offered(oracle, Arrivals(kind="constant", rate=40), 60, warmup=0, cap=2))
    intended = [((r.first_ns or 0) - r.intended_ns) * 1e-9 for r in sent]
    actual = [((r.first_ns or 0) - r.sent_ns) * 1e-9 for r in sent]
    assert sum(wait > 0.1 for wait in actual) == 2
    assert sum(wait > 0.1 for wait in intended) > 25
    assert len({r.stream for r in sent}) == 2


def test_requests_never_sent_are_cut_and_not_lost() -> None:
    with Oracle(Options(ttft_ms=5000)) as oracle:
        plan = LoadPlan(
            concurrency=1,
            warmup_requests=0,
            window_s=0.4,
            discard_s=0.0,
            arrivals=Arrivals(kind="constant", rate=50),
            max_in_flight=3,
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert {r.status for r in result.requests} == {"cut"}
    assert len(result.requests) >= 19
    assert result.send_lag_p99_ms is not None
    assert result.send_lag_p99_ms > 200


def test_a_server_that_is_gone_ends_the_load() -> None:
    plan = LoadPlan(
        concurrency=1, window_s=20, discard_s=0.0, arrivals=Arrivals(kind="constant", rate=50)
    )
    with Oracle(FAST) as oracle:
        threading.Timer(0.5, oracle.stop).start()
        with pytest.raises(LaunchError, match="the server is gone"):
            drive(Target("127.0.0.1", oracle.port), source, plan)


def test_a_failing_source_is_not_swallowed() -> None:
    def fail(index: int) -> Body:
        if index == 5:
            raise RuntimeError("no more prompts")
        return source(index)

    plan = LoadPlan(concurrency=1, requests=20, arrivals=Arrivals(kind="burst"))
    with Oracle(FAST) as oracle:
        target = Target("127.0.0.1", oracle.port)
        with pytest.raises(RuntimeError, match="no more prompts"):
            drive(target, fail, plan)


# -- chat, keys, base paths, TLS ---------------------------------------------------------


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_chat_counts_reasoning_and_tool_calls_but_no_role(
    *, usage: bool, size: int, field: str
) -> None:
    options = Options(
        ttft_ms=100,
        itl_ms=1,
        token_ids=False,
        continuous_usage=usage,
        role_first=True,
        reasoning_tokens=3,
        reasoning_field=field,  # type: ignore[arg-type]
        tool_tokens=2,
        tokens_per_chunk=size,
    )
    with Oracle(options) as oracle:
        target = address.target_of(f"http://127.0.0.1:{oracle.port}", "chat")
        plan = LoadPlan(concurrency=1, warmup_requests=0, requests=2)
        result = drive(target, chat, plan)
    for request in result.requests:
        assert (request.status, request.output_tokens, request.input_tokens) == ("ok", 8, 2)
        assert request.chunks == -(-8 // size)
        assert request.tokens_from == ("usage" if usage else "none")
        assert (request.first_ns or 0) - request.sent_ns > 95e6  # not the role, after 50 ms


def test_a_key_a_header_and_a_base_path_reach_the_server() -> None:
    with Oracle(Options(api_key="k-123", base_path="/gate", ttft_ms=1)) as oracle:
        url = f"http://127.0.0.1:{oracle.port}/gate/v1"
        target = address.target_of(
            url,
            "completions",
            headers=["X-Team: light waves", "Host: gate.example"],
            api_key_env="KEY",
            environ={"KEY": "k-123\n"},
        )
        plan = LoadPlan(concurrency=1, warmup_requests=0, requests=1)
        (request,) = drive(target, source, plan).requests
        assert request.status == "ok"
        headers = oracle.truth[0].headers
        assert (headers["x-team"], headers["host"]) == ("light waves", "gate.example")
        assert headers["user-agent"].startswith("inferometer/")
        assert "authorization" not in headers
        assert target.head().lower().count(b"\nhost:") == 1
        assert "k-123" not in repr(target)
        keyless = address.target_of(url, "completions")
        (request,) = drive(keyless, source, plan).requests
        assert (request.http_status, request.status) == (401, "error")


def test_tls_is_checked_unless_told_otherwise(tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    line = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    line += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(pem)]
    done = subprocess.run(line, capture_output=True, check=True)
    pem.write_bytes(pem.read_bytes() + done.stdout)
    plan = LoadPlan(concurrency=2, warmup_requests=0, requests=4)
    with Oracle(Options(certificate=str(pem), ttft_ms=1)) as oracle:
        url = f"https://127.0.0.1:{oracle.port}"
        with pytest.raises(LaunchError, match="certificate verify failed"):
            drive(address.target_of(url, "completions"), source, plan)
        result = drive(address.target_of(url, "completions", insecure=True), source, plan)
    assert [r.status for r in result.requests] == ["ok"] * 4


@pytest.mark.parametrize(
    ("url", "endpoint", "expected"),
    [
        ("http://h:8000", "completions", ("h", 8000, "/v1/completions")),
        ("http://h/", "chat", ("h", 80, "/v1/chat/completions")),
        ("https://h/v1/", "chat", ("h", 443, "/v1/chat/completions")),
        ("https://h/a/b", "completions", ("h", 443, "/a/b/v1/completions")),
        ("https://h/a/v1/chat/completions", "chat", ("h", 443, "/a/v1/chat/completions")),
        ("http://[::1]:5/?v=2", "completions", ("::1", 5, "/v1/completions?v=2")),
    ],
)
def test_urls_become_targets(url: str, endpoint: str, expected: tuple[str, int, str]) -> None:
    target = address.target_of(url, endpoint)  # type: ignore[arg-type]
    assert (target.host, target.port, target.path) == expected
    assert (target.tls is not None) == url.startswith("https")
    if ":" in target.host:
        assert b"host: [::1]:5\r\n" in target.head()


@pytest.mark.parametrize(
    ("url", "header", "variable"),
    [
        ("host:8000", "", None),
        ("ftp://host", "", None),
        ("http://", "", None),
        ("http://h:99999", "", None),
        ("http://user:s3cret@h", "", None),
        ("http://h", "no colon", None),
        ("http://h", "a: b\r\nc: d", None),
        ("http://h", "Content-Length: 3", None),
        ("http://h", "", "ABSENT"),
        ("http://h", "", "BROKEN"),
    ],
)
def test_unusable_addresses_are_refused_without_repeating_secrets(
    url: str, header: str, variable: str | None
) -> None:
    with pytest.raises(UsageError) as info:
        address.target_of(
            url,
            "chat",
            headers=[header] if header else [],
            api_key_env=variable,
            environ={"BROKEN": "s3cret\r\nx: y"},
        )
    assert "s3cret" not in str(info.value)


def test_the_query_of_a_url_is_not_shown() -> None:
    assert address.shown("https://h/v1?key=s3cret") == "https://h/v1"


# -- ended early ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_load_ends_when_somebody_has_seen_enough(workers: int) -> None:
    looks: list[Progress] = []

    def enough(progress: Progress) -> bool:
        looks.append(progress)
        return len(looks) == 2

    plan = LoadPlan(
        concurrency=2,
        warmup_requests=2,
        discard_s=0.1,
        window_s=60,
        arrivals=Arrivals(kind="constant", rate=50),
        workers=workers,
        first_index=1000,
    )
    with Oracle(Options(ttft_ms=2, itl_ms=0)) as oracle:
        target = Target("127.0.0.1", oracle.port)
        result = drive(target, source, plan, Hooks(look_s=0.5, enough=enough))
    # looks were at 0.5 and 1 s; timers count whole ms and may end one sooner
    assert 0.99 <= (result.end_ns - result.start_ns) * 1e-9 < 10
    assert [look.workers for look in looks] == [workers] * 2
    told = [one.place for look in looks for one in look.ended]
    assert len(told) == len(set(told))  # each once
    stored = {row.index - 1000 for row in load(result)}
    assert set(told) <= stored
    assert len(told) >= 40  # of about 55
    assert {one.state for look in looks for one in look.ended} == {"ok"}
    assert all(one.output_tokens == TOKENS for look in looks for one in look.ended)
