"""The header lists that both ends send, held to the rules that strict peers enforce (RFC 9113, section 8)."""

import asyncio

import grpc
import grpc.aio
import pytest
from hpack import Decoder
from tests.unit.agent.rpc_pair import PATH, Pair

from armonik_agent.rpc import channel, frames, headers, server, status

CONNECTION_SPECIFIC = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}
REQUEST = {":method", ":scheme", ":path", ":authority"}
HeaderList = list[tuple[str, str]]


def faults(found: HeaderList, pseudo: set[str], required: set[str]) -> list[str]:
    """What a strict peer would refuse of a header list; `pseudo` are the pseudo-headers that it may have."""
    names = [name for name, _ in found]
    special = [name for name in names if name.startswith(":")]
    said = []
    if names[: len(special)] != special:
        said.append("a pseudo-header after a regular one (8.3)")
    if len(set(special)) != len(special):
        said.append("a pseudo-header twice (8.3)")
    if not required <= set(special) <= pseudo:
        said.append(f"pseudo-headers {special} (8.3.1, 8.3.2)")
    for name, value in found:
        if name != name.lower() or not name.isascii() or " " in name:
            said.append(f"the name {name!r} (8.2.1)")
        if name in CONNECTION_SPECIFIC or (name == "te" and value != "trailers"):
            said.append(f"the connection-specific header {name} (8.2.2)")
        if value != value.strip(" \t") or set(value) & set("\0\r\n"):
            said.append(f"the value of {name} (8.2.1)")
    return said


def sent(pipe_data: bytes) -> list[tuple[int, int, HeaderList]]:
    """Stream, flags and headers of each HEADERS frame, read in the order in which they were sent."""
    decoder = Decoder()
    data = pipe_data.removeprefix(frames.PREFACE)
    return [
        (stream, flags, [(str(name), str(value)) for name, value in decoder.decode(payload)])
        for kind, flags, stream, payload in frames.FrameReader().read(data)
        if kind == frames.HEADERS
    ]


async def exchange(method: server.Method, *requests: bytes) -> tuple[bytes, bytes]:
    """All bytes that client and server have sent for these requests."""
    pair = Pair(method)
    for request in requests:
        call = pair.client.call(PATH, request, 60)
        while not call.done():
            pair.carry()
            await asyncio.sleep(0)
        call.exception()
    return bytes(pair.there.all), bytes(pair.back.all)


def refuse(request: bytes, context: server.Context) -> bytes:
    """Answer with an error when asked to."""
    return context.refuse(grpc.StatusCode.NOT_FOUND, " no\r\n\x00ü ") if request else request


async def test_requests_keep_the_rules_of_header_lists() -> None:
    there, _ = await exchange(refuse, b"", b"", b"refuse")
    lists = [found for _, _, found in sent(there)]
    assert len(lists) == 3
    for found in lists:
        assert faults(found, REQUEST, REQUEST - {":authority"}) == []


async def test_answers_keep_the_rules_of_header_lists() -> None:
    _, back = await exchange(refuse, b"", b"refuse")
    first: set[int] = set()
    for stream, _, found in sent(back):
        pseudo = set() if stream in first else {":status"}  # trailers have none (8.1)
        first.add(stream)
        assert faults(found, pseudo, pseudo) == []
    assert len(first) == 2


async def test_a_request_is_sent_as_recorded() -> None:
    there, _ = await exchange(refuse, b"")
    [(stream, flags, found)] = sent(there)
    assert (stream, flags) == (1, frames.END_HEADERS)
    assert found == [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/a.B/C"),
        ("grpc-timeout", "61000m"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-accept-encoding", "identity,gzip"),
    ]


async def test_a_connection_begins_with_preface_and_settings() -> None:
    there, back = await exchange(refuse, b"")
    assert there.startswith(frames.PREFACE)
    for data in (there.removeprefix(frames.PREFACE), back):
        kind, flags, stream, _ = next(iter(frames.FrameReader().read(data)))
        assert (kind, flags, stream) == (frames.SETTINGS, 0, 0)


@pytest.mark.parametrize("seconds", [0.0001, 1.0, 3600.0, 10**5, 10**9, 10**12])
def test_a_timeout_has_at_most_eight_digits(seconds: float) -> None:
    written = channel._timeout(seconds)
    assert 1 <= len(written[:-1]) <= 8
    assert written[:-1].isdigit()
    assert written[-1] in "HMSmun"


FAULTY = {
    "a pseudo-header late": [(":method", "POST"), ("te", "trailers"), (":path", "/"), (":scheme", "http")],
    "a pseudo-header missing": [(":method", "POST"), (":path", "/")],
    "an unknown pseudo-header": [
        (":method", "POST"),
        (":path", "/"),
        (":scheme", "http"),
        (":status", "200"),
    ],
    "a pseudo-header twice": [(":method", "POST"), (":path", "/"), (":path", "/"), (":scheme", "http")],
    "an upper-case name": [(":method", "POST"), (":path", "/"), (":scheme", "http"), ("TE", "trailers")],
    "a connection header": [(":method", "POST"), (":path", "/"), (":scheme", "http"), ("te", "gzip")],
    "a value with white space": [(":method", "POST"), (":path", "/"), (":scheme", "http"), ("a", " b")],
}


@pytest.mark.parametrize("name", FAULTY)
def test_the_check_finds_what_strict_peers_refuse(name: str) -> None:
    assert faults(arrived(FAULTY[name]), REQUEST, REQUEST - {":authority"})


def arrived(found: HeaderList) -> HeaderList:
    """A header list as it arrives."""
    return [(str(name), str(value)) for name, value in Decoder().decode(headers.write(*found))]


@pytest.mark.parametrize("text", ["x" * 100_000, "ü" * 50_000, "a" + "€" * 30_000, " " * 5000, "%" * 9000])
def test_an_error_of_any_length_fits_the_headers_of_every_peer(text: str) -> None:
    header = status.message_header(text)
    assert len(header) <= 3 * status.MAX_DETAILS_BYTES
    read = status.of_headers({"grpc-status": "2", "grpc-message": header})
    assert read is not None
    assert (read.details() or "").endswith(" …")
    assert text.startswith((read.details() or "").removesuffix(" …"))
    assert header == header.strip()


def test_a_lone_surrogate_in_an_error_is_replaced() -> None:
    assert status.message_header("a\ud800b") == "a?b"
