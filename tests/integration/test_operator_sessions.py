"""Sessions to their end: purge, time after the end, deletion with interruptions, and what is left behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from minio import Minio
from nats.aio.client import Client
from operator_process import DEADLINE, TEMPLATE, FakeAgent, Process, absent, conditions, manifest, until
from proxy import Proxy

from armonik_operator.clients.kube import EVENTS, PARTITIONS, SESSIONS, TASKS, Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.gc.orphans import FORGET, YOUNG, OrphanCollector
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.settings import Settings
from armonik_sdk.api.names import (
    JOURNAL,
    QUEUE,
    control_key,
    inventory_key,
    journal_of_session,
    journal_of_task,
    pod_key,
    results_of_session,
)
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.streams import consumers, ensure_consumer
from armonik_sdk.dataplane.nats.subjects import subjects
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration


@pytest.fixture
def store(credentials: Credentials) -> S3Store:
    return S3Store(credentials)


@pytest.fixture
def servers(kube: Kube, nats_client: Client, store: S3Store) -> Clients:
    return Clients(kube, nats_client, store)


def objects(credentials: Credentials, prefix: str) -> set[str]:
    """Keys of the objects below a prefix; some servers still show folders that are empty."""
    keys = (credentials.s3_access_key, credentials.s3_secret_key)
    client = Minio(credentials.s3_endpoint, *keys, secure=False, region=credentials.s3_region)
    listed = client.list_objects(credentials.s3_bucket, prefix=prefix, recursive=True)
    return {str(entry.object_name) for entry in listed if not entry.is_dir}


async def traces(servers: Clients, credentials: Credentials, namespace: str, uid: str) -> dict[str, int]:
    """How much of a Session there is, and where; what is empty is left out."""
    found = {
        "journal": len(await subjects(servers.client, JOURNAL, journal_of_session(namespace, uid))),
        "results": len(await servers.results.keys(results_of_session(namespace, uid))),
        "objects": len(objects(credentials, f"{namespace}/{uid}/")),
    }
    return {where: number for where, number in found.items() if number}


async def computed(kube: Kube, namespace: str, client: Client, store: S3Store) -> str:
    """A Session whose only Task is done; its UID."""
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    await kube.create(PARTITIONS, manifest("Partition", "default", podMax=1, template=TEMPLATE), namespace)
    await kube.create(TASKS, manifest("Task", "one", session="demo", payload={"inline": "x"}), namespace)
    await FakeAgent(client, namespace, store).compute()
    await until(kube, TASKS, "one", namespace, lambda o: "Finished" in conditions(o))
    return str((await kube.get(SESSIONS, "demo", namespace))["metadata"]["uid"])


async def close(kube: Kube, namespace: str, **spec: object) -> None:
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Closed", **spec}}, namespace)


async def test_a_purge_removes_the_data_and_a_restart_does_not_bring_it_back(
    operator: Process,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    store: S3Store,
    servers: Clients,
    credentials: Credentials,
) -> None:
    uid = await computed(kube, namespace, nats_client, store)
    await close(kube, namespace)
    await until(kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Finished") == "Closed")
    assert set(await traces(servers, credentials, namespace, uid)) == {"journal", "results", "objects"}

    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Purged"}}, namespace)
    purged = await until(
        kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Finished") == "Purged"
    )
    assert purged["status"]["phase"] == "Purged"
    assert await traces(servers, credentials, namespace, uid) == {}

    assert await operator.stop() == 0
    operator.start()
    await kube.create(TASKS, manifest("Task", "late", session="demo"), namespace)
    await until(kube, TASKS, "late", namespace, lambda o: bool(conditions(o)))
    again = await kube.get(SESSIONS, "demo", namespace)
    assert again["status"]["elements"]["succeeded"] == 1
    assert conditions(again)["Finished"] == "Purged"
    assert "results" not in await traces(servers, credentials, namespace, uid) or conditions(
        await kube.get(TASKS, "late", namespace)
    ) == {"Finished": "Cancelled"}


async def test_a_session_goes_with_its_data_when_its_time_is_over(
    operator: Process,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    store: S3Store,
    servers: Clients,
    credentials: Credentials,
) -> None:
    uid = await computed(kube, namespace, nats_client, store)
    await close(kube, namespace, ttlSecondsAfterFinished=1)
    await absent(kube, SESSIONS, namespace)
    assert await kube.list(TASKS, namespace) == []
    assert await traces(servers, credentials, namespace, uid) == {}


async def test_what_a_session_leaves_that_went_without_its_finalizer_is_removed_at_once(
    operator: Process,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    store: S3Store,
    servers: Clients,
    credentials: Credentials,
) -> None:
    """Also a Task that it has never admitted. The operator sees it go, and never sees it being deleted."""
    uid = await computed(kube, namespace, nats_client, store)
    refused = manifest("Task", "refused", session="demo", options={"partition": "elsewhere"})
    await kube.create(TASKS, refused, namespace)
    await until(
        kube, TASKS, "refused", namespace, lambda o: "PartitionNotInSession" in conditions(o).values()
    )
    named = manifest("Task", "named", session="demo", sessionUid=uid, options={"partition": "elsewhere"})
    await kube.create(TASKS, named, namespace)
    await until(kube, TASKS, "named", namespace, lambda o: "PartitionNotInSession" in conditions(o).values())
    waiting = manifest("Task", "waiting", session="demo", payload={"inline": "y"})
    await kube.create(TASKS, waiting, namespace)
    assert set(await traces(servers, credentials, namespace, uid)) == {"journal", "results", "objects"}

    operator.freeze()  # or it would put the finalizer back
    await kube.patch(SESSIONS, "demo", {"metadata": {"finalizers": []}}, namespace)
    await kube.delete(SESSIONS, "demo", namespace)
    await absent(kube, SESSIONS, namespace)
    operator.thaw()
    await absent(kube, TASKS, namespace)
    async with asyncio.timeout(DEADLINE):
        while await traces(servers, credentials, namespace, uid):  # noqa: ASYNC110 - the servers set no event
            await asyncio.sleep(0.1)
    entry = await servers.control.get(control_key(namespace, uid))
    assert entry is not None
    assert entry[0].state is DesiredState.DELETED


async def test_a_deletion_survives_an_outage_and_a_restart_half_way(
    operator: Process,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    store: S3Store,
    servers: Clients,
    store_proxy: Proxy,
    credentials: Credentials,
) -> None:
    uid = await computed(kube, namespace, nats_client, store)
    await store_proxy.cut()
    await kube.delete(SESSIONS, "demo", namespace)
    told = await until(kube, SESSIONS, "demo", namespace, lambda o: "Deleting" in conditions(o))
    assert told["status"]["phase"] == "Deleting"
    await until(kube, SESSIONS, "demo", namespace, lambda o: conditions(o)["Deleting"] == "DeletingData")
    await absent(kube, TASKS, namespace)
    await operator.kill()
    assert set(await traces(servers, credentials, namespace, uid)) >= {"objects"}
    await store_proxy.mend()
    operator.start()
    await absent(kube, SESSIONS, namespace)
    assert await traces(servers, credentials, namespace, uid) == {}


async def test_a_task_deleted_while_nobody_watched_leaves_no_trace_but_its_results(
    operator: Process,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    store: S3Store,
    servers: Clients,
    credentials: Credentials,
) -> None:
    uid = await computed(kube, namespace, nats_client, store)
    task = (await kube.get(TASKS, "one", namespace))["metadata"]["uid"]
    assert await servers.inventory.get(inventory_key(namespace, task)) is not None
    assert await operator.stop() == 0
    await kube.delete(TASKS, "one", namespace)
    operator.start()
    async with asyncio.timeout(60):
        while await servers.inventory.get(inventory_key(namespace, task)):  # noqa: ASYNC110 - nothing notifies
            await asyncio.sleep(0.1)
    assert await subjects(nats_client, JOURNAL, journal_of_task(namespace, uid, task)) == set()
    assert "results" in await traces(servers, credentials, namespace, uid)


async def test_a_store_that_is_down_at_the_start_is_reported_by_condition_and_event(
    operator: Process, kube: Kube, namespace: str, store_proxy: Proxy
) -> None:
    await operator.kill()
    await store_proxy.cut()
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    await kube.create(TASKS, manifest("Task", "one", session="demo"), namespace)
    operator.start()
    told = await until(
        kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Ready") == "StoreUnavailable"
    )
    assert store_proxy.address in told["status"]["conditions"][0]["message"]
    await store_proxy.mend()
    for kind, name in ((SESSIONS, "demo"), (TASKS, "one")):
        await until(kube, kind, name, namespace, lambda o: conditions(o).get("Ready") == "PartitionNotFound")
    # The Session may say PartitionNotFound before it says that the store is away, and once more after.
    expected = {
        ("demo", "PartitionNotFound"),
        ("demo", "StoreUnavailable"),
        ("one", "PartitionNotFound"),
    }
    told_of: set[tuple[str, str]] = set()
    async with asyncio.timeout(60):
        while told_of != expected:
            events = await kube.list(EVENTS, namespace)
            told_of = {(e["involvedObject"]["name"], e["reason"]) for e in events}
            await asyncio.sleep(0.1)
    assert {e["type"] for e in events} == {"Warning"}
    await kube.create(PARTITIONS, manifest("Partition", "default", podMax=0, template=TEMPLATE), namespace)
    await until(kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Ready") == "Accepted")


async def test_what_belongs_to_nobody_goes_when_it_is_old(
    kube: Kube,
    namespace: str,
    nats_client: Client,
    store: S3Store,
    servers: Clients,
    credentials: Credentials,
) -> None:
    """A stale agent wrote after its Session was gone; the same in a namespace that is not served."""
    settings = Settings(
        namespace=namespace,
        watch_namespaces=(namespace,),
        nats_url=credentials.nats_url,
        s3_endpoint=credentials.s3_endpoint,
        agent_image="agent:1",
    )
    await kube.create(SESSIONS, manifest("Session", "here", partitions=["p"]), namespace)
    await kube.create(PARTITIONS, manifest("Partition", "p", podMax=0, template=TEMPLATE), namespace)
    living = str((await kube.get(SESSIONS, "here", namespace))["metadata"]["uid"])
    now = 1_000_000.0
    for uid in ("gone", living, "strange"):
        await store.put(f"{namespace}/{uid}/task/0/1-a/pack", b"x")
    await store.put("elsewhere/gone/task/0/1-a/pack", b"x")
    for uid in ("gone", living):
        control = Control(state=DesiredState.DELETED, at=now)
        await servers.control.put(control_key(namespace, uid), control)
    await servers.control.put(control_key("elsewhere", "gone"), Control(state=DesiredState.DELETED, at=now))
    await servers.control.put(pod_key(namespace, "pod"), Control(state=DesiredState.GONE, at=now))
    for partition in ("p", "q"):
        await ensure_consumer(nats_client, namespace, partition)
    keeper = OrphanCollector(servers, PriorityBands(servers), store, settings, lambda: now)

    def left() -> set[str]:
        found = objects(credentials, f"{namespace}/") | objects(credentials, "elsewhere/")
        return {key.split("/")[1] for key in found}

    async def partitions() -> set[str]:
        return {p for n, p in await consumers(nats_client, QUEUE) if n == namespace}

    async def tidied(true: Callable[[], Awaitable[bool]]) -> None:
        """Passes until it is so: one that a slow server ends leaves the rest to the next."""
        async with asyncio.timeout(DEADLINE):
            await keeper.collect()
            while not await true():
                await keeper.collect()

    async def only_p_is_pulled() -> bool:
        return await partitions() == {"p"}

    async def gone_has_no_data() -> bool:
        return not objects(credentials, f"{namespace}/gone/")

    async def gone_is_forgotten() -> bool:
        kept = {control_key(namespace, living), control_key("elsewhere", "gone")}
        return await servers.control.keys() == kept

    await tidied(only_p_is_pulled)
    assert left() == {"gone", living, "strange"}

    now += YOUNG
    await tidied(gone_has_no_data)
    # Nobody here has ever known a session "strange": a bucket may be shared.
    assert left() == {living, "strange", "gone"}
    assert control_key(namespace, "gone") in await servers.control.keys()

    now += FORGET
    await tidied(gone_is_forgotten)
