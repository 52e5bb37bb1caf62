"""A task that swallows a cancellation is ended nevertheless."""

import asyncio

import pytest

from armonik_agent.util import tasks
from armonik_agent.util.tasks import stop


async def test_who_swallows_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    began, swallowed = asyncio.Event(), 0

    async def deaf() -> None:
        nonlocal swallowed
        while swallowed < 2:
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(deaf())
    await began.wait()
    await stop(task)
    assert (task.cancelled(), swallowed) == (True, 2)


async def test_what_has_ended_already_is_fine() -> None:
    async def fails() -> None:
        raise RuntimeError

    await stop(asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(0)))
    await stop()
