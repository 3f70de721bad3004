"""A meter that does everything right, its made-up sensor, and hooks to make it do wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from inferometer.errors import UsageError
from inferometer.meter import MeterContext
from inferometer.records import Condition, Device, MeterInfo, Reading
from inferometer.testing.meters import World

TICK_S = 0.02
POWER_W = {"gpu-a": 250.0, "gpu-b": 100.0}


@dataclass
class Bench:
    """Two accelerators that count joules every 20 ms, and one that is not under test."""

    state: str = "there"
    limit_w: float = 300.0

    def joules(self, device: str) -> float:
        if self.state in {"absent", "failing"}:
            raise Lost
        return time.monotonic() // TICK_S * TICK_S * POWER_W[device]

    def truth(self) -> dict[str, float]:
        return {device: self.joules(device) for device in POWER_W}

    @contextmanager
    def being(self, state: str) -> Iterator[None]:
        kept, self.state = self.state, state
        try:
            yield
        finally:
            self.state = kept


def world(bench: Bench, **changed: Any) -> World:
    @contextmanager
    def made() -> Iterator[Mapping[str, Any]]:
        yield {"share": 1.0}

    terms: dict[str, Any] = {
        "made": made,
        "absent": lambda: bench.being("absent"),
        "forbidden": lambda: bench.being("forbidden"),
        "failing": lambda: bench.being("failing"),
        "truth": bench.truth,
        "state": lambda: bench.limit_w,
        "refused": [{"share": -1.0}],
        "secrets": ["xyzzy-opens"],
        "accelerator": "cuda",
        "patience_s": 0.5,
    }
    return World(**{**terms, **changed})


INFO = MeterInfo(
    name="good",
    scope="L0",
    kind="measured",
    method="reads the counters of a made-up bench",
    instrument="counter",
    devices=[
        Device(name="gpu-a", model="Bench 1", index=0, power_limit_w=300.0),
        Device(name="gpu-b", model="Bench 1", index=1),
        Device(name="gpu-c", model="Bench 1", index=2, left_out="not under test"),
    ],
    update_ms=TICK_S * 1e3,
    period_s=0.1,
    resolution=0.001,
    permission="none",
)


def same(thing: Any) -> Any:
    return thing


def nothing(*_: object) -> None:
    return


@dataclass(frozen=True)
class Good:
    """Right, as long as none of the hooks is set."""

    bench: Bench = field(default_factory=Bench)
    name: str = "good"
    options: Mapping[str, type] = field(default_factory=lambda: {"share": float})
    change: Callable[[MeterInfo], MeterInfo] = same
    rows: Callable[[list[Reading]], list[Reading]] = same
    states: Callable[[list[Condition]], list[Condition]] = same
    asked: Callable[[MeterContext], None] = nothing
    opened: Callable[[Any], None] = nothing
    looked: Callable[[Any], None] = nothing
    closed: Callable[[Any], None] = nothing
    closed_again: Callable[[], None] = nothing
    read_when_closed: Callable[[], list[Reading]] = list

    def share(self, context: MeterContext) -> float:
        value = context.options.get("share")
        if not fits(value):
            raise refused(value)
        return 1.0

    def info(self, context: MeterContext) -> MeterInfo:
        self.share(context)
        self.asked(context)
        said = {"absent": "no_sensor", "forbidden": "no_permission"}.get(self.bench.state)
        terms: dict[str, Any] = {"reason": said, "detail": f"the bench is {self.bench.state}"}
        info = MeterInfo(**{**{f: getattr(INFO, f) for f in INFO.__struct_fields__}, **terms})
        return self.change(info)

    def open(self, context: MeterContext) -> Session:
        self.share(context)
        return Session(self)


class Session:
    """An open bench."""

    def __init__(self, meter: Good) -> None:
        self.meter = meter
        self.open = True
        self.kept: Any = None
        self.last: list[Reading] = []
        meter.opened(self)

    def __repr__(self) -> str:
        return "Session()"

    def read(self) -> Sequence[Reading]:
        if not self.open:
            return self.meter.read_when_closed()
        self.meter.looked(self)
        found = []
        for device in POWER_W:
            joules = self.meter.bench.joules(device)
            now = time.monotonic_ns()
            found.append(Reading(meter="good", device=device, t_ns=now, value=joules, unit="J"))
        self.last = self.meter.rows(found)
        return self.last

    def conditions(self) -> Sequence[Condition]:
        self.meter.bench.joules("gpu-a")
        now = time.monotonic_ns()
        terms: dict[str, Any] = {
            "temperature_c": 61.0,
            "power_limit_w": self.meter.bench.limit_w,
            "clock_mhz": 1980.0,
            "utilisation": 0.97,
            "throttled": ["power_cap"],
        }
        found = [Condition(meter="good", device=each, t_ns=now, **terms) for each in POWER_W]
        return self.meter.states(found)

    def close(self) -> None:
        if not self.open:
            self.meter.closed_again()
            return
        self.open = False
        self.meter.closed(self)


# -- meters that are wrong in more than a hook -------------------------------------------------


class Loose:
    """May be changed by anybody."""

    def __init__(self, good: Good) -> None:
        self.good = good
        self.name = "good"
        self.options = good.options

    def info(self, context: MeterContext) -> MeterInfo:
        return self.good.info(context)

    def open(self, context: MeterContext) -> Session:
        return self.good.open(context)


class Incomplete:
    """Has no ``open``."""

    name = "good"


def fits(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value <= 1


def refused(value: Any) -> Exception:
    return UsageError(f"meter 'good': options.share is {value!r}", hint="Give 0 to 1.")


@dataclass(frozen=True)
class Careless(Good):
    """Does not look at its option well."""

    takes: Callable[[Any], bool] = fits
    refusal: Callable[[Any], Exception] = refused

    def share(self, context: MeterContext) -> float:
        value = context.options.get("share")
        if not self.takes(value):
            raise self.refusal(value)
        return 1.0


class Exposed(Session):
    """Shows what it was opened with."""

    def __repr__(self) -> str:
        return "Session(password='xyzzy-opens')"


class Silenced(Session):
    """Says 0 where there is nothing to say."""

    def read(self) -> Sequence[Reading]:
        try:
            return super().read()
        except OSError:
            now = time.monotonic_ns()
            return [Reading(meter="good", device=d, t_ns=now, value=0, unit="J") for d in POWER_W]


class Lost(OSError):  # noqa: N818 -- an answer
    """Says why, in words that are known unless told otherwise."""

    def __init__(self, reason: str = "device_lost") -> None:
        super().__init__("lost")
        self.reason = reason
        self.detail = "fell off the bus"


class Babbling(Session):
    """Gives a reason that nobody knows."""

    def read(self) -> Sequence[Reading]:
        try:
            return super().read()
        except OSError as error:
            raise Lost("vanished") from error


class Unseeing(Session):
    """Tells conditions of what it cannot see."""

    def conditions(self) -> Sequence[Condition]:
        try:
            return super().conditions()
        except OSError:
            now = time.monotonic_ns()
            return [Condition(meter="good", device=d, t_ns=now, utilisation=0) for d in POWER_W]


@dataclass(frozen=True)
class With(Good):
    """Opens sessions of another kind."""

    session: type[Session] = Session

    def open(self, context: MeterContext) -> Session:
        self.share(context)
        return self.session(self)


class Odd(float):
    """A number of somebody else's type."""


class Everything(dict[str, type]):
    """Options that would take any name."""

    def __contains__(self, key: object) -> bool:
        return True
