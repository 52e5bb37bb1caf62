"""Users of a soak: each lives one session after the other, and checks what comes of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from observe import Observer, assert_each_element_ended_once
from release import objects

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.client import (
    AlreadyExists,
    Client,
    ClientError,
    NotConnected,
    NotFound,
    ResultAborted,
    SessionHandle,
    SessionState,
    TaskHandle,
    TaskOptions,
    Unavailable,
    WaitTimeout,
)

from .ledger import Ledger
from .plan import RETRIES, Act, End, Job, Plan

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that anything may take with the adversary at work; more is a violation."""
AWAY = (Unavailable, NotConnected, WaitTimeout, OSError)
"""What a client may see while a server is stopped."""


async def insist(what: str, act: Callable[[], Awaitable[T]]) -> T:
    """Do it again while servers are away, as a user would.

    Raises:
        TimeoutError: not within PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await act()
        except AWAY as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {PATIENCE:.0f} s: {error}") from error
            await asyncio.sleep(1.0)


class User:
    """Lives sessions in one namespace."""

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._observe = Observer(client.namespace)

    async def live(self, plan: Plan) -> None:
        """One session from its creation to its end; every violation goes to the ledger."""
        try:
            await self._live(plan)
        except (AssertionError, ClientError, TimeoutError) as error:
            self._ledger.violated(f"{self._client.namespace}/{plan.name}: {type(error).__name__}: {error}")
            await asyncio.sleep(1.0)  # or a fault at once would be found a thousand times a second

    async def _live(self, plan: Plan) -> None:
        session = await insist("create session", lambda: self._session(plan.name))
        tasks: dict[str, TaskHandle] = {}
        for job in plan.jobs:
            tasks[job.name] = await self._submit(session, job, tasks)
        if plan.pause:
            await insist("pause", lambda: session.set_state(SessionState.PAUSED))
            await asyncio.sleep(plan.pause)
            await insist("resume", lambda: session.set_state(SessionState.RUNNING))
        if plan.end is End.CANCEL:
            await insist("cancel session", lambda: session.set_state(SessionState.CANCELLED))
        for job in plan.jobs:
            await self._follow(job, tasks[job.name], cancelled=plan.end is End.CANCEL)
        if plan.end in (End.CLOSE, End.PURGE):
            await insist("close", lambda: session.set_state(SessionState.CLOSED))
        if plan.end in (End.CLOSE, End.CANCEL, End.PURGE):
            await insist("session finished", lambda: session.wait(60))
        if plan.end is End.PURGE:
            await insist("purge", lambda: session.set_state(SessionState.PURGED))
        await insist("delete session", lambda: _gone(session.delete))
        self._ledger.sessions += 1

    async def _session(self, name: str) -> SessionHandle:
        try:
            return await self._client.create_session(
                name, partitions=["lab", "own"], task_defaults=TaskOptions(partition="lab")
            )
        except AlreadyExists:  # an answer that got lost
            return await self._client.session(name)

    async def _submit(self, session: SessionHandle, job: Job, before: dict[str, TaskHandle]) -> TaskHandle:
        needs: list[TaskHandle | object] = [before[job.needs]] if job.needs else []
        if job.upload is not None:
            (result,) = await insist("create result", lambda: session.create_results([job.name]))
            needs.append(result)

        async def submit() -> TaskHandle:
            options = TaskOptions(partition=job.partition, max_retries=RETRIES, options=job.options)
            single = len(job.payloads) == 1
            try:
                return await session.submit(
                    job.payloads[0] if single else None,
                    items=None if single else job.payloads,
                    name=job.name,
                    options=options,
                    depends_on=needs,  # type: ignore[arg-type]
                    ttl_seconds_after_finished=job.ttl,
                )
            except AlreadyExists:
                return await self._client.task(job.name)

        task = await insist(f"submit {job.name}", submit)
        if job.upload is not None:
            await insist("upload", lambda: result.upload(job.upload or b""))
        match job.act:
            case Act.CANCEL:
                await insist("cancel", lambda: _gone(task.cancel))
            case Act.CANCEL_SOME:
                some = range(0, len(job.payloads), 3)
                await insist("cancel some", lambda: _gone(lambda: task.cancel(some)))
            case Act.DELETE:
                await insist("delete", lambda: _gone(task.delete))
        return task

    async def _follow(self, job: Job, task: TaskHandle, *, cancelled: bool) -> None:
        if job.act is Act.DELETE:
            return
        if job.ttl is not None and not cancelled:
            await self._read(job, task, range(len(job.payloads)))
            return  # it may be deleted any moment
        try:
            await insist(f"{job.name} finished", lambda: task.wait(60))
        except NotFound:
            assert job.ttl is not None, f"{job.name} vanished"
            return
        (found,) = objects(
            "tasks.armonik.io", "--namespace", task.namespace, "--field-selector", f"metadata.name={job.name}"
        ) or [None]
        if found is None:
            assert job.ttl is not None, f"{job.name} vanished"
            return
        ended = {kind: Ranges.parse(found["status"].get(f"{kind}Indexes", "")) for kind in _KINDS}
        self._agrees(job, ended, cancelled=cancelled)
        await self._truth(found)
        await self._read(job, task, ended["succeeded"], cancelled=cancelled)
        self._ledger.tasks += 1
        self._ledger.elements += len(job.payloads)

    def _agrees(self, job: Job, ended: dict[str, Ranges], *, cancelled: bool) -> None:
        assert not ended["timedOut"], f"{job.name}: timed out: {ended}"
        free = cancelled or job.act in (Act.CANCEL, Act.CANCEL_SOME)
        assert free or not ended["cancelled"], f"{job.name}: cancelled by nobody: {ended}"
        for index, data in job.expected.items():
            kind = "failed" if data is None else "succeeded"
            done = index in ended[kind] or (free and index in ended["cancelled"])
            assert done, f"{job.name}: element {index} should have {kind}: {ended}"

    async def _truth(self, found: dict[str, object]) -> None:
        """Journal, results, queue and status agree, by the independent reader of the end-to-end tests."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                await asyncio.to_thread(assert_each_element_ended_once, self._observe, found)
            except AssertionError:
                raise
            except Exception as error:
                # Whatever a stopped server makes of a question; it is asked again.
                log.info("asking again: %s: %s", type(error).__name__, error)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the data plane does not answer: {error}") from error
                await asyncio.sleep(1.0)
            else:
                return

    async def _read(
        self, job: Job, task: TaskHandle, indexes: Ranges | range, *, cancelled: bool = False
    ) -> None:
        """Compare bytes; where the session was cancelled, a sub-task may have owed them and was cancelled."""
        for index in indexes:
            output = task.output(index)
            try:
                data: bytes | None = await insist(output.id, lambda o=output: o.result(60))  # type: ignore[misc]
            except ResultAborted as aborted:
                data = None
                log.debug("as it may be: %s", aborted)
            handed_over = cancelled and data is None and job.options.get("mode") == "subtasks"
            if data != job.expected[index] and not handed_over:
                raise AssertionError(f"{job.name}/{index}: other bytes than expected")


async def _gone(act: Callable[[], Awaitable[None]]) -> None:
    """What is gone already needs no end."""
    try:
        await act()
    except NotFound:
        return


_KINDS = ("succeeded", "failed", "timedOut", "cancelled")
