"""The bytes between the real NATS client and the simulated server, late, cut or broken as a test wants."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import ParseResult

from nats.aio.transport import Transport

from simulation.loop import VirtualLoop

LATENCY = 0.002
"""Most seconds that bytes take one way while nothing is wrong."""


class Link:
    """One connection: two directions, each in order."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, owner: str) -> None:
        self.owner = owner
        """The process at the client's end."""
        self.received: Callable[[Link, bytes, bytes], None] = lambda *_: None
        self.ended: Callable[[Link], None] = lambda _: None
        self.broken = False
        self.held = False
        """Bytes are kept on the way, as by a cut that TCP outlasts; they arrive when it ends."""
        self._loop, self._chance = loop, chance
        self._inbound = bytearray()
        self._news = asyncio.Event()
        self._ways: dict[bool, deque[bytes]] = {True: deque(), False: deque()}
        self._arrivals = {True: 0.0, False: 0.0}
        self._parsing = bytearray()

    def send(self, data: bytes) -> None:
        """From the server to the client."""
        self._carry(True, data)

    def write(self, data: bytes) -> None:
        """From the client to the server."""
        self._carry(False, data)

    def break_(self) -> None:
        """Both ends see it closed; what is on the way is lost."""
        if self.broken:
            return
        self.broken = True
        for way in self._ways.values():
            way.clear()
        self._news.set()
        self.ended(self)

    def hold(self, held: bool) -> None:
        """Keep bytes on the way, or let those that were kept arrive."""
        self.held = held
        if not held:
            for inbound in (True, False):
                self._arrive(inbound)

    async def read(self, until_line: bool) -> bytes:
        """What has arrived at the client: a line, or everything; empty when the connection is broken."""
        while True:
            end = self._inbound.find(b"\n") + 1 if until_line else len(self._inbound)
            if end:
                taken = bytes(self._inbound[:end])
                del self._inbound[:end]
                return taken
            if self.broken:
                return b""
            self._news.clear()
            await self._news.wait()

    def _carry(self, inbound: bool, data: bytes) -> None:
        if self.broken:
            return
        self._ways[inbound].append(data)
        due = self._loop.time() + self._chance.uniform(0, LATENCY)
        self._arrivals[inbound] = max(due, self._arrivals[inbound])
        self._loop.call_at(self._arrivals[inbound], self._arrive, inbound)

    def _arrive(self, inbound: bool) -> None:
        if self.held:
            return
        way = self._ways[inbound]
        while way:
            data = way.popleft()
            if inbound:
                self._inbound += data
                self._news.set()
            else:
                self._parsing += data
                self._parse()

    def _parse(self) -> None:
        while not self.broken:
            end = self._parsing.find(b"\r\n")
            if end < 0:
                return
            line = bytes(self._parsing[:end])
            size = int(line.split(b" ")[-1]) + 2 if line[:4].upper() in (b"PUB ", b"HPUB") else 0
            if len(self._parsing) < end + 2 + size:
                return
            body = bytes(self._parsing[end + 2 : end + size])
            del self._parsing[: end + 2 + size]
            self.received(self, line, body)


class SimulatedTransport(Transport):
    """What the real client takes for a TCP connection; `dial` connects it to the network."""

    dial: Callable[[str], Link]

    def __init__(self) -> None:
        self._link: Link | None = None

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Connect, or fail as an unreachable server does."""
        await asyncio.sleep(LATENCY)
        self._link = type(self).dial(str(uri.hostname))

    async def connect_tls(self, *_: Any, **__: Any) -> None:
        """Never asked for."""
        raise OSError("the simulation has no TLS")

    def write(self, payload: bytes) -> None:
        """Send."""
        self._open.write(bytes(payload))

    def writelines(self, payload: list[bytes]) -> None:
        """Send all."""
        for part in payload:
            self._open.write(bytes(part))

    async def read(self, buffer_size: int) -> bytes:
        """What has arrived."""
        return await self._open.read(until_line=False)

    async def readline(self) -> bytes:
        """One line."""
        return await self._open.read(until_line=True)

    async def drain(self) -> None:
        """Raise when the connection is broken."""
        if self._open.broken:
            raise ConnectionResetError("the connection is broken")

    async def wait_closed(self) -> None:
        """Closed at once."""

    def close(self) -> None:
        """Close."""
        if self._link is not None:
            self._link.break_()

    def at_eof(self) -> bool:
        """Whether nothing more will come."""
        return self._link is None or (self._link.broken and not self._link._inbound)

    def __bool__(self) -> bool:
        return self._link is not None

    @property
    def _open(self) -> Link:
        if self._link is None:
            raise ConnectionResetError("not connected")
        return self._link
