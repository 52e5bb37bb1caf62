"""NATS is killed after something was removed from it, and the removal is undone: it is removed again.

Whether a crash undoes a purge depends on what the server had written; so the test itself brings back what
was removed, and kills the server then.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client
from operator_process import DEADLINE, FakeAgent, absent, finished, manifest
from servers import NatsServer

from armonik_operator.clients.kube import SESSIONS, TASKS, Kube
from armonik_sdk.api.names import JOURNAL, RESULTS, bucket_stream
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.subjects import subjects

pytestmark = pytest.mark.integration

STREAMS = (JOURNAL, bucket_stream(RESULTS))
Messages = list[tuple[str, bytes]]


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                if await true():
                    return
            except QueueUnavailable:  # NATS is not back yet
                pass
            await asyncio.sleep(0.2)


async def messages(client: Client, stream: str, part: str) -> Messages:
    """The last message of each subject that has this in it."""
    js = client.jetstream(timeout=20)
    found = sorted(subject for subject in await subjects(client, stream, ">") if part in subject)
    return [(subject, (await js.get_last_msg(stream, subject)).data or b"") for subject in found]


async def bring_back(client: Client, kept: Messages) -> None:
    for subject, data in kept:
        await client.jetstream(timeout=20).publish(subject, data)


async def test_what_a_crash_brings_back_is_removed_again(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client, nats_server: NatsServer
) -> None:
    for name in ("one", "two"):
        await kube.create(TASKS, manifest("Task", name, session="demo"), namespace)
        await agent.compute()
        await finished(kube, name, namespace)
    uid = (await kube.get(TASKS, "one", namespace))["metadata"]["uid"]
    of_session = [message for stream in STREAMS for message in await messages(nats_client, stream, namespace)]
    of_task = await messages(nats_client, JOURNAL, uid)
    assert of_task

    async def task_is_gone() -> bool:
        return not await messages(nats_client, JOURNAL, uid)

    async def session_is_gone() -> bool:
        return not [one for stream in STREAMS for one in await messages(nats_client, stream, namespace)]

    await kube.delete(TASKS, "one", namespace)
    await eventually(task_is_gone)
    await bring_back(nats_client, of_task)
    nats_server.kill()
    nats_server.start()
    await eventually(task_is_gone)
    await kube.delete(SESSIONS, "demo", namespace)
    await absent(kube, SESSIONS, namespace)
    await eventually(session_is_gone)
    await bring_back(nats_client, of_session)
    nats_server.kill()
    nats_server.start()
    await eventually(session_is_gone)
