"""The operator's process, restartable, and an agent played by the test; used by all tests of the operator."""

import asyncio
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked import Forked
from nats.aio.client import Client
from nats.aio.msg import Msg
from ports import free_port
from proxy import Proxy

from armonik_operator.clients.kube import PARTITIONS, SECRETS, SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import NotFound
from armonik_sdk.api.messages import ManifestItem, RunMessage
from armonik_sdk.api.names import CONTROL, RESULTS, RunId, bands_key, child_key, child_name, result_key
from armonik_sdk.api.names import TASKS as TASK_KEYS
from armonik_sdk.api.records import (
    BandsInUse,
    ChildGroup,
    Inventory,
    Outcome,
    OutcomeKind,
    Owner,
    Piece,
    Record,
    RecordKind,
)
from armonik_sdk.api.results import ResultEntry, ResultState
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.nats.queue import Puller
from armonik_sdk.dataplane.s3.store import S3Store

GROUP = "armonik.io/v1alpha1"
TEMPLATE = {"spec": {"worker": {"image": "worker:1"}}}
DEADLINE = 60.0
OWNER = Owner(pod="pod-uid", process="1", name="pod-1")


class Process:
    """`python -m armonik_operator`, restartable."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self._environ = os.environ | environ
        self.log = log
        self.address = f"http://127.0.0.1:{environ['ARMONIK_HEALTH_PORT']}"
        """Of its probes and metrics."""
        self._process: Forked | None = None

    def start(self) -> None:
        self._process = Forked("armonik_operator.__main__", self._environ, self.log)

    async def kill(self) -> None:
        """End it as a lost node would; its Lease stays."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it do nothing until `thaw`; it stays connected."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        self._send(signal.SIGCONT)

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, DEADLINE)

    async def stop(self) -> int:
        """Not in the way of the test's loop, which carries the operator's last words to the store."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        return await asyncio.to_thread(self._send(number).wait, 30)

    def _send(self, number: signal.Signals) -> Forked:
        assert self._process is not None
        self._process.send(number)
        return self._process


@pytest.fixture
async def store_proxy(s3_endpoint: str) -> AsyncIterator[Proxy]:
    """The operator's own way to the object store."""
    proxy = Proxy(s3_endpoint)
    await proxy.mend()
    yield proxy
    await proxy.cut()


@pytest.fixture
async def operator_environ() -> dict[str, str]:
    """Variables of the operator that a module's tests set differently."""
    return {}


@pytest.fixture
async def operator(
    request: pytest.FixtureRequest,
    apiserver: Any,
    operator_rights: None,
    kube: Kube,
    namespace: str,
    credentials: Credentials,
    nats_client: Client,
    store_proxy: Proxy,
    operator_environ: dict[str, str],
    tmp_path: Path,
) -> AsyncIterator[Process]:
    values = {"access-key": credentials.s3_access_key, "secret-key": credentials.s3_secret_key}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-s3"}, "stringData": values}
    await kube.create(SECRETS, secret, namespace)
    passwords = {f"{user}-password": credentials.nats_password for user in ("operator", "agent", "client")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-nats"}, "stringData": passwords}
    await kube.create(SECRETS, secret, namespace)
    environ = {
        "KUBECONFIG": str(apiserver.operator_kubeconfig),
        "POD_NAME": f"operator-{secrets.token_hex(2)}",
        "ARMONIK_NAMESPACE": namespace,
        "ARMONIK_WATCH_NAMESPACES": namespace,
        "ARMONIK_NATS_URL": credentials.nats_url,
        "ARMONIK_NATS_SECRET": "own-nats",
        "ARMONIK_NATS_EXTERNAL": "true",
        "ARMONIK_S3_ENDPOINT": store_proxy.address,
        "ARMONIK_S3_SECRET": "own-s3",
        "ARMONIK_S3_EXTERNAL": "true",
        "ARMONIK_AGENT_IMAGE": "agent:1",
        "ARMONIK_MANAGE_CRDS": "false",
        "ARMONIK_HEALTH_PORT": str(free_port()),
    }
    environ |= operator_environ | getattr(request, "param", {})
    process = Process(environ, tmp_path / "operator.log")
    process.start()
    yield process
    code = await process.stop()
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


@dataclass
class Taken:
    """A run that the played agent holds."""

    message: RunMessage
    run: RunId
    record: Record
    sequence: int
    delivery: Msg

    @property
    def indexes(self) -> range:
        return range(self.message.start, self.message.end)


class FakeAgent:
    """Takes runs from the queue and commits outcomes, as the protocol says."""

    def __init__(self, client: Client, namespace: str, store: S3Store) -> None:
        self._client = client
        self.journal = Journal(client)
        self.store = store
        self._puller = Puller(client, namespace, "default")
        self._bands = bands_key(namespace, "default")

    async def take(self) -> Taken:
        """Pull one run and dispatch it."""
        async with asyncio.timeout(DEADLINE):
            while True:
                delivery = await self._next()
                if delivery is not None and (taken := await self._dispatch(delivery)) is not None:
                    return taken

    async def _dispatch(self, delivery: Msg) -> Taken | None:
        message = RunMessage.model_validate_json(delivery.data)
        if message.spill is not None:
            message = RunMessage.model_validate_json(await self.store.get(message.spill))
        run, n = RunId.from_queue(delivery.subject)
        head = await self.journal.head(run)
        if head is None or n < head.record.n:  # protocol rule 3
            await delivery.ack_sync()
            return None
        if head.record.kind.owned:  # as an owner that continues would answer
            await delivery.nak(delay=1)
            return None
        assert (head.record.kind, head.record.n) == (RecordKind.SUBMITTED, n)
        taken = Taken(message, run, head.record, head.sequence, delivery)
        await self.append(taken, kind=RecordKind.DISPATCHED, epoch=head.record.epoch + 1, owner=OWNER)
        return taken

    async def _next(self) -> Msg | None:
        try:
            known = await Bucket(self._client, CONTROL, BandsInUse).get(self._bands)
            self._puller.use(known[0].bands if known is not None else ())
            return await self._puller.next(timeout=1.0)
        except QueueUnavailable:  # the operator has not made the consumer yet, or NATS is away
            await asyncio.sleep(0.1)
            return None

    async def append(self, taken: Taken, **changes: Any) -> None:
        """Append a successor of the run's head."""
        record = taken.record.model_copy(update={**changes, "record_id": secrets.token_hex(8)})
        taken.sequence = await self.journal.append(taken.run, record, taken.sequence)
        taken.record = record

    async def noted(self, taken: Taken) -> None:
        """Take in what the operator has appended to the run meanwhile, once it has."""
        async with asyncio.timeout(DEADLINE):
            while True:
                head = await self.journal.head(taken.run)
                assert head is not None
                if head.sequence > taken.sequence:
                    taken.record, taken.sequence = head.record, head.sequence
                    return
                await asyncio.sleep(0.05)

    async def finish(self, taken: Taken, outcomes: Sequence[Outcome], **changes: Any) -> None:
        """Commit the outcomes of all elements."""
        await self.append(taken, kind=RecordKind.DONE, outcomes=tuple(outcomes), **changes)
        await taken.delivery.ack_sync()

    async def succeed(self, taken: Taken, *, delegated: Sequence[str] = (), **changes: Any) -> None:
        """End all elements well: implied outputs hold the payload in capitals, made ones as well."""
        message, objects, outcomes = taken.message, list(taken.record.objects), list(taken.record.outcomes)
        for index in taken.record.remaining:
            element = message.elements.get(index)
            payload = (element.payload if element else None) or message.payload
            content = await self.store.get(payload) if payload else b""
            ref = await self.store.put(taken.run.objects(1, secrets.token_hex(4)), content.upper())
            piece = Piece(object=len(objects), length=ref.length or 0, sha256=str(ref.sha256))
            objects.append(ref.key)
            owed = (element.output_ids if element else None) or ()
            names = () if owed else message.outputs
            here = f"{message.task}.{index}."
            outcome = Outcome(
                index=index,
                kind=OutcomeKind.COMPLETED,
                outputs={name: piece for name in names if here + name not in delegated},
                made={name: piece for name in owed if name not in delegated},
                delegated=tuple(name for name in delegated if name in owed or name.startswith(here)),
            )
            outcomes.append(outcome)
        outcomes.sort(key=lambda outcome: outcome.index)
        await self.finish(taken, outcomes, objects=tuple(objects), **changes)

    async def fail(self, taken: Taken, message: str) -> None:
        """The worker returns an error for each element."""
        error = {"kind": OutcomeKind.ERROR, "reason": "WorkerError", "message": message}
        await self.finish(taken, [Outcome(index=index, **error) for index in taken.indexes])

    async def compute(self) -> RunMessage:
        """Take one run and end all its elements well."""
        taken = await self.take()
        await self.succeed(taken)
        return taken.message

    async def remember_child(self, namespace: str, parent: Taken, name: str, uid: str, handed: str) -> None:
        """What the operator writes about a child after creating it: its ownership, then its key."""
        session = parent.message.session
        owned = ResultEntry(state=ResultState.CREATED, task=uid)
        await Bucket(self._client, RESULTS, ResultEntry).create(result_key(namespace, session, handed), owned)
        entry = Inventory(uid=uid, name=name, session=session, parent=parent.message.task)
        await Bucket(self._client, TASK_KEYS, Inventory).create(child_key(namespace, name), entry)

    async def group(
        self, taken: Taken, items: Sequence[ManifestItem], *, element: int = 0, number: int = 0, **fields: Any
    ) -> ChildGroup:
        """Sub-tasks for a commit, their items in the store."""
        lines = "\n".join(item.model_dump_json(by_alias=True, exclude_unset=True) for item in items)
        key = f"{taken.run.objects(1, secrets.token_hex(4))}/items-{element}-{number}"
        await self.store.put(key, lines.encode())
        message = taken.message
        name = child_name(message.task_name, message.task, taken.run.start, element, number)
        return ChildGroup(name=name, element=element, group=number, count=len(items), items=key, **fields)


@pytest.fixture
async def demo(operator: Process, kube: Kube, namespace: str) -> None:
    """A Session and a Partition without pods."""
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    partition = manifest("Partition", "default", podMax=1, template=TEMPLATE)
    await kube.create(PARTITIONS, partition, namespace)


@pytest.fixture
def agent(nats_client: Client, namespace: str, credentials: Credentials) -> FakeAgent:
    """The played agent of the Partition `default`."""
    return FakeAgent(nats_client, namespace, S3Store(credentials))


async def finished(kube: Kube, name: str, namespace: str) -> dict[str, Any]:
    """The Task, once it has ended."""
    return await until(kube, TASKS, name, namespace, lambda task: "Finished" in conditions(task))


async def session_folder(kube: Kube, namespace: str, name: str = "demo") -> str:
    """The prefix below which all objects of a Session lie."""
    session = await kube.get(SESSIONS, name, namespace)
    return f"{namespace}/{session['metadata']['uid']}/"


async def ready_reason(kube: Kube, name: str, namespace: str, reason: str) -> str:
    """The message of `Ready=False`, once it has this reason."""
    task = await until(kube, TASKS, name, namespace, lambda o: conditions(o).get("Ready") == reason)
    return next(str(c["message"]) for c in task["status"]["conditions"] if c["type"] == "Ready")
