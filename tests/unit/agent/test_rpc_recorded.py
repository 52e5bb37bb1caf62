"""The agent's client, given what the gRPC servers of six languages have sent (tests/polyglot/record.py)."""

import json
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.unit.agent.rpc_pair import Pipe

from armonik_agent.rpc import channel, frames, headers

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))
WORKER = "/armonik.api.grpc.v1.worker.Worker/"


def data_sent(pipe: Pipe, stream: int) -> int:
    """Bytes of messages that the client has sent of a stream, with their prefixes."""
    sent = frames.FrameReader().read(bytes(pipe.all)[len(frames.PREFACE) :])
    return sum(len(payload) for kind, _, one, payload in sent if (kind, one) == (frames.DATA, stream))


def read(path: Path) -> list[dict[str, Any]]:
    """The calls of one language."""
    calls: list[dict[str, Any]] = json.loads(path.read_text())
    return calls


def connected() -> tuple[channel._Client, Pipe]:
    client, pipe = channel._Client(2**20), Pipe()
    client.connection_made(pipe)
    return client, pipe


async def replay(client: channel._Client, one: dict[str, Any], size: int) -> None:
    """One call, answered with the recorded bytes in pieces."""
    call = client.call(headers.write((":path", WORKER + one["method"])), bytes(one["request_bytes"]), 60)
    sent = bytes.fromhex(one["sent"])
    for at in range(0, len(sent), size):
        client.data_received(sent[at : at + size])
    if one.get("code") == "DEADLINE_EXCEEDED":
        assert call.cancel(), "the server has not answered it"
    elif "answer" in one:
        assert call.done()
        assert bytes(call.result()).hex() == one["answer"]
    else:
        error = call.exception()
        assert isinstance(error, grpc.aio.AioRpcError)
        assert (error.code().name, error.details()) == (one["code"], one["details"])


@pytest.mark.parametrize("size", [1, 7, 2**20])
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_answers_of_other_servers_are_read(path: Path, size: int) -> None:
    client, pipe = connected()
    calls = read(path)
    for one in calls:
        await replay(client, one, size)
        assert client.open
    assert not client.streams
    assert not pipe.closed
    for number, one in enumerate(calls):
        assert data_sent(pipe, 2 * number + 1) == one["request_bytes"] + frames.PREFIX_BYTES


def test_the_servers_differ() -> None:
    """Each library has its own settings and its own way with the table of headers."""
    assert {path.stem for path in RECORDED} == {"cpp", "go", "java", "node", "python", "rust"}
    assert len({read(path)[0]["sent"][:60] for path in RECORDED}) == len(RECORDED)
