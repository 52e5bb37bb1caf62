"""What nothing names goes from a real store: journal and RESULTS on a real nats-server and object store."""

import hashlib
import time
from typing import Any, cast

import pytest
from nats.aio.client import Client
from stores import each_store

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.gc.unnamed_objects import OLD, PAGE, Garbage
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.settings import Settings
from armonik_sdk.api.kinds import ObjectMeta, Session, SessionSpec, Task
from armonik_sdk.api.names import RunId, detail_key, task_payload_key
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece, Record, RecordKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.record_overflow import spill
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = [pytest.mark.integration, each_store]

SESSION, TASK, LIFE = "session-uid", "task-uid", 1_700_000_000
RUN = RunId("ns", SESSION, TASK, 0)
SETTINGS = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s", agent_image="a")


class Site:
    """A Task of two elements whose first owner was fenced, on real servers."""

    def __init__(self, client: Client, credentials: Credentials) -> None:
        self.store = S3Store(credentials)
        self.servers = Clients(cast("Kube", None), client, self.store)
        self.state = ClusterState(SETTINGS, PartitionLoads(lambda: 0.0, lambda _: None))
        self.state.life = JournalEpoch(LIFE, LIFE)
        meta = ObjectMeta(name="s", namespace="ns", uid=SESSION)
        self.state.put_session(Session(metadata=meta, spec=SessionSpec(partitions=("p",))))
        self.now = time.time()
        self.garbage = Garbage(self.servers, self.store, self.state, lambda: self.now)
        self.sequence = 0

    def shown(self, *, finished: bool) -> None:
        """The Task as the apiserver shows it."""
        meta = {"name": "t", "namespace": "ns", "uid": TASK, "generation": 1, "resourceVersion": "1"}
        condition = {"type": "Finished", "status": "True", "reason": "Succeeded", "message": ""}
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        status: dict[str, Any] = {"sessionUid": SESSION, "detailRef": detail_key("ns", SESSION, TASK, LIFE)}
        status["conditions"] = [condition] if finished else []
        manifest = {"apiVersion": "armonik.io/v1alpha1", "kind": "Task", "metadata": meta}
        self.state.put_task(
            Task.from_object({**manifest, "spec": {"session": "s", "count": 2}, "status": status})
        )

    async def put(self, *keys: str) -> None:
        for key in keys:
            await self.store.put(key, b"data")

    async def append(self, kind: RecordKind, epoch: int, key: str = "", long: bool = False) -> str:
        """A record of an owner; its manifest, if it is long."""
        piece = Piece(object=0, offset=0, length=4, sha256=hashlib.sha256(b"data").hexdigest())
        text = "long" * 1_000 if long else ""
        outcomes = tuple(
            Outcome(
                index=i, kind=OutcomeKind.COMPLETED, outputs={f"o{n}": piece for n in range(20)}, message=text
            )
            for i in range(100 if long else 1)
        )
        record = Record(
            record_id=f"{len(key)}{self.sequence}",
            kind=kind,
            start=0,
            end=100,
            n=1,
            epoch=epoch,
            outcomes=outcomes if key else (),
            objects=(key,) if key else (),
        )
        slimmed = await spill(self.store, record, RUN.objects(epoch, "bb"))
        self.sequence = await self.servers.journal.append(RUN, slimmed, self.sequence)
        return slimmed.manifest.key if slimmed.manifest is not None else ""

    async def left(self) -> set[str]:
        return {each.key for each in await self.store.page(f"ns/{SESSION}/", "", PAGE, self.now)}


@pytest.fixture
async def site(nats_client: Client, credentials: Credentials) -> Site:
    made = Site(nats_client, credentials)
    await made.store.ensure_bucket()
    await made.store.delete_many(f"ns/{SESSION}/")
    return made


async def test_what_nothing_names_goes_once_a_day_and_when_a_task_ends(site: Site) -> None:
    first, second = RUN.objects(1, "aa"), RUN.objects(2, "bb")
    detail, before = detail_key("ns", SESSION, TASK, LIFE), detail_key("ns", SESSION, TASK, LIFE - 1)
    packed = task_payload_key("ns", SESSION, TASK, "0" * 64)
    beside = f"ns/{SESSION}/results/0/message-1"
    kept = {detail, packed, beside, f"{second}/pack-1", f"{second}/pack-2"}
    site.shown(finished=False)
    await site.put(*kept, before, f"{first}/pack-1")
    await site.append(RecordKind.SUBMITTED, 0)
    await site.append(RecordKind.DISPATCHED, 2)
    older = await site.append(RecordKind.PROGRESS, 2, f"{second}/pack-1", long=True)
    newest = await site.append(RecordKind.PROGRESS, 2, f"{second}/pack-1", long=True)
    results = RunResults(sequence=site.sequence, end=2, objects=(f"{second}/pack-1",))
    await site.servers.run_results.put(RUN.results, results)
    everything = kept | {before, f"{first}/pack-1", older, newest}

    assert await site.garbage.collect() == 0, "all is young"
    assert await site.left() == everything
    site.now += OLD + 60
    await site.garbage.collect()
    assert await site.left() == kept | {older, newest}, "its owner may still name what it wrote"

    site.now -= OLD + 60
    await site.append(RecordKind.DONE, 2, f"{second}/pack-1")
    site.shown(finished=True)
    await site.put(f"{first}/late")
    await site.garbage.of_task(WorkKey("garbage", "ns", TASK))
    assert await site.left() == {detail, packed, beside, f"{second}/pack-1"}

    site.now += OLD + 60
    await site.put(f"{first}/later")
    await site.garbage.collect()
    assert await site.left() == {detail, beside, f"{second}/pack-1"}
    assert await site.garbage.collect() == 0


async def test_nothing_goes_whose_names_cannot_be_read(site: Site) -> None:
    first, second = RUN.objects(1, "aa"), RUN.objects(2, "bb")
    site.shown(finished=True)
    await site.put(
        f"{first}/pack-1", f"{second}/pack-1", f"{RUN.objects(1, 'cc').replace('/0/', '/7/')}/pack-1"
    )
    await site.append(RecordKind.SUBMITTED, 0)
    manifest = await site.append(RecordKind.DONE, 2, f"{second}/pack-1", long=True)
    await site.store.delete([manifest])
    site.now += OLD + 60
    assert await site.garbage.collect() == 0


async def test_a_store_of_many_pages_is_gone_through(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_operator.gc.unnamed_objects.PAGE", 3)
    site.shown(finished=True)
    await site.append(RecordKind.DONE, 2)
    await site.put(*(f"{RUN.objects(1, 'aa')}/{number:02}" for number in range(10)))
    await site.put(f"ns/{SESSION}/another/0/1-aa/pack-1")
    site.now += OLD + 60
    assert await site.garbage.collect() == 10
    assert await site.left() == {f"ns/{SESSION}/another/0/1-aa/pack-1"}
