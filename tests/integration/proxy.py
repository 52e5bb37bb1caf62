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
        self._mute = False
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

    def swallow(self) -> None:
        """Lose the connections that exist, without a word to either side; new ones work."""
        self._lost |= self._writers

    def stall(self) -> None:
        """The same, but nothing more is read from them either: what is sent to them fills buffers."""
        self._stalled |= self._writers
        self.swallow()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
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
        sink.close()
