"""The data plane seen from outside: journal, queue, buckets and objects, with the operator's credentials.

Each question opens a connection of its own, so that it can be asked while servers come and go. On the local
control plane Services are reached directly, elsewhere through `kubectl port-forward`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import nats.js.errors
from minio import Minio
from nats.aio.client import Client
from release import NAMESPACE, RELEASE, Object, kubectl, until

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
from armonik_sdk.api.records import (
    Control,
    Inventory,
    Outcome,
    OutcomeKind,
    Record,
    ResultEntry,
    RunResults,
    Wire,
)
from armonik_sdk.client.forward import Forward, Service
from armonik_sdk.dataplane.connect import Credentials, connect_nats
from armonik_sdk.dataplane.journal import read_head
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import S3Store, expand
from armonik_sdk.dataplane.queue import queued

T = TypeVar("T")
W = TypeVar("W", bound=Wire)

PATIENCE = 60.0
"""Seconds that a question may take; servers may be on their way back."""


@dataclass(frozen=True)
class Entry:
    """A record as it stands in the journal, its manifest read."""

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
            store = S3Store(credentials)
            return [replace(entry, record=await expand(store, entry.record)) for entry in found]

        found = _ask(read)
        return _reach(whole) if any(entry.record.manifest for entry in found) else found

    def kinds(self, task: str) -> list[str]:
        """What happened to a Task, in order."""
        return [str(entry.record.kind) for entry in self.records(task)]

    def queued(self, task: str) -> set[str]:
        """Queue subjects of a Task that hold a message, delivered or not."""
        return _ask(lambda client: queued(client, queue_of_task(self.namespace, task)))

    def held(self, partition: str) -> int:
        """Messages that the agents of a partition hold and have not acknowledged."""

        async def read(client: Client) -> int:
            info: Any = await client.jetstream(timeout=10).consumer_info(
                QUEUE, consumer(self.namespace, partition)
            )
            return int(info.num_ack_pending)

        return _ask(read)

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
        """Desired state that the agents are told of a Session or Task."""

        async def read(client: Client) -> Control | None:
            found = await Bucket(client, CONTROL, Control).get(control_key(self.namespace, uid))
            return found[0] if found else None

        return _ask(read)

    def objects(self, *parts: str) -> dict[str, int]:
        """Sizes of the objects below `<namespace>/<parts…>/`, by key."""
        prefix = "/".join((self.namespace, *parts)) + "/"

        async def listed(credentials: Credentials) -> dict[str, int]:
            found = _minio(credentials).list_objects(credentials.s3_bucket, prefix=prefix, recursive=True)
            return {str(entry.object_name): int(entry.size or 0) for entry in found}

        return _reach(listed)

    def read(self, ref: ObjectRef) -> bytes:
        """Bytes of an object, checked against the reference's checksum."""
        return _reach(lambda credentials: S3Store(credentials).get(ref))

    def put(self, key: str, data: bytes) -> ObjectRef:
        """Upload an object, as a client would."""
        return _reach(lambda credentials: S3Store(credentials).put(key, data))

    def publish(self, subject: str, data: bytes) -> None:
        """Put a message on a subject of the streams."""

        async def send(client: Client) -> None:
            await client.jetstream(timeout=10).publish(subject, data)

        _ask(send)

    def message(self, subject: str) -> bytes:
        """The message that stands on a queue subject."""

        async def read(client: Client) -> bytes:
            return (await client.jetstream(timeout=10).get_last_msg(QUEUE, subject)).data or b""

        return _ask(read)

    def _entries(self, bucket: str, model: type[W], pattern: str) -> dict[str, W]:
        async def read(client: Client) -> dict[str, W]:
            found = Bucket(client, bucket, model)
            return await found.get_many(await found.keys(pattern))

        return _ask(read)


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


def _ask(question: Callable[[Client], Awaitable[T]]) -> T:
    """Ask NATS."""

    async def asked(credentials: Credentials) -> T:
        client = await connect_nats(credentials, "observer")
        try:
            return await question(client)
        finally:
            await client.close()

    return _reach(asked)


def _reach(question: Callable[[Credentials], Awaitable[T]]) -> T:
    async def asked() -> T:
        forwards = [] if os.environ.get("ARMONIK_LOCAL_CLUSTER") else [Forward(at) for at in _SERVICES]
        try:
            async with asyncio.timeout(PATIENCE):
                addresses = [f"127.0.0.1:{await forward.start()}" for forward in forwards]
                return await question(_credentials(*(addresses or _cluster_addresses())))
        finally:
            for forward in forwards:
                await forward.close()

    return asyncio.run(asked())


_SERVICES = (Service(NAMESPACE, f"{RELEASE}-nats", 4222), Service(NAMESPACE, f"{RELEASE}-s3", 8333))


@cache
def _cluster_addresses() -> list[str]:
    words = ("--namespace", NAMESPACE, "--output", "jsonpath={.spec.clusterIP}")
    return [f"{kubectl('get', 'service', at.name, *words)}:{at.port}" for at in _SERVICES]


@cache
def _credentials(nats: str, s3: str) -> Credentials:
    nats_secret, s3_secret = _secret(f"{RELEASE}-nats"), _secret(f"{RELEASE}-s3")
    return Credentials(
        nats_url=f"nats://{nats}",
        nats_user="operator",
        nats_password=nats_secret["operator-password"],
        s3_endpoint=s3,
        s3_secure=False,
        s3_region="us-east-1",
        s3_bucket=_bucket(),
        s3_access_key=s3_secret["operator-access-key"],
        s3_secret_key=s3_secret["operator-secret-key"],
    )


def _secret(name: str) -> dict[str, str]:
    found = json.loads(kubectl("get", "secret", name, "--namespace", NAMESPACE, "--output", "json"))
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def _bucket() -> str:
    """The bucket of the release, as its operator knows it."""
    path = "{.spec.template.spec.containers[0].env[?(@.name=='ARMONIK_S3_BUCKET')].value}"
    words = (f"deployment/{RELEASE}-operator", "--namespace", NAMESPACE, "--output", f"jsonpath={path}")
    return kubectl("get", *words)


def _minio(credentials: Credentials) -> Minio:
    return Minio(
        credentials.s3_endpoint,
        access_key=credentials.s3_access_key,
        secret_key=credentials.s3_secret_key,
        secure=credentials.s3_secure,
        region=credentials.s3_region,
    )
