from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from inferometer.errors import UsageError
from inferometer.ports import is_free, lease

if TYPE_CHECKING:
    from pathlib import Path


def test_two_leases_never_share_a_port(tmp_path: Path) -> None:
    with (
        lease(tmp_path, "127.0.0.1") as first,
        pytest.raises(UsageError, match=str(first)),
        lease(tmp_path, "127.0.0.1", first),
    ):
        pass


def test_a_port_in_use_is_refused_by_name(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        told = pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use")
        with told, lease(tmp_path, "127.0.0.1", port):
            pass


def test_a_lease_ends_with_its_block(tmp_path: Path) -> None:
    with lease(tmp_path, "127.0.0.1") as port:
        pass
    with lease(tmp_path, "127.0.0.1", port) as again:
        assert again == port
