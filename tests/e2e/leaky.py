"""An engine, a meter and a server that repeat every secret they get hold of, in every way.

Installed as a plugin by :func:`install`; as a process it is the engine's server.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from inferometer import hookimpl
from inferometer.engine import ApiKey, Command, Requirements, Unsupported
from inferometer.records import Device, MeterInfo, Reading
from inferometer.testing.engine import OracleEngine
from inferometer.testing.options import KEY_VARIABLE

if TYPE_CHECKING:
    from inferometer.engine import Engine, LaunchContext, Platform
    from inferometer.meter import EnergyMeter, MeterContext, MeterSession

DIES = "--die-with-a-key"
SHAPED = {
    "aws": "AKIAPLANTED0123456AB",
    "github": "ghp_planted0123456789planted0123456789",
    "slack": "xoxb-planted-0123456789",
    "jwt": "eyJwbGFudGVkMDEy.eyJwbGFudGVkMzQ1.cGxhbnRlZDY3ODk",
    "pem": "MIIEplanted0123456789/planted+0123456789",
}
"""Those that nobody has told us of: they are known by their shape alone."""
PEM = f"-----BEGIN PRIVATE KEY-----\n{SHAPED['pem']}\n-----END PRIVATE KEY-----"


def everything() -> str:
    """Return the secrets of this process's environment, each in five ways."""
    names = [name for name in os.environ if name.startswith(("PLANTED", "ORACLE", "SERVED"))]
    names += ["HF_TOKEN", "PIP_INDEX_URL", "HTTPS_PROXY", "REGISTRY_PASSWORD"]
    said = []
    for name in names:
        if value := os.environ.get(name, ""):
            coded = base64.b64encode(f"user:{value}".encode()).decode()
            said += [value, json.dumps(value), quote(value, safe=""), coded, value.encode().hex()]
    return " ".join(said)


@dataclass(frozen=True, slots=True)
class Leaky(OracleEngine):
    """The oracle's adapter, for a server that tells everything."""

    name: str = "leaky"
    resolved_configuration: Sequence[str] = ("/v1/models",)
    api_key: ApiKey | None = field(default_factory=lambda: ApiKey(variable=KEY_VARIABLE))

    def command(self, context: LaunchContext) -> Command:
        """Return the command of this file."""
        program = (str(context.python), "-P", str(Path(__file__)))
        where = ("--port", str(context.port), "--model", context.model_name)
        return Command(argv=(*program, *where, *context.spec.extra_args))


@dataclass(frozen=True, slots=True)
class Bare(OracleEngine):
    """One that has no environment here."""

    name: str = "leaky-bare"
    simulated: bool = False

    def requirements(self, platform: Platform) -> Requirements:
        """Refuse, with the index that was asked and its password."""
        raise Unsupported(f"leaky: {os.environ['PIP_INDEX_URL']} has nothing for {platform}")


class LeakyMeter:
    """A meter that fails with what it should not say."""

    name = "leaky-meter"
    options: Mapping[str, type] = {}

    def info(self, context: MeterContext) -> MeterInfo:
        """Fail, here and in a thread."""
        del context
        print("meter:", everything())  # noqa: T201 -- what it is for
        print("meter:", everything(), file=sys.stderr)  # noqa: T201 -- as above
        thread = threading.Thread(target=self._fail)
        thread.start()
        thread.join()
        return MeterInfo(
            name=self.name,
            scope="L2",
            kind="declared",
            method=f"typed, with {everything()}",
            follows_throughput=True,
            instrument="model",
            devices=[Device(name="machine")],
            permission="none",
        )

    def _fail(self) -> None:
        raise OSError(everything())

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        del context
        return _Failing()


class _Failing:
    def read(self) -> Sequence[Reading]:
        raise RuntimeError(f"no sensor for {everything()} and {SHAPED['slack']}")

    def close(self) -> None:
        """Nothing is open."""


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the engines."""
    return [Leaky(), Bare()]


@hookimpl
def inferometer_meters() -> Sequence[EnergyMeter]:
    """Return the meter."""
    return [LeakyMeter()]


def install(folder: Path) -> Path:
    """Install this file as a distribution below ``folder``, for ``PYTHONPATH``."""
    info = folder / "leaky_planted-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky-planted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[inferometer]\nleaky = leaky_planted\n")
    (folder / "leaky_planted.py").write_text(Path(__file__).read_text())
    return folder


def serve() -> None:
    """Serve as the oracle does; the log, the list of models and errors hold what must not out."""
    from inferometer.testing import connection, oracle  # noqa: PLC0415 -- of the process alone

    sys.stdout.write(f"{everything()} {PEM} api_key={os.environ.get(KEY_VARIABLE)!r}\n")
    sys.stdout.flush()
    if keep := os.environ.get("PLANTED_KEEP"):
        with open(keep, "a", encoding="utf-8") as file:
            file.write(os.environ.get(KEY_VARIABLE, "") + "\n")
    if DIES in sys.argv:
        raise RuntimeError(f"401 for {SHAPED['aws']} {everything()} {SHAPED['jwt']}\n{PEM}")

    class Telling(connection.Connection):
        def on_message_complete(self) -> None:
            sent = self._headers.get("authorization", "")
            if self._path == "/v1/models":
                listed = [{"id": self.options.model, "root": f"{everything()} {sent}"}]
                self._reply(200, {"data": listed, everything(): sent})
                return
            super().on_message_complete()

        def _reply(self, status: int, body: Any) -> None:
            sent = self._headers.get("authorization", "")
            if status != 200:
                body = {"error": {"message": f"{everything()} {sent} {SHAPED['github']}"}}
            super()._reply(status, body)

    vars(oracle)["Connection"] = Telling
    oracle.main(sys.argv[1:])


if __name__ == "__main__":
    serve()
