"""What a plan will take: from the protocol, from past launches, from assumptions; on N machines."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from inferometer import plan as plans
from inferometer import stats
from inferometer.errors import UsageError
from inferometer.forecast import bill, past, seen
from inferometer.forecast.budget import Budget, parse, used
from inferometer.forecast.estimate import forecast
from inferometer.forecast.parts import Machine
from inferometer.forecast.past import Past
from inferometer.forecast.values import FEW, Span, merged, spread
from inferometer.journal_records import Event, Figure
from inferometer.prices import Listed, Quote
from inferometer.records import LaunchRecord, Window
from inferometer.store import Store
from inferometer.study import parse as parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.forecast.values import Forecast, Part
    from inferometer.plan import Launch
    from inferometer.study import Study

S = 1_000_000_000
CPU, GPU = Machine(), Machine(accelerator="cuda", soak_s=20.0)
HERE, ELSEWHERE = "a" * 64, "b" * 64
STUDY = """name = "s"
[protocol]
rounds = {rounds}
{protocol}
{tables}
[[engines]]
name = "vllm"
{engine}
[[models]]
name = "m"
packaged = "m"
[[workloads]]
name = "w"
input_tokens = 8
output_tokens = 8
{loads}
"""


def study(
    *,
    rounds: int = 4,
    protocol: str = "window_s = 60\ndiscard_s = 10",
    loads: Sequence[int] = (1,),
    tables: str = "",
    engine: str = "",
) -> Study:
    entries = "".join(f"\n[[loads]]\nconcurrency = {load}" for load in loads)
    text = STUDY.format(
        rounds=rounds, protocol=protocol, tables=tables, engine=engine, loads=entries
    )
    return parsed(text, "s.toml")


def named(found: Forecast, name: str) -> Part:
    (part,) = (it for it in found.parts if it.name == name)
    return part


# -- without a past ------------------------------------------------------------------------


def test_what_nobody_knows_is_assumed_and_said() -> None:
    found = forecast(study(loads=(1, 2)), CPU, Past())
    # 4 launches of 60 s and two points of 10 + 10 + 60 s, and one probe of 20 s
    assert found.seconds.expected == 4 * (60 + 2 * 80) + 20
    assert found.seconds.low == 4 * (10 + 2 * 70.5) + 1
    assert found.seconds.high == 4 * (300 + 2 * 130) + 120
    assert named(found, "start and stop").kind == "estimated"
    assert named(found, "start and stop").basis == "no past run of vllm on m; 60 s assumed"
    window = named(found, "window")
    assert (window.kind, window.basis) == ("declared", "protocol.window_s = 60")
    assert window.seconds == Span(480, 480, 480)
    assert found.wall == found.seconds


def test_parts_are_added_up_launch_by_launch() -> None:
    found = forecast(study(), GPU, Past())
    for launch in found.launches:
        assert launch.seconds.expected == sum(part.seconds.expected for part in launch.parts)
    assert found.seconds.expected == sum(part.seconds.expected for part in found.parts)
    assert merged(found.parts) == found.parts


def test_an_unset_window_is_between_the_shortest_and_the_longest() -> None:
    found = forecast(study(rounds=1, protocol="probe = false"), CPU, Past())
    assert named(found, "window").seconds == Span(60, 60, 300)
    assert named(found, "discard").seconds == Span(20, 20, 60)
    assert named(found, "window").kind == "estimated"


def test_an_accelerator_adds_soak_and_cooling_but_for_each_rounds_first_launch() -> None:
    two = study(rounds=1, tables='[[engines]]\nname = "sglang"')
    found = forecast(two, GPU, Past())
    assert named(found, "cooling down").seconds == Span(0, 10, 60)
    assert {part.name for part in found.launches[0].parts}.isdisjoint({"cooling down"})
    soaks = [part for part in found.parts if part.name == "soak"]
    assert [part.seconds for part in soaks] == [Span(20, 20, 120)] * 2
    off = study(protocol="soak_s = 0")
    names = {it.name for it in forecast(off, replaced(GPU, soak_s=0.0), Past()).parts}
    assert names.isdisjoint({"soak", "cooling down"})


def replaced(machine: Machine, **changes: Any) -> Machine:
    from dataclasses import replace as with_fields  # noqa: PLC0415 -- the other one is of structs

    return with_fields(machine, **changes)


def test_a_server_that_is_there_is_not_started_and_rests_once() -> None:
    served = study(rounds=1, engine='url = "http://127.0.0.1:1"')
    found = forecast(served, replaced(CPU, idle_s=10.0), Past())
    assert named(found, "start and stop").seconds.expected == 1
    assert named(found, "without load").seconds.expected == 12  # 10 s, and 2 before it
    own = forecast(study(rounds=1), replaced(CPU, idle_s=10.0), Past())
    assert named(own, "without load").seconds.expected == 24


def test_a_stand_in_loads_nothing() -> None:
    found = forecast(study(rounds=1), replaced(CPU, stand_ins=frozenset({"vllm"})), Past())
    assert named(found, "start and stop").seconds.expected == 3


def test_searches_for_settings_and_for_capacity_count() -> None:
    tuned = study(tables="[tuning]\ntrials = 6", engine='profile = "tuned"')
    found = named(forecast(tuned, CPU, Past()), "trials")
    assert found.seconds.expected == 6 * (60 + 80)
    assert found.seconds.low == 10 + 70.5
    brief = study(tables="[tuning]\nminutes = 5", engine='profile = "tuned"')
    # a trial that began before the end is finished
    assert named(forecast(brief, CPU, Past()), "trials").seconds.expected == 300 + 140
    slo = "[slo]\nttft_ms = 500\n[capacity]\nlow = 1\nhigh = 9\nminutes = 10\nrounds = 2"
    searched = named(forecast(study(tables=slo), CPU, Past()), "capacity")
    assert searched.seconds == Span(2 * 150, 2 * 600, 2 * 800)


def test_a_sequential_study_may_end_after_its_first_look() -> None:
    found = forecast(study(rounds=8, tables="[sequential]"), CPU, Past())
    assert (found.rounds.low, found.rounds.expected, found.rounds.high) == (3, 8, 8)
    assert found.seconds.low == 3 * (10 + 70.5) + 1 + 1  # three rounds, a probe, a look
    assert found.seconds.expected == 8 * 140 + 20 + 6 * 4


def test_earlier_results_let_it_end_after_two(tmp_path: Path) -> None:
    asked = study(rounds=8, tables=f'[sequential]\nearlier = ["{tmp_path}"]')
    found = forecast(asked, CPU, Past())
    assert found.rounds.low == 2
    assert named(found, "looks").seconds == Span(1 * 1, 7 * 4, 7 * 30)


def test_minutes_of_a_sequential_study_hold_whole_rounds() -> None:
    for minutes, held in ((160 / 60, 1), (299 / 60, 1), (300 / 60, 2), (100, 8), (0.1, 1)):
        asked = study(rounds=8, tables=f"[sequential]\nminutes = {minutes}")
        assert forecast(asked, CPU, Past()).rounds.expected == held


def test_minutes_of_a_sequential_study_are_its_most() -> None:
    asked = study(
        rounds=8,
        protocol="window_s = 60\ndiscard_s = 10\nprobe = false",
        tables="[sequential]\nminutes = 20",
    )
    found = forecast(asked, CPU, Past())
    # eight rounds of 140 s are expected to fit into 1,200 s; at 430 s each fewer would
    assert found.rounds.expected == 8
    # and a look behind each round, for any of them may be the last that fits
    assert found.seconds.high == pytest.approx(1200 + 8 * 30)
    assert found.wall.high == found.seconds.high


def test_parallel_launches_occupy_gpus_by_the_hour() -> None:
    wide = study(engine="tensor_parallel_size = 4\ndata_parallel_size = 2", protocol="probe=false")
    found = forecast(wide, GPU, Past())
    assert {launch.gpus for launch in found.launches} == {8}
    assert found.gpu_hours.expected == pytest.approx(found.seconds.expected * 8 / 3600)
    assert forecast(wide, CPU, Past()).gpu_hours == Span(0, 0, 0)


@pytest.mark.parametrize(
    ("rounds", "machines", "units"),
    [(4, 1, 4), (4, 2, 2), (4, 3, 2), (5, 2, 3), (5, 3, 2), (1, 9, 1)],
)
def test_mirrored_rounds_stay_together_on_one_machine(
    rounds: int, machines: int, units: int
) -> None:
    even = study(rounds=rounds, protocol="window_s = 60\ndiscard_s = 10\nprobe = false")
    found = forecast(even, CPU, Past(), machines)
    assert found.wall.expected == units * 140
    assert found.seconds.expected == rounds * 140


@pytest.mark.parametrize(
    ("protocol", "tables", "units"),
    [
        ("window_s = 60", "", 4),
        ("", "", 1 + 4),  # the first round decides on the windows, alone
        ("window_s = 60", "[sequential]", 2 + 5),  # looked at behind the third and each later one
        ("window_s = 60", '[sequential]\nearlier = ["x"]', 2 + 6),
        ("window_s = 60", "[sequential]\nminutes = 1000", 8),
    ],
)
def test_rounds_that_wait_for_others_are_made_one_by_one(
    protocol: str, tables: str, units: int
) -> None:
    text = f"discard_s = 10\nprobe = false\n{protocol}"
    found = forecast(study(rounds=8, protocol=text, tables=tables), CPU, Past(), 2)
    looks = sum(part.seconds.expected for part in found.parts if part.name == "looks")
    assert found.wall.expected - looks == units * 140


# -- from past launches --------------------------------------------------------------------


def made(folder: Path, study_: Study, *, host: str = HERE, start_s: float = 30.0) -> Store:
    """Write results in which each launch took: start, 2 s before each load (and a probe of 7 s
    in the first round), 1 s discarded, 5 s of window, 3 s to the end."""
    plan = plans.expand(study_)
    store = Store(folder)
    folder.mkdir()
    (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
    (folder / "study.toml").write_text("")
    for launch in plan.launches:
        record = recorded(launch, plan.sha256, host=host, start_s=start_s)
        place = store.folder(launch.id)
        place.mkdir(parents=True)
        (place / "launch.json").write_bytes(msgspec.json.encode(record))
    return store


def recorded(launch: Launch, sha256: str, *, host: str, start_s: float) -> LaunchRecord:
    now_s, windows = 1000.0 * (launch.position + 1), []
    began_s = now_s
    now_s += start_s + (7 if launch.round == 0 else 0)
    for point in launch.points:
        now_s += 2 + 1
        windows.append(
            Window(
                load_point=point.index,
                workload=point.workload.name,
                load=point.label,
                start_ns=round(now_s * S),
                end_ns=round((now_s + 5) * S),
                discarded_ns=S,
                residence_s=8.0,
                work_sha256="",
                prompts=1,
                client_cpu_s=0.0,
                loop_lag_p99_ms=None,
                send_lag_p99_ms=None,
            )
        )
        now_s += 5
    return LaunchRecord(
        id=launch.id,
        plan_sha256=sha256,
        round=launch.round,
        position=launch.position,
        stack={"id": launch.stack},
        model={"name": launch.model.name},
        status="ok",
        started_ns=round(began_s * S),
        ended_ns=round((now_s + 3) * S),
        ready_s=start_s,
        windows=windows,
        host_sha256=host,
    )


def test_past_launches_say_how_long_each_part_takes(tmp_path: Path) -> None:
    known = past.read([made(tmp_path / "r", study(loads=(1, 2)))], HERE)
    found = forecast(study(rounds=2, loads=(1, 2)), CPU, known)
    start = named(found, "start and stop")
    assert (start.seconds, start.kind) == (Span(66, 66, 66), "derived")
    assert start.basis == "4 past launches of vllm on m"
    assert named(found, "probe").seconds == Span(3.5, 7, 14)  # seen once: half to twice
    assert named(found, "warm-up").seconds == Span(8, 8, 8)
    assert found.seconds.expected == 2 * (33 + 2 * (2 + 10 + 60)) + 7


def test_past_requests_say_how_long_a_window_is(tmp_path: Path) -> None:
    known = past.read([made(tmp_path / "r", study())], HERE)
    found = forecast(study(rounds=1, protocol="probe = false"), CPU, known)
    window, discard = named(found, "window"), named(found, "discard")
    assert window.seconds == Span(92, 92, 92)  # ten requests of 8 s and 15 %
    assert (discard.seconds.expected, discard.kind) == (20, "derived")
    assert window.basis == "ten requests long, as in 4 past launches of vllm on m"


def test_a_load_point_that_was_never_seen_takes_as_long_as_others(tmp_path: Path) -> None:
    known = past.read([made(tmp_path / "r", study(loads=(1,)))], HERE)
    found = forecast(study(rounds=1, loads=(64,), protocol="probe = false"), CPU, known)
    assert named(found, "warm-up").seconds.expected == 2
    assert named(found, "warm-up").basis == "4 past launches of vllm on m"
    assert named(found, "window").kind == "estimated"


def test_the_likest_past_launches_are_asked_first(tmp_path: Path) -> None:
    eager = study(engine="graphs = false")
    stores = [
        made(tmp_path / "here-eager", eager, start_s=20),
        made(tmp_path / "away", study(), host=ELSEWHERE, start_s=40),
        made(tmp_path / "away-eager", eager, host=ELSEWHERE, start_s=80),
    ]

    def start_of(asked: Study, *known: Store) -> tuple[float, str]:
        part = named(forecast(asked, CPU, past.read(known, HERE)), "start and stop")
        return part.seconds.expected / 4, part.basis

    assert start_of(eager, *stores) == (23, "4 past launches of vllm on m")
    text = "4 past launches of vllm on m, with other settings"
    assert start_of(study(), *stores) == (23, text)
    text = "4 past launches of vllm on m, on another machine"
    assert start_of(study(), *stores[1:]) == (43, text)
    assert start_of(study(), stores[2]) == (
        83,
        f"{text.split(',')[0]}, with other settings, on another machine",
    )


def test_a_launch_in_two_directories_counts_once_and_damage_counts_not(tmp_path: Path) -> None:
    store = made(tmp_path / "r", study())
    assert len(past.read([store, store], HERE).launches) == 4
    for path in store.root.glob("launches/*/launch.json"):
        record = msgspec.json.decode(path.read_bytes(), type=LaunchRecord)
        path.write_bytes(msgspec.json.encode(replace(record, ready_s=-5.0)))
    known = past.read([store], HERE)
    assert named(forecast(study(), CPU, known), "start and stop").kind == "estimated"


def test_starts_of_an_engine_say_nothing_of_a_server_that_is_there(tmp_path: Path) -> None:
    known = past.read([made(tmp_path / "r", study())], HERE)
    served = study(rounds=1, engine='url = "http://127.0.0.1:1"')
    start = named(forecast(served, CPU, known), "start and stop")
    assert (start.seconds.expected, start.kind) == (1, "estimated")
    assert start.basis == "a server that is there already; 1 s assumed"


def test_what_past_runs_do_not_tell_is_not_called_no_past_run(tmp_path: Path) -> None:
    unprobed = study(protocol="window_s = 60\ndiscard_s = 10\nprobe = false")
    known = past.read([made(tmp_path / "r", unprobed)], HERE)
    probe = named(forecast(study(), CPU, known), "probe")
    words = "past runs of vllm on m do not tell; 20 s assumed in the first round"
    assert (probe.kind, probe.basis) == ("estimated", words)


def test_a_first_round_that_was_quicker_tells_a_short_probe(tmp_path: Path) -> None:
    store = made(tmp_path / "r", study())
    path = store.folder(store.plan().launches[0].id) / "launch.json"
    record = msgspec.json.decode(path.read_bytes(), type=LaunchRecord)
    later = replace(record, started_ns=record.started_ns + 8 * S)  # its probe took 7 s
    path.write_bytes(msgspec.json.encode(later))
    probe = named(forecast(study(), CPU, past.read([store], HERE)), "probe")
    assert (probe.seconds.expected, probe.kind) == (0, "derived")


def test_another_model_of_the_same_name_says_nothing(tmp_path: Path) -> None:
    known = past.read([made(tmp_path / "r", study())], HERE)
    other = study()
    model = replace(other.models[0], packaged=None, path="/elsewhere")
    found = forecast(replace(other, models=(model,)), CPU, known)
    assert {part.kind for part in found.parts} == {"estimated", "declared"}


def test_few_values_are_widened_and_more_are_not() -> None:
    assert FEW == 3
    assert spread([10.0]) == Span(5, 10, 20)
    assert spread([10.0, 20.0]) == Span(5, 15, 40)
    assert spread([10.0, 20.0, 30.0]) == Span(10, 20, 30)


def test_rates_seen_in_past_windows_say_how_launches_differ(tmp_path: Path) -> None:
    store = made(tmp_path / "r", study())
    ids = [launch.id for launch in store.plan().launches]
    seen_ = zip([*ids, ids[0], "gone"], (100.0, 102.0, 100.0, 102.0, -1.0, 1.0), strict=True)
    figures = [
        Figure(
            launch=launch,
            stack="vllm",
            model="m",
            workload="w",
            load="1 streams",
            seconds=5,
            output_tps=rate,
        )
        for launch, rate in seen_
    ]
    events = [Event(t_ns=1, what="measured", figure=figure) for figure in figures]
    events.append(Event(t_ns=2, what="note", text="no figure"))
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    (store.root / "events.jsonl").write_bytes(lines)
    known = past.read([store], HERE)
    assert known.launch_sd() == pytest.approx(0.0114, abs=1e-4)
    given = store.launches()

    def remade(place: int, **changes: Any) -> None:
        record = replace(given[place], **changes)
        path = store.folder(record.id) / "launch.json"
        path.write_bytes(msgspec.json.encode(record))

    for place in range(4):  # each node has launches of its own rate: only those of one differ
        remade(place, node=f"node-{1 + place % 2}")
    assert past.read([store], HERE).launch_sd() == pytest.approx(0.0, abs=1e-9)
    for place in range(4):
        remade(place, environment={"kind": "simulated"})
    simulated = past.read([store], HERE)
    assert simulated.launch_sd() is None
    assert simulated.launch_sd(simulated=True) == known.launch_sd()
    for place in range(4):
        remade(place, environment={"url": "http://127.0.0.1:1"})
    assert past.read([store], HERE).launch_sd() is None
    assert Past().launch_sd() is None
    assert Past(spreads=(past.Scatter(1e9, 3.0),)).launch_sd() == 1


# -- what it costs -------------------------------------------------------------------------

DAY = dt.date(2026, 11, 1)
QUOTE = Quote(
    id="x",
    gpu="H100",
    per_gpu_hour=4.0,
    contract="on-demand",
    discount=0.25,
    region="r",
    source="s",
    date="2026-01-01",
)


def test_a_price_of_a_gpu_counts_gpu_hours_and_one_of_the_machine_its_time() -> None:
    found = forecast(study(engine="tensor_parallel_size = 2"), GPU, Past())
    hours = found.seconds.expected / 3600
    rate = bill.of_book(Listed("book", QUOTE), DAY)
    assert (rate.amount, rate.stale) == (3.0, True)
    paid = bill.bill(found, rate).amount
    assert paid is not None
    assert paid.expected == pytest.approx(hours * 2 * 3)
    machine = bill.bill(found, bill.typed(10.0)).amount
    assert machine is not None
    assert machine.expected == pytest.approx(hours * 10)


def test_without_a_price_there_is_a_reason_and_without_a_gpu_an_error() -> None:
    found = forecast(study(), CPU, Past())
    assert bill.bill(found, None) == bill.Bill(amount=None, rate=None, reason="no_price")
    with pytest.raises(UsageError, match="no launch occupies one"):
        bill.bill(found, bill.of_book(Listed("book", QUOTE), DAY))


# -- budgets as they are typed -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90m", 5400, "s"),
        ("90 min", 5400, "s"),
        ("3h", 10800, "s"),
        ("3 hours", 10800, "s"),
        ("1 hour 30 minutes", 5400, "s"),
        ("1h30m", 5400, "s"),
        ("1d", 86400, "s"),
        ("45s", 45, "s"),
        ("1.5 h", 5400, "s"),
        ("12 gpu-hours", 12, "gpu-hours"),
        ("12gpuh", 12, "gpu-hours"),
        ("1 GPU-hour", 1, "gpu-hours"),
        ("$40", 40, "usd"),
        ("40usd", 40, "usd"),
        ("40 USD", 40, "usd"),
        ("0.5$", 0.5, "usd"),
    ],
)
def test_a_budget_is_a_time_gpu_hours_or_dollars(text: str, amount: float, unit: str) -> None:
    found = parse(text)
    assert (found.amount, found.unit) == (amount, unit)


@pytest.mark.parametrize(
    "text", ["", "90", "h", "0m", "-3h", "3 hours ago", "3 months", "1e9h", "40 eur", "∞"]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        parse(text)


def test_a_budget_needs_what_it_counts() -> None:
    found = forecast(study(), CPU, Past())
    with pytest.raises(UsageError, match="occupies a GPU"):
        used(found, bill.bill(found, None), Budget(1, "gpu-hours", "1 gpu-hour"))
    with pytest.raises(UsageError, match="no_price"):
        used(found, bill.bill(found, None), Budget(1, "usd", "1usd"))
    euro = replace(bill.typed(1.0), currency="EUR")
    with pytest.raises(UsageError, match="the price is in EUR"):
        used(found, bill.bill(found, euro), Budget(1, "usd", "1usd"))


# -- what rounds can show ------------------------------------------------------------------


@pytest.mark.parametrize(("table", "level"), [(seen.ONCE, 0.95), (seen.LOOKING, 0.986)])
def test_the_table_of_differences_is_that_of_the_statistics(
    table: dict[int, tuple[float, ...]], level: float
) -> None:
    for stacks, row in table.items():
        for rounds, multiple in enumerate(row, start=seen.FIRST):
            if stacks > 3 and rounds != 3:  # each takes a tenth of a second and more
                continue
            df = (stacks - 1) * (rounds - 1)
            half = stats.range_quantile(level, stacks, df) / rounds**0.5
            found = stats.detectable(half, 1.0, df, rounds)
            assert multiple == pytest.approx(found, abs=0.006)


def test_the_table_of_intervals_is_that_of_the_statistics() -> None:
    for rounds, multiple in enumerate(seen.ALONE, start=seen.FIRST):
        found = stats.t_quantile(0.975, rounds - 1) / rounds**0.5
        assert multiple == pytest.approx(found, abs=0.006)
    assert seen.half_width(1, 0.01) is None
    assert seen.half_width(3, 0.01) == pytest.approx(0.0251, abs=1e-4)


def test_fewer_rounds_show_less() -> None:
    shown = [seen.detectable(3, rounds, 0.01) or 0.0 for rounds in range(2, 14)]
    assert shown == sorted(shown, reverse=True)
    assert shown[1] == pytest.approx(0.0375, abs=1e-4)  # 3.68 % in log units
    assert seen.detectable(1, 5, 0.01) is None
    assert seen.detectable(3, 1, 0.01) is None
    assert (seen.detectable(7, 3, 0.01) or 0) > 0
