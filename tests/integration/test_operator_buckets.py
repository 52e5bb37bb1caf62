"""The operator gives a namespace its bucket and keys, on both servers, and works with them."""

import asyncio
from dataclasses import replace

import pytest
from minio import Minio
from nats.aio.client import Client
from operator_process import TEMPLATE, FakeAgent, conditions, manifest, until
from proxy import Proxy

from armonik_operator.clients.kube import PARTITIONS, SECRETS, SESSIONS, TASKS, Kube
from armonik_operator.manifests.secrets import decode
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration

on_each_server = pytest.mark.parametrize(
    ("store_kind", "operator"),
    [(kind, {"ARMONIK_S3_PROVISIONER": kind}) for kind in ("versitygw", "minio")],
    indirect=True,
    ids=["versitygw", "minio"],
)


async def told(kube: Kube, namespace: str, role: str) -> Credentials:
    """What agents or clients read."""
    secret = await until(kube, SECRETS, f"armonik-{role}", namespace, lambda o: bool(o.get("data")))
    return Credentials.from_mapping(decode(secret))


def keys(credentials: Credentials, bucket: str) -> set[str]:
    """All objects of a bucket, with the root key."""
    root = {"access_key": credentials.s3_access_key, "secret_key": credentials.s3_secret_key}
    client = Minio(credentials.s3_endpoint, **root, secure=False, region=credentials.s3_region)
    return {str(o.object_name) for o in client.list_objects(bucket, recursive=True)}


@on_each_server
@pytest.mark.usefixtures("operator")
async def test_a_task_goes_its_way_in_the_bucket_of_its_namespace(
    kube: Kube, namespace: str, nats_client: Client, credentials: Credentials
) -> None:
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    await kube.create(PARTITIONS, manifest("Partition", "default", podMax=1, template=TEMPLATE), namespace)
    client, agent = [await told(kube, namespace, role) for role in ("client", "agent")]
    assert client.s3_bucket == agent.s3_bucket == f"armonik-{namespace}"
    assert len({client.s3_secret_key, agent.s3_secret_key, credentials.s3_secret_key}) == 3

    large = {"inline": "x" * 5_000}  # the operator uploads it
    await kube.create(TASKS, manifest("Task", "one", session="demo", payload=large), namespace)
    await FakeAgent(nats_client, namespace, S3Store(agent)).compute()
    await until(kube, TASKS, "one", namespace, lambda o: "Finished" in conditions(o))
    found = keys(credentials, f"armonik-{namespace}")
    assert any("/payloads-" in key for key in found)
    assert {key.partition("/")[0] for key in found} == {namespace}

    uid = (await kube.get(SESSIONS, "demo", namespace))["metadata"]["uid"]
    mine = S3Store(client)
    await mine.put(f"{namespace}/{uid}/client/1", b"payload")
    for key in found:
        with pytest.raises(StoreUnavailable, match="AccessDenied"):
            await mine.put(key, b"forged")
    partition = await kube.get(PARTITIONS, "default", namespace)
    assert "Isolated" not in conditions(partition)

    await kube.delete(SESSIONS, "demo", namespace)
    async with asyncio.timeout(60):
        while keys(credentials, f"armonik-{namespace}"):  # noqa: ASYNC110 - S3 sets no event
            await asyncio.sleep(0.1)


@on_each_server
@pytest.mark.usefixtures("operator")
async def test_a_bucket_is_made_when_the_store_comes_back(
    kube: Kube, namespace: str, store_proxy: Proxy, credentials: Credentials
) -> None:
    await store_proxy.cut()
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    client = await told(kube, namespace, "client")  # although the store is down
    await store_proxy.mend()
    key = f"{namespace}/session/client/1"
    mine = S3Store(replace(client, s3_endpoint=credentials.s3_endpoint))
    async with asyncio.timeout(90):
        while True:
            try:
                await mine.put(key, b"payload")
            except StoreUnavailable:
                await asyncio.sleep(0.2)
            else:
                break
    assert keys(credentials, f"armonik-{namespace}") == {key}


@pytest.mark.usefixtures("operator")
async def test_a_partition_says_that_the_store_is_shared(kube: Kube, namespace: str) -> None:
    await kube.create(PARTITIONS, manifest("Partition", "default", podMax=0, template=TEMPLATE), namespace)
    found = await until(kube, PARTITIONS, "default", namespace, lambda o: "Isolated" in conditions(o))
    assert conditions(found)["Isolated"] == "Shared"
    (isolated,) = (c for c in found["status"]["conditions"] if c["type"] == "Isolated")
    assert isolated["status"] == "False"
    assert "shared by all namespaces" in isolated["message"]
    assert (await told(kube, namespace, "client")).s3_bucket == "armonik"
