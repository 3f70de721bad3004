"""What brings load hosts: machines that send a part of a load.

A load host is `inferometer loadhost` on a machine that reaches the server under test. Whoever
starts it, by hand or for example as an actor of a cluster, only starts it: the load itself goes
over a connection of its own, sealed with the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


class LoadHosts(Protocol):
    """A way to start load hosts, asked for as ``--load-hosts NAME=COUNT``."""

    @property
    def name(self) -> str:
        """Return the name it is asked for by."""

    def start(self, count: int, token: str) -> AbstractContextManager[Sequence[str]]:
        """Start load hosts on ``count`` machines, each with ``token``; end them in the end.

        Enters with their addresses, ``host:port``. :func:`inferometer.api.load_host` is one.

        Raises:
            MachineError: there are not so many machines, or one cannot.
        """
