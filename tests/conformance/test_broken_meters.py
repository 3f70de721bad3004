"""The meter kit catches what is wrong: each fault fails the check that is there for it, alone."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.conformance.benches import (
    INFO,
    Babbling,
    Bench,
    Careless,
    Everything,
    Exposed,
    Good,
    Incomplete,
    Loose,
    Odd,
    Session,
    Silenced,
    Unseeing,
    With,
    world,
)

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.records import Condition, Device, MeterInfo, Reading
from inferometer.testing import meters


def test_a_good_meter_passes_every_check() -> None:
    bench = Bench()
    results = meters.run(Good(bench), world=world(bench))
    assert {result.id: result.detail for result in results if result.outcome != "pass"} == {}
    assert len(results) >= 70


# -- hooks -------------------------------------------------------------------------------------


def info(**terms: Any) -> Callable[[MeterInfo], MeterInfo]:
    return lambda found: msgspec.structs.replace(found, **terms)


def each(**terms: Any) -> Callable[[list[Reading]], list[Reading]]:
    return lambda rows: [msgspec.structs.replace(row, **terms) for row in rows]


def valued(change: Callable[[float], float]) -> Callable[[list[Reading]], list[Reading]]:
    return lambda rows: [msgspec.structs.replace(row, value=change(row.value)) for row in rows]


def state(**terms: Any) -> Callable[[list[Condition]], list[Condition]]:
    return lambda rows: [msgspec.structs.replace(row, **terms) for row in rows]


# -- acts --------------------------------------------------------------------------------------


def hold(session: Session) -> None:
    session.kept = [socket.socket() for _ in range(2)]
    LEAKED.extend(session.kept)


def hand_on(session: Session) -> None:
    session.kept = socket.socket()
    session.kept.set_inheritable(True)


def let_go(session: Session) -> None:
    session.kept.close()


def start_thread(session: Session) -> None:
    threading.Thread(target=ENOUGH.wait, name="left", daemon=True).start()


def start_process(session: Session) -> None:
    CHILDREN.append(subprocess.Popen(["sleep", "60"]))


def write_file(session: Session) -> None:
    folder = Path(tempfile.gettempdir())
    if not any(folder.iterdir()):  # the kit's own, not one that is shared
        (folder / "meter.lock").touch()


def one_thread_only(session: Session) -> None:
    session.kept = session.kept or threading.get_ident()
    assert session.kept == threading.get_ident(), "another thread"


def burn(session: Session) -> None:
    until = time.thread_time() + 0.0015
    while time.thread_time() < until:
        pass


def fork_breaks(session: Session) -> None:
    FORKED.clear()


def refuse_after_fork(session: Session) -> None:
    assert not FORKED, "a child was here"


def raising(error: Exception) -> Callable[..., Any]:
    def act(*_: object) -> Any:
        raise error

    return act


ENOUGH = threading.Event()
LEAKED: list[socket.socket] = []
CHILDREN: list[subprocess.Popen[bytes]] = []
FORKED: list[bool] = []
os.register_at_fork(after_in_parent=lambda: FORKED.append(True))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    ENOUGH.set()
    for left in LEAKED:
        left.close()
    for child in CHILDREN:
        child.kill()
        child.wait()
    LEAKED.clear()
    CHILDREN.clear()
    ENOUGH.clear()


class Alone:
    """Opening another session ends the first."""

    def __init__(self) -> None:
        self.last: Session | None = None

    def opened(self, session: Session) -> None:
        self.last = session

    def looked(self, session: Session) -> None:
        assert session is self.last, "another session was opened"


class Spent:
    """Asked for its handles in ``info`` alone, gone after the first ``close``."""

    def __init__(self) -> None:
        self.ended = False

    def asked(self, _: object) -> None:
        self.ended = False

    def opened(self, _: object) -> None:
        assert not self.ended, "no handle any more"

    def closed(self, _: object) -> None:
        self.ended = True


class Numbered:
    """Knows how many looks a session has had, and changes its rows by it."""

    def __init__(self, change: Callable[[int, list[Reading]], list[Reading]]) -> None:
        self.look = 0
        self.change = change

    def opened(self, _: object) -> None:
        self.look = 0

    def rows(self, rows: list[Reading]) -> list[Reading]:
        self.look += 1
        return self.change(self.look, rows)


def numbered(act: Callable[[int, list[Reading]], list[Reading]], **more: Any) -> Good:
    hook = Numbered(act)
    return Good(opened=hook.opened, rows=hook.rows, **more)


def idle(value: Callable[[int], float | None]) -> Good:
    """Return a meter that also reads the device that does not count."""

    def change(look: int, rows: list[Reading]) -> list[Reading]:
        said = value(look)
        if said is None:
            return rows
        return [*rows, msgspec.structs.replace(rows[-1], device="gpu-c", value=said)]

    return numbered(change)


def alternating(look: int, rows: list[Reading]) -> list[Reading]:
    unit: Any = "W" if look % 2 else "J"
    return [msgspec.structs.replace(row, unit=unit) for row in rows]


def backwards(look: int, rows: list[Reading]) -> list[Reading]:
    return [msgspec.structs.replace(row, t_ns=row.t_ns - look * 10**9) for row in rows]


def when(condition: Callable[[MeterContext], object]) -> Callable[[MeterContext], None]:
    def asked(context: MeterContext) -> None:
        if condition(context):
            raise KeyError("unforeseen")

    return asked


def key_is_text(context: MeterContext) -> None:
    if not isinstance(context.options.get("api_key", ""), str):
        raise UsageError("meter 'good': options.api_key is no text", hint="Give a text.")


def numbers_of_devices(context: MeterContext) -> None:
    for part in (context.visible_devices or "0").split(","):
        int(part)


def instead_of(word: str, **terms: Any) -> Callable[[MeterInfo], MeterInfo]:
    return lambda found: msgspec.structs.replace(found, **terms) if found.reason == word else found


def again() -> Callable[[MeterInfo], MeterInfo]:
    count = itertools.count(1)
    return lambda found: msgspec.structs.replace(found, method=f"was looked at {next(count)} times")


def warmer(session: Session) -> None:
    session.meter.bench.limit_w += 10


def in_main_thread(session: Session) -> None:
    assert threading.current_thread() is not threading.main_thread(), "cannot be closed here"


NAMELESS = Device(name=" ", left_out="not under test")
ALONE, SPENT = Alone(), Spent()
FAULTS: dict[str, Any] = {
    "frozen": Loose(Good()),
    "name": Good(
        name="My Good",
        change=info(name="My Good"),
        rows=each(meter="My Good"),
        states=state(meter="My Good"),
    ),
    "info-is-a-record": Good(change=info(kind="guessed")),
    "info-is-named": Good(change=info(name="other")),
    "info-repeats": Good(change=again()),
    "info-is-plain": Good(change=info(method="reads the \x1b[31mcounters of a bench")),
    "method-is-said": Good(change=info(method="")),
    "instrument-is-said": Good(change=info(instrument="")),
    "models-are-not-measurements": Good(change=info(instrument="model")),
    "constants-are-labelled": Good(change=info(follows_throughput=True)),
    "permission-is-said": Good(change=info(permission=" ")),
    "resolution-is-said": Good(change=info(resolution=None)),
    "numbers-make-sense": Good(change=info(averaged_ms=-1.0)),
    "devices-are-listed": Good(change=info(devices=[*INFO.devices, NAMELESS])),
    "reasons-are-known-words": Good(change=instead_of("no_permission", detail="")),
    "absence-is-a-reason": Good(change=instead_of("no_sensor", reason="failed")),
    "lack-of-permission-is-a-reason": Good(change=instead_of("no_permission", reason="no_sensor")),
    "answers-before-the-engine": Good(asked=when(lambda at: at.pids and not at.pids())),
    "answers-without-processes": Good(asked=when(lambda at: at.session_id is None)),
    "answers-on-every-accelerator": Good(asked=when(lambda at: at.accelerator == "rocm")),
    "answers-for-any-devices": Good(asked=numbers_of_devices),
    "asking-is-quick": (Good(opened=lambda _: time.sleep(0.06)), {"patience_s": 0.05}),
    "asking-changes-nothing": Good(opened=warmer),
    "options-are-declared": Good(options={"share": Odd}),
    "options-hold-no-secret": Good(options={"share": float, "api_key": str}, asked=key_is_text),
    "options-are-used wrong-types-are-refused": Good(options={"share": float, "factor": float}),
    "unknown-options-are-refused": Good(options=Everything({"share": float})),
    "a-study-can-choose-it": Good(asked=when(lambda at: at.session_id == 0 and not at.pids)),
    "whole-numbers-are-taken": Careless(takes=lambda it: isinstance(it, float) and 0 < it <= 1),
    "wrong-types-are-refused": Careless(takes=lambda it: it == math.inf or Careless().takes(it)),
    "wrong-values-are-refused": Careless(takes=lambda it: it == -1 or Careless().takes(it)),
    "refusals-help": Careless(refusal=lambda _: UsageError("a wrong option")),
    "gives-readings": Good(rows=valued(Odd)),
    "readings-are-named": Good(rows=each(meter="other")),
    "every-device-is-read": Good(rows=lambda rows: rows[:1]),
    "no-other-device-is-read": Good(
        rows=lambda rows: [*rows, msgspec.structs.replace(rows[0], device="gpu-z")]
    ),
    "one-reading-a-look": Good(rows=lambda rows: [*rows, rows[0]]),
    "units-fit-the-instrument": Good(change=info(instrument="power")),
    "one-unit-a-device": numbered(alternating, change=info(kind="estimated", instrument="model")),
    "stamped-at-the-look": Good(
        rows=lambda rows: [msgspec.structs.replace(r, t_ns=r.t_ns - 10**9) for r in rows]
    ),
    "stamps-in-order": (numbered(backwards), {"recorded": True}),
    "ticks-are-left-to-the-sampler": Good(rows=each(since_ns=1)),
    "values-are-finite": idle(lambda look: math.nan if look == 2 else None),
    "values-are-not-negative": idle(lambda _: -1.0),
    "counters-never-fall": idle(lambda look: 1e6 - look),
    "values-are-true": Good(rows=valued(lambda value: 1.05 * value)),
    "power-is-plausible": idle(lambda look: look * 1e6),
    "update-is-true": Good(change=info(update_ms=200.0)),
    "no-number-for-want-of-one": With(session=Silenced),
    "failures-speak-known-words": With(session=Babbling),
    "conditions-are-records": Good(states=state(meter="other")),
    "conditions-of-listed-devices": Good(states=state(device="gpu-z")),
    "conditions-are-possible": Good(states=state(temperature_c=334.0)),
    "throttling-is-in-words": Good(states=state(throttled=["SW Power Cap"])),
    "unknown-conditions-are-none": With(session=Unseeing),
    "opens": Good(closed=in_main_thread),
    "opens-again": Good(asked=SPENT.asked, opened=SPENT.opened, closed=SPENT.closed),
    "two-at-once": Good(opened=ALONE.opened, looked=ALONE.looked),
    "closing-twice-is-closing": Good(closed_again=raising(RuntimeError("is closed"))),
    "closed-is-silent": Good(
        read_when_closed=lambda: [
            Reading(meter="good", device="gpu-a", t_ns=time.monotonic_ns(), value=0, unit="J")
        ]
    ),
    "read-from-any-thread": Good(opened=one_thread_only, looked=one_thread_only),
    "survives-a-fork": Good(opened=fork_breaks, looked=refuse_after_fork),
    "children-inherit-nothing": Good(opened=hand_on, closed=let_go),
    "leaves-no-thread": Good(opened=start_thread),
    "leaves-nothing-open": Good(opened=hold),
    "leaves-no-file": Good(opened=write_file),
    "leaves-no-process": Good(opened=start_process),
    "prints-nothing": Good(looked=print),
    "tells-no-secret": With(session=Exposed),
    "reading-is-quick": Good(looked=lambda _: time.sleep(0.012)),
    "reading-costs-little": Good(looked=burn),
}
"""The checks that fail, and the meter, on a bench of its own or in a world of its own."""
MODULES = {
    "imports-without-its-driver": "import amdsmi",
    "importing-costs-little": "import numpy",
    "importing-does-nothing": "print('hello')",
}
"""The check that fails, and what the module does."""


@pytest.mark.parametrize("checks", FAULTS)
def test_each_fault_fails_its_own_check(checks: str) -> None:
    fault = FAULTS[checks]
    meter: Any = fault[0] if isinstance(fault, tuple) else fault
    terms: dict[str, Any] = fault[1] if isinstance(fault, tuple) else {}
    bench: Bench = getattr(meter, "good", meter).bench
    results = meters.run(meter, world=world(bench, **terms))
    failed = {result.id: result.detail for result in results if result.outcome == "fail"}
    assert set(failed) == set(checks.split()), failed
    assert all(failed.values())


@pytest.mark.parametrize("check", MODULES)
def test_each_import_fails_its_own_check(
    check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"meter_that_{check.replace('-', '_')}"
    text = f"{MODULES[check]}\nfrom tests.conformance.benches import Good\n\n\n"
    (tmp_path / f"{name}.py").write_text(f"{text}class Odd(Good):\n    pass\n")
    (tmp_path / "amdsmi.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    meter = importlib.import_module(name).Odd()
    results = meters.run(meter, only=[each.id for each in meters.CHECKS if "import" in each.id])
    failed = {result.id for result in results if result.outcome == "fail"}
    also = {"importing-costs-little"} if check == "imports-without-its-driver" else set()
    assert failed == {check} | also
    assert len(results) == len(MODULES)


def test_what_lacks_a_member_is_no_meter() -> None:
    results = meters.run(Incomplete(), only=["complete"])  # type: ignore[arg-type]
    assert [(result.outcome, result.detail) for result in results] == [
        ("fail", "it lacks options, info, open")
    ]


def test_every_check_can_fail() -> None:
    caught = {*" ".join(FAULTS).split(), *MODULES, "complete"}
    assert caught == {check.id for check in meters.CHECKS}


def test_a_known_failure_is_told_and_one_that_passes_is_not_hidden() -> None:
    bench = Bench()
    at = {"world": world(bench), "only": ["method-is-said", "permission-is-said"]}
    known = {"method-is-said": "to be written", "permission-is-said": "to be written"}
    found = meters.run(Good(bench, change=info(method="")), known=known, **at)  # type: ignore[arg-type]
    assert [result.outcome for result in found] == ["known", "fail"]
    assert "take it off the list" in found[1].detail


def test_a_wrong_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="no meter named 'declred'") as caught:
        meters.run("declred")
    assert "'declared'" in caught.value.hint
    with pytest.raises(UsageError, match="no check named 'nam'"):
        meters.run(Good(), only=["nam"])
