"""A Task as the source of its results, also one that its TTL deletes the moment it has finished."""

import math

import pytest

from armonik_sdk.api.kinds import TaskStatus
from armonik_sdk.client.errors import NotFound
from armonik_sdk.client.results.task_source import TaskSource
from armonik_sdk.client.transport.connection import Connection


async def session() -> str:
    return "session"


async def deleted() -> TaskStatus:
    raise NotFound("tasks.armonik.io task not found")


async def unfinished() -> TaskStatus:
    return TaskStatus()


async def test_a_deleted_task_gives_no_further_results() -> None:
    source = TaskSource(Connection.__new__(Connection), "ns", "uid", 1, -math.inf, session, deleted)
    assert await source.over()
    with pytest.raises(NotFound):
        await source.aborted("uid.0.result")


async def test_a_task_that_has_not_finished_may_give_more() -> None:
    source = TaskSource(Connection.__new__(Connection), "ns", "uid", 1, -math.inf, session, unfinished)
    assert not await source.over()
