"""The data plane against the real servers: compare-and-set, lost answers, uniqueness, objects."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StorageType
from stores import each_store

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import (
    CONTROL,
    JOURNAL,
    QUEUE,
    RESULTS,
    TASKS,
    RunId,
    bucket_stream,
    consumer,
)
from armonik_sdk.api.records import Control, DesiredState, Record, RecordKind
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import (
    ChecksumMismatch,
    Conflict,
    ObjectMissing,
    QueueFull,
    QueueUnavailable,
)
from armonik_sdk.dataplane.nats.buckets import Bucket, Versioned, put_control
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.nats.queue import Puller, publish_run, purge, queued
from armonik_sdk.dataplane.nats.streams import ensure, ensure_consumer
from armonik_sdk.dataplane.nats.subjects import subjects
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration


def _run() -> RunId:
    return RunId("ns", str(uuid.uuid4()), str(uuid.uuid4()), 0)


def _record(kind: RecordKind = RecordKind.SUBMITTED, epoch: int = 0) -> Record:
    return Record(record_id=uuid.uuid4().hex, kind=kind, start=0, end=3, n=1, epoch=epoch)


def _message(run: RunId, n: int = 1) -> RunMessage:
    return RunMessage(
        namespace=run.namespace, session=run.session, task=run.task, partition="p", start=0, end=3, n=n
    )


async def test_a_run_without_records_has_no_head(nats_client: Client) -> None:
    assert await Journal(nats_client).head(_run()) is None


async def test_the_head_is_the_last_record(nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    first, second = _record(), _record(RecordKind.DISPATCHED, 1)
    sequence = await journal.append(run, second, await journal.submit(run, first))
    head = await journal.head(run)
    assert head is not None
    assert (head.record, head.sequence) == (second, sequence)


async def test_of_two_rivals_one_wins_and_the_other_sees_the_winner(nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    start = await journal.submit(run, _record())
    rivals = [_record(RecordKind.DISPATCHED, 1) for _ in range(8)]
    answers = await asyncio.gather(
        *(journal.append(run, rival, start) for rival in rivals), return_exceptions=True
    )
    losers = [answer for answer in answers if isinstance(answer, Conflict)]
    winner = rivals[next(i for i, answer in enumerate(answers) if isinstance(answer, int))]
    assert len(losers) == 7
    assert all(lost.head is not None and lost.head.record == winner for lost in losers)


async def test_only_one_submission_starts_a_run(nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    await journal.submit(run, _record())
    with pytest.raises(Conflict):
        await journal.submit(run, _record())


async def test_an_append_whose_answer_was_lost_succeeded(nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    start = await journal.submit(run, _record())
    mine = _record(RecordKind.DISPATCHED, 1)
    stored = await journal.append(run, mine, start)
    assert await journal.append(run, mine, start) == stored


def _halves(kept: int = 1) -> tuple[Record, Record]:
    first = _record(RecordKind.SPLIT, 1).model_copy(update={"end": kept})
    return first, _record().model_copy(update={"start": kept})


async def test_a_split_exists_with_both_of_its_records(nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    start = await journal.submit(run, _record())
    kept, given = _halves()
    sequence = await journal.split(run, kept, start, given)
    head, tail = await journal.head(run), await journal.head(run._replace(start=1))
    assert head is not None
    assert tail is not None
    assert (head.record, head.sequence) == (kept, sequence)
    assert (tail.record, tail.sequence) == (given, sequence + 1)


async def test_a_split_that_is_refused_leaves_nothing(nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    start = await journal.submit(run, _record())
    taken = await journal.append(run, _record(RecordKind.DISPATCHED, 2), start)
    with pytest.raises(Conflict):  # of an owner that was taken over
        await journal.split(run, _halves()[0], start, _halves()[1])
    assert await journal.head(run._replace(start=1)) is None
    await journal.submit(run._replace(start=2), _halves(2)[1])
    with pytest.raises(Conflict):  # at an element where another run begins
        await journal.split(run, _halves(2)[0], taken, _halves(2)[1])
    head = await journal.head(run)
    assert head is not None
    assert head.sequence == taken


async def test_a_journal_of_before_learns_to_store_several_records_at_once(nats_client: Client) -> None:
    js = nats_client.jetstream()
    config = (await js.stream_info(JOURNAL)).config
    await js.update_stream(config.evolve(allow_atomic=False))
    journal, run = Journal(nats_client), _run()
    start = await journal.submit(run, _record())
    with pytest.raises(QueueUnavailable, match="disabled"):
        await journal.split(run, _halves()[0], start, _halves()[1])
    await ensure(nats_client)
    assert await journal.split(run, _halves()[0], start, _halves()[1]) == start + 1


async def test_records_survive_a_restart_of_the_server(nats_server: Any, nats_client: Client) -> None:
    journal, run = Journal(nats_client), _run()
    start = await journal.submit(run, _record())
    await asyncio.to_thread(nats_server.stop)
    appending = asyncio.create_task(journal.append(run, _record(RecordKind.DISPATCHED, 1), start))
    await asyncio.to_thread(nats_server.start)
    assert await appending == start + 1


async def test_a_submission_is_queued_once_until_it_is_acknowledged(nats_client: Client) -> None:
    run = _run()
    await ensure_consumer(nats_client, "ns", "p")
    await ensure_consumer(nats_client, "ns", "p")
    assert await publish_run(nats_client, run, "p", _message(run)) is True
    assert await publish_run(nats_client, run, "p", _message(run)) is False
    puller = Puller(nats_client, "ns", "p")
    message = await puller.next()
    assert message is not None
    assert RunMessage.model_validate_json(message.data) == _message(run)
    assert await queued(nats_client) == {run.queue("p", 1)}
    await message.ack_sync()
    assert await queued(nats_client) == set()
    assert await puller.next(timeout=0.2) is None
    assert await publish_run(nats_client, run, "p", _message(run)) is True


def _pulled(message: Msg | None) -> RunId:
    assert message is not None
    return RunId.from_queue(message.subject)[0]


async def test_what_is_most_urgent_is_pulled_first(nats_client: Client) -> None:
    runs = {band: _run() for band in (0, 4, 9)}
    for band, run in runs.items():
        await ensure_consumer(nats_client, "ns", "p", band)
        await publish_run(nats_client, run, "p", _message(run), band)
    for band in runs:  # a consumer may learn of a message a little after its publisher
        info: Any = None
        while info is None or not info.num_pending:
            info = await nats_client.jetstream().consumer_info(QUEUE, consumer("ns", "p", band))
    idle, busy = Puller(nats_client, "ns", "p"), Puller(nats_client, "ns", "p")
    for puller in (idle, busy):
        puller.use([4, 9])
    pulled = [_pulled(await busy.backlog()), _pulled(await idle.next()), _pulled(await idle.next())]
    assert pulled == [runs[band] for band in (9, 4, 0)]
    assert await busy.backlog() is None


async def test_what_an_idle_puller_does_not_take_goes_to_another(nats_client: Client) -> None:
    for band in (0, 9):
        await ensure_consumer(nats_client, "ns", "p", band)
    one, other = Puller(nats_client, "ns", "p"), Puller(nats_client, "ns", "p")
    one.use([9])
    waiting = asyncio.create_task(one.next(timeout=30.0))
    info: Any = None
    while info is None or not info.num_waiting:  # its pull in the lower band is open
        info = await nats_client.jetstream().consumer_info(QUEUE, consumer("ns", "p", 0))
    high, low = _run(), _run()
    await publish_run(nats_client, high, "p", _message(high), 9)
    assert _pulled(await waiting) == high
    await publish_run(nats_client, low, "p", _message(low))
    assert _pulled(await other.next(timeout=8.0)) == low  # and not after `ack_wait`
    await one.close()


async def test_a_band_that_comes_into_use_is_looked_into_at_once(nats_client: Client) -> None:
    for band in (0, 9):
        await ensure_consumer(nats_client, "ns", "p", band)
    puller, run = Puller(nats_client, "ns", "p"), _run()
    waiting = asyncio.create_task(puller.next(timeout=3.0))
    await publish_run(nats_client, run, "p", _message(run), 9)
    puller.use([9])
    assert await waiting is None
    assert _pulled(await puller.next(timeout=3.0)) == run
    await puller.close()


async def test_a_purge_takes_exactly_one_tasks_messages(nats_client: Client) -> None:
    mine, other = _run(), _run()
    for run in (mine, other):
        await publish_run(nats_client, run, "p", _message(run))
    await purge(nats_client, f"armonik.queue.ns.*.*.*.{mine.task}.>")
    assert await queued(nats_client) == {other.queue("p", 1)}


async def test_a_key_is_created_once_and_again_after_its_deletion(nats_client: Client) -> None:
    bucket = Bucket(nats_client, CONTROL, Control)
    value = Control(state=DesiredState.RUNNING)
    assert await bucket.create("ns.a", value) is not None
    assert await bucket.create("ns.a", value) is None
    await bucket.delete("ns.a")
    assert await bucket.get("ns.a") is None
    revision = await bucket.create("ns.a", value)
    assert revision is not None
    await bucket.update("ns.a", Control(state=DesiredState.PAUSED), revision)
    with pytest.raises(Conflict):
        await bucket.update("ns.a", value, revision)
    assert await bucket.keys("ns.*") == {"ns.a"}


class Counting(Bucket[Control]):
    """A bucket that counts how often it is read."""

    reads = 0

    async def get(self, key: str) -> tuple[Control, int] | None:
        self.reads += 1
        return await super().get(key)


async def test_a_true_belief_saves_the_read_and_a_false_one_costs_nothing_else(nats_client: Client) -> None:
    bucket = Counting(nats_client, CONTROL, Control)

    def next_generation(now: Control | None) -> Control:
        return Control(state=DesiredState.RUNNING, generation=now.generation + 1 if now else 1)

    first, written = await bucket.change("ns.a", next_generation, Versioned(None, 0))
    assert (first.value, written, bucket.reads) == (next_generation(None), True, 0)
    second, _ = await bucket.change("ns.a", next_generation, first)
    assert (second.value and second.value.generation, bucket.reads) == (2, 0)
    for false in (Versioned[Control](None, 0), first):
        stands, written = await bucket.change("ns.a", next_generation, false)
        assert written
        assert stands == Versioned(*(await bucket.get("ns.a") or (None, 0)))
    assert stands.value == Control(state=DesiredState.RUNNING, generation=4)


async def test_nothing_is_left_alone_on_a_belief(nats_client: Client) -> None:
    bucket = Counting(nats_client, CONTROL, Control)
    running, paused = (Control(state=state) for state in (DesiredState.RUNNING, DesiredState.PAUSED))
    revision = await bucket.put("ns.a", running)

    def pause_what_runs(now: Control | None) -> Control | None:
        return paused if now == running else None

    stands, written = await bucket.change("ns.a", pause_what_runs, Versioned(paused, revision))
    assert (stands.value, written) == (paused, True)
    stands, written = await bucket.change("ns.a", pause_what_runs, stands)
    assert (stands.value, written) == (paused, False)


async def test_keys_are_listed_whatever_their_values(nats_client: Client) -> None:
    await Bucket(nats_client, CONTROL, Control).put("ns.a", Control(state=DesiredState.RUNNING))
    assert await Bucket(nats_client, CONTROL, Record).keys("ns.*") == {"ns.a"}


async def test_listing_misses_no_key_while_others_come_and_go(nats_client: Client) -> None:
    bucket = Bucket(nats_client, CONTROL, Control)
    value = Control(state=DesiredState.RUNNING)
    kept = {f"ns.kept-{i}" for i in range(300)}
    await asyncio.gather(*(bucket.put(key, value) for key in kept))
    for repetition in range(200):
        gone = [f"ns.gone-{repetition}-{i}" for i in range(5)]
        await asyncio.gather(*(bucket.put(key, value) for key in gone))
        listed, *_ = await asyncio.gather(bucket.keys("ns.*"), *map(bucket.delete, gone))
        assert kept <= listed <= kept.union(gone)
        assert await bucket.keys("ns.*") == kept
    assert await bucket.get_many([*kept, "ns.gone-0-0"]) == dict.fromkeys(kept, value)


async def test_more_subjects_than_one_answer_holds_are_listed(nats_client: Client) -> None:
    js = nats_client.jetstream(timeout=120)
    await js.add_stream(name="MANY", subjects=["many.>"], storage=StorageType.MEMORY)
    names = {f"many.{i}" for i in range(100_050)}
    for name in names:
        await nats_client.publish(name, b"")
    # The server stores what comes from one connection in order: an answer to the last confirms all.
    assert (await js.publish("many.last.one", b"")).seq == len(names) + 1
    assert await subjects(nats_client, "MANY", "many.*") == names


async def test_a_control_entry_never_goes_back(nats_client: Client) -> None:
    bucket = Bucket(nats_client, CONTROL, Control)
    newer = Control(state=DesiredState.CANCELLED, generation=3)
    assert await put_control(bucket, "ns.s", newer) == newer
    assert await put_control(bucket, "ns.s", Control(state=DesiredState.RUNNING, generation=2)) == newer
    deleted = Control(state=DesiredState.DELETED)
    assert await put_control(bucket, "ns.s", deleted) == deleted
    assert await put_control(bucket, "ns.s", Control(state=DesiredState.RUNNING, generation=9)) == deleted


async def test_streams_and_buckets_may_be_ensured_again(nats_client: Client) -> None:
    run, journal = _run(), Journal(nats_client)
    await journal.submit(run, _record())
    await ensure(nats_client)
    assert await journal.head(run) is not None


async def test_each_has_its_share_of_the_store_and_the_journal_what_is_left(nats_client: Client) -> None:
    js, store = nats_client.jetstream(timeout=30), 4_000_000

    async def limits() -> dict[str, int | None]:
        buckets = {name: bucket_stream(name) for name in (CONTROL, RESULTS, TASKS)}
        streams = {QUEUE: QUEUE, JOURNAL: JOURNAL} | buckets
        return {name: (await js.stream_info(stream)).config.max_bytes for name, stream in streams.items()}

    assert set((await limits()).values()) == {-1}
    await ensure(nats_client, store_bytes=store)
    shares = {QUEUE: 1_600_000, RESULTS: 1_200_000, TASKS: 360_000, CONTROL: 40_000, JOURNAL: -1}
    assert await limits() == shares
    await ensure(nats_client, store_bytes=2 * store)
    assert await limits() == {name: max(-1, 2 * share) for name, share in shares.items()}
    await ensure(nats_client)
    assert set((await limits()).values()) == {-1}


async def test_a_full_queue_is_distinguished_from_one_that_has_the_run_already(nats_client: Client) -> None:
    await ensure(nats_client, store_bytes=100_000)
    first = _run()
    assert await publish_run(nats_client, first, "p", _message(first))

    async def fill_queue() -> None:
        for other in (_run() for _ in range(1000)):
            await publish_run(nats_client, other, "p", _message(other))

    async def fill_control() -> None:
        for number in range(1000):
            await control.put(f"ns.{number}", Control(state=DesiredState.RUNNING))

    control = Bucket(nats_client, CONTROL, Control)
    with pytest.raises(QueueFull, match="no room left"):
        await fill_queue()
    assert await publish_run(nats_client, first, "p", _message(first)) is False
    with pytest.raises(QueueFull, match="no room left"):
        await fill_control()
    assert await Journal(nats_client).submit(first, _record())


@each_store
async def test_objects_are_read_whole_or_in_part_and_checked(
    credentials: Credentials, tmp_path: Path
) -> None:
    store = S3Store(credentials)
    await store.ensure_bucket()
    await store.ensure_bucket()
    prefix = f"ns/{uuid.uuid4()}"
    whole = await store.put(f"{prefix}/pack", b"hello world")
    assert await store.get(whole) == b"hello world"
    assert await store.get(ObjectRef(key=whole.key, offset=6, length=5)) == b"world"
    assert await store.stat(whole.key) == 11
    with pytest.raises(ChecksumMismatch):
        await store.get(ObjectRef(key=whole.key, offset=6, length=5, sha256=whole.sha256))
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    assert await store.get(await store.put(f"{prefix}/file", file)) == b"from a file"
    assert await store.get(await store.put(f"{prefix}/empty", b"")) == b""
    part = ObjectRef(key=whole.key, offset=6, length=5)
    await store.download(part, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == b"world"
    with pytest.raises(ChecksumMismatch):
        await store.download(part.model_copy(update={"sha256": whole.sha256}), tmp_path / "altered")
    with pytest.raises(ObjectMissing):
        await store.download(ObjectRef(key=f"{prefix}/none", length=1), tmp_path / "missing")
    assert await store.delete_many(prefix) == 3
    with pytest.raises(ObjectMissing):
        await store.get(whole)
