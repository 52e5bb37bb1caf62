"""Requests made together: all of them, bounded, and the first error as it is."""

import asyncio

import pytest

from armonik_operator.util.concurrency import AT_ONCE, gather_bounded


async def test_each_is_done_once_and_few_at_a_time() -> None:
    running, most, done = 0, 0, list[int]()

    async def do(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await gather_bounded(do, range(3 * AT_ONCE))
    assert sorted(done) == list(range(3 * AT_ONCE))
    assert most == AT_ONCE


async def test_the_first_error_is_raised_as_it_is_and_the_others_are_given_up() -> None:
    begun, never = list[int](), asyncio.Event()

    async def do(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ConnectionError("no answer")
        await never.wait()

    with pytest.raises(ConnectionError, match="no answer"):
        await gather_bounded(do, range(2 * AT_ONCE))
    assert len(begun) <= AT_ONCE + 1
