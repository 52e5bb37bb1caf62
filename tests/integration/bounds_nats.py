"""Rows about NATS: messages, records and entries, through the functions that make them."""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, patch

import nats.errors
from bounds_world import RUN, Case, World, padded, refused

from armonik_agent.context import AgentContext, Connection
from armonik_agent.journal.run_writer import RunWriter
from armonik_agent.journal.transitions import charge
from armonik_agent.queue.message_lease import HeldRuns, probe_owner
from armonik_operator.cache.keys import JournalEntry, WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.controllers.partition import PartitionReconciler
from armonik_operator.dependencies.resolution import ResolvedNames
from armonik_operator.errors import Parked
from armonik_operator.planning.task import Plan
from armonik_operator.queueing.messages import Inputs, MessageBuilder
from armonik_operator.queueing.submission import RunSubmitter
from armonik_operator.results.store import ResultName, ResultStore
from armonik_operator.settings import Settings
from armonik_operator.sources.pod_events import PodEvents
from armonik_sdk.api import bounds
from armonik_sdk.api.kinds import Task, TaskOptions
from armonik_sdk.api.messages import Ask, PodEvent, RunMessage
from armonik_sdk.api.names import (
    QUEUE,
    RESULTS,
    ask_subject,
    event_subject,
    inventory_key,
    pod_key,
    result_journal,
)
from armonik_sdk.api.records import (
    Control,
    DesiredState,
    Inventory,
    Outcome,
    OutcomeKind,
    Owner,
    Pin,
    Record,
    RecordKind,
)
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState, RunResults
from armonik_sdk.client.transport.data_plane import DataPlane
from armonik_sdk.dataplane.errors import TooLarge, Unreadable
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.queue import publish_run
from armonik_sdk.dataplane.nats.requests import unreachable
from armonik_sdk.dataplane.record_overflow import load_overflow

ME = Owner(pod="pod-uid", process="1", name="pod-1")
NONE: Any = None
TASK = Task.from_object(
    {"metadata": {"name": "t", "namespace": "ns", "uid": "task-uid"}, "spec": {"session": "s"}}
)


def state() -> ClusterState:
    settings = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s:1", agent_image="agent")
    return ClusterState(settings, PartitionLoads(lambda: 0.0, lambda _: None))


async def anything(world: World, extra: int) -> str:
    try:
        await world.client.publish("armonik.event.ns.any", bytes(bounds.MAX_PAYLOAD_BYTES + extra))
        await world.client.flush()
    except nats.errors.MaxPayloadError as error:
        return "refused" if isinstance(unreachable("it", error), TooLarge) else "an outage"
    return "accepted"


async def subject(world: World, extra: int) -> str:
    try:
        await world.client.publish("s" * (bounds.MAX_SUBJECT_BYTES + extra), b"")
        await world.client.flush()
    except nats.errors.BadSubjectError as error:
        return refused(unreachable("it", error), bounds.MAX_SUBJECT_BYTES)
    return "accepted"


async def elements_of_run(world: World, extra: int) -> str:
    """An owner may write any record, so the reader checks it."""
    first = Record(record_id="0", kind=RecordKind.DISPATCHED, start=0, end=500, n=1, owner=ME)
    said = first.model_copy(update={"end": bounds.MAX_RUN_ELEMENTS + extra})
    await world.client.jetstream().publish(RUN.journal, said.encode())
    try:
        head = await world.servers.journal.head(RUN)
    except Unreadable as error:
        return refused(error, f"at most {bounds.MAX_RUN_ELEMENTS} elements")
    assert head is not None
    assert head.record == said
    return "accepted"


async def queue_message(world: World, extra: int) -> str:
    preparer, options = MessageBuilder(world.servers, state(), NONE, NONE, NONE), TaskOptions(partition="p")

    async def make(text: str) -> RunMessage:
        inputs = Inputs(payload_ids={-1: text})
        return await preparer.message(TASK, RUN, (0, 1), 1, options, inputs)

    room = bounds.MAX_MESSAGE_BYTES + extra - len((await make("x")).encode()) + 1
    said = await make("x" * room)
    assert await publish_run(world.client, RUN, "p", said)
    stored = await world.client.jetstream().get_last_msg(QUEUE, RUN.queue("p", 1))
    read = RunMessage.model_validate_json(stored.data or b"")
    if read.spill is None:
        assert len(read.payload_id) == room
        return "accepted"
    whole = RunMessage.model_validate_json(await world.store.get(read.spill))
    assert (len(whole.payload_id), whole.options) == (room, options)
    return "spilled"


def errors(text: str) -> tuple[Outcome, ...]:
    """Outcomes with messages of 4 KiB, the last with the rest of the text."""
    parts = [text[at : at + bounds.MAX_ERROR_BYTES] for at in range(0, len(text), bounds.MAX_ERROR_BYTES)]
    return tuple(
        Outcome(index=100 + n, kind=OutcomeKind.ERROR, reason="WorkerError", message=part)
        for n, part in enumerate(parts)
    )


def record(kind: RecordKind, text: str) -> Record:
    owner = ME if kind.owned else None
    return Record(
        record_id="r", kind=kind, start=0, end=500, n=1, epoch=1, owner=owner, outcomes=errors(text)
    )


def long_record(kind: RecordKind, size: int) -> Record:
    """A record of an exact length."""
    text = "x" * size
    while len(record(kind, text).encode()) > size:
        text = text[: len(text) - max(1, (len(record(kind, text).encode()) - size) // 2)]
    made = record(kind, text)
    missing = size - len(made.encode())
    return made.model_copy(update={"record_id": "r" * (1 + missing)})


async def run_record(world: World, extra: int) -> str:
    happened = set()
    for number, kind in enumerate(kind for kind in RecordKind):
        run = RUN._replace(task=f"task-{number}")
        first = Record(record_id="0", kind=RecordKind.DISPATCHED, start=0, end=500, n=1, owner=ME)
        sequence = await world.servers.journal.submit(run, first)
        site: Any = SimpleNamespace(
            me=ME, store=world.store, journal=world.servers.journal, connection=Connection()
        )
        wanted = long_record(kind, bounds.MAX_MESSAGE_BYTES + extra)
        committer = RunWriter(site, run, Head(first, sequence, NONE), prefix=f"ns/s/t/{number}-{extra}")
        await committer.append(lambda _, wanted=wanted: wanted)
        head = await world.servers.journal.head(run)
        assert head is not None
        happened.add("accepted" if head.record.manifest is None else "spilled")
        assert (await load_overflow(world.store, head.record)).outcomes == wanted.outcomes
    (only,) = happened
    return only


async def long_run(world: World, extra: int) -> str:
    site: Any = SimpleNamespace(
        me=ME, store=world.store, journal=world.servers.journal, connection=Connection()
    )
    first = Record(record_id="0", kind=RecordKind.DISPATCHED, start=0, end=500, n=1, owner=ME)
    sequence = await world.servers.journal.submit(RUN, first)
    committer = RunWriter(site, RUN, Head(first, sequence, NONE), prefix=f"ns/s/t/long-{extra}")
    wanted = padded(
        lambda text: first.model_copy(update={"record_id": "1", "objects": (text,)}),
        bounds.MAX_RUN_BYTES + extra,
    )
    try:
        await committer.append(lambda _: wanted)
    except TooLarge:
        return "refused"
    head = await world.servers.journal.head(RUN)
    assert head is not None
    assert await load_overflow(world.store, head.record) == wanted
    return "accepted"


async def run_entry(world: World, extra: int) -> str:
    def made(text: str) -> RunResults:
        outcome = Outcome(index=0, kind=OutcomeKind.ERROR, message=text)
        return RunResults(sequence=7, end=500, done=True, outcomes=(outcome,))

    wanted = padded(made, bounds.MAX_MESSAGE_BYTES + extra)
    moment: Any = SimpleNamespace(timestamp=lambda: 0.0)
    with patch("armonik_operator.results.store.all_outcomes", lambda _: wanted.outcomes):
        received = JournalEntry(RUN, record(RecordKind.DONE, ""), 7, moment)
        await ResultStore(world.servers, lambda _: None).put_run(received)
    plain = await Bucket(world.client, RESULTS, RunResults).get(RUN.results)
    whole = await world.servers.run_results.get(RUN.results)
    assert plain is not None
    assert whole is not None
    assert whole[0].outcomes == wanted.outcomes
    return "accepted" if plain[0].manifest is None else "spilled"


async def inventory(world: World, extra: int) -> str:
    entry = padded(
        lambda text: Inventory(uid="u", name=text, session="s"), bounds.MAX_INVENTORY_BYTES + extra
    )
    try:
        await world.servers.inventory.create(inventory_key("ns", "u"), entry)
    except TooLarge:
        return "refused"
    return "accepted"


async def pins(world: World, extra: int) -> str:
    fresh = {f"{number:063}": Pin("u" * 36, 10_000_000) for number in range(bounds.MAX_PINS + extra)}
    try:
        await ResolvedNames(world.servers, state()).add(TASK, "session-uid", fresh)
    except Parked as parked:
        return refused(f"{parked.reason}: {parked.message}", "DependencyInvalid", "name results")
    entry = await world.servers.inventory.get(inventory_key("ns", "task-uid"))
    assert entry is not None
    assert len(entry[0].pins) == len(fresh)
    return "accepted"


async def control(world: World, extra: int) -> str:
    known = state()
    worker = PartitionReconciler(world.servers, known, NONE, NONE, NONE)
    wanted = padded(
        lambda text: Control(state=DesiredState.GONE, at=1.5, reason=text), bounds.MAX_CONTROL_BYTES + extra
    )
    known.evicted["u"] = wanted.reason
    with patch("armonik_operator.controllers.partition.time", SimpleNamespace(time=lambda: 1.5)):
        await worker.mark_gone(WorkKey("pod", "ns", "u"))
    entry = await world.servers.control.get(pod_key("ns", "u"))
    assert entry is not None
    assert wanted.reason.startswith(entry[0].reason)
    return "accepted" if entry[0].reason == wanted.reason else "cut"


async def result_entry(world: World, extra: int) -> str:
    entry = padded(
        lambda text: ResultEntry(state=ResultState.ABORTED, reason=text), bounds.MAX_RESULT_BYTES + extra
    )
    name = ResultName("ns", "session-uid", "result")
    try:
        await ResultStore(world.servers, lambda _: None).move(name, lambda _: entry)
    except TooLarge:
        return "refused"
    return "accepted"


async def result_record(world: World, extra: int) -> str:
    said = padded(
        lambda text: ResultRecord(record_id="1", kind=ResultRecordKind.ABORTED, reason=text),
        bounds.MAX_RESULT_BYTES + extra,
    )
    link = DataPlane(world.client, world.store, [])
    try:
        await link.append_result(result_journal("ns", "session-uid", "0f"), said, 0)
    except TooLarge:
        return "refused"
    return "accepted"


async def heard(world: World) -> tuple["asyncio.Task[None]", "asyncio.Queue[PodEvent]"]:
    """What the operator receives."""
    reported: asyncio.Queue[PodEvent] = asyncio.Queue()

    async def down(_: str, event: PodEvent) -> None:
        await reported.put(event)

    events = PodEvents(NONE, state(), down, down, down)
    events.is_worker = AsyncMock(return_value=True)  # type: ignore[method-assign]
    await events.serve(world.client)
    return asyncio.create_task(events.run()), reported


async def event(world: World, extra: int) -> str:
    answering, reported = await heard(world)
    site: Any = SimpleNamespace(me=ME, settings=SimpleNamespace(namespace="ns"), client=world.client)
    wanted = padded(
        lambda text: PodEvent(pod=ME.pod, name=ME.name, reason=text), bounds.MAX_EVENT_BYTES + extra
    )
    await AgentContext.publish_event(site, "worker-down", wanted.reason)
    said = await asyncio.wait_for(reported.get(), 30)
    answering.cancel()
    assert wanted.reason.startswith(said.reason)
    return "accepted" if said == wanted else "cut"


async def question(world: World, extra: int) -> str:
    served = await HeldRuns(ME).serve(world.client)
    run = RUN._replace(task="")
    room = bounds.MAX_EVENT_BYTES + extra - len(Ask(journal=run.journal, epoch=1).encode())
    run = run._replace(task="t" * room)
    try:
        loss = await probe_owner(world.client, world.servers.control, run, ME, 1, interval=0.0)
    except TooLarge:
        return "refused"
    finally:
        await served.unsubscribe()
    assert loss is not None
    assert "does not hold it any more" in loss.text
    return "accepted"


async def receiver(world: World, extra: int) -> str:
    answering, reported = await heard(world)
    served = await HeldRuns(ME).serve(world.client)
    long = padded(lambda text: PodEvent(pod="u", name="n", reason=text), bounds.MAX_EVENT_BYTES + extra)
    for said in (long, PodEvent(pod="v", name="n", reason="the last")):
        await world.client.publish(event_subject("ns", "worker-down"), said.encode())
    first = await asyncio.wait_for(reported.get(), 30)
    answering.cancel()
    asked = padded(lambda text: Ask(journal=text, epoch=1), bounds.MAX_EVENT_BYTES + extra)
    try:
        await world.client.request(ask_subject(ME.pod), asked.encode(), timeout=1 if extra > 0 else 30)
        answered = True
    except (TimeoutError, nats.errors.TimeoutError):
        answered = False
    await served.unsubscribe()
    assert answered == (first == long)
    return "accepted" if answered else "dropped"


async def error_text(_: World, extra: int) -> str:
    head = record(RecordKind.DISPATCHED, "")
    text = "x" * (bounds.MAX_ERROR_BYTES + extra)
    (attempt,) = charge(head, 0, text, 3, 0.0).attempts
    return "accepted" if attempt.message == text else "cut"


async def batch(world: World, extra: int) -> str:
    batches: list[int] = []

    async def append_first_records(records: Any) -> int:
        await world.servers.journal.submit_all(records)
        batches.append(len(records))
        return len(records)

    preparer: Any = SimpleNamespace(
        message=AsyncMock(
            return_value=RunMessage(namespace="ns", session="s", task="t", partition="p", start=0, end=1, n=1)
        )
    )
    bands: Any = SimpleNamespace(open=AsyncMock())
    writer: Any = SimpleNamespace(append_first_records=append_first_records)
    queueing = RunSubmitter(world.servers, state(), bands, NONE, preparer, writer)
    count = bounds.MAX_BATCH + extra
    made = Plan(TaskOptions(partition="p"), "session-uid", submit=tuple((i, i + 1) for i in range(count)))
    assert await queueing.submit(TASK, made, Inputs())
    assert sum(batches) == count
    return "accepted" if len(batches) == 1 else "split"


CASES: dict[str, Case] = {
    "anything that NATS takes": anything,
    "subject of a message": subject,
    "elements of a run, unless it was never queued": elements_of_run,
    "queue message": queue_message,
    "journal record of a run, of every kind": run_record,
    "the same of an agent; the rest is for the operator's notes": long_run,
    "RESULTS entry of a run": run_entry,
    "TASKS entry (inventory with pins)": inventory,
    "pins of a Task: Tasks that it depends on by name": pins,
    "CONTROL entry": control,
    "RESULTS entry of one result": result_entry,
    "journal record of a client about a result": result_record,
    "event of an agent": event,
    "question to an owner, and its answer": question,
    "any of these, where it is received": receiver,
    "error text in a record": error_text,
    "messages of one batch of NATS": batch,
}
