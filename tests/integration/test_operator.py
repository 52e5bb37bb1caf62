"""The operator's process against a real apiserver, NATS and object store; the test plays the agent."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from servers import free_port

from armonik_operator.adapters.kube import LEASES, PARTITIONS, PODS, SECRETS, SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import NotFound
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RESULTS, RunId
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind, Owner, Piece, RecordKind, RunResults
from armonik_sdk.dataplane.connect import Credentials
from armonik_sdk.dataplane.journal import Journal
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import S3Store
from armonik_sdk.dataplane.queue import Puller

pytestmark = pytest.mark.integration
GROUP = "armonik.io/v1alpha1"
TEMPLATE = {"spec": {"worker": {"image": "worker:1"}}}
DEADLINE = 30.0


class Process:
    """`python -m armonik_operator`, restartable."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self._environ = os.environ | environ
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "armonik_operator"]
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=30)


@pytest.fixture
async def operator(
    apiserver: Any,
    kube: Kube,
    namespace: str,
    credentials: Credentials,
    nats_client: Client,
    tmp_path: Path,
) -> AsyncIterator[Process]:
    values = {"access-key": credentials.s3_access_key, "secret-key": credentials.s3_secret_key}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-s3"}, "stringData": values}
    await kube.create(SECRETS, secret, namespace)
    passwords = {f"{user}-password": credentials.nats_password for user in ("operator", "agent", "client")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-nats"}, "stringData": passwords}
    await kube.create(SECRETS, secret, namespace)
    environ = {
        "KUBECONFIG": str(apiserver.kubeconfig),
        "POD_NAME": f"operator-{secrets.token_hex(2)}",
        "ARMONIK_NAMESPACE": namespace,
        "ARMONIK_WATCH_NAMESPACES": namespace,
        "ARMONIK_NATS_URL": credentials.nats_url,
        "ARMONIK_NATS_SECRET": "own-nats",
        "ARMONIK_NATS_EXTERNAL": "true",
        "ARMONIK_S3_ENDPOINT": credentials.s3_endpoint,
        "ARMONIK_S3_SECRET": "own-s3",
        "ARMONIK_S3_EXTERNAL": "true",
        "ARMONIK_AGENT_IMAGE": "agent:1",
        "ARMONIK_MANAGE_CRDS": "false",
        "ARMONIK_HEALTH_PORT": str(free_port()),
    }
    process = Process(environ, tmp_path / "operator.log")
    process.start()
    yield process
    code = process.stop()
    assert code == 0, process.log.read_text()[-4000:]


def manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec}


async def until(
    kube: Kube, kind: Kind, name: str, namespace: str, true: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    obj: dict[str, Any] = {}
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    obj = await kube.get(kind, name, namespace)
                except NotFound:
                    obj = {}
                if obj and true(obj):
                    return obj
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{name} stays {json.dumps(obj.get('status'))}") from None


async def absent(kube: Kube, kind: Kind, namespace: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while await kube.list(kind, namespace):  # noqa: ASYNC110 - the apiserver sets no event
            await asyncio.sleep(0.1)


def conditions(obj: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in obj.get("status", {}).get("conditions", [])}


class FakeAgent:
    """Takes runs from the queue and commits outcomes, as the protocol says."""

    def __init__(self, client: Client, namespace: str, store: S3Store) -> None:
        self._journal = Journal(client)
        self._puller = Puller(client, namespace, "default")
        self._store = store

    async def compute(self) -> RunMessage:
        """Take one run and end all its elements well."""
        async with asyncio.timeout(DEADLINE):
            while (taken := await self._puller.next(timeout=1.0)) is None:
                pass
        message = RunMessage.model_validate_json(taken.data)
        run, n = RunId.from_queue(taken.subject)
        head = await self._journal.head(run)
        assert head is not None
        assert (head.record.kind, head.record.n) == (RecordKind.SUBMITTED, n)
        owner = Owner(pod="pod-uid", process="1", name="pod-1")
        changes = {
            "kind": RecordKind.DISPATCHED,
            "epoch": 1,
            "owner": owner,
            "record_id": secrets.token_hex(8),
        }
        dispatched = head.record.model_copy(update=changes)
        at = await self._journal.append(run, dispatched, head.sequence)
        content = await self._store.get(message.payload) if message.payload else b""
        ref = await self._store.put(run.objects(1, secrets.token_hex(4)), content.upper())
        piece = Piece(object=0, length=ref.length or 0, sha256=str(ref.sha256))
        outcomes = tuple(
            Outcome(index=i, kind=OutcomeKind.COMPLETED, outputs={"result": piece})
            for i in range(message.start, message.end)
        )
        changes = {
            "kind": RecordKind.DONE,
            "outcomes": outcomes,
            "objects": (ref.key,),
            "record_id": secrets.token_hex(8),
        }
        await self._journal.append(run, dispatched.model_copy(update=changes), at)
        await taken.ack_sync()
        return message


async def test_tasks_run_wait_for_each_other_and_go(
    operator: Process, kube: Kube, namespace: str, nats_client: Client, credentials: Credentials
) -> None:
    store = S3Store(credentials)
    early = manifest("Task", "early", session="demo", payload={"inline": "hello"})
    await kube.create(TASKS, early, namespace)
    parked = await until(kube, TASKS, "early", namespace, lambda o: "Ready" in conditions(o))
    assert conditions(parked)["Ready"] == "SessionNotFound"

    after = manifest("Task", "after", session="demo", dependsOn=[{"task": "early"}])
    await kube.create(TASKS, after, namespace)
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    partition = manifest("Partition", "default", podMax=2, podReserved=1, template=TEMPLATE)
    await kube.create(PARTITIONS, partition, namespace)
    session = await until(kube, SESSIONS, "demo", namespace, lambda o: "Ready" in conditions(o))
    assert session["metadata"]["finalizers"] == ["armonik.io/session"]
    starting = await until(kube, PARTITIONS, "default", namespace, lambda o: "status" in o)
    assert conditions(starting)["Ready"] == "Starting"
    assert len(await kube.list(PODS, namespace)) == 1

    agent = FakeAgent(nats_client, namespace, store)
    first = await agent.compute()
    assert (first.task_name, first.single, first.payload is not None) == ("early", True, True)
    ended = await until(kube, TASKS, "early", namespace, lambda o: "Finished" in conditions(o))
    assert conditions(ended) == {"Finished": "Succeeded"}
    assert ended["status"]["succeededIndexes"] == "0"
    assert ended["status"]["sessionUid"] == session["metadata"]["uid"]

    second = await agent.compute()
    (dependency,) = second.dependencies
    assert await store.get(second.locators[dependency]) == b"HELLO"
    await until(kube, TASKS, "after", namespace, lambda o: "Finished" in conditions(o))

    await kube.delete(SESSIONS, "demo", namespace)
    await absent(kube, SESSIONS, namespace)
    assert await kube.list(TASKS, namespace) == []


async def test_many_elements_survive_a_restart_and_a_cancel(
    operator: Process, kube: Kube, namespace: str, nats_client: Client, credentials: Credentials
) -> None:
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    partition = manifest("Partition", "default", podMax=1, template=TEMPLATE)
    await kube.create(PARTITIONS, partition, namespace)
    await kube.create(TASKS, manifest("Task", "many", session="demo", count=80), namespace)
    await until(kube, TASKS, "many", namespace, lambda o: o.get("status", {}).get("phase") == "Submitted")
    agent = FakeAgent(nats_client, namespace, S3Store(credentials))
    done = await agent.compute()
    assert operator.stop() == 0
    given_back = await kube.get(LEASES, "armonik-operator", namespace)
    assert given_back["spec"]["holderIdentity"] == ""
    done_as_well = await agent.compute()
    operator.start()
    seen = await until(kube, TASKS, "many", namespace, lambda o: o["status"]["elements"]["succeeded"] == 20)
    assert seen["status"]["progress"] == "20/80"
    uid = seen["metadata"]["uid"]
    key = RunId(namespace, done.session, uid, done_as_well.start).results
    entry = await Bucket(nats_client, RESULTS, RunResults).get(key)
    assert entry is not None
    assert len(entry[0].outcomes) == 10

    await kube.patch(TASKS, "many", {"spec": {"desiredState": "Cancelled"}}, namespace)
    ended = await until(kube, TASKS, "many", namespace, lambda o: "Finished" in conditions(o))
    assert conditions(ended)["Finished"] == "Cancelled"
    assert ended["status"]["elements"]["succeeded"] == 20
    assert len(Ranges.parse(ended["status"]["cancelledIndexes"])) == 60
