from __future__ import annotations

import socket

import pytest

from inferometer.errors import UsageError
from inferometer.ports import is_free, lease


def test_two_leases_never_share_a_port() -> None:
    with (
        lease("127.0.0.1") as first,
        pytest.raises(UsageError, match=str(first)),
        lease("127.0.0.1", first),
    ):
        pass


def test_a_port_in_use_is_refused_by_name() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        told = pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use")
        with told, lease("127.0.0.1", port):
            pass


def test_a_lease_ends_with_its_block() -> None:
    with lease("127.0.0.1") as port:
        pass
    with lease("127.0.0.1", port) as again:
        assert again == port
