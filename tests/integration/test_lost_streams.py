"""Streams and buckets that somebody deletes or empties under a running operator: it makes them again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import TEMPLATE, FakeAgent, Process, conditions, finished, manifest, until

from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kube
from armonik_sdk.api.names import (
    CONTROL,
    JOURNAL,
    QUEUE,
    RESULTS,
    RunId,
    bucket_stream,
    control_key,
    inventory_key,
)
from armonik_sdk.api.names import TASKS as INVENTORY
from armonik_sdk.api.records import Control, Inventory
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.nats.buckets import Bucket

pytestmark = pytest.mark.integration

STREAMS = [QUEUE, JOURNAL, *(bucket_stream(bucket) for bucket in (INVENTORY, CONTROL, RESULTS))]
# An empty queue is filled by each sweep; what results a user purges is his to say.
PURGED = [JOURNAL, bucket_stream(INVENTORY), bucket_stream(CONTROL)]
CASES = [pytest.param(stream, True, id=f"{stream}-deleted") for stream in STREAMS]
CASES += [pytest.param(stream, False, id=f"{stream}-purged") for stream in PURGED]
PATIENCE = 150.0
"""A sweep, at the latest, and what follows."""


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110 - NATS sets no event
            await asyncio.sleep(0.2)


async def asked_by_a_sweep(client: Client, stream: str, uid: str) -> None:
    """An entry that was there is missed by the next sweep, whatever else is written to the bucket."""
    asked = await client.subscribe(f"$JS.API.STREAM.MSG.GET.{stream}")
    async with asyncio.timeout(PATIENCE):
        while uid not in (await asked.next_msg(timeout=PATIENCE)).data.decode():
            continue
    await asked.unsubscribe()


async def task(kube: Kube, namespace: str, name: str) -> str:
    made: dict[str, Any] = await kube.create(TASKS, manifest("Task", name, session="demo"), namespace)
    return str(made["metadata"]["uid"])


@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", [{"ARMONIK_SWEEP_SECONDS": "5"}], indirect=True)
@pytest.mark.parametrize(("stream", "deleted"), CASES)
async def test_work_continues_and_nothing_that_is_stored_elsewhere_is_lost(
    operator: Process,
    demo: None,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    stream: str,
    deleted: bool,
) -> None:
    first = await task(kube, namespace, "first")
    await agent.compute()
    await finished(kube, "first", namespace)
    waiting = await task(kube, namespace, "waiting")
    await until(kube, TASKS, "waiting", namespace, lambda o: o.get("status", {}).get("phase") == "Submitted")
    js = nats_client.jetstream(timeout=30)
    if deleted:
        await js.delete_stream(stream)
    else:
        if stream != JOURNAL:
            owner = await kube.get(SESSIONS, "demo", namespace) if stream == bucket_stream(CONTROL) else None
            uid = owner["metadata"]["uid"] if owner is not None else waiting
            await asked_by_a_sweep(nats_client, stream, uid)
        await js.purge_stream(stream)
    # What needs the stream shows that it is gone; a sweep finds it in any case.
    await kube.create(SESSIONS, manifest("Session", "more", partitions=["more"]), namespace)
    partition = manifest("Partition", "more", podMax=1, template=TEMPLATE)
    await kube.create(PARTITIONS, partition, namespace)
    await task(kube, namespace, "second")
    session = (await kube.get(SESSIONS, "demo", namespace))["metadata"]["uid"]
    control, inventory = Bucket(nats_client, CONTROL, Control), Bucket(nats_client, INVENTORY, Inventory)

    async def restored() -> bool:
        return (
            await control.get(control_key(namespace, session)) is not None
            and await inventory.get(inventory_key(namespace, waiting)) is not None
        )

    if not deleted and stream != JOURNAL:  # a Task that has finished meanwhile would not be missed
        await eventually(restored)

    computed: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while not {"waiting", "second"} <= computed:
            try:
                computed.add((await agent.compute()).task_name)
            except TimeoutError:
                continue
    for name in ("waiting", "second"):
        assert conditions(await finished(kube, name, namespace)) == {"Finished": "Succeeded"}
    results = Bucket(nats_client, RESULTS, RunResults)

    async def whole() -> bool:
        there = await restored()
        kept = stream == JOURNAL or await results.get(RunId(namespace, session, first, 0).results) is not None
        return there and kept

    await eventually(whole)
