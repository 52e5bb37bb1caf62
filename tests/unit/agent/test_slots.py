"""Whose turn at the worker it is, and when another run is fetched."""

import asyncio
import math

import pytest

from armonik_agent.queue.slots import MAX_ASIDE, Slots

NEVER = asyncio.Event()


async def test_one_run_is_fetched_for_each_free_slot() -> None:
    slots = Slots(2)
    assert slots.idle
    slots.fetched()
    assert slots.idle
    slots.fetched()
    assert not slots.idle
    assert slots.due == math.inf


async def test_a_run_that_waits_starts_when_the_slot_is_free() -> None:
    slots = Slots(1)
    first, second = slots.fetched(), slots.fetched()
    assert await first.start(0.0, NEVER)
    assert not await second.start(0.0, NEVER)
    waiting = asyncio.create_task(second.start(60.0, NEVER))
    await asyncio.sleep(0)
    first.leave()
    assert await waiting


async def test_nothing_starts_while_the_agent_drains() -> None:
    slots, stop = Slots(1), asyncio.Event()
    running, waiting = slots.fetched(), slots.fetched()
    assert await running.start(0.0, stop)
    start = asyncio.create_task(waiting.start(60.0, stop))
    await asyncio.sleep(0)
    stop.set()
    assert not await start


async def test_the_next_run_is_due_when_the_last_elements_are_short() -> None:
    slots = Slots(1)
    place = slots.fetched()
    assert await place.start(0.0, NEVER)
    place.pace.begin(left=100)
    place.pace.end(5.0)
    place.pace.begin(left=99)
    assert slots.due > 400
    place.pace.begin(left=1)
    assert slots.due == pytest.approx(3.0, abs=0.5)


async def test_a_message_whose_owner_is_asked_makes_room_but_only_a_few_do() -> None:
    slots = Slots(1)
    asides = [slots.fetched().aside() for _ in range(MAX_ASIDE)]
    for aside in asides:
        aside.__enter__()
    assert slots.idle
    with slots.fetched().aside():
        assert not slots.idle
    asides[0].__exit__(None, None, None)
    assert not slots.idle


async def test_of_elements_only_who_waits_for_a_run_to_be_due_is_notified() -> None:
    slots = Slots(1)
    place = slots.fetched()
    assert await place.start(0.0, NEVER)
    place.pace.begin(left=100)
    place.pace.end(5.0)
    assert slots.due > 0
    waits = asyncio.create_task(slots.until_due(NEVER))
    await asyncio.sleep(0)
    place.pace.begin(left=1)
    place.pace.end(0.0)
    await waits
    assert slots.due == 0
    looks = asyncio.create_task(slots.changed(60.0, NEVER))
    await asyncio.sleep(0)
    place.pace.begin(left=1)
    place.pace.end(0.0)
    _, pending = await asyncio.wait([looks], timeout=0)
    assert pending, "each element would be another question to the queue"
    slots.notify()
    await looks
