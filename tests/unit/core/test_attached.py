"""Servers that someone else runs: what is asked of them, and what nobody is told."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from inferometer import attached, environment
from inferometer.engine import Unsupported
from inferometer.errors import LaunchError, UsageError
from inferometer.launch import attach
from inferometer.metering import meter_context, seen_from
from inferometer.records import MeterInfo
from inferometer.study import MeterEntry
from inferometer.testing import oracle as oracles
from inferometer.testing.engine import OracleEngine
from inferometer.testing.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINE = OracleEngine()


@dataclass
class Gateway:
    """Answers GETs with JSON from ``pages``, and keeps the headers it saw."""

    pages: dict[str, Any]
    port: int = 0
    seen: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/base/v1"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A server behind a base path, which needs no health route."""
    made = Gateway({"/base/v1/models": models("first", "second")})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.seen.append({k.lower(): v for k, v in self.headers.items()})
            page = made.pages.get(self.path)
            body = page if isinstance(page, bytes) else json.dumps(page).encode()
            self.send_response(200 if self.path in made.pages else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def models(*names: str) -> dict[str, Any]:
    return {"data": [{"id": name, "root": f"/models/{name}", "created": 1} for name in names]}


def look(url: str, **kw: Any) -> attached.Address:
    address = attached.at(url, ENGINE.endpoint, kw.pop("api_key_env", None))
    return attached.look(address, ENGINE, **({"model": None, "version": None} | kw))


def test_the_only_model_is_asked_for_by_its_name() -> None:
    with Oracle(oracles.Options(model="served")) as oracle:
        found = look(f"http://127.0.0.1:{oracle.port}")
    assert (found.model, found.version, found.version_from) == ("served", "", "")
    assert found.local
    assert found.target.path == "/v1/completions"
    record = environment.elsewhere(found).record()
    assert record["url"] == f"http://127.0.0.1:{oracle.port}"
    assert (record["kind"], record["declared"]) == ("url", ["precision"])
    assert not {"python", "distributions"} & set(record)


def test_of_several_models_one_must_be_named(gateway: Gateway) -> None:
    with pytest.raises(Unsupported, match="serves first, second") as caught:
        look(gateway.url)
    assert "served_model_name" in caught.value.remedy
    with pytest.raises(Unsupported, match="serves first, second"):
        look(gateway.url, model="third")
    found = look(gateway.url, model="second")
    assert (found.model, found.served) == ("second", {"root": "/models/second"})
    assert found.target.path == "/base/v1/completions"


def test_the_version_is_the_server_s_where_it_says(gateway: Gateway) -> None:
    stated = look(gateway.url, model="first", version="0.33.0")
    assert (stated.version, stated.version_from) == ("0.33.0", "study")
    gateway.pages["/base/version"] = {"version": "0.33.1+cu129"}
    told = look(gateway.url, model="first", version="0.33.1")
    assert (told.version, told.version_from) == ("0.33.1+cu129", "server")
    assert told.sha256 != stated.sha256
    with pytest.raises(Unsupported, match=r"is version 0\.33\.1\+cu129, not 0\.33\.0"):
        look(gateway.url, model="first", version="0.33.0")


def test_a_key_is_sent_and_told_to_nobody(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "plainlooking42")
    found = look(gateway.url, model="first", api_key_env="SERVER_KEY")
    assert all(seen["authorization"] == "Bearer plainlooking42" for seen in gateway.seen)
    assert found.secrets == ("Bearer plainlooking42", "plainlooking42")
    assert "plainlooking42" not in repr(found) + json.dumps(found.record())
    monkeypatch.delenv("SERVER_KEY")
    with pytest.raises(UsageError, match="api_key_env = SERVER_KEY: that variable holds no"):
        look(gateway.url, api_key_env="SERVER_KEY")


def test_nobody_there_is_told_with_the_next_step(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    with pytest.raises(Unsupported, match=f"no server answers at {url}") as caught:
        look(url)
    assert "Start it there" in caught.value.remedy
    address = attached.at(url, "/v1/completions", None)
    with (
        pytest.raises(LaunchError, match="did not answer for 0 s") as lost,
        attach(address, ENGINE, deadline_s=0.1, folder=tmp_path),
    ):
        pass
    assert lost.value.reason == "not_ready"


@pytest.mark.parametrize("page", [b'"\xff"', b"no json", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_none(gateway: Gateway, tmp_path: Path, page: bytes) -> None:
    gateway.pages["/base/other"] = page
    found = look(gateway.url, model="first")
    assert found.get_json("/other") is None
    with attach(found, ENGINE, deadline_s=1.0, folder=tmp_path) as server:
        assert server.get_json("/other") is None


def test_a_server_that_was_exchanged_between_rounds_is_noticed(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.pages["/base/version"] = {"version": "1.0"}
    found = look(gateway.url, model="first")
    with attach(found, ENGINE, deadline_s=1.0, folder=tmp_path) as server:
        assert (server.ready_s, server.session_id, server.dead()) == (None, None, None)
        assert server.get_json("/version") == {"version": "1.0"}
    gateway.pages["/base/version"] = {"version": "1.1"}
    with (
        pytest.raises(LaunchError, match=r"was version 1\.0, now it says '1\.1'"),
        attach(found, ENGINE, deadline_s=1.0, folder=tmp_path),
    ):
        pass
    gateway.pages["/base/v1/models"] = models("second")
    with (
        pytest.raises(LaunchError, match="does not serve first any more"),
        attach(found, ENGINE, deadline_s=1.0, folder=tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:80", True),
        ("http://127.0.0.9:80", True),
        ("http://[::1]:80", True),
        ("https://models.example.org", False),
        ("http://10.0.0.1:80", False),
    ],
)
def test_which_servers_are_on_this_machine(url: str, local: bool) -> None:
    assert attached.at(url, "/v1/completions", None).local == local


def test_sensors_of_this_host_do_not_see_another_machine() -> None:
    rapl = MeterInfo(name="rapl", scope="L1", kind="measured", method="counters")
    declared = MeterInfo(name="declared", scope="L2", kind="declared", method="50 W")
    assert seen_from(rapl, "") is rapl
    blind = seen_from(rapl, attached.ELSEWHERE)
    assert (blind.reason, blind.detail) == ("no_sensor", attached.ELSEWHERE)
    assert seen_from(declared, attached.ELSEWHERE) is declared


def test_processor_time_of_processes_that_cannot_be_seen_is_no_zero() -> None:
    platform = environment.current_platform("cpu")
    context = meter_context(MeterEntry(name="m"), None, platform)
    with pytest.raises(LookupError, match="cannot be seen"):
        context.cpu_seconds()


@pytest.mark.parametrize("fault", ["silent", "slow_stream", "endless_head"])
def test_a_server_that_dribbles_does_not_hold_us(fault: Any) -> None:
    with (
        Oracle(oracles.Options(health_fault=fault)) as oracle,
        pytest.raises((OSError, http.client.HTTPException)),
    ):
        attached.fetch("127.0.0.1", oracle.port, "/health", timeout_s=0.3)
