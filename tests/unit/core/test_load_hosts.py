"""A load from several hosts is one load: on one schedule, stamped by one clock, by nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import random
import secrets
import socket
import threading
from typing import TYPE_CHECKING
from unittest.mock import Mock

import msgspec
import psutil
import pytest
from tests.load_hosts import TOKEN, load_host, why_not

from inferometer.bench.measure import measure
from inferometer.bench.options import Options as BenchOptions
from inferometer.errors import LaunchError, UsageError
from inferometer.loadgen import clocks, far, handshake
from inferometer.loadgen import host as serving_host
from inferometer.loadgen.arrivals import Arrivals
from inferometer.loadgen.channel import Channel, Seal
from inferometer.loadgen.clocks import Clock, Sight
from inferometer.loadgen.deal import far_workers
from inferometer.loadgen.driver import Body, Hooks, Host, LoadPlan, Target, drive
from inferometer.loadgen.handshake import LoadHostError
from inferometer.testing.oracle import Options, Oracle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.loadgen.driver import LoadResult

TOKENS = 6


def source(index: int) -> Body:
    request = {"prompt": [index, 1, 2], "max_tokens": TOKENS, "stream": True}
    return Body(msgspec.json.encode(request), index, 3, TOKENS)


def run(
    oracle: Oracle, hosts: tuple[Host, ...], hooks: Hooks | None = None, **plan: object
) -> LoadResult:
    settings = {"concurrency": 4, **plan}
    target = Target("127.0.0.1", oracle.port)
    return drive(target, source, LoadPlan(**settings), hooks, hosts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, ...]]:
    with load_host() as one, load_host() as other:
        yield one, other


# -- the clock -------------------------------------------------------------------------------


def test_the_offset_lies_within_half_the_least_round_trip() -> None:
    draw = random.Random(3)
    for offset in (0, 5_000_000, -7 * 10**12):
        sights = []
        for _ in range(50):
            there, back, t1 = draw.randrange(10**6), draw.randrange(10**6), draw.randrange(10**15)
            t2 = t1 + there + offset
            t3 = t2 + draw.randrange(10**5)
            sights.append(clocks.sight(t1, t2, t3, t3 - offset + back))
            assert abs(sights[-1].offset_ns - offset) <= sights[-1].slack_ns + 1
        best = clocks.best(sights)
        assert best.slack_ns == min(sight.slack_ns for sight in sights)


def test_stamps_of_a_clock_that_drifts_become_ours_and_theirs_again() -> None:
    clock = Clock(Sight(10**15, 5_000_000, 40_000), Sight(10**15 + 10**11, 7_000_000, 30_000))
    assert clock.drift == pytest.approx(20e-6)
    for ours in (10**15, 10**15 + 5 * 10**10, 10**15 + 10**11):
        assert abs(clock.ours(clock.theirs(ours)) - ours) <= 2
    assert clock.theirs(10**15 + 5 * 10**10) == 10**15 + 5 * 10**10 + 6_000_000
    assert clock.ours(0) == 0
    assert clock.bound_ns == 40_000


def test_an_exchange_that_contradicts_the_even_drift_widens_the_bound() -> None:
    ends = Sight(0, 0, 40_000), Sight(10**10, 0, 40_000)
    agreeing = Sight(5 * 10**9, 900_000, 1_000_000)
    assert Clock(*ends, (agreeing,)).bound_ns == 40_000
    stepped = Sight(5 * 10**9, 3_000_000, 1_000_000)
    assert Clock(*ends, (agreeing, stepped)).bound_ns == 2_040_000


@pytest.mark.parametrize("offset_ms", [5.0, -40_000.0])
def test_a_clock_that_is_off_is_found_and_taken_out(
    hosts: tuple[Host, ...], offset_ms: float
) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with (
        Oracle(Options(ttft_ms=10, itl_ms=2)) as oracle,
        load_host(offset_ns=round(offset_ms * 1e6)) as off,
    ):
        result = run(oracle, (hosts[0], off), requests=60)
        truth = sorted((t for t in oracle.truth), key=lambda t: t.arrived_ns)
    same, moved = result.load_hosts
    assert abs(same.offset_ms) <= same.bound_ms + 1e-6
    assert abs(moved.offset_ms - offset_ms) <= moved.bound_ms + 1e-6
    assert [host.requests for host in result.load_hosts] == [30, 30]
    # both stamps are of one clock now, so what is sent arrives, later, and is answered, later
    slack_ns = 2 + round(max(same.bound_ms, moved.bound_ms) * 1e6)
    sent = sorted(r.sent_ns for r in result.requests)
    first = sorted(r.first_ns or 0 for r in result.requests)
    assert all(ours <= t.arrived_ns + slack_ns for ours, t in zip(sent, truth, strict=True))
    written = sorted(t.writes[0][0] for t in truth)
    assert all(wrote <= ours + slack_ns for ours, wrote in zip(first, written, strict=True))


# -- the same load as from one ---------------------------------------------------------------


def test_a_number_of_requests_is_sent_once_each_with_the_bodies_of_one_process(
    hosts: tuple[Host, ...],
) -> None:
    with Oracle(Options(ttft_ms=2, itl_ms=1)) as oracle:
        alone = run(oracle, (), requests=31, first_index=100, load_point=3)
        both = run(oracle, hosts, requests=31, first_index=100, load_point=3)

    def facts(result: LoadResult) -> list[object]:
        return [
            (r.index, r.load_point, r.phase, r.prompt, r.status, r.output_tokens, r.output_sha256)
            for r in result.requests
        ]

    assert facts(alone) == facts(both)
    assert [chunk[:3] for chunk in alone.chunks] == [chunk[:3] for chunk in both.chunks]
    assert {r.stream for r in both.requests} == {0, 1, 2, 3}
    load = [r for r in both.requests if r.phase == "load"]
    assert both.end_ns == max(r.end_ns or 0 for r in load)
    assert both.start_ns <= min(r.sent_ns for r in load)
    assert both.sample[0].token_ids == alone.sample[0].token_ids
    assert (alone.load_hosts, both.workers) == ([], 2)
    assert [h.address for h in both.load_hosts] == [h.address for h in hosts]
    assert both.client_cpu_s == pytest.approx(sum(h.client_cpu_s for h in both.load_hosts))
    lags = [h.send_lag_p99_ms for h in both.load_hosts]
    assert both.send_lag_p99_ms == max(lag for lag in lags if lag is not None)


def test_an_open_loop_keeps_one_schedule_in_one_window(hosts: tuple[Host, ...]) -> None:
    arrivals = Arrivals(kind="poisson", rate=80, seed=4)
    with Oracle(Options(ttft_ms=2, itl_ms=0)) as oracle:
        result = run(
            oracle, hosts, concurrency=1, window_s=0.6, discard_s=0.2, arrivals=arrivals, workers=4
        )
    assert [host.workers for host in result.load_hosts] == [2, 2]
    assert result.end_ns - result.start_ns == 0.6e9
    load = [r for r in result.requests if r.phase == "load"]
    anchor_ns = result.start_ns - 200_000_000
    slack_ns = 2 + 1e6 * max(h.bound_ms + abs(h.edge_ms) for h in result.load_hosts)
    for request, offset in zip(load, arrivals.until(5.0), strict=False):
        assert abs(request.intended_ns - anchor_ns - round(offset * 1e9)) <= slack_ns
    assert {r.status for r in load} <= {"ok", "cut"}
    assert max(r.sent_ns for r in load) <= result.end_ns + slack_ns
    assert [r.index for r in load] == list(range(2, 2 + len(load)))


def test_the_same_number_of_workers_runs_on_each_host() -> None:
    assert far_workers(LoadPlan(concurrency=512), [8, 8]) == 2
    assert far_workers(LoadPlan(concurrency=512), [64, 4]) == 2
    assert far_workers(LoadPlan(concurrency=512), [64, 2]) == 1
    assert far_workers(LoadPlan(concurrency=9, workers=6), [2, 2, 2]) == 2
    assert far_workers(LoadPlan(concurrency=3, workers=6), [2, 2, 2]) == 1
    with pytest.raises(UsageError, match="3 load hosts for 2 requests at once"):
        far_workers(LoadPlan(concurrency=2), [2, 2, 2])


# -- strangers -------------------------------------------------------------------------------


def test_a_stranger_learns_nothing_and_ends_nothing(hosts: tuple[Host, ...]) -> None:
    name, _, port = hosts[0].address.rpartition(":")
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n" + bytes(200), bytes(80)):
        with socket.create_connection((name, int(port)), timeout=20) as end:
            heard = end.recv(1000)
            assert heard.startswith(handshake.MAGIC)
            end.sendall(said)
            if said:
                with contextlib.suppress(ConnectionResetError):  # it did not read all of it
                    assert end.recv(1000) == b""
    with Oracle(Options()) as oracle:
        wrong = Host(hosts[0].address, b"another token altogether")
        with pytest.raises(LaunchError, match="refused us") as info:
            run(oracle, (wrong, hosts[1]), requests=4)
        assert TOKEN not in repr(hosts[0]) + str(info.value)
        assert len(run(oracle, hosts, requests=4).requests) == 9


def test_somebody_who_only_answers_does_not_pass_for_a_load_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, Oracle(Options()) as oracle:

        def pretend() -> None:
            end, _ = listening.accept()
            with end:
                end.sendall(handshake.MAGIC + bytes(handshake.NONCE))
                end.recv(1000)
                end.sendall(bytes(500))

        thread = threading.Thread(target=pretend)
        thread.start()
        host = Host(f"127.0.0.1:{listening.getsockname()[1]}", TOKEN.encode())
        with pytest.raises(LaunchError, match="refused us"):
            run(oracle, (host,), requests=4)
        thread.join()


@pytest.mark.parametrize("how", ["changed", "repeated", "left out"])
def test_a_message_that_somebody_touched_ends_the_connection(how: str) -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        first, second = socket.socketpair()
        sender = await Channel.over(ours, Seal(out_key=b"a" * 32, in_key=b"b" * 32))
        receiver = await Channel.over(second, Seal(out_key=b"b" * 32, in_key=b"a" * 32))
        loop = asyncio.get_running_loop()
        theirs.setblocking(False)
        first.setblocking(False)
        messages = []
        for text in (b"one", b"two"):
            await sender.send(text)
            messages.append(await loop.sock_recv(theirs, 1000))
        touched = {
            "changed": [messages[0][:-1] + b"x"],
            "repeated": [messages[0], messages[0]],
            "left out": [messages[1]],
        }[how]
        for message in touched:
            await loop.sock_sendall(first, message)
        for _ in touched[:-1]:
            assert await receiver.receive() == b"one"
        with pytest.raises(ConnectionError, match="did not come from the other end"):
            await receiver.receive()
        for end in (theirs, first):
            end.close()
        sender.close()
        receiver.close()
        await asyncio.sleep(0)

    asyncio.run(talk())


# -- what goes wrong -------------------------------------------------------------------------


def test_a_host_that_is_lost_ends_the_load_and_leaves_no_figure(hosts: tuple[Host, ...]) -> None:
    told: list[LoadResult] = []
    began = threading.Event()
    with Oracle(Options(ttft_ms=4, itl_ms=2)) as oracle, load_host() as other:

        def kill() -> None:
            began.wait()
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # others of the family come and go
                    if other.address.rpartition(":")[2] in open_ports(child):
                        child.kill()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        hooks = Hooks(on_window_start=lambda _: began.set(), on_broken_off=told.append)
        with pytest.raises(LaunchError, match=f"load host {other.address} was lost") as info:
            run(oracle, (hosts[0], other), hooks, window_s=60.0, discard_s=0.0)
        thread.join()
    assert told == []
    assert info.value.hint


def open_ports(process: psutil.Process) -> set[str]:
    found = process.net_connections(kind="tcp")
    return {str(it.laddr.port) for it in found if it.status == psutil.CONN_LISTEN}


def test_who_cannot_send_the_load_is_named_before_anything_is_sent(
    hosts: tuple[Host, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Oracle(Options()) as oracle:
        with pytest.raises(LaunchError, match=r"127\.0\.0\.1:1 cannot be reached"):
            run(oracle, (Host("127.0.0.1:1", TOKEN.encode()),))
        with pytest.raises(LaunchError, match="is named twice"):
            run(oracle, (hosts[0], hosts[0]))
        with pytest.raises(UsageError, match="2 load hosts for 1 requests at once"):
            run(oracle, hosts, concurrency=1)
        with pytest.raises(UsageError, match=r"127\.0\.0\.1 is this machine here") as info:
            run(oracle, (Host("192.0.2.7:7433", TOKEN.encode()),))
        assert "Have the server listen" in info.value.hint
        with monkeypatch.context() as patch:
            patch.setattr(far, "__version__", "0.0.1")
            with pytest.raises(LaunchError, match=r"runs inferometer .*, this is 0\.0\.1"):
                run(oracle, hosts)
        assert oracle.truth == []


def test_a_host_sends_one_load_at_a_time(
    hosts: tuple[Host, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, enough = threading.Event(), threading.Event()
    stop = Hooks(
        on_window_start=lambda _: began.set(),
        should_stop=lambda: "enough" if enough.is_set() else None,
    )

    def first() -> None:
        with pytest.raises(LaunchError, match="enough"):
            run(oracle, hosts, stop, window_s=60.0, discard_s=0.0)

    with Oracle(Options()) as oracle:
        thread = threading.Thread(target=first)
        thread.start()
        began.wait()
        with pytest.raises(LaunchError, match="is sending another load"):
            run(oracle, hosts)
        enough.set()
        thread.join()
        assert len(run(oracle, hosts, requests=4).requests) == 9


def test_a_host_that_got_no_worker_started_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    serving = serving_host.LoadHost(TOKEN.encode(), told.append)
    monkeypatch.setattr(serving, "_worker", Mock(side_effect=OSError("no more processes")))

    async def met() -> list[bool]:
        with serving_host.listen("127.0.0.1", 0) as listening:
            task = asyncio.create_task(serving.serve(listening))
            where = Host(f"127.0.0.1:{listening.getsockname()[1]}", TOKEN.encode())
            busy = []
            for _ in range(2):
                link = await far._link(where, secrets.token_bytes(handshake.RUN))
                busy.append(link.hello.busy)
                with contextlib.suppress(ConnectionError):
                    await asyncio.get_running_loop().sock_recv(link.end, 1)  # it closes
                link.end.close()
            task.cancel()
            return busy

    assert asyncio.run(met()) == [False, False]
    assert not serving.running
    assert any("no more processes" in line for line in told)


def test_an_api_key_does_not_travel(hosts: tuple[Host, ...]) -> None:
    headers = {"authorization": "Bearer s3cret-key"}
    with Oracle(Options(api_key="s3cret-key")) as oracle:
        target = Target("127.0.0.1", oracle.port, headers=headers)
        plan = LoadPlan(concurrency=2, requests=4)
        with pytest.raises(LaunchError, match="has no API key, and keys do not travel"):
            drive(target, source, plan, None, hosts)
        with load_host(flags=["--api-key-env", "KEY"], variables={"KEY": "s3cret-key"}) as keyed:
            result = drive(target, source, plan, None, (keyed,))
            assert {r.status for r in result.requests} == {"ok"}
        with load_host(flags=["--api-key-env", "KEY"], variables={"KEY": "0ther-key"}) as keyed:
            with pytest.raises(LaunchError, match="401") as info:
                drive(target, source, plan, None, (keyed,))
            assert "0ther-key" not in str(info.value)


def test_a_bench_tells_its_hosts_and_blames_no_server_for_a_lost_one(
    hosts: tuple[Host, ...],
) -> None:
    with Oracle(Options(ttft_ms=2, itl_ms=1)) as oracle:
        url = f"http://127.0.0.1:{oracle.port}"
        asked = BenchOptions(
            url=url, model="m", concurrency=4, requests=40, output_tokens="6", seed=1
        )
        said = measure(dataclasses.replace(asked, load_hosts=hosts))
        nobody = Host("127.0.0.1:1", TOKEN.encode())
        with pytest.raises(LoadHostError, match=r"load host 127\.0\.0\.1:1 cannot be reached"):
            measure(dataclasses.replace(asked, load_hosts=(nobody,)))
    assert [host["requests"] for host in said["load_hosts"]] == [20, 20]
    assert said["completed"] == 40
    assert said["mean_ttft_ms"] is None or said["mean_ttft_ms"] > 0
    assert "host clocks" in {check["name"] for check in said["validity"]}


def test_every_index_is_there_once_when_a_window_is_cut(hosts: tuple[Host, ...]) -> None:
    with Oracle(Options(ttft_ms=5, itl_ms=3)) as oracle:
        result = run(oracle, hosts, window_s=0.5, discard_s=0.1)
    indices = [r.index for r in result.requests]
    assert indices == sorted(set(indices))
    assert {r.status for r in result.requests} == {"ok", "cut"}
    for stream in range(4):
        mine = [r for r in result.requests if r.stream == stream and r.phase == "load"]
        for before, after in itertools.pairwise(mine):
            assert after.intended_ns == before.end_ns
