"""The work queue, on asyncio's loop and on the one that the operator runs on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from armonik_operator.workqueue import WorkQueue

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
