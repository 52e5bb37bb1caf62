"""A way to a server that can be cut and restored while the server itself stays as it is."""

import asyncio
from contextlib import suppress

from ports import free_port


class Proxy:
    """Forwards connections to one address."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._mute = False
        self._lost: set[asyncio.StreamWriter] = set()
        self._stalled: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._instead: bytes | None = None
        self.words: set[bytes] = set()
        """What is listened for, in what passes in either direction."""
        self.heard: set[bytes] = set()
        """Those that have passed."""

    @property
    def address(self) -> str:
        """Where it listens, host:port."""
        return f"127.0.0.1:{self._port}"

    async def mend(self) -> None:
        """Listen."""
        self._mute, self._instead = False, None
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def cut(self) -> None:
        """Refuse new connections and break those that exist."""
        if self._server is not None:
            self._server.close()
        self._stalled.clear()
        for writer in list(self._writers):
            writer.transport.abort()
        self._server = None

    def mute(self) -> None:
        """Swallow all that the server sends from now on, until restored; it receives what is sent to it."""
        self._mute = True

    def swallow(self, *, answers: bool = True, requests: bool = True) -> None:
        """Lose the connections that exist, in these directions, without a word; new ones work."""
        clients = self._writers & self._clients
        self._lost |= (clients if answers else set()) | (self._writers - clients if requests else set())

    def say(self, words: bytes) -> None:
        """Send this to the clients that are connected, as if the server had."""
        for writer in self._writers & self._clients:
            writer.write(words)

    def become(self, words: bytes) -> None:
        """Break the connections; from now on, until restored, new ones get these words and no more."""
        self._instead = words
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """The same, but nothing more is read from them either: what is sent to them fills buffers."""
        self._stalled |= self._writers
        self.swallow()

    def restore(self) -> None:
        """Forward new connections again, after `become`; those that got other words break."""
        self._instead = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._instead is not None:
            self._writers.add(writer)
            writer.write(self._instead)
            return
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._clients.add(writer)
        for source, sink in ((reader, back), (there, writer)):
            self._writers.add(sink)
            pump = asyncio.create_task(self._pump(source, sink, answers=source is there))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):  # the other side has gone, as a cut means it to
            while data := await source.read(65_536):
                self.heard |= {word for word in self.words if word in data}
                while sink in self._stalled:  # noqa: ASYNC110 - until the test ends
                    await asyncio.sleep(0.05)
                if not (answers and self._mute) and sink not in self._lost:
                    sink.write(data)
                    await sink.drain()
        self._writers.discard(sink)
        self._clients.discard(sink)
        sink.close()
