"""What a worker can make its agent hold in memory: the agent's container has 256 MiB."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from agent_bench import Bench, eventually
from agent_process import AgentProcess
from armonik.protogen.common import agent_common_pb2 as wire
from armonik.protogen.worker.agent_service_pb2_grpc import AgentStub
from servers import as_role

from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.record_overflow import load_overflow

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
SCRIPT = Path(__file__).with_name("agent_service.py")
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The agent's service, in a process of its own."""
    made = subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path), str(tmp_path / "agent.sock")])
    yield made
    made.kill()
    made.wait()


def peak(process: subprocess.Popen[bytes]) -> int:
    """Most bytes of memory that it has held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_large_requests_at_once_keep_the_agent_below_its_limit(
    tmp_path: Path, process: subprocess.Popen[bytes], compression: grpc.Compression
) -> None:
    socket = tmp_path / "agent.sock"

    async def listens() -> bool:
        return socket.exists()

    await eventually(listens)
    asked = wire.CreateResultsRequest.ResultCreate(name="large", data=bytes(63 * MIB))
    request = wire.CreateResultsRequest(communication_token="token", results=[asked])
    channels = [
        grpc.aio.insecure_channel(f"unix://{socket}", OPTIONS, compression=compression) for _ in range(2)
    ]
    # Over one connection and over two, as threads of one worker and as its processes call.
    stubs = [AgentStub(channels[number % 3 % 2]) for number in range(4)]
    answers = await asyncio.gather(*(stub.CreateResults(request, timeout=120) for stub in stubs))
    assert len({answer.results[0].result_id for answer in answers}) == 4
    for answer in answers:
        assert (tmp_path / "run" / answer.results[0].result_id).stat().st_size == 63 * MIB
    assert peak(process) < 230 * MIB, f"{peak(process) // MIB} MiB"
    for channel in channels:
        await channel.close()


@pytest.mark.parametrize("script", ["agent_worker.py", "agent_function.py"])
@pytest.mark.parametrize(("count", "size"), [(1_300, 55_000), (20_000, 100)])
async def test_a_large_fan_out_keeps_the_agent_below_its_limit(
    bench: Bench, folder: Path, credentials: Credentials, script: str, count: int, size: int
) -> None:
    agent = AgentProcess(folder, as_role(credentials, "agent"), script)
    try:
        agent.worker.start()
        agent.start()
        done = await load_overflow(bench.store, await bench.ended(await bench.submit(f"fan {count} {size}")))
        (outcome,), children = done.outcomes, done.children
        assert (outcome.kind, outcome.attempts, outcome.message) == (OutcomeKind.COMPLETED, 1, "")
        assert sum(child.count for child in children) == count
        assert agent.process is not None
        assert peak(agent.process) < 230 * MIB, f"{peak(agent.process) // MIB} MiB"
    finally:
        agent.end()
