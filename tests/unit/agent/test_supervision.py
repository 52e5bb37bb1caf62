"""A watcher that fails unexpectedly starts again; one that returns has ended."""

import asyncio
import logging

import pytest

from armonik_agent.util import supervision
from armonik_agent.util.supervision import supervised


async def test_a_watcher_that_fails_is_logged_and_starts_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.001)
    starts: list[int] = []

    async def watch() -> None:
        starts.append(1)
        if len(starts) < 4:
            raise ValueError("a state of a newer version")

    with caplog.at_level(logging.ERROR):
        await supervised("pod", watch)
    assert len(starts) == 4
    assert caplog.text.count("watcher pod failed") == 3
    assert "a state of a newer version" in caplog.text


async def test_a_watcher_is_cancelled_like_any_task() -> None:
    task = asyncio.create_task(supervised("pod", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
