"""What a map of many calls costs the client in memory: bytes for each call, while it is sent and read.

`python tests/unit/sdk/test_functions_memory.py 1000000` prints the peak of a whole process.
"""

import asyncio
import resource
import sys
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

import armonik_sdk.aio as aio
from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.client.manifest import Draft, plan
from armonik_sdk.functions import encode_value
from armonik_sdk.grid.protocol import Ended, Order, Submission

MOST_BYTES = 64
"""For each call of a map: its end in the spool, and a few numbers."""
BATCH = 1_000


class Grid:
    """A grid that takes calls as a cluster does, and answers all of them; it keeps none."""

    namespace, name, uid, partitions, partition = "ns", "session", "uid", ("python",), "python"
    total, value = 0, bytes(encode_value(49))

    async def open(self, *_: object, **__: object) -> "Grid":
        return self

    async def worker(self, partition: str) -> dict[str, str]:
        return {}

    async def submit(self, made: Submission) -> "Grid":
        draft = Draft("ns", self.name, self.uid, made.name, "nonce", items=made.items, options=made.options)
        for _, pieces in plan(draft).streams:
            for _piece in pieces():
                await asyncio.sleep(0)
        self.total = len(made.items)
        return self

    async def outcomes(self, order: Order = "completion") -> AsyncIterator[list[Ended]]:
        for at in range(0, self.total, BATCH):
            indexes = range(at, min(at + BATCH, self.total))
            yield [Ended(index, self.value, size=len(self.value)) for index in indexes]

    async def read(self, ended: Sequence[Ended]) -> dict[int, bytes]:
        return {one.index: one.place for one in ended if one.place is not None}

    async def set_state(self, state: object) -> None:
        pass

    async def close(self) -> None:
        pass


async def whole_map(count: int) -> int:
    """Send it, and read all values."""
    grid: Any = Grid()
    async with aio.Client(ClientCore(grid)) as client:
        session = await client.session(on_exit="cancel", code=None)
        mapped = session.map(abs, range(count))
        count = 0
        async for value in mapped:
            count += value == 49
        return count


async def peak(count: int) -> int:
    tracemalloc.start()
    try:
        assert await whole_map(count) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_call_of_a_map_costs_the_client_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Bounds that a map of a million reaches at once, and a small one does not.
    monkeypatch.setattr("armonik_sdk.aio.calls.spool.IN_MEMORY", 64 * 1024)
    monkeypatch.setattr("armonik_sdk.client.manifest.REMEMBERED", 100)
    await whole_map(1_500)  # what is imported and cached
    small, large = await peak(1_500), await peak(5_500)
    assert (large - small) / 4_000 < MOST_BYTES


if __name__ == "__main__":
    calls = int(sys.argv[1])
    assert asyncio.run(whole_map(calls)) == calls
    sys.stdout.write(f"{calls:,} calls: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB\n")
