"""Several worker processes send what one would, in one window, and never outlive their parent."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest
from tests.programs import until

from inferometer.errors import LaunchError
from inferometer.loadgen import address, remote
from inferometer.loadgen.arrivals import Arrivals
from inferometer.loadgen.deal import Dealer, Share, stock_size, worker_count
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, Target, drive
from inferometer.testing.oracle import Options, Oracle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.loadgen.driver import LoadResult

TOKENS = 6


def source(index: int) -> Body:
    request = {"prompt": [index, 1, 2], "max_tokens": TOKENS, "stream": True}
    return Body(msgspec.json.encode(request), index, 3, TOKENS)


def run(oracle: Oracle, hooks: Hooks | None = None, **plan: object) -> LoadResult:
    settings = {"concurrency": 4, "workers": 2, **plan}
    target = Target("127.0.0.1", oracle.port)
    return drive(target, source, LoadPlan(**settings), hooks)  # type: ignore[arg-type]


def children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [child for child in found if "inferometer.loadgen.worker" in child.cmdline()]


def when_working(do: object, *, count: int = 2) -> threading.Thread:
    """Call ``do`` with the workers once they are all there and busy."""

    def wait() -> None:
        while len(found := children()) < count:
            time.sleep(0.02)
        time.sleep(0.8)
        do(found)  # type: ignore[operator]

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    assert children() == []


# -- how many, and who sends what ------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "cores", "expected"),
    [
        (LoadPlan(concurrency=16), 64, 1),
        (LoadPlan(concurrency=128), 64, 1),
        (LoadPlan(concurrency=129), 64, 2),
        (LoadPlan(concurrency=512), 64, 4),
        (LoadPlan(concurrency=512), 8, 2),
        (LoadPlan(concurrency=512), 2, 1),
        (LoadPlan(concurrency=100_000), 512, 16),
        (LoadPlan(concurrency=512, workers=3), 2, 3),
        (LoadPlan(concurrency=2, workers=3), 2, 2),
        (LoadPlan(concurrency=2, arrivals=Arrivals(kind="poisson", rate=50)), 64, 1),
        (LoadPlan(concurrency=2, arrivals=Arrivals(kind="poisson", rate=101)), 64, 3),
        (LoadPlan(concurrency=2, requests=256, arrivals=Arrivals(kind="burst")), 64, 2),
        (
            LoadPlan(concurrency=2, max_in_flight=9, arrivals=Arrivals(kind="constant", rate=500)),
            64,
            1,
        ),
        (
            LoadPlan(
                concurrency=2, arrivals=Arrivals(kind="trace", offsets_s=tuple([0.5] * 60 + [9]))
            ),
            64,
            2,
        ),
    ],
)
def test_the_number_of_workers_follows_from_the_load_and_the_cores(
    plan: LoadPlan, cores: int, expected: int
) -> None:
    assert worker_count(plan, cores) == expected


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_requests_are_dealt_once_each_and_in_turn(workers: int, warmup: int) -> None:
    asked: list[int] = []

    def note(index: int) -> Body:
        asked.append(index)
        return source(index)

    plan = LoadPlan(concurrency=4, warmup_requests=warmup, requests=13)
    dealer = Dealer(note, plan, workers)
    shares: list[list[int]] = [[] for _ in range(workers)]
    for number, share in enumerate(shares):
        while (unit := dealer.next(number)) is not None:
            share += [index for index, _ in unit]
    assert asked == sorted(itertools.chain(*shares)) == list(range(warmup + 13))
    for number, share in enumerate(shares):
        assert [i - warmup for i in share if i >= warmup] == list(range(number, 13, workers))
    if warmup:
        assert shares[0][0] == 0


def test_a_dealer_stops_at_a_given_index_and_asks_for_nothing_beyond() -> None:
    asked: list[int] = []

    def note(index: int) -> Body:
        asked.append(index)
        return source(index)

    dealer = Dealer(note, LoadPlan(concurrency=1, warmup_requests=2))
    taken = [dealer.next(0, 2), dealer.next(0, 2), dealer.next(0, 2)]
    assert [unit and unit[0][0] for unit in taken] == [0, 1, None]
    assert asked == [0, 1]


def test_a_block_ends_at_its_bytes_with_one_request_at_least() -> None:
    body = Body(b"x" * 600, 0, 1, 1)
    dealer = Dealer(lambda _: body, LoadPlan(concurrency=1, warmup_requests=0, requests=4))
    assert [len(dealer.block(0, 9, 1000)[0]) for _ in range(3)] == [2, 2, 0]
    assert dealer.block(0, 9, 1000) == ([], True)


def test_a_worker_holds_the_requests_of_its_streams_or_its_next_seconds() -> None:
    assert stock_size(LoadPlan(concurrency=400), Share(0, 4)) == 200
    fast = Arrivals(kind="poisson", rate=1000)
    assert stock_size(LoadPlan(concurrency=1, arrivals=fast), Share(1, 4)) == 1000
    burst = LoadPlan(concurrency=1, requests=300, arrivals=Arrivals(kind="burst"))
    assert stock_size(burst, Share(0, 3)) == 100


# -- the same load as from one ---------------------------------------------------------------


def test_a_number_of_requests_is_sent_once_each_with_the_bodies_of_one_worker() -> None:
    with Oracle(Options(ttft_ms=2, itl_ms=1)) as oracle:
        alone = run(oracle, requests=31, workers=1, first_index=100, load_point=3)
        both = run(oracle, requests=31, first_index=100, load_point=3)
        prompts = [truth.prompt_tokens for truth in oracle.truth]
    assert (alone.workers, both.workers) == (1, 2)
    assert len(prompts) == 2 * 36

    def facts(result: LoadResult) -> list[object]:
        return [
            (r.index, r.load_point, r.phase, r.prompt, r.status, r.output_tokens, r.output_sha256)
            for r in result.requests
        ]

    assert facts(alone) == facts(both)
    assert [r.index for r in both.requests] == list(range(100, 136))
    assert [chunk[:3] for chunk in alone.chunks] == [chunk[:3] for chunk in both.chunks]
    assert {r.stream for r in both.requests} == {0, 1, 2, 3}
    load = [r for r in both.requests if r.phase == "load"]
    assert {(r.index - 105) % 2 == r.stream % 2 for r in load} == {True}
    assert both.end_ns == max(r.end_ns or 0 for r in load)
    assert both.start_ns <= min(r.sent_ns for r in load)
    warm = [r for r in both.requests if r.phase == "warmup"]
    assert (warm[0].end_ns or 0) <= min(r.sent_ns for r in both.requests[1:])
    assert max(r.end_ns or 0 for r in warm) <= both.start_ns
    assert both.client_cpu_s > 0
    assert [a.request.index for a in both.sample] == [a.request.index for a in alone.sample]
    assert both.sample[0].token_ids == alone.sample[0].token_ids


def test_the_window_is_one_for_all_and_closes_under_load() -> None:
    bounds: list[int] = []
    late: list[int] = []

    def note(t_ns: int) -> None:
        late.append(time.monotonic_ns() - t_ns)
        bounds.append(t_ns)

    with Oracle(Options(ttft_ms=5, itl_ms=5)) as oracle:
        hooks = Hooks(on_window_start=note, on_window_end=note)
        result = run(oracle, hooks, window_s=0.5, discard_s=0.1)
        sent = len(oracle.truth)
    assert bounds == [result.start_ns, result.end_ns]
    assert result.end_ns - result.start_ns == 0.5e9
    assert all(0 <= lag < 2e9 for lag in late)
    assert result.discarded_ns > 0
    assert sent == len(result.requests)
    indices = [r.index for r in result.requests]
    assert indices == sorted(set(indices))
    assert indices[:10] == list(range(10))
    cut = [r for r in result.requests if r.status == "cut"]
    assert len(cut) == len({r.stream for r in cut}) == 4
    assert {r.status for r in result.requests} == {"ok", "cut"}
    assert all(t_ns <= result.end_ns for _, _, _, t_ns in result.chunks)
    for stream in range(4):
        mine = [r for r in result.requests if r.stream == stream and r.phase == "load"]
        for before, after in itertools.pairwise(mine):
            assert after.intended_ns == before.end_ns


def test_an_open_loop_keeps_one_schedule() -> None:
    arrivals = Arrivals(kind="poisson", rate=80, seed=4)
    with Oracle(Options(ttft_ms=2, itl_ms=0)) as oracle:
        result = run(oracle, concurrency=1, requests=40, arrivals=arrivals)
    load = [r for r in result.requests if r.phase == "load"]
    anchor_ns = load[0].intended_ns - round(arrivals.first(1)[0] * 1e9)
    meant = [round(offset * 1e9) for offset in arrivals.first(40)]
    assert [r.intended_ns - anchor_ns for r in load] == meant
    assert {r.stream % 2 == (r.index - 2) % 2 for r in load} == {True}
    assert [r.status for r in result.requests] == ["ok"] * 42
    assert all(r.sent_ns >= r.intended_ns for r in load)


def test_an_open_window_is_cut_for_all() -> None:
    with Oracle(Options(ttft_ms=100)) as oracle:
        constant = Arrivals(kind="constant", rate=100)
        result = run(oracle, window_s=0.5, discard_s=0.2, arrivals=constant)
    late_ns = max(r.sent_ns - r.intended_ns for r in result.requests if r.phase == "load")
    window_ns = result.end_ns - result.start_ns
    inside = [r for r in result.requests if result.start_ns <= r.intended_ns <= result.end_ns]
    assert window_ns - late_ns - 2e7 <= len(inside) * 1e7 <= window_ns + 1e7
    assert max(r.sent_ns for r in result.requests) <= result.end_ns
    assert {r.status for r in result.requests} == {"ok", "cut"}


def test_a_forced_split_divides_the_cap() -> None:
    with Oracle(Options(ttft_ms=60)) as oracle:
        burst = Arrivals(kind="burst")
        result = run(oracle, concurrency=1, requests=12, arrivals=burst, max_in_flight=3)
    assert [r.status for r in result.requests] == ["ok"] * 14
    load = [r for r in result.requests if r.phase == "load"]
    for moment in (r.sent_ns for r in load):
        assert sum(r.sent_ns <= moment < (r.end_ns or 0) for r in load) <= 3


def test_keys_and_tls_reach_the_workers_but_not_their_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "both.pem"
    line = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    line += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(pem)]
    done = subprocess.run(line, capture_output=True, check=True)
    pem.write_bytes(pem.read_bytes() + done.stdout)
    seen: list[str] = []

    def look(found: list[psutil.Process]) -> None:
        seen.extend(f"{process.cmdline()} {process.environ()}" for process in found)

    options = Options(certificate=str(pem), api_key="s3cret-key", ttft_ms=300)
    with Oracle(options) as oracle:
        target = address.target_of(
            f"https://127.0.0.1:{oracle.port}",
            "completions",
            api_key_env="KEY",
            environ={"KEY": "s3cret-key"},
            insecure=True,
        )
        thread = when_working(look)
        plan = LoadPlan(concurrency=2, warmup_requests=2, requests=8, workers=2)
        result = drive(target, source, plan)
        thread.join()
    assert [r.status for r in result.requests] == ["ok"] * 10
    assert len(seen) == 2
    assert "s3cret-key" not in "".join(seen)


# -- what goes wrong -------------------------------------------------------------------------


def test_nobody_listening_says_the_same_as_with_one() -> None:
    with pytest.raises(LaunchError, match=r"127\.0\.0\.1:1: the server is gone") as info:
        drive(Target("127.0.0.1", 1), source, LoadPlan(concurrency=2, workers=2))
    assert (info.value.reason, info.value.stage) == ("failed", "serve")
    assert "engine's log" in info.value.hint


def test_a_server_that_dies_or_refuses_says_the_same_as_with_one() -> None:
    with Oracle(Options()) as oracle:
        began = threading.Event()

        def stop() -> None:
            began.wait()
            oracle.stop()

        thread = threading.Thread(target=stop, daemon=True)
        thread.start()
        hooks = Hooks(on_window_start=lambda _: began.set())
        with pytest.raises(LaunchError, match="the server is gone"):
            run(oracle, hooks, window_s=30, discard_s=0.0)
        thread.join()
    with (
        Oracle(Options(fault="400")) as oracle,
        pytest.raises(LaunchError, match="every one of 5 warm-up requests failed: HTTP 400"),
    ):
        run(oracle, window_s=1)


def test_should_stop_a_failing_source_and_a_failing_hook_end_all_workers() -> None:
    def fail(index: int) -> Body:
        if index == 7:
            raise RuntimeError("no more prompts")
        return source(index)

    def hook(_: int) -> None:
        raise RuntimeError("no meter")

    with Oracle(Options()) as oracle:
        with pytest.raises(LaunchError, match="exit code 9"):
            run(oracle, Hooks(should_stop=lambda: "exit code 9"), window_s=30)
        with pytest.raises(RuntimeError, match="no more prompts"):
            drive(Target("127.0.0.1", oracle.port), fail, LoadPlan(concurrency=2, workers=2))
        with pytest.raises(RuntimeError, match="no meter"):
            run(oracle, Hooks(on_window_start=hook), window_s=30, discard_s=0.0)


def test_a_worker_that_dies_is_named() -> None:
    with Oracle(Options()) as oracle:
        thread = when_working(lambda found: found[1].kill())
        with pytest.raises(
            LaunchError, match=r"load worker \d of 2 was killed by signal 9"
        ) as info:
            run(oracle, window_s=30)
        thread.join()
    assert info.value.hint


def test_a_worker_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "HANG_S", 3.0)
    with Oracle(Options()) as oracle:
        thread = when_working(lambda found: found[0].suspend())
        with pytest.raises(
            LaunchError, match=r"load worker \d of 2 hangs: no sign of life for 3 s"
        ):
            run(oracle, window_s=60)
        thread.join()


def test_a_worker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        Oracle(Options()) as oracle,
        pytest.raises(LaunchError, match=r"load worker \d of 2 exited with code 1"),
    ):
        run(oracle, requests=1)


def test_a_worker_that_raises_shows_where() -> None:
    with (
        Oracle(Options()) as oracle,
        pytest.raises(LaunchError, match=r"load worker \d of 2 failed: ValueError") as info,
    ):
        run(oracle, window_s=0.2, request_timeout_s=float("nan"))
    assert any("closed.py" in line for line in info.value.log_tail)


def test_control_c_ends_all() -> None:
    with Oracle(Options(itl_ms=5000)) as oracle:
        thread = when_working(lambda _: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run(oracle)
        thread.join()


@pytest.mark.parametrize("plan", [{"window_s": 60.0}, {"requests": 100_000}])
@pytest.mark.parametrize("how", ["server", "control-c"])
def test_a_load_that_is_broken_off_is_told_by_all_workers(how: str, plan: dict[str, float]) -> None:
    told: list[LoadResult] = []
    began = threading.Event()
    with Oracle(Options(ttft_ms=4, itl_ms=2)) as oracle:

        def end() -> None:
            began.wait()
            time.sleep(0.5)
            until(lambda: sum(truth.outcome == "ok" for truth in oracle.truth) > 40, 60)
            if how == "server":
                oracle.stop()
            else:
                os.kill(os.getpid(), signal.SIGINT)

        hooks = Hooks(on_window_start=lambda _: began.set(), on_broken_off=told.append)
        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        with pytest.raises(LaunchError if how == "server" else KeyboardInterrupt):
            run(oracle, hooks, discard_s=0.0, **plan)
        thread.join()
        ended = sum(truth.outcome == "ok" for truth in oracle.truth)
    (result,) = told
    load = [r for r in result.requests if r.phase == "load"]
    done = [r for r in load if r.status == "ok"]
    assert {r.stream for r in done} == {0, 1, 2, 3}
    assert ended - 4 <= sum(r.status == "ok" for r in result.requests) <= ended
    assert len({r.index for r in load}) == len(load)
    assert sum(r.output_tokens or 0 for r in done) == TOKENS * len(done) > 0
    assert result.workers == 2
    assert sum(result.start_ns < (r.last_ns or 0) < result.end_ns for r in done) > 4


def test_a_load_that_lost_a_worker_is_not_told() -> None:
    told: list[LoadResult] = []
    with Oracle(Options()) as oracle:
        thread = when_working(lambda found: found[1].kill())
        with pytest.raises(LaunchError, match="killed by signal 9"):
            run(oracle, Hooks(on_broken_off=told.append), window_s=60.0, discard_s=0.0)
        thread.join()
    assert told == []


PARENT = """
import sys
from inferometer.loadgen.driver import Body, LoadPlan, Target, drive
body = Body(b'{"prompt": [1, 2], "max_tokens": 4, "stream": true}', 0, 2, 4)
drive(Target("127.0.0.1", int(sys.argv[1])), lambda _: body,
      LoadPlan(concurrency=2, workers=2, window_s=600))
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_no_worker_outlives_a_killed_parent(*, stopped: bool) -> None:
    with Oracle(Options()) as oracle:
        parent = psutil.Popen([sys.executable, "-c", PARENT, str(oracle.port)])
        try:
            while len(oracle.truth) < 5:
                time.sleep(0.02)
            workers = parent.children()
            assert len(workers) == 2
            if stopped:  # as if it were deep in something else
                workers[0].suspend()
        finally:
            parent.kill()
            parent.wait()
        gone, alive = psutil.wait_procs(workers, timeout=20)
        assert (len(gone), alive) == (2, [])
