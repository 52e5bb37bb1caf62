"""How many requests the values of futures take, and what one that cannot be read costs its neighbours."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

import armonik_sdk as ak
from armonik_sdk import aio
from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.settling import SMALL_BYTES
from armonik_sdk.client.errors import NotConnected, ResultDamaged
from armonik_sdk.functions import encode_value
from armonik_sdk.grid.protocol import READ_BYTES, READ_COUNT, Ended, Order, Submission
from armonik_sdk.sync import portal

FEW = 8
"""Requests for hundreds of values: 32 MiB at most, of one Task of the first call and one of all others."""


class Kept:
    """A grid that answers each call with its number, and keeps all values where they have to be fetched."""

    namespace, name, uid, partitions, partition = "ns", "session", "uid", ("python",), "python"

    def __init__(self, size: int, damaged: frozenset[int] = frozenset()) -> None:
        self.size, self.damaged = size, damaged
        self.submitted, self.all_called = 0, threading.Event()
        self.reads: list[Sequence[Ended]] = []

    async def open(self, *_: object, **__: object) -> "Kept":
        return self

    async def worker(self, partition: str) -> dict[str, str]:
        return {}

    async def submit(self, made: Submission) -> "KeptTask":
        await asyncio.to_thread(self.all_called.wait)  # what is called meanwhile is one Task
        first, self.submitted = self.submitted, self.submitted + len(made.items)
        return KeptTask(self, made.name, first, len(made.items))

    async def read(self, place: tuple[int, int]) -> bytes:
        return (await KeptTask(self, "one", place[0], 1).read([Ended(0, place, size=self.size)]))[0]

    async def set_state(self, state: object) -> None:
        pass

    async def close(self) -> None:
        pass


class KeptTask:
    def __init__(self, grid: Kept, name: str, first: int, total: int) -> None:
        self.grid, self.name, self.uid, self.first, self.total = grid, name, name, first, total

    async def outcomes(self, order: Order = "completion") -> AsyncIterator[list[Ended]]:
        yield [Ended(at, (self.first + at, 0), size=self.grid.size) for at in range(self.total)]

    async def read(self, ended: Sequence[Ended]) -> dict[int, bytes]:
        self.grid.reads.append(ended)
        if broken := self.grid.damaged & {one.place[0] for one in ended if one.place}:
            raise ResultDamaged(f"{sorted(broken)}")
        return {one.index: bytes(encode_value(one.place[0])) for one in ended if one.place}


def called(grid: Kept, session: Any, count: int) -> list[Future[int]]:
    futures = [session.submit(abs, number) for number in range(count)]
    grid.all_called.set()
    return futures


@pytest.fixture
def sessions() -> Iterator[Any]:
    """Make blocking sessions of grids."""
    made: list[ClientCore] = []

    def of(grid: Kept) -> ak.Session:
        async def core(*_: object) -> ClientCore:
            kept: Any = grid
            return ClientCore(kept)

        client = ak.Client(portal.begin(core))
        made.append(client._core)
        return client.session(on_exit="cancel", code=None)

    yield of
    for core in made:
        portal.end(core)


def test_small_values_of_many_calls_take_few_requests(sessions: Any) -> None:
    grid = Kept(SMALL_BYTES)
    session = sessions(grid)
    futures = called(grid, session, 500)
    assert ak.gather(*futures) == list(range(500))
    assert len(grid.reads) <= FEW


def test_large_values_are_read_when_they_are_asked_for_and_then_together(sessions: Any) -> None:
    size = 64 * 1024
    grid = Kept(size)
    session = sessions(grid)
    futures = called(grid, session, 500)
    for future in futures:
        future.exception()
    assert grid.reads == []
    assert futures[7].result() == 7
    assert [len(read) for read in grid.reads] == [1]
    assert ak.gather(*futures) == list(range(500))
    assert len(grid.reads) <= FEW
    assert all(len(read) * size <= READ_BYTES and len(read) <= READ_COUNT for read in grid.reads)


def test_in_coroutines_they_are_read_together_as_well() -> None:
    grid = Kept(64 * 1024)

    async def run() -> list[Any]:
        core: Any = grid
        async with aio.Client(ClientCore(core)) as client:
            session = await client.session(on_exit="cancel", code=None)
            return await aio.gather(*called(grid, session, 500))

    assert asyncio.run(run()) == list(range(500))
    assert len(grid.reads) <= FEW


@pytest.mark.parametrize("size", [SMALL_BYTES, SMALL_BYTES + 1])
def test_a_value_that_cannot_be_read_is_the_only_one(sessions: Any, size: int) -> None:
    grid = Kept(size, frozenset({3}))
    session = sessions(grid)
    futures = called(grid, session, 10)
    values = ak.gather(*futures, errors="return")
    assert [*values[:3], *values[4:]] == [*range(3), *range(4, 10)]
    assert isinstance(values[3], ResultDamaged)
    with pytest.raises(ResultDamaged):
        ak.gather(*futures)


def test_a_value_that_cannot_be_read_costs_its_neighbours_one_request_each(sessions: Any) -> None:
    grid = Kept(8 * 1024, frozenset({399}))
    session = sessions(grid)
    futures = called(grid, session, 400)
    values = ak.gather(*futures, errors="return")
    assert values[:399] == list(range(399))
    assert isinstance(values[399], ResultDamaged)
    assert sum(map(len, grid.reads)) <= 2 * 400


def test_errors_come_in_the_place_of_values_of_a_client_that_is_closed(sessions: Any) -> None:
    grid = Kept(64 * 1024)
    session = sessions(grid)
    futures = called(grid, session, 3)
    for future in futures:
        future.exception()
    portal.end(session._core.client)
    assert [type(value) for value in ak.gather(*futures, errors="return")] == [NotConnected] * 3


def test_what_would_end_the_program_comes_in_the_place_of_a_value_as_well(sessions: Any) -> None:
    grid = Kept(SMALL_BYTES)
    session = sessions(grid)
    left, there = Future[int](session._core, "sys.exit"), called(grid, session, 1)[0]
    left.fail(SystemExit(3))
    assert [repr(value) for value in ak.gather(left, there, errors="return")] == ["SystemExit(3)", "0"]
    with pytest.raises(SystemExit):
        ak.gather(left)
    again = asyncio.run(aio.gather(left, there, errors="return"))
    assert [repr(value) for value in again] == ["SystemExit(3)", "0"]


def test_a_value_that_somebody_is_called_back_for_is_there_then(sessions: Any) -> None:
    grid = Kept(64 * 1024)
    session = sessions(grid)
    got: list[int] = []

    def take(future: Future[int]) -> None:
        got.append(future.result())  # in the thread of the loop, which must not wait

    futures = [session.submit(abs, number) for number in range(20)]
    for future in futures:
        future.add_done_callback(take)
    grid.all_called.set()
    for future in futures:
        future.exception()
    assert sorted(got) == list(range(20))
