"""The queue is empty once all work has ended, whatever ended it, and also where no agent is left."""

import asyncio

import pytest
from nats.aio.client import Client
from operator_process import FakeAgent, finished, manifest, until

from armonik_operator.clients.kube import TASKS, Kube
from armonik_sdk.api.records import Outcome, OutcomeKind, RecordKind
from armonik_sdk.dataplane.nats.queue import queued

pytestmark = pytest.mark.integration
PATIENCE = 150.0
"""Seconds for two sweeps on a machine that has much else to do."""


async def submit(kube: Kube, namespace: str, name: str) -> None:
    await kube.create(TASKS, manifest("Task", name, session="demo"), namespace)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", [{"ARMONIK_SWEEP_SECONDS": "2"}], indirect=True)
async def test_nothing_is_queued_once_all_has_ended(
    demo: None, kube: Kube, namespace: str, nats_client: Client, agent: FakeAgent
) -> None:
    await submit(kube, namespace, "succeeded")
    await agent.compute()
    await submit(kube, namespace, "failed")
    await agent.fail(await agent.take(), "no")
    await submit(kube, namespace, "delivered-twice")
    async with asyncio.timeout(PATIENCE):
        while (delivery := await agent._next()) is None:
            pass
    await delivery.nak()
    await agent.compute()

    # An agent commits and is gone before it acknowledges: the last one of its Partition.
    await submit(kube, namespace, "unacknowledged")
    taken = await agent.take()
    done = tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in taken.indexes)
    await agent.append(taken, kind=RecordKind.DONE, outcomes=done)

    await submit(kube, namespace, "cancelled")
    await submit(kube, namespace, "deleted")
    await until(
        kube, TASKS, "deleted", namespace, lambda task: task.get("status", {}).get("phase") == "Submitted"
    )
    await kube.delete(TASKS, "deleted", namespace)
    await kube.patch(TASKS, "cancelled", {"spec": {"desiredState": "Cancelled"}}, namespace)

    ended = ("succeeded", "failed", "delivered-twice", "unacknowledged", "cancelled")
    phases = {name: (await finished(kube, name, namespace))["status"]["phase"] for name in ended}
    assert phases == {
        "succeeded": "Completed",
        "failed": "Error",
        "delivered-twice": "Completed",
        "unacknowledged": "Completed",
        "cancelled": "Cancelled",
    }
    async with asyncio.timeout(PATIENCE):
        while await queued(nats_client, f"armonik.queue.{namespace}.>"):  # noqa: ASYNC110 - NATS sets no event
            await asyncio.sleep(0.2)
