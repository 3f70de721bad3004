"""Ray starts load hosts on its nodes, and ends them."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest
from tests.rays import Rays

from inferometer.errors import MachineError
from inferometer.loadgen.driver import Body, Host, LoadPlan, Target, drive
from inferometer.testing.oracle import Options, Oracle
from inferometer_plugins.loadhosts.ray import RayLoadHosts, chosen

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = secrets.token_hex(16)
pytestmark = pytest.mark.timeout(900)  # a cluster starts, beside other tests


@pytest.fixture(scope="module")
def cluster() -> Iterator[Rays]:
    with Rays() as rays:
        yield rays


def source(index: int) -> Body:
    request = {"prompt": [index, 1, 2], "max_tokens": 4, "stream": True}
    return Body(msgspec.json.encode(request), index, 3, 4)


def serving() -> list[psutil.Process]:
    """Return the load hosts of this test: others have another token."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if TOKEN in process.environ().values() and "--leashed" in process.cmdline():
                found.append(process)
    return found


def test_two_nodes_send_one_load_and_nothing_is_left(
    cluster: Rays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with RayLoadHosts().start(2, TOKEN) as addresses, Oracle(Options(ttft_ms=2)) as oracle:
        started = serving()
        assert len(started) == len(set(addresses)) == 2
        assert not any(TOKEN in " ".join(process.cmdline()) for process in started)
        hosts = [Host(address, TOKEN.encode()) for address in addresses]
        plan = LoadPlan(concurrency=4, requests=20)
        result = drive(Target("127.0.0.1", oracle.port), source, plan, None, hosts)
    assert [host.requests for host in result.load_hosts] == [10, 10]
    assert {request.status for request in result.requests} == {"ok"}
    psutil.wait_procs(started)


def test_nodes_that_are_meant_for_it_are_taken_alone() -> None:
    def node(name: str, **resources: float) -> dict[str, object]:
        return {"NodeID": name, "Alive": name != "gone", "Resources": resources}

    nodes = [node("b", CPU=4), node("a", CPU=2), node("gone", CPU=8), node("c", memory=1)]
    assert [each["NodeID"] for each in chosen(nodes, 2)] == ["a", "b"]
    marked = [*nodes, node("d", CPU=1, load_host=1)]
    assert [each["NodeID"] for each in chosen(marked, 1)] == ["d"]
    with pytest.raises(MachineError, match=r"2 load hosts were asked for, .* has 1 nodes for it"):
        chosen(marked, 2)
