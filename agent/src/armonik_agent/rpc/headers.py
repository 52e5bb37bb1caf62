"""Header blocks: written without a connection's table, so that they can be kept; read with `hpack`."""

from collections.abc import Callable, Sequence

from hpack import Decoder
from hpack.exceptions import HPACKError

from armonik_agent.rpc.frames import BrokenConnection, Code

MAX_HEADER_BYTES = 64 * 1024
"""Longest list of headers that is read."""
KEPT_BLOCKS = 64
_STATIC = {(":method", "POST"): b"\x83", (":scheme", "http"): b"\x86", (":status", "200"): b"\x88"}
_STATIC_NAMES = {":authority": b"\x01", ":path": b"\x04", "content-type": b"\x0f\x10"}
Headers = dict[str, str]
"""By name, in lower case. Of a repeated name the last value is kept: nothing that gRPC repeats is read."""
Pairs = Sequence[tuple[str, str]]
MALFORMED: Headers = {}
"""This very object is read for a block that breaks a rule, which ends its stream and no other."""
_REQUIRED = {":method", ":scheme", ":path"}
_OF_ONE_HOP = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}
"""Headers of HTTP/1.1 that HTTP/2 forbids (section 8.2.2)."""


def write(*headers: tuple[str, str]) -> bytes:
    """A header block that neither needs nor changes the table of any connection, without Huffman's code.

    Whole headers of the static table by their index (RFC 7541, 6.1), others as literals without indexing
    (6.2.2), their names by index where the static table has them.
    """
    return b"".join(_STATIC.get(header) or _name(header[0]) + _text(header[1]) for header in headers)


def _name(name: str) -> bytes:
    return _STATIC_NAMES.get(name) or b"\x00" + _text(name)


def _text(text: str) -> bytes:
    data = text.encode()
    length = len(data)
    if length < 0x7F:
        return bytes((length,)) + data
    prefix, rest = bytearray((0x7F,)), length - 0x7F
    while rest >= 0x80:
        prefix.append(rest & 0x7F | 0x80)
        rest >>= 7
    prefix.append(rest)
    return bytes(prefix) + data


def is_well_formed(pairs: Pairs) -> bool:
    """Whether a request's headers, or its trailers, keep the rules of RFC 9113 (sections 8.2 and 8.3).

    Trailers have no pseudo-headers; whether there must be any, the caller knows.
    """
    pseudo = [name for name, _ in pairs if name.startswith(":")]
    others = pairs[len(pseudo) :]
    if pseudo and not (
        len(pseudo) == len(set(pseudo)) and _REQUIRED <= set(pseudo) <= {*_REQUIRED, ":authority"}
    ):
        return False
    return (
        not any(name.startswith(":") or name != name.lower() or name in _OF_ONE_HOP for name, _ in others)
        and (":path", "") not in pairs
        and all(value == "trailers" for name, value in others if name == "te")
    )


class HeaderReader:
    """The headers of one connection's blocks, which must be read in the order in which they came.

    A block that leaves the table of headers as it was means the same until another changes that table, and
    calls repeat such blocks: they are kept.
    """

    def __init__(self, well_formed: Callable[[Pairs], bool] = lambda _: True) -> None:
        self._well_formed = well_formed
        self._decoder = Decoder(max_header_list_size=MAX_HEADER_BYTES)
        self._table = self._decoder.header_table.dynamic_entries
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """The headers of a block.

        Raises:
            BrokenConnection: it cannot be read, so no later one can.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before, size = self._newest(), len(self._table)
        try:
            pairs = [(str(name), str(value)) for name, value in self._decoder.decode(block)]
        except (HPACKError, UnicodeDecodeError) as error:
            raise BrokenConnection(Code.COMPRESSION_ERROR, f"unreadable headers: {error}") from error
        headers = dict(pairs) if self._well_formed(pairs) else MALFORMED
        resized = bool(block) and block[0] & 0xE0 == 0x20  # begins with a table size update (RFC 7541, 6.3)
        changed = resized or self._newest() is not before or len(self._table) != size
        if changed or len(self._known) >= KEPT_BLOCKS:
            self._known.clear()
        else:
            self._known[block] = headers
        return headers

    def _newest(self) -> object:
        """The newest entry itself: adding an equal one moves the others nevertheless."""
        return self._table[0] if self._table else None
