"""A day of a fleet: nothing is lost or made, the same seed gives the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from inferometer_plugins.fleet import (
    OFFICE,
    ROUTERS,
    Bursts,
    Day,
    Failures,
    Fleet,
    Prefixes,
    RollingRestart,
    Router,
    Traffic,
    kernel,
    simulate,
)
from inferometer_plugins.simulator.laws import Hardware, Linear, Roofline, Sizes
from inferometer_plugins.simulator.loads import Uniform, Workload
from inferometer_plugins.simulator.model import REFERENCE, Params, Power

pytestmark = pytest.mark.timeout(600)  # whoever comes first compiles

ROOFLINE = Roofline(
    hardware=Hardware(flops_s=1e15, bytes_s=3.35e12, memory_bytes=80e9),
    sizes=Sizes(always_bytes=16e9, flops_per_token=16e9, kv_bytes_per_token=131_072),
)
TROUBLED = Fleet(
    params=replace(REFERENCE, kv_tokens=12_000, max_seqs=32),
    replicas=6,
    boot_s=20,
    boot_w=180,
    down_w=20,
    retries=1,
    cached_prefixes=5,
    failures=Failures(every_s=300, repair_s=20),
    restarts=RollingRestart(start_s=1800, at_once=2, drain_s=5),
)
BUSY = Traffic(
    requests_per_day=3e6,
    hourly=OFFICE,
    bursts=Bursts(factor=3, every_s=900, length_s=60),
    prefixes=Prefixes(count=20, share=0.5),
)
LENGTH_S = 4000.0
DIGEST = """
import hashlib
from tests.unit.fleet.test_fleet_day import TROUBLED, BUSY, replace, simulate
from inferometer_plugins.fleet import ROUTERS, RollingRestart
fleet = replace(TROUBLED, restarts=RollingRestart(start_s=60, at_once=3, drain_s=1))
for router in ROUTERS:
    day = simulate(replace(fleet, router=router), BUSY, seed=4, day_s=200)
    digest = hashlib.sha256()
    for part in (day.ttft_s, day.e2e_s, day.replica, day.made, day.joules, day.joules_by_bin):
        digest.update(part.tobytes())
    print(day.compiled, digest.hexdigest(), sorted(day.counts.items()))
"""


def digests(**env: str) -> list[list[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, **env},
        check=True,
        capture_output=True,
        text=True,
    )
    return [line.split(" ", 1) for line in ran.stdout.splitlines()]


def conserved(day: Day) -> None:
    counts, done = day.counts, day.outcome == 1
    summary = day.summary()
    assert summary.offered == summary.finished + summary.lost + summary.unfinished
    assert summary.retried == int(day.tries.sum())
    assert np.array_equal(day.made[done], day.output[done])
    assert counts["tokens_made"] == int(day.made.sum()) + counts["tokens_wasted"]
    assert np.all(day.made[day.outcome == 2] == 0)
    joules = float(day.joules.sum())
    assert float(day.joules_by_bin.sum()) == pytest.approx(joules, rel=1e-12)
    by_mode = (summary.idle_j, summary.busy_j, summary.booting_j, summary.down_j)
    assert sum(by_mode) == pytest.approx(joules, rel=1e-12)
    assert day.joules.sum(axis=0) == pytest.approx(day.joules_by_bin.sum(axis=0), rel=1e-11)
    assert day.seconds.sum(axis=1) == pytest.approx(day.day_s, rel=1e-12)
    assert summary.mean_w * day.day_s == pytest.approx(joules, rel=1e-12)
    assert np.all(day.ttft_s >= 0)
    assert np.all(day.e2e_s >= day.ttft_s)


@pytest.mark.parametrize("router", ROUTERS)
def test_requests_tokens_and_joules_are_conserved(router: Router) -> None:
    day = simulate(replace(TROUBLED, router=router), BUSY, seed=1, day_s=LENGTH_S)
    conserved(day)
    summary = day.summary()
    assert min(summary.lost, summary.unfinished, summary.retried, summary.preempted) > 0
    assert min(summary.failures, summary.restarts, summary.wasted_tokens) > 0
    assert 0 < summary.cache_hits < summary.cache_lookups
    # idle, busy, booting and down draw what was said of them
    idle, busy, booting, down = day.joules.sum(axis=0) / day.seconds.sum(axis=0)
    assert (idle, booting, down) == pytest.approx((250.0, 180.0, 20.0))
    assert 250 < busy < 750


def test_prompts_are_read_as_often_as_they_are_sent() -> None:
    fleet = Fleet(replicas=3, cached_prefixes=20)
    day = simulate(fleet, BUSY, seed=2, day_s=600)
    read = int(day.prompt[day.made > 0].sum() - day.cached[day.made > 0].sum())
    under_way = int(day.prompt[(day.made == 0)].sum())
    assert read <= day.counts["tokens_read"] <= read + under_way
    assert day.counts["hits"] == np.count_nonzero(day.cached)


def test_the_same_seed_gives_the_same_bytes_with_numba_and_without() -> None:
    compiled, plain = digests(), digests(NUMBA_DISABLE_JIT="1")
    assert {it[0] for it in compiled} == {"True"}
    assert {it[0] for it in plain} == {"False"}
    assert [it[1] for it in compiled] == [it[1] for it in plain]
    assert len({it[1] for it in compiled}) >= 3  # one queue or many: alike where none is long


def test_a_fleet_without_trouble_loses_nothing() -> None:
    day = simulate(Fleet(replicas=4), Traffic(requests_per_day=2e5), seed=3)
    summary = day.summary()
    conserved(day)
    assert (summary.lost, summary.retried, summary.wasted_tokens, summary.preempted) == (0, 0, 0, 0)
    assert summary.unfinished < 20
    assert abs(summary.offered - 2e5) < 5 * 2e5**0.5
    assert summary.j_per_output_token == summary.energy_j / summary.output_tokens


def test_lost_requests_are_infinitely_late() -> None:
    fleet = replace(TROUBLED, retries=0, failures=Failures(every_s=300))
    day = simulate(fleet, BUSY, seed=1, day_s=1200)
    assert day.summary().lost > 0.02 * len(day.at_s)
    assert day.percentiles("ttft", (0.5, 0.99))[1] == float("inf")
    assert day.percentiles("tpot", (0.999,)) == [float("inf")]


def test_all_replicas_restart_in_turn_and_nobody_is_lost() -> None:
    restarts = RollingRestart(start_s=1000, at_once=1, drain_s=600)
    fleet = Fleet(replicas=5, restarts=restarts, boot_s=100, boot_w=90)
    day = simulate(fleet, Traffic(requests_per_day=4e5), seed=5, day_s=3600)
    conserved(day)
    assert day.counts["restarts"] == 5
    assert day.counts["retried"] == 0
    assert day.seconds[:, 2] == pytest.approx(100.0)
    assert np.all(np.diff(day.serves_s) >= 100.0)  # one after the other
    assert day.joules[:, 2] == pytest.approx(9000.0)


def test_without_a_replica_in_service_requests_are_held() -> None:
    restarts = RollingRestart(start_s=600, at_once=1, drain_s=0)
    fleet = Fleet(replicas=1, restarts=restarts, boot_s=200)
    day = simulate(fleet, Traffic(requests_per_day=86_400), seed=6, day_s=1200)
    conserved(day)
    held = (day.at_s > 600) & (day.at_s < 800)
    assert np.all(day.ttft_s[held] > 800 - day.at_s[held])
    assert day.summary().queue_max >= np.count_nonzero(held)


def test_round_robin_goes_round() -> None:
    day = simulate(Fleet(replicas=7, router="round-robin"), Traffic(requests_per_day=9e4), seed=7)
    assert np.array_equal(day.replica, np.arange(len(day.at_s)) % 7)


def test_affinity_hits_more_than_the_fewest_in_flight() -> None:
    traffic = Traffic(requests_per_day=2e6, prefixes=Prefixes(count=200, zipf=0.5))
    hits = {
        router: simulate(
            Fleet(replicas=10, router=router, cached_prefixes=30), traffic, seed=8, day_s=1800
        ).counts["hits"]
        for router in ("least-loaded", "prefix-aware")
    }
    assert hits["prefix-aware"] > 3 * hits["least-loaded"]


def test_the_day_has_its_hours_and_its_bursts() -> None:
    still = simulate(Fleet(replicas=9), Traffic(requests_per_day=4e5, hourly=OFFICE), seed=9)
    per_hour = np.bincount((still.at_s // 3600).astype(int), minlength=24)
    assert per_hour == pytest.approx(4e5 / 24 * np.asarray(OFFICE), rel=0.08)
    watts = still.watts_by_hour()
    assert len(watts) == 24
    assert sum(mean for mean, _ in watts) / 24 == pytest.approx(still.summary().mean_w)
    assert all(peak >= mean for mean, peak in watts)
    bursts = Bursts(factor=5, every_s=600, length_s=60)
    burst = simulate(Fleet(replicas=9), Traffic(requests_per_day=4e5, bursts=bursts), seed=9)
    per_minute = np.bincount((burst.at_s // 60).astype(int), minlength=1440)
    assert per_minute.var() > 10 * per_minute.mean()  # 1 for a Poisson process
    assert len(burst.at_s) == pytest.approx(4e5, rel=0.15)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit in a cache of 500"):
        simulate(
            Fleet(params=replace(REFERENCE, kv_tokens=500)), Traffic(requests_per_day=1e5), seed=1
        )
    with pytest.raises(ValueError, match="leaves none for prompts"):
        simulate(Fleet(params=replace(REFERENCE, budget=256)), Traffic(requests_per_day=9), seed=1)
    for wrong in (
        lambda: Fleet(replicas=0),
        lambda: Fleet(router="psychic"),  # type: ignore[arg-type]
        lambda: Fleet(guard=0.5),
        lambda: Fleet(boot_s=-1),
        lambda: Failures(every_s=0),
        lambda: Traffic(requests_per_day=float("nan")),
        lambda: Traffic(requests_per_day=1, hourly=(1.0,) * 23),
        lambda: Traffic(requests_per_day=1, hourly=(0.0,) * 24),
        lambda: Prefixes(share=1.5),
    ):
        with pytest.raises(ValueError, match=r"fleet|failures|traffic|prefixes"):
            wrong()


def test_a_day_without_requests_is_idle() -> None:
    work = Workload(name="one", prompt=Uniform(8, 1), output=Uniform(1, 1))
    traffic = Traffic(requests_per_day=1e-9, workload=work)
    summary = simulate(Fleet(replicas=2), traffic, seed=1).summary()
    assert summary.offered == 0
    assert summary.energy_j == pytest.approx(2 * 250 * 86_400)
    assert np.isnan(summary.ttft_p99_s)


def test_whatever_is_asked_is_compiled_once() -> None:
    whole = Params(
        law=Linear(a_s=1, b_s=0, c_s=0, d_s=0),
        slowdown=1,
        power=Power(base_w=1, busy_w=2, prefill_w=3, batch_w=4),
    )
    fleet = replace(TROUBLED, params=whole, guard=2, boot_s=1, boot_w=1, down_w=1)
    simulate(fleet, replace(BUSY, prefixes=Prefixes(count=3, zipf=1, share=1)), seed=1, day_s=60)
    simulate(Fleet(params=Params(law=ROOFLINE)), BUSY, seed=1, day_s=60)
    assert len(getattr(kernel.run, "signatures", [()])) == 1
