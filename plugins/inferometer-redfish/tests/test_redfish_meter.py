"""The meter, as its author would test it: against a BMC that is a small server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import inferometer_redfish
from inferometer.errors import UsageError
from inferometer.meter import EnergyMeter, MeterContext
from inferometer.testing import meters
from inferometer_redfish import Redfish

USER, PASSWORD = "reader", "correct horse battery"
PATH = "/redfish/v1/Chassis/1U/EnvironmentMetrics"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Bmc:
    """A BMC that wants a password. It answers ``status``, and ``body`` in the place of its own."""

    watts: float = 374
    status: int = 200
    body: bytes | None = None
    location: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Path and ``Authorization`` of each request."""

    @contextmanager
    def being(self, **terms: object) -> Iterator[None]:
        kept = {name: getattr(self, name) for name in terms}
        for name, value in terms.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(self, name, value)

    @contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """Serve, with the password in the environment; yields the meter's options."""
        server = HTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            variables = {"REDFISH_USER": USER, "REDFISH_PASSWORD": PASSWORD}
            with mock.patch.dict("os.environ", variables):
                yield {"url": f"http://127.0.0.1:{server.server_port}{PATH}"}
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, path: str, login: str) -> tuple[int, bytes]:
        self.seen.append((path, login))
        if path != PATH:
            return 404, b""
        if login != LOGIN:
            return 401, b""
        metrics = {
            "@odata.id": PATH,
            "@odata.type": "#EnvironmentMetrics.v1_3_1.EnvironmentMetrics",
            "Id": "EnvironmentMetrics",
            "PowerWatts": {"DataSourceUri": f"{PATH}/x", "Reading": self.watts},
        }
        return self.status, json.dumps(metrics).encode() if self.body is None else self.body


def _handler(bmc: Bmc) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = bmc.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            if bmc.location:
                self.send_header("Location", bmc.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return Handler


BMC = Bmc()
METER: EnergyMeter = Redfish()
WORLD = meters.World(
    made=BMC.running,
    absent=lambda: BMC.being(status=404, body=b""),
    forbidden=lambda: BMC.being(status=401, body=b""),
    failing=lambda: BMC.being(status=503, body=b""),
    truth=lambda: {"chassis": float(BMC.watts)},
    state=lambda: BMC.watts,
    refused=[{"url": "http://bmc.example/"}, {"url": "https://me:secret@bmc.example/"}],
    secrets=[PASSWORD, LOGIN],
    accelerator="cuda",
)

test_meter = meters.suite(Redfish(), world=WORLD)


def context(options: dict[str, Any]) -> MeterContext:
    return MeterContext(session_id=1, cpu_seconds=float, options=options)


def test_it_has_sixty_lines() -> None:
    assert Path(inferometer_redfish.__file__).read_text().count("\n") <= 60


def test_it_reads_what_the_bmc_tells() -> None:
    bmc = Bmc(watts=412.5)
    with bmc.running() as options:
        (reading,) = METER.open(context(options)).read()
    assert (reading.value, reading.unit, reading.device) == (412.5, "W", "chassis")
    assert bmc.seen == [(PATH, LOGIN)]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"PowerWatts": {"Reading": null}}', b'{"PowerWatts": {"Reading": "N/A"}}'],
)
def test_a_bmc_that_does_not_tell_is_no_sensor(body: bytes) -> None:
    bmc = Bmc(body=body)
    with bmc.running() as options:
        info = METER.info(context(options))
        assert info.reason == "no_sensor"
        assert info.detail
        with pytest.raises((LookupError, TypeError, ValueError)):
            METER.open(context(options)).read()


def test_a_bmc_that_is_silent_for_once_leaves_a_gap() -> None:
    bmc = Bmc()
    with bmc.running() as options:
        session = METER.open(context(options))
        with bmc.being(status=503):
            assert session.read() == []
        assert len(session.read()) == 1


def test_the_password_does_not_follow_a_redirect() -> None:
    other = Bmc()
    with other.running() as there, Bmc(status=302, location=there["url"]).running() as options:
        info = METER.info(context(options))
    assert info.reason == "no_permission"
    assert other.seen == [(PATH, "")]


def test_the_password_never_crosses_a_network_in_the_open() -> None:
    with pytest.raises(UsageError, match=r"options\.url") as refused:
        METER.info(context({"url": f"http://10.0.0.7{PATH}"}))
    assert "https://" in refused.value.hint
