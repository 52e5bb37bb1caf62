"""What must hold whatever goes wrong: checked at each record, and once everything is quiet again.

Section "Invariants" of docs/protocol.md, and the promise to users: each element reaches exactly one terminal
state, and its results become visible exactly once.
"""

from collections.abc import Callable, Iterable
from typing import Any

from armonik_sdk.api.kinds import ObjectRef, Task
from armonik_sdk.api.names import (
    JOURNAL,
    QUEUE,
    RESULTS,
    TASKS,
    RunId,
    bucket_stream,
    bucket_subject,
    inventory_key,
    result_key,
    split_result_journal,
)
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Inventory, Outcome, OutcomeKind, Pin, Record, RecordKind, carried
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState, RunResults
from simulation.kube import Object
from simulation.stream import Stored
from simulation.world import NAMESPACE, World

_FIELDS = {
    "succeededIndexes": OutcomeKind.COMPLETED,
    "failedIndexes": OutcomeKind.ERROR,
    "timedOutIndexes": OutcomeKind.TIMEOUT,
    "cancelledIndexes": OutcomeKind.CANCELLED,
}


def each_record(world: World, heed: Callable[[str, Record], None]) -> None:
    """Call `heed` with each record of a run as it is stored: its subject, and itself as it was written."""

    def stored(stream: str, message: Stored) -> None:
        if stream == JOURNAL and split_result_journal(message.subject) is None:
            heed(message.subject, Record.model_validate_json(message.data))

    world.nats.stored.append(stored)


def completed(world: World, name: str, count: int) -> bool:
    """Whether a Task says that all of its elements have succeeded."""
    status = world.tasks()[name].get("status", {})
    return status.get("succeededIndexes") == f"0-{count - 1}" and status["phase"] == "Completed"


class Watcher:
    """Looks at each record as it is stored, and remembers what was said before."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.heads: dict[str, Record] = {}
        self.splits = 0
        """How often the tail of a run was given away."""
        self._owed: tuple[str, int] | None = None
        """Subject and end of what was given away by the record before."""
        self._results: dict[str, ResultEntry] = {}
        world.nats.stored.append(self._stored)
        each_record(world, self._recorded)

    def forget(self) -> None:
        """The journal lost its newest records: what they said need not be said again."""
        self.heads, self._owed = {}, None

    def _stored(self, stream: str, message: Stored) -> None:
        if stream == bucket_stream(RESULTS) and ".result." in message.subject and message.data:
            self._moves(message.subject, ResultEntry.model_validate_json(message.data))

    def _recorded(self, subject: str, record: Record) -> None:
        if record.manifest is not None:
            record = Record.model_validate_json(self._world.store.objects[record.manifest.key])
        before = self.heads.get(subject)
        self.heads[subject] = record
        if self._owed is not None:
            said = f"{self._owed} was given away, and {subject} follows: {record.kind}"
            assert (subject, record.end) == self._owed, said
            assert record.kind is RecordKind.SUBMITTED, said
            assert before is None, said
            self._owed = None
        if before is not None:
            self._follows(subject, before, record)

    def _moves(self, subject: str, entry: ResultEntry) -> None:
        """Protocol rule 8."""
        before = self._results.get(subject)
        self._results[subject] = entry
        if before is None or before.state is entry.state:
            return
        end = before.state is ResultState.COMPLETED and entry.state is ResultState.DELETED
        assert end or before.state is ResultState.CREATED, f"{subject}: {before.state} -> {entry.state}"

    def _follows(self, subject: str, before: Record, record: Record) -> None:
        said = f"{subject}: {before.kind} n={before.n} e={before.epoch} -> {record.kind} e={record.epoch}"
        assert not before.kind.terminal, f"{said}: a terminal head was followed"
        assert record.start == before.start, f"{said}: the run changed"
        if record.kind is RecordKind.SPLIT:
            assert record.start < record.end < before.end, f"{said}: nothing was given away, or all"
            self.splits += 1
            self._owed = (f"{subject.rpartition('.')[0]}.{record.end}", before.end)
        else:
            assert record.end == before.end, f"{said}: the run changed"
        assert record.n >= before.n, f"{said}: the submission number went back"
        assert record.epoch >= before.epoch, f"{said}: the epoch went back"
        if record.kind is RecordKind.DISPATCHED:
            assert record.epoch > before.epoch, f"{said}: dispatched without a new epoch"
        elif record.owner is not None and before.owner is not None and record.kind.owned:
            assert record.owner == before.owner, f"{said}: another owner without a dispatch"
        now = {outcome.index: outcome for outcome in record.outcomes}
        for outcome in before.outcomes:
            later = now.get(outcome.index)
            assert later is not None, f"{said}: element {outcome.index} has no outcome any more"
            assert _essence(before, outcome) == _essence(record, later), (
                f"{said}: the outcome of element {outcome.index} changed"
            )


def _essence(record: Record, outcome: Outcome) -> Any:
    outputs = {name: record.ref(piece) for name, piece in outcome.outputs.items()}
    beside = [record.ref(piece) if piece is not None else None for piece in (outcome.error, outcome.printed)]
    return outcome.kind, outputs, beside


def check_quiet(world: World, parked: set[str], *, lossy: bool = False) -> None:
    """Everything has ended: statuses, journal, results, queue and objects agree.

    `parked` tasks wait for what a user deleted. Where the journal may lose its newest records (`lossy`), the
    head of a run whose end is in a status may say less than the status, which then decides.
    """
    journal = world.nats.streams[JOURNAL]
    queued = world.nats.streams[QUEUE].messages
    assert not queued, f"the queue still holds {[m.subject for m in queued.values()]}"
    heads = {
        s: Record.model_validate_json(journal.messages[journal.by_subject[s][-1]].data)
        for s in runs(journal.by_subject)
    }
    tasks = {obj["metadata"]["uid"]: obj for obj in world.tasks().values()}
    for subject, head in heads.items():
        run = RunId.from_journal(subject)
        assert head.kind.terminal or lossy, f"{subject} ended as {head.kind}"
        assert run.task in tasks, f"{subject} belongs to no living task"
    for uid, task in tasks.items():
        own = {s: h for s, h in heads.items() if f".{uid}." in s}
        if task["metadata"]["name"] in parked:
            _check_parked(task, own, lossy=lossy)
        else:
            _check_task(world, uid, task, own, lossy=lossy)


def runs(subjects: Iterable[str]) -> list[str]:
    """Those of the journal's subjects that are of runs."""
    return [subject for subject in subjects if split_result_journal(subject) is None]


def entry_of(world: World, session: str, result: str) -> ResultEntry | None:
    """What RESULTS says of a result with an entry of its own."""
    key = result_key(NAMESPACE, session, result)
    found = world.nats.streams[bucket_stream(RESULTS)].last_on(bucket_subject(RESULTS, key))
    return ResultEntry.model_validate_json(found.data) if found is not None else None


_SHOWN = {
    ResultRecordKind.CREATED: ResultState.CREATED,
    ResultRecordKind.UPLOADED: ResultState.COMPLETED,
    ResultRecordKind.ABORTED: ResultState.ABORTED,
    ResultRecordKind.DELETED: ResultState.DELETED,
}


def unsettled_results(world: World) -> list[str]:
    """Results of which something else is shown than what a client said last, though not for a good reason."""
    journal = world.nats.streams[JOURNAL]
    over = world.sessions()["session"]["spec"]["desiredState"] == "Cancelled"
    found = []
    for subject, sequences in journal.by_subject.items():
        if (made := split_result_journal(subject)) is None:
            continue
        record = ResultRecord.model_validate_json(journal.messages[sequences[-1]].data)
        entry = entry_of(world, *made[1:])
        aborted = entry is not None and entry.state is ResultState.ABORTED
        # One that is aborted stays so, when it is deleted and when its session was cancelled first.
        given_up = aborted and (over or record.kind is ResultRecordKind.DELETED)
        if entry is None or not (entry.state is _SHOWN[record.kind] or given_up):
            found.append(f"{subject}: {record.kind}, but {entry}")
        elif entry.state is ResultState.COMPLETED:
            assert entry.ref is not None
            assert _bytes(world, entry.ref).startswith(b"by a client")
    return found


def _check_parked(task: Object, heads: dict[str, Record], *, lossy: bool) -> None:
    """A Task that waits has no run but those of the elements that a user cancelled."""
    wanted = Task.from_object(task).spec.cancelled
    ended = [index for head in heads.values() for index in range(head.start, head.end)]
    assert len(ended) == len(set(ended)), "runs overlap"
    there = Ranges.indexes(ended)
    assert there == wanted or (lossy and there.issubset(wanted)), (
        f"{wanted} shall be cancelled, but runs of {sorted(ended)} are there"
    )
    assert all(head.kind is RecordKind.CANCELLED for head in heads.values())
    assert task.get("status", {}).get("cancelledIndexes", "") == str(wanted)


def pins_of(world: World, task: Object) -> dict[str, Pin]:
    """What the names in `dependsOn` of a Task mean."""
    key = inventory_key(task["metadata"]["namespace"], task["metadata"]["uid"])
    found = world.nats.streams[bucket_stream(TASKS)].last_on(bucket_subject(TASKS, key))
    return Inventory.model_validate_json(found.data).pins if found is not None else {}


def sums_agree(world: World) -> bool:
    """Whether the Session counts what its Tasks' statuses say."""
    tasks = [task.get("status", {}).get("elements", {}) for task in world.tasks().values()]
    shown = world.sessions()["session"].get("status", {}).get("elements", {})
    names = ("succeeded", "failed", "timedOut", "cancelled", "queued", "running")
    return all(shown.get(name, 0) == sum(each.get(name, 0) for each in tasks) for name in names)


def left_behind(world: World) -> list[str]:
    """What still exists of sessions that are gone; desired states of the dead are kept on purpose."""
    kube = [f"session {name}" for name in world.sessions()]
    # One that was never admitted waits for a session of this name, as if it had been applied first.
    kube += [
        f"task {name}" for name, task in world.tasks().items() if task.get("status", {}).get("sessionUid")
    ]
    streams = [world.nats.streams[n] for n in (JOURNAL, QUEUE, bucket_stream(RESULTS), bucket_stream(TASKS))]
    kept = [
        message.subject
        for stream in streams
        for message in stream.messages.values()
        if message.headers.get("KV-Operation") not in ("DEL", "PURGE")
    ]
    return kube + kept + sorted(world.store.objects)


def _check_task(
    world: World, uid: str, task: dict[str, Any], heads: dict[str, Record], *, lossy: bool
) -> None:
    name, status = task["metadata"]["name"], task["status"]
    spec = task["spec"]
    total = spec.get("count") or len(spec.get("items") or ()) or spec.get("itemsRef", {}).get("count") or 1
    kinds: dict[int, OutcomeKind] = {}
    for field, kind in _FIELDS.items():
        for index in Ranges.parse(status[field]):
            assert index not in kinds, f"{name}: element {index} ended twice: {kinds[index]} and {kind}"
            kinds[index] = kind
    assert sorted(kinds) == list(range(total)), f"{name}: ended are {sorted(kinds)} of {total}"
    spans = sorted((head.start, head.end) for head in heads.values())
    ends = [0, *(e for _, e in spans)][: len(spans)]
    whole = all(end <= start if lossy else end == start for end, (start, _) in zip(ends, spans, strict=True))
    assert whole, f"{name}: runs overlap, or are missing: {spans}"
    for subject in heads:
        run = RunId.from_journal(subject)
        entry = _results_of(world, run)
        assert entry is not None, f"{subject} has no entry in RESULTS"
        for outcome in entry.outcomes:
            assert kinds[outcome.index] == outcome.kind, (
                f"{name}: element {outcome.index} differs from RESULTS"
            )
            worker_id = uid if total == 1 else f"{uid}.{outcome.index}"
            for piece in outcome.pieces:
                data = _bytes(world, entry.ref(piece))
                assert data.startswith((worker_id.encode() + b"|", b"child")), (
                    f"{name}: {outcome.index} holds {data!r}"
                )
            for result in outcome.delegated:
                _check_delegated(world, run, result)


def _check_delegated(world: World, run: RunId, result: str) -> None:
    key = result_key(run.namespace, run.session, result)
    found = world.nats.streams[bucket_stream(RESULTS)].last_on(bucket_subject(RESULTS, key))
    assert found is not None, f"{result} was handed to a child and has no entry"
    entry = ResultEntry.model_validate_json(found.data)
    assert entry.state in (ResultState.COMPLETED, ResultState.ABORTED), (
        f"{result} is {entry.state} at the end"
    )
    if entry.ref is not None:
        assert b"|" in _bytes(world, entry.ref)


def _bytes(world: World, ref: ObjectRef) -> bytes:
    if (here := carried(ref)) is not None:
        return here
    return world.store.objects[ref.key][ref.offset or 0 :][: ref.length]


def _results_of(world: World, run: RunId) -> RunResults | None:
    found = world.nats.streams[bucket_stream(RESULTS)].last_on(bucket_subject(RESULTS, run.results))
    return RunResults.model_validate_json(found.data) if found is not None else None
