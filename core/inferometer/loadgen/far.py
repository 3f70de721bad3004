"""Workers on other hosts: found, asked, and then senders like any other.

A load host (see :mod:`inferometer.loadgen.host`) answers each connection with a worker process of
its own. Its stamps are of its own clock; they are translated here, so that nobody else need know.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferometer import __version__
from inferometer.errors import UsageError
from inferometer.loadgen import clocks, handshake, wire
from inferometer.loadgen.channel import Channel, watched
from inferometer.loadgen.deal import Dealer, Share, far_workers
from inferometer.loadgen.handshake import LoadHostError
from inferometer.loadgen.remote import TAIL, Remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.channel import Seal
    from inferometer.loadgen.closed import Part, Warm
    from inferometer.loadgen.handshake import Hello
    from inferometer.loadgen.http import Target
    from inferometer.loadgen.offer import LoadPlan, Progress, Source

SILENT_S = 30
"""A host that has not acknowledged what was sent for so long is gone: the kernel says so."""
KEY = "authorization"


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """Where a load host listens, ``host:port``, and the token it was started with."""

    address: str
    token: bytes = dataclasses.field(repr=False)


class Link(NamedTuple):
    """A connection to a load host, which waits to be told what to send."""

    address: str
    end: socket.socket
    seal: Seal
    hello: Hello


async def senders(
    hosts: Sequence[Host], target: Target, source: Source, plan: LoadPlan
) -> list[Far]:
    """Return the senders of a load from ``hosts``, in turn over them.

    Raises:
        UsageError: there are more hosts than streams, or the target is this machine's own address.
        LoadHostError: a host cannot be reached, does not know the token, runs another version, is
            busy, or lacks the API key.
    """
    run = secrets.token_bytes(handshake.RUN)
    far_enough(target.host, hosts)
    links: list[Link] = []
    try:
        for host in hosts:
            links.append(await _link(host, run))
            _agree(links[-1], target, busy=any(seen.address == host.address for seen in links[:-1]))
        each = far_workers(plan, [link.hello.cores for link in links])
        for host in [*hosts] * (each - 1):
            links += [await _link(host, run)]
    except BaseException:
        for link in links:
            link.end.close()
        raise
    dealer = Dealer(source, plan, len(links))
    return [
        Far(target, plan, dealer, Share(number, len(links)), link)
        for number, link in enumerate(links)
    ]


async def _link(host: Host, run: bytes) -> Link:
    """Connect. Raises LoadHostError."""
    name, _, port = host.address.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(handshake.TIMEOUT_S):
            found = await loop.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM)
            end = socket.socket(*found[0][:3])
            end.setblocking(False)
            try:
                await loop.sock_connect(end, found[0][4])
            except BaseException:
                end.close()
                raise
    except (OSError, TimeoutError) as error:
        raise LoadHostError(
            f"load host {host.address} cannot be reached: {str(error) or type(error).__name__}",
            hint=f"Start it there: inferometer loadhost --listen {host.address}",
        ) from error
    watched(end, SILENT_S)
    try:
        seal, hello = await handshake.enter(end, host.token, run, host.address)
    except BaseException:
        end.close()
        raise
    return Link(host.address, end, seal, hello)


def _agree(link: Link, target: Target, *, busy: bool) -> None:
    """Raise LoadHostError where a host cannot do its part."""
    hello, words, hint = link.hello, "", ""
    if hello.version != __version__:
        words = f"runs inferometer {hello.version}, this is {__version__}"
        hint = "Install the same version on both."
    elif hello.busy or busy:
        words = "is sending another load" if hello.busy else "is named twice"
        hint = "Wait for its end, or start another one on another host."
    elif KEY in target.headers and not hello.keyed:
        words = "has no API key, and keys do not travel between hosts"
        hint = "Start it with the same --api-key-env, and the variable set there."
    if words:
        raise LoadHostError(f"load host {link.address} {words}", hint=hint)


def far_enough(name: str, hosts: Sequence[Host]) -> None:
    """Raise UsageError where ``name``, of a server, means another machine on one of ``hosts``."""
    if not (name in {"localhost", "::1"} or name.startswith("127.")):
        return
    for host in hosts:
        if not _here(host.address.rpartition(":")[0].strip("[]")):
            raise UsageError(
                f"{name} is this machine here, and load host {host.address} is another one",
                hint="Have the server listen on an address that the load hosts can reach, and name "
                "it by that: as URL, or in a study as the stack's `url`.",
            )


def _here(name: str) -> bool:
    """Say whether an address is one of this machine's: only those can be listened on."""
    try:
        (family, kind, _, _, place), *_ = socket.getaddrinfo(name, 0, type=socket.SOCK_DGRAM)
        with socket.socket(family, kind) as end:
            end.bind(place)
    except OSError:
        return False
    return True


class Far(Remote):
    """A worker on another host: times that go there and come back are translated."""

    def __init__(
        self, target: Target, plan: LoadPlan, dealer: Dealer, share: Share, link: Link
    ) -> None:
        keyed = KEY in target.headers
        headers = {name: value for name, value in target.headers.items() if name != KEY}
        super().__init__(dataclasses.replace(target, headers=headers), plan, dealer, share)
        self._setup = msgspec.structs.replace(self._setup, keyed=keyed)
        self._link = link
        self._before: clocks.Sight | None = None
        self._between: list[clocks.Sight] = []
        self._pong: asyncio.Future[clocks.Sight] | None = None

    async def warm_up(self) -> Warm:
        """Run the warm-up, then look at the clock."""
        warm = await super().warm_up()
        self._before = await self._look()
        self.reach_s = 2e-9 * self._before.slack_ns
        return warm

    async def window(self, anchor_ns: int, start_ns: int, end_ns: int, spread_ns: int) -> None:
        """Begin, measure between two times, then cut."""
        theirs = self._clock.theirs
        await super().window(theirs(anchor_ns), theirs(start_ns), theirs(end_ns), spread_ns)

    async def count(self, anchor_ns: int) -> int:
        """Send what is left; return when the last answer ended."""
        return self._clock.ours(await super().count(self._clock.theirs(anchor_ns)))

    async def progress(self) -> Progress:
        """Return what became of its share since it was last asked."""
        return clocks.progress(await super().progress(), self._clock)

    async def finish(self) -> Part:
        """Return everything; look at the clock before, while nothing else is said."""
        clock = await self._whole()
        return self._ours(await super().finish(), clock)

    async def salvage(self, end_ns: int) -> Part | None:
        """Have it stop in the middle; None from one that is gone, or was never looked at."""
        if self._before is None:
            return None
        found = await super().salvage(self._clock.theirs(end_ns))
        return None if found is None else self._ours(found, self._clock)

    # -- the clock -------------------------------------------------------------------------------

    @property
    def _clock(self) -> clocks.Clock:
        assert self._before is not None
        return clocks.Clock(self._before, self._before, tuple(self._between))

    async def _whole(self) -> clocks.Clock:
        return self._clock._replace(after=await self._look())

    async def _look(self) -> clocks.Sight:
        """Look at the clock with many exchanges, one after the other."""
        loop = asyncio.get_running_loop()
        until_s, found = loop.time() + clocks.LOOK_S, list[clocks.Sight]()
        while len(found) < clocks.EXCHANGES and (
            len(found) < clocks.LEAST or loop.time() < until_s
        ):
            self._pong = loop.create_future()
            self._ping()
            found.append(await self._pong)
        self._pong = None
        return clocks.best(found)

    def _heard(self, sign: wire.Pong | wire.Alive, now_ns: int) -> None:
        if isinstance(sign, wire.Alive):
            if self._pong is None:  # once a second, while the load is on
                self._ping()
            return
        seen = clocks.sight(sign.sent_ns, sign.came_ns, sign.left_ns, now_ns)
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(seen)
        elif self._before is not None:
            self._between.append(seen)

    def _ping(self) -> None:
        self._post(wire.Ping(time.monotonic_ns()))

    def _ours(self, part: Part, clock: clocks.Clock) -> Part:
        return clocks.part(part, clock)._replace(clock=clock, host=self._link.address)

    # -- the connection --------------------------------------------------------------------------

    async def _start(self) -> None:
        self._channel = await Channel.over(self._link.end, self._link.seal)
        await self._send(self._setup)
        self._begun.set()

    async def close(self) -> None:
        """End the worker: it sees that the connection is gone."""
        await super().close()
        self._link.end.close()

    def _died(self) -> LoadHostError:
        return self._error("was lost: its connection ended")

    def _error(self, what: str, lines: Sequence[str] = ()) -> LoadHostError:
        return LoadHostError(
            f"load host {self._link.address} {what}",
            hint="The load was not as planned: see what that host says, and measure again.",
            log_tail=lines[-TAIL:],
        )
