"""A plugin with a meter and engines that break their contracts, one fault each."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferometer.engine import Command, Completion, Engine, LaunchContext, Readiness
from inferometer.hooks import hookimpl
from inferometer.meter import EnergyMeter, MeterContext
from inferometer.records import MeterInfo, Reading
from inferometer.testing.engine import OracleEngine

SEVERAL = 3
"""Readings before a meter's fault begins."""


@dataclass(slots=True)
class Session:
    """Reads a counter of 10 W, then breaks."""

    fault: str
    reads: int = 0
    joules: float = 0.0

    def read(self) -> Sequence[Reading]:
        """Return the reading; from the fourth on with the fault."""
        self.reads += 1
        self.joules += 0.1
        value, t_ns = self.joules, time.monotonic_ns()
        if self.reads > SEVERAL:
            match self.fault:
                case "vanishes":
                    raise OSError(19, "No such device")
                case "raises":
                    raise ZeroDivisionError("a plugin's fault")
                case "exits":
                    sys.exit(3)
                case "hangs":
                    time.sleep(600)
                case "nan":
                    value = float("nan")
                case "backwards":
                    value = 100.0 - self.joules
                case "other clock":
                    t_ns = time.time_ns()
                case "no reading":
                    return ["10 W"]  # type: ignore[list-item]
        return [Reading(meter="strange", device="device 0", t_ns=t_ns, value=value, unit="J")]

    def close(self) -> None:
        """Do nothing, or break then, too."""
        if self.fault == "close":
            raise RuntimeError("already closed")


@dataclass(frozen=True, slots=True)
class Strange:
    """A meter whose option names its fault."""

    name: str = "strange"
    options: Mapping[str, type] = field(default_factory=lambda: {"fault": str})

    def info(self, context: MeterContext) -> MeterInfo:
        """Say that it can be read."""
        if context.options["fault"] == "info" and context.session_id:
            raise LookupError("nothing is known of it")
        return MeterInfo(
            name=self.name,
            scope="L0",
            kind="measured",
            method="made up",
            instrument="counter",
            period_s=0.02,
            update_ms=20.0,
        )

    def open(self, context: MeterContext) -> Session:
        """Begin."""
        if context.options["fault"] == "open":
            raise PermissionError(13, "Permission denied")
        return Session(str(context.options["fault"]))


@dataclass(frozen=True, slots=True)
class Stranger(OracleEngine):
    """The oracle behind an adapter with a fault."""

    fault: str = ""

    def command(self, context: LaunchContext) -> Command:
        """Return the command line, or break."""
        match self.fault:
            case "raises":
                raise KeyError("no such setting")
            case "exits":
                sys.exit("this adapter knows better")
            case "no command":
                return "oracle --port 8000"  # type: ignore[return-value]
            case "port thief" if not THEFTS:  # a command is asked for twice
                THEFTS.append(socket.create_server(("127.0.0.1", context.port)))
            case "no program":
                return Command(argv=("/nowhere/engine", "--port", str(context.port)))
        return OracleEngine.command(self, context)

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the body, or break."""
        if self.fault == "bad request":
            return {"prompt": object()}
        return OracleEngine.request(self, completion)


THEFTS: list[socket.socket] = []
FAULTS = ("raises", "exits", "no command", "port thief", "no program", "bad request")


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return an engine for each fault."""
    impatient = Readiness(path="/health", deadline_s=0.5)
    return [
        Stranger(name="stranger-impatient", readiness=impatient),
        *(Stranger(name=f"stranger-{fault.replace(' ', '-')}", fault=fault) for fault in FAULTS),
    ]


@hookimpl
def inferometer_meters() -> Sequence[EnergyMeter]:
    """Return the meter."""
    return [Strange()]
