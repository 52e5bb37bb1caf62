"""Periodic work begins again after an error that nobody expected, and ends nothing else."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from armonik_operator.app import composition
from armonik_operator.app.composition import keep_up
from armonik_operator.errors import JournalLost


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition, "AGAIN_SECONDS", 0.0)


async def test_it_begins_again_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def job() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError("a key that somebody made")

    await keep_up("sweep", job)
    assert begun == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "a key that somebody made" in caplog.text


async def test_after_long_work_the_first_delay_is_short_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, delays = 0.0, list[float]()
    lasts = iter([1.0, 1.0, 1.0, 24 * 3600.0, 1.0])

    async def job() -> None:
        nonlocal now
        if (seconds := next(lasts, 0.0)) == 0.0:
            return
        now += seconds
        raise ValueError("a key that somebody made")

    async def sleep(delay: float) -> None:
        delays.append(delay)

    monkeypatch.setattr(composition, "AGAIN_SECONDS", 10.0)
    monkeypatch.setattr(composition, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(composition, "asyncio", SimpleNamespace(sleep=sleep))
    await keep_up("sweep", job)
    assert delays == [10.0, 20.0, 40.0, 10.0, 20.0]


async def test_a_lost_journal_is_known_at_once() -> None:
    async def job() -> None:
        raise JournalLost("the stream JOURNAL is gone")

    with pytest.raises(JournalLost):
        await keep_up("sweep", job)


async def test_it_ends_when_it_is_cancelled() -> None:
    async def job() -> None:
        await asyncio.Event().wait()

    work = asyncio.create_task(keep_up("sweep", job))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
