"""Load hosts whose clocks are not known well enough; how many a target needs; what flags say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inferometer import cli
from inferometer.bench import figures, probe
from inferometer.bench.probe import Carried, Step
from inferometer.checks.evidence import Evidence
from inferometer.checks.hosts import host_clocks
from inferometer.errors import MachineError
from inferometer.load_records import LoadHost
from inferometer.loadgen.offer import LoadResult
from inferometer.records import Window

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000


def host(bound_ms: float, edge_ms: float = 0.0) -> LoadHost:
    return LoadHost(
        address="10.0.0.5:7433",
        workers=1,
        requests=1,
        offset_ms=0.0,
        bound_ms=bound_ms,
        drift_ppm=0.0,
        edge_ms=edge_ms,
        round_trip_ms=2 * bound_ms,
        client_cpu_s=0.1,
        loop_lag_p99_ms=0.1,
        send_lag_p99_ms=0.1,
    )


def seen(*hosts: LoadHost, seconds: int = 10) -> figures.Seen:
    result = LoadResult(
        requests=[],
        chunks=[],
        start_ns=0,
        end_ns=seconds * S,
        discarded_ns=0,
        client_cpu_s=0.1,
        loop_lag_p99_ms=0.1,
        send_lag_p99_ms=0.1,
        retries=0,
        load_hosts=list(hosts),
    )
    return figures.look(result, whole=False)


def test_figures_that_hang_on_clocks_which_are_not_known_are_not_told() -> None:
    assert figures.unsure(seen()) == []
    assert figures.unsure(seen(host(0.9), host(0.2))) == []
    late = figures.unsure(seen(host(0.2), host(1.1)))
    assert {"mean_ttft_ms", "p99_e2el_intended_ms"} < set(late)
    assert not set(late) & set(figures.THROUGHPUTS)
    assert set(figures.THROUGHPUTS) < set(figures.unsure(seen(host(26.0))))
    # 0.5 % of 10 s are 50 ms
    assert figures.unsure(seen(host(0.2, edge_ms=49.0))) == []
    assert figures.unsure(seen(host(0.2, edge_ms=-51.0))) == list(figures.THROUGHPUTS)


@pytest.mark.parametrize(
    ("hosts", "verdict"),
    [
        ([], None),
        ([host(0.3)], "pass"),
        ([host(0.3), host(1.2)], "fail"),
        ([host(0.3, 60)], "fail"),
    ],
)
def test_one_check_judges_the_clocks_of_all_hosts(
    hosts: list[LoadHost], verdict: str | None
) -> None:
    window = Window(
        load_point=0,
        workload="w",
        load="l",
        start_ns=0,
        end_ns=10 * S,
        discarded_ns=0,
        work_sha256="",
        prompts=1,
        client_cpu_s=0.0,
        loop_lag_p99_ms=None,
        send_lag_p99_ms=None,
        load_hosts=hosts,
    )
    found = host_clocks(Evidence(window=window, load=[]))
    assert (found and found.verdict) == verdict


# -- the probe -------------------------------------------------------------------------------


@pytest.mark.parametrize(("truth", "limit"), [(700, "client"), (5, "client"), (10**6, "search")])
def test_the_search_finds_what_is_carried_within_15_percent(truth: int, limit: str) -> None:
    def tried(streams: int) -> Step:
        return Step(streams, streams * 50.0, "" if streams <= truth else "loop lag 9 ms")

    steps: list[Step] = []
    best, ended = probe._search(tried, steps.append)
    assert ended == limit
    most = min(truth, probe.MOST)
    assert most / probe.WITHIN - 1 <= best.streams <= most
    assert best in steps


def test_an_oracle_that_cannot_send_more_is_the_limit_and_is_said_so() -> None:
    best, limit = probe._search(lambda n: Step(n, 1.0, probe.ORACLE if n > 64 else ""), print)
    assert (best.streams, limit) == (64, "oracle")
    with pytest.raises(MachineError, match="does not carry 16 streams: client cpu 99 %"):
        probe._search(lambda n: Step(n, 0.0, "client cpu 99 %"), print)


def test_hosts_are_counted_with_a_margin() -> None:
    known = {"stream_tok_s": 50.0, "apart": True}
    carried = Carried(200, 10_000.0, limit="client", processes=4, **known)  # type: ignore[arg-type]
    assert [carried.hosts(tok_s) for tok_s in (1.0, 32_000.0, 32_001.0)] == [1, 1, 2]


def test_the_probe_measures_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "FIRST", 2)
    monkeypatch.setattr(probe, "MOST", 2)
    monkeypatch.setattr(probe, "WINDOW_S", 0.5)
    monkeypatch.setattr(probe, "ANSWER_S", 0.1)
    monkeypatch.setattr(probe, "CLIENT", ())
    monkeypatch.setattr(probe, "DELIVERED", 0.0)
    told: list[Step] = []
    found = probe.probe(50.0, told.append)
    assert [step.streams for step in told] == [2]
    assert (found.streams, found.limit) == (2, "search")
    assert found.tok_s > 0


# -- flags -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["loadhost"], "no token"),
        (["loadhost", "--token-file", "SHORT"], "16 characters at least"),
        (["loadhost", "--token-file", "NONE"], "no token can be read"),
        (["loadhost", "--token-file", "GOOD", "--listen", "here"], "not of the form HOST:PORT"),
        (["loadhost", "--token-file", "GOOD", "--listen", "192.0.2.77:0"], "--listen 192.0.2.77:0"),
        (["loadhost", "--token-file", "GOOD", "--api-key-env", "NOT_SET"], "holds no key"),
        (["loadhost", "--target-tok-s", "9"], "are one target of --probe"),
        (["bench", "http://h", "--model", "m", "--load-hosts", "a:b"], "not of the form HOST:PORT"),
        (
            ["bench", "http://h", "--model", "m", "--load-hosts", "no=2"],
            "no way to start load hosts",
        ),
        (["bench", "http://h", "--model", "m", "--load-hosts", "ray=x"], "'x' is no number"),
    ],
)
def test_flags_that_cannot_be_right_say_so(
    line: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("INFEROMETER_LOAD_TOKEN", raising=False)
    (tmp_path / "GOOD").write_text("0123456789abcdef\n")
    (tmp_path / "SHORT").write_text("short\n")
    files = {name: str(tmp_path / name) for name in ("GOOD", "SHORT", "NONE")}
    assert cli.main([files.get(word, word) for word in line]) in {2, 6}
    assert says in capsys.readouterr().err
