"""Calls that wait for others that are not sent yet: they cost nothing meanwhile, and are sent soon."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import armonik_sdk as ak
from armonik_sdk.aio.core import batches
from armonik_sdk.testing import LocalGrid

ROUNDS = 3_000
"""Of the event loop, for which a Task is being made: a busy loop would look as often."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Looks at what can be sent, while each Task takes long to be made."""
    seen: list[object] = []
    take, make = batches.Batches._take, batches.make_task

    def counted(self: batches.Batches, key: tuple[object, ...]) -> Any:
        seen.append(key)
        return take(self, key)

    async def slow(*arguments: Any, **named: Any) -> Any:
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        return await make(*arguments, **named)

    monkeypatch.setattr(batches.Batches, "_take", counted)
    monkeypatch.setattr(batches, "make_task", slow)
    return seen


def test_a_call_that_waits_for_another_is_not_looked_at_all_the_time(looks: list[object]) -> None:
    with LocalGrid(inline=True) as client, client.session() as session:
        first = session.submit(abs, -1)
        assert session.submit(divmod, first, 1).result(120) == (1, 0)
    assert len(looks) < ROUNDS / 10


def test_a_session_that_is_left_waits_as_quietly(looks: list[object]) -> None:
    with LocalGrid(inline=True) as client:
        with client.session() as session:
            last = session.submit(divmod, session.submit(abs, -1), 1)
        assert last.result(120) == (1, 0)
    assert len(looks) < ROUNDS / 10


def test_what_waits_for_a_call_that_cannot_be_sent_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> AsyncIterator[None]:
        raise ak.Refused("by a rule")

    monkeypatch.setattr(batches, "make_task", refused)
    with LocalGrid(inline=True) as client, client.session() as session:
        first = session.submit(abs, -1)
        second = session.submit(divmod, first, 1)
        with pytest.raises(ak.Refused):
            first.result(120)
        with pytest.raises(ak.DependencyFailed):
            second.result(120)
