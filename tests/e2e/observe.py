"""The data plane seen from outside: journal, queue, buckets and objects, with the operator's credentials.

Each question opens a connection of its own, so that it can be asked while servers come and go. On the local
control plane Services are reached directly, elsewhere through `kubectl port-forward`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import nats.js.errors
from minio import Minio
from nats.aio.client import Client
from release import NAMESPACE, RELEASE, Object, kubectl, until

from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.namespace import NamespaceAccounts
from armonik_operator.manifests.accounts.trust import SYSTEM_USER, Trust
from armonik_operator.provisioning.buckets.tenant import bucket_name
from armonik_operator.provisioning.nats_accounts import NatsAccounts
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import (
    CONTROL,
    JOURNAL,
    QUEUE,
    RESULTS,
    TASKS,
    RunId,
    consumer,
    control_key,
    journal_of_task,
    queue_of_task,
)
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Control, Inventory, Outcome, OutcomeKind, Record, Wire
from armonik_sdk.api.results import ResultEntry, RunResults
from armonik_sdk.client.transport.port_forward import Forward, Service
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.connection import connect_nats
from armonik_sdk.dataplane.nats.journal import read_head
from armonik_sdk.dataplane.nats.queue import queued
from armonik_sdk.dataplane.record_overflow import load_overflow
from armonik_sdk.dataplane.s3.store import S3Store

T = TypeVar("T")
W = TypeVar("W", bound=Wire)

PATIENCE = 60.0
"""Seconds that a question may take; servers may be on their way back."""


@dataclass(frozen=True)
class Entry:
    """A record as it is in the journal, its manifest read."""

    run: RunId
    sequence: int
    time: datetime
    record: Record


class Observer:
    """Reads everything of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def records(self, task: str) -> list[Entry]:
        """Every record of a Task (by UID), oldest first."""
        pattern = journal_of_task(self.namespace, "*", task)

        async def read(client: Client) -> list[Entry]:
            js, found, at = client.jetstream(timeout=10), [], 1
            while True:
                try:
                    message = await js.get_msg(JOURNAL, seq=at, subject=pattern, next=True)
                except nats.js.errors.NotFoundError:
                    return found
                head = read_head(message)
                run = RunId.from_journal(str(message.subject))
                found.append(Entry(run, head.sequence, head.time, head.record))
                at = head.sequence + 1

        async def whole(credentials: Credentials) -> list[Entry]:
            store = S3Store(self._place(credentials))
            return [replace(entry, record=await load_overflow(store, entry.record)) for entry in found]

        found = ask(self.namespace, read)
        return _reach(_S3, whole) if any(entry.record.manifest for entry in found) else found

    def kinds(self, task: str) -> list[str]:
        """What happened to a Task, in order."""
        return [str(entry.record.kind) for entry in self.records(task)]

    def queued(self, task: str) -> set[str]:
        """Queue subjects of a Task that hold a message, delivered or not."""
        return ask(self.namespace, lambda client: queued(client, queue_of_task(self.namespace, task)))

    def held(self, partition: str) -> int:
        """Messages that the agents of a partition hold and have not acknowledged."""

        async def read(client: Client) -> int:
            info: Any = await client.jetstream(timeout=10).consumer_info(
                QUEUE, consumer(self.namespace, partition)
            )
            return int(info.num_ack_pending)

        return ask(self.namespace, read)

    def results(self, task: str) -> dict[int, RunResults]:
        """Entries of RESULTS for the runs of a Task, by first index."""
        found = self._entries(RESULTS, RunResults, f"{self.namespace}.*.{task}.*")
        return {int(key.rpartition(".")[2]): entry for key, entry in found.items()}

    def own_results(self, session: str) -> dict[str, ResultEntry]:
        """Entries of RESULTS that no run implies, of a Session (by UID), by result id."""
        prefix = f"{self.namespace}.{session}.result."
        found = self._entries(RESULTS, ResultEntry, f"{prefix}>")
        return {key.removeprefix(prefix): entry for key, entry in found.items()}

    def inventory(self) -> dict[str, Inventory]:
        """Tasks with traces on the data plane, by UID, and children ever created, by `child.<name>`."""
        prefix = f"{self.namespace}."
        found = self._entries(TASKS, Inventory, f"{prefix}>")
        return {key.removeprefix(prefix): entry for key, entry in found.items()}

    def control(self, uid: str) -> Control | None:
        """Desired state of a Session or Task, as the agents read it."""

        async def read(client: Client) -> Control | None:
            found = await Bucket(client, CONTROL, Control).get(control_key(self.namespace, uid))
            return found[0] if found else None

        return ask(self.namespace, read)

    def objects(self, *parts: str) -> dict[str, int]:
        """Sizes of the objects below `<namespace>/<parts…>/`, by key."""
        prefix = "/".join((self.namespace, *parts)) + "/"

        async def listed(credentials: Credentials) -> dict[str, int]:
            client, bucket = _minio(credentials), self._place(credentials).s3_bucket
            if not client.bucket_exists(bucket):  # of a namespace without work, or that is gone
                return {}
            found = client.list_objects(bucket, prefix=prefix, recursive=True)
            return {str(entry.object_name): int(entry.size or 0) for entry in found}

        return _reach(_S3, listed)

    def read(self, ref: ObjectRef) -> bytes:
        """Bytes of an object, checked against the reference's checksum."""
        return _reach(_S3, lambda credentials: S3Store(self._place(credentials)).get(ref))

    def put(self, key: str, data: bytes) -> ObjectRef:
        """Upload an object, as the operator would."""
        return _reach(_S3, lambda credentials: S3Store(self._place(credentials)).put(key, data))

    def publish(self, subject: str, data: bytes) -> None:
        """Put a message on a subject of the streams."""

        async def send(client: Client) -> None:
            await client.jetstream(timeout=10).publish(subject, data)

        ask(self.namespace, send)

    def message(self, subject: str) -> bytes:
        """The message that is stored on a queue subject."""

        async def read(client: Client) -> bytes:
            return (await client.jetstream(timeout=10).get_last_msg(QUEUE, subject)).data or b""

        return ask(self.namespace, read)

    def _place(self, credentials: Credentials) -> Credentials:
        """The same key, and the bucket of this namespace."""
        return replace(credentials, s3_bucket=bucket_of(self.namespace))

    def _entries(self, bucket: str, model: type[W], pattern: str) -> dict[str, W]:
        async def read(client: Client) -> dict[str, W]:
            found = Bucket(client, bucket, model)
            return await found.get_many(await found.keys(pattern))

        return ask(self.namespace, read)


def taken_by(entries: list[Entry]) -> list[Entry]:
    """The newest record of a run's owner; none while nobody owns it.

    A run that has ended counts for the agent that ended it: an observer may be slower than the run.
    """
    if not entries or not (entries[-1].record.kind.owned or entries[-1].record.kind.terminal):
        return []
    return [entry for entry in entries if entry.record.kind.owned][-1:]


def assert_each_element_ended_once(observe: Observer, task: Object) -> list[Entry]:
    """A finished Task, the whole truth about it: journal, status, queue and results agree; its records."""
    uid, status = task["metadata"]["uid"], task["status"]
    total = status["elements"]["total"]
    entries = observe.records(uid)
    outcomes = _first_outcomes(entries)
    heads = {entry.run.start: entry for entry in entries}
    assert sorted(outcomes) == list(range(total)), "some element has no outcome, or one that is not there"
    spans = sorted((head.record.start, head.record.end) for head in heads.values())
    assert [index for span in spans for index in range(*span)] == list(range(total)), (
        "runs overlap or leave gaps"
    )
    assert all(head.record.kind.terminal for head in heads.values())
    _assert_status_says(status, outcomes, total)
    for start, entry in observe.results(uid).items():
        assert entry.done
        assert entry.sequence == heads[start].sequence
        assert {o.index: _located(entry, o) for o in entry.outcomes} == {
            o.index: _located(heads[start].record, o) for o in heads[start].record.outcomes
        }
    # The acknowledgement follows the commit, so it may be a moment behind.
    until(f"the queue holds nothing of {uid}", lambda: not observe.queued(uid))
    return entries


def _first_outcomes(entries: list[Entry]) -> dict[int, OutcomeKind]:
    """How each element ended; no later record of its run says otherwise, and no owner skipped an epoch."""
    first: dict[int, tuple[OutcomeKind, object]] = {}
    before: dict[int, Record] = {}
    for entry in entries:
        record, last = entry.record, before.get(entry.run.start)
        assert last is None or not last.kind.terminal, f"a record follows the end of {entry.run.journal}"
        if last is not None:
            assert record.epoch - last.epoch in (0, 1)
            assert (
                record.owner is None
                or last.owner is None
                or record.epoch > last.epoch
                or (record.owner.same_process(last.owner))
            ), f"two owners at epoch {record.epoch} of {entry.run.journal}"
            assert last.ended <= record.ended
        for outcome in record.outcomes:
            said = (outcome.kind, _located(record, outcome))
            assert first.setdefault(outcome.index, said) == said, f"element {outcome.index} ended twice"
        before[entry.run.start] = record
    return {index: kind for index, (kind, _) in first.items()}


def _assert_status_says(status: Object, outcomes: dict[int, OutcomeKind], total: int) -> None:
    fields = {
        OutcomeKind.COMPLETED: ("succeededIndexes", "succeeded"),
        OutcomeKind.ERROR: ("failedIndexes", "failed"),
        OutcomeKind.TIMEOUT: ("timedOutIndexes", "timedOut"),
        OutcomeKind.CANCELLED: ("cancelledIndexes", "cancelled"),
    }
    counts = status["elements"]
    for kind, (intervals, count) in fields.items():
        ended = Ranges.indexes(index for index, how in outcomes.items() if how is kind)
        assert status.get(intervals, "") == str(ended)
        assert counts.get(count, 0) == len(ended)
    assert sum(counts.get(count, 0) for _, count in fields.values()) == total
    assert not any(counts.get(open_, 0) for open_ in ("pending", "queued", "running"))


def _located(record: Record | RunResults, outcome: Outcome) -> dict[str, ObjectRef]:
    return {name: record.ref(piece) for name, piece in (outcome.outputs | outcome.made).items()}


def ask(namespace: str, question: Callable[[Client], Awaitable[T]]) -> T:
    """Ask NATS, as the operator does for a namespace."""
    return _ask(_of_namespace(namespace) if has_accounts() else {}, question)


def has_accounts() -> bool:
    """Whether each namespace has accounts of its own on NATS."""
    return "accounts-seed" in _nats_secret()


def left_on_nats(namespace: str) -> set[str]:
    """Names of the accounts that a namespace has or had, where each has its own."""
    trust = Trust.from_mapping(_nats_secret())
    system = {"nats_user": SYSTEM_USER, "nats_creds": trust.system_credentials(time.time())}

    async def names(client: Client) -> set[str]:
        accounts, found = NatsAccounts(client), set()
        for public in await accounts.list():
            token = await accounts.lookup(public)
            found.add(str(claims.read(token)["name"]) if token else "")
        return {name for name in found if name.startswith(f"{namespace}/")}

    return _ask(system, names)


def credentials_file(namespace: str, role: str) -> str:
    """Of one role in a namespace that has accounts of its own; the operator keeps its own file in memory."""
    trust = Trust.from_mapping(_nats_secret())
    return NamespaceAccounts.of(trust, namespace, _uid(namespace)).credentials(trust, role, time.time())


@cache
def _uid(namespace: str) -> str:
    return kubectl("get", "namespace", namespace, "--output", "jsonpath={.metadata.uid}")


def _of_namespace(namespace: str) -> dict[str, str]:
    return {"nats_creds": credentials_file(namespace, "operator")}


def _ask(user: Mapping[str, str], question: Callable[[Client], Awaitable[T]]) -> T:
    async def asked(credentials: Credentials) -> T:
        client = await connect_nats(replace(credentials, **user), "observer")  # type: ignore[arg-type]
        try:
            return await question(client)
        finally:
            await client.close()

    return _reach(_NATS, asked)


_NATS = Service(NAMESPACE, f"{RELEASE}-nats", 4222)
_S3 = Service(NAMESPACE, f"{RELEASE}-s3", 8333)


def _reach(server: Service, question: Callable[[Credentials], Awaitable[T]]) -> T:
    """Ask one of the two servers; the other one may be away."""

    async def asked() -> T:
        forward = None if os.environ.get("ARMONIK_LOCAL_CLUSTER") else Forward(server)
        try:
            async with asyncio.timeout(PATIENCE):
                address = f"127.0.0.1:{await forward.start()}" if forward else _cluster_address(server)
                return await question(_credentials(server, address))
        finally:
            if forward:
                await forward.close()

    return asyncio.run(asked())


@cache
def _cluster_address(server: Service) -> str:
    words = ("--namespace", server.namespace, "--output", "jsonpath={.spec.clusterIP}")
    return f"{kubectl('get', 'service', server.name, *words)}:{server.port}"


@cache
def _credentials(server: Service, address: str) -> Credentials:
    """Of both servers, with the address of the one that is asked and the cluster's name of the other."""
    nats, s3 = (
        address if one == server else f"{one.name}.{one.namespace}.svc:{one.port}" for one in (_NATS, _S3)
    )
    nats_secret, s3_secret = _nats_secret(), _secret(f"{RELEASE}-s3")
    return Credentials(
        nats_url=f"nats://{nats}",
        nats_user="operator",
        nats_password=nats_secret.get("operator-password", ""),
        s3_endpoint=s3,
        s3_secure=False,
        s3_region="us-east-1",
        s3_bucket=environment("ARMONIK_S3_BUCKET"),
        s3_access_key=s3_secret["operator-access-key"],
        s3_secret_key=s3_secret["operator-secret-key"],
    )


@cache
def _nats_secret() -> dict[str, str]:
    return _secret(f"{RELEASE}-nats")


def _secret(name: str) -> dict[str, str]:
    found = json.loads(kubectl("get", "secret", name, "--namespace", NAMESPACE, "--output", "json"))
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def bucket_of(namespace: str) -> str:
    """The bucket with the objects of a namespace."""
    prefix = environment("ARMONIK_S3_BUCKET")
    shared = environment("ARMONIK_S3_PROVISIONER") == "static"
    return prefix if shared else bucket_name(prefix, namespace)


@cache
def environment(name: str) -> str:
    """A setting of the release's operator."""
    path = f"{{.spec.template.spec.containers[0].env[?(@.name=='{name}')].value}}"
    words = (f"deployment/{RELEASE}-operator", "--namespace", NAMESPACE, "--output", f"jsonpath={path}")
    return kubectl("get", *words)


def reach_store(question: Callable[[Credentials], Awaitable[T]]) -> T:
    """Ask the object store, with the operator's key."""
    return _reach(_S3, question)


def _minio(credentials: Credentials) -> Minio:
    return Minio(
        credentials.s3_endpoint,
        access_key=credentials.s3_access_key,
        secret_key=credentials.s3_secret_key,
        secure=credentials.s3_secure,
        region=credentials.s3_region,
    )
