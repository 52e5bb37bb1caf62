"""The agent's own HTTP/2 server against h2spec, which breaks the rules of RFC 7540 and 7541 one by one.

It is built by `hack/polyglot`. It sends requests without a message, which gRPC does not have: here they are
taken as empty ones, so that answers with data come and their flow control is tried as well.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hack.polyglot.build import command, lacks

from armonik_agent.rpc import server
from armonik_agent.rpc.connection import Stream, message_of
from armonik_agent.rpc.headers import Headers

pytestmark = pytest.mark.integration
METHOD = "/test.Echo/Say"
ANSWER = b"an answer that is longer than a window of a few bytes"
CASE_SECONDS = 5
"""How long h2spec waits for what a case expects."""
ALL_SECONDS = 300
LEAST_CASES = 145
_LENGTH = 'Sends a HEADERS frame with the "content-length" header field which does not equal the '
_PRIORITY_REASON = "RFC 9113 (5.3) has withdrawn priorities; they are ignored"
_LENGTH_REASON = "gRPC sends no content-length: its messages have a length of their own, which is checked"
NOT_KEPT = {
    "Sends HEADERS frame that depend on itself": _PRIORITY_REASON,
    "Sends PRIORITY frame that depend on itself": _PRIORITY_REASON,
    f"{_LENGTH}DATA frame payload length": _LENGTH_REASON,
    f"{_LENGTH}sum of the multiple DATA frames payload length": _LENGTH_REASON,
}
"""Cases whose rule the server does not keep, and why gRPC does not need it."""


class Echo:
    """As generated code adds it."""

    def service(self, details: object) -> object:
        """The one method, for every path."""
        return self

    unary_unary = staticmethod(lambda request, context: ANSWER)
    request_deserializer = response_serializer = staticmethod(bytes)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Where the server listens, on TCP: h2spec has no unix sockets."""

    def message_or_nothing(stream: Stream, headers: Headers, limit: int) -> bytes | bytearray:
        return message_of(stream, headers, limit) or b""

    monkeypatch.setattr(server, "message_of", message_or_nothing)
    served = server.Server(10**6)
    served.add_generic_rpc_handlers([Echo()])
    async with await asyncio.get_running_loop().create_server(served._accept, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def test_the_server_keeps_the_rules_of_http2(port: int, tmp_path: Path) -> None:
    if missing := lacks("h2spec"):
        pytest.skip(missing)
    report = tmp_path / "report.xml"
    words = [*command("h2spec"), "--port", str(port), "--path", METHOD, "--timeout", str(CASE_SECONDS)]
    words += ["--junit-report", str(report)]
    pipe, same = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    async with asyncio.timeout(ALL_SECONDS):
        process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=same)
        printed, _ = await process.communicate()
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    not_passed = {case.get("classname") for case in cases if list(case)}
    assert len(cases) >= LEAST_CASES
    assert not_passed == set(NOT_KEPT), printed.decode()
