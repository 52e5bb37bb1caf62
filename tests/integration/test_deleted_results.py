"""Deletions that clients ask for too early have no effect, neither now nor after a restart."""

import asyncio

import pytest
from nats.aio.client import Client
from operator_process import DEADLINE, FakeAgent, Process, conditions, finished, manifest

from armonik_operator.clients.kube import TASKS, Kube
from armonik_sdk.api.names import RESULTS, result_id, result_journal, result_key
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.journal import Log

pytestmark = pytest.mark.integration


async def test_a_deletion_before_the_commit_has_no_effect_after_a_restart_either(
    demo: None, operator: Process, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "task", session="demo"), namespace)
    taken = await agent.take()
    session, result = taken.message.session, result_id(taken.message.task, 0, "result")
    subject, log = result_journal(namespace, session, result), Log(nats_client, ResultRecord)
    await log.append(subject, ResultRecord(record_id="early", kind=ResultRecordKind.DELETED), 0)
    async with asyncio.timeout(DEADLINE):
        while await log.head(subject) is not None:  # noqa: ASYNC110 - NATS sets no event
            await asyncio.sleep(0.1)
    await agent.succeed(taken)
    await finished(kube, "task", namespace)
    assert await operator.stop() == 0
    operator.start()
    after = manifest("Task", "after", session="demo", dependsOn=[{"task": "task"}])
    await kube.create(TASKS, after, namespace)
    await agent.compute()
    assert conditions(await finished(kube, "after", namespace)) == {"Finished": "Succeeded"}
    entries = Bucket(nats_client, RESULTS, ResultEntry)
    assert await entries.get(result_key(namespace, session, result)) is None
