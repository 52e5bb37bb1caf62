"""The client outside the cluster: what it forwards stays up."""

import os
import signal
from pathlib import Path

import pytest

from armonik_sdk.client import Client, Element, Payload

pytestmark = pytest.mark.e2e
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="finds processes in /proc (Linux)"
)
WAIT = 180.0


def _forwards() -> list[int]:
    """Processes of kubectl port-forward that this process started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = f"PPid:\t{os.getpid()}\n" in status.read_text()
            command = status.with_name("cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if parent and b"port-forward" in command:
            found.append(int(status.parent.name))
    return found


@needs_proc
async def test_work_continues_when_the_port_forwards_are_killed() -> None:
    before = set(_forwards())  # of a client that other tests of this process share
    async with await Client.connect("default") as client:
        session = await client.create_session(partitions=["default"])
        try:
            assert await (await session.submit("7")).result(timeout=WAIT) == b"49"
            killed = [pid for pid in _forwards() if pid not in before]
            assert len(killed) == 2, "one for NATS, one for the object store"
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            many = await session.submit(items=[str(number) for number in range(20)])
            found = dict([item async for item in many.results(timeout=WAIT)])
            assert found == {number: str(number**2).encode() for number in range(20)}
            assert not set(_forwards()) & set(killed)
        finally:
            await session.delete()
    assert set(_forwards()) <= before


async def test_results_come_by_index_and_large_payloads_go_through_the_store() -> None:
    async with await Client.connect("default") as client:
        session = await client.create_session(partitions=["default"])
        try:
            large = " " * 40_000 + "12"
            items = [Element(payload="3"), Element(payload=large), Element(payload=Payload(inline="5"))]
            task = await session.submit(items=items)
            found = [item async for item in task.results(order="index", timeout=WAIT)]
            assert found == [(0, b"9"), (1, b"144"), (2, b"25")]
        finally:
            await session.delete()
