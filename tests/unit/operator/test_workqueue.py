"""The work queue, on asyncio's loop and on the one that the operator runs on."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.util.work_queue import AT_LEAST, WorkQueue

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


class Handler:
    """Notes the keys it is given; stops the queue after so many."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.seen: list[str] = []
        self.ended = asyncio.Event()

    async def __call__(self, key: str) -> float | None:
        self.seen.append(key)
        answer = self.answers.pop(0)
        if not self.answers:
            self.ended.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def served(queue: WorkQueue[str], handler: Handler) -> list[str]:
    """What was handled until the handler had no answer left."""
    working = asyncio.create_task(queue.run())
    async with asyncio.timeout(10):
        await handler.ended.wait()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return handler.seen


@pytest.mark.parametrize("delay", [0.0, 1e-4, 1e-2])
def test_of_two_delays_the_shorter_one_counts_and_the_key_comes_once(run: Run, delay: float) -> None:
    async def main() -> None:
        handler = Handler(None, None)
        queue = WorkQueue(handler, 1)
        queue.add_after("a", 60.0)
        queue.add_after("a", delay)
        queue.add_after("a", delay)
        queue.add_after("a", 30.0)
        queue.add_after("b", 0.1)
        assert await served(queue, handler) == ["a", "b"]

    run(main())


def test_a_key_that_is_added_does_not_come_again_when_its_delay_is_over(run: Run) -> None:
    async def main() -> None:
        handler = Handler(None, None)
        queue = WorkQueue(handler, 1)
        queue.add_after("a", 0.01)
        queue.add("a")
        queue.add_after("b", 0.1)
        assert await served(queue, handler) == ["a", "b"]

    run(main())


def test_a_key_comes_back_after_an_error_and_after_what_its_handler_asks_for(run: Run) -> None:
    async def main() -> None:
        handler = Handler(ValueError("once"), 0.001, None)
        queue = WorkQueue(handler, 1)
        queue.add("a")
        assert await served(queue, handler) == ["a", "a", "a"]

    run(main())


def test_a_key_added_while_it_is_worked_on_is_worked_on_once_more(run: Run) -> None:
    async def main() -> None:
        seen: list[int] = []
        ended = asyncio.Event()

        async def handle(key: str) -> None:
            seen.append(len(seen))
            if len(seen) == 1:
                queue.add(key)
                queue.add(key)
                await asyncio.sleep(0)
            else:
                ended.set()

        queue = WorkQueue(handle, 4)
        queue.add("a")
        working = asyncio.create_task(queue.run())
        async with asyncio.timeout(10):
            await ended.wait()
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert seen == [0, 1]

    run(main())


class Owned:
    """Handles keys of owners: those of hanging ones never end."""

    def __init__(self, hanging: set[int]) -> None:
        self.hanging = hanging
        self.busy: Counter[int] = Counter()
        self.most: Counter[int] = Counter()
        self.order: list[int] = []

    async def __call__(self, key: tuple[int, int]) -> None:
        owner = key[0]
        self.order.append(owner)
        self.busy[owner] += 1
        self.most[owner] = max(self.most[owner], self.busy[owner])
        if owner in self.hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.busy[owner] -= 1


@given(
    keys=st.lists(st.integers(0, 30), max_size=300),
    hanging=st.sets(st.integers(0, 30), max_size=29),
    most=st.integers(1, 20),
)
def test_owners_that_hang_hold_up_nobody_else(keys: list[int], hanging: set[int], most: int) -> None:
    async def main() -> None:
        handler = Owned(hanging)
        queue = WorkQueue(handler, most, lambda key: key[0])
        for number, owner in enumerate(keys):
            queue.add((owner, number))
        working = asyncio.create_task(queue.run())
        for _ in range(10 + 3 * len(keys)):
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        done = Counter(handler.order)
        for owner, count in Counter(keys).items():
            if owner in hanging:
                assert min(count, most, AT_LEAST) <= done[owner] <= min(count, most)
            else:
                assert done[owner] == count
        assert all(count <= most for count in handler.most.values())

    asyncio.run(main())


def test_no_owner_has_more_handlers_than_it_may(run: Run) -> None:
    async def main() -> None:
        handler = Owned({0})
        queue = WorkQueue(handler, 3)
        for number in range(9):
            queue.add((0, number))
        working = asyncio.create_task(queue.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert handler.busy[0] == 3
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        again = asyncio.create_task(queue.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(handler.order) == 6, "the next run has all its handlers"
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    run(main())


@given(many=st.integers(1, 200), few=st.integers(1, 5), owners=st.integers(1, 5))
def test_owners_take_turns(many: int, few: int, owners: int) -> None:
    async def main() -> None:
        handler = Owned(set())
        queue = WorkQueue(handler, 1, lambda key: key[0])
        for number in range(many):
            queue.add((0, number))
        for owner in range(1, owners + 1):
            for number in range(few):
                queue.add((owner, number))
        working = asyncio.create_task(queue.run())
        for _ in range(10 + 10 * (many + few * owners)):
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        last = max(at for at, owner in enumerate(handler.order) if owner)
        assert last < (few + 1) * (owners + 1)

    asyncio.run(main())
