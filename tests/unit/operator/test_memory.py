"""What the operator holds in memory: of a replay, and of Tasks that have finished."""

import gc
import linecache
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.journal.backlog import Backlog
from armonik_operator.journal.fold import TaskFold
from armonik_operator.journal.loss import JournaledStatus
from armonik_operator.journal.replay import Replay
from armonik_operator.settings import Settings
from armonik_operator.sources.journal import JournalReader
from armonik_operator.util.work_queue import WorkQueue
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Outcome, OutcomeKind, Owner, Piece, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = 500
ELEMENTS = 20_000
RECORDS = 3
TASKS = 2_000
UID = "00000000-0000-4000-8000-{:012}"


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """Bytes that Python has been asked for and not given back, since the test began."""
    tracemalloc.start()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before - table_of_interned_strings()

    yield held
    tracemalloc.stop()


def table_of_interned_strings() -> int:
    """Bytes by which the interpreter's own table grew, which other tests' strings fill too."""
    return sum(
        trace.size
        for trace in tracemalloc.take_snapshot().traces
        if trace.size > 65_536
        and "sys.intern(" in linecache.getline(trace.traceback[0].filename, trace.traceback[0].lineno)
    )


def state() -> ClusterState:
    settings = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s", agent_image="a")
    return ClusterState(settings, PartitionLoads(lambda: 0.0, lambda _: None))


class Idle(WorkQueue[WorkKey]):
    """Nothing is worked on."""

    def __init__(self) -> None:
        """Without workers."""

    def add(self, key: WorkKey) -> None:
        """Forgotten."""

    def add_after(self, key: WorkKey, delay: float) -> None:
        """Forgotten."""


def fold_loop(known: ClusterState, replay: Replay) -> JournalReader:
    return JournalReader(Mock(), known, Idle(), replay)


def records(start: int, end: int) -> Iterator[Record]:
    """A run, from its submission to its end."""
    common = {"record_id": "0123456789abcdef", "start": start, "end": end, "n": 1, "partition": "default"}
    yield Record(kind=RecordKind.SUBMITTED, **common)
    owner = Owner(pod=UID.format(1), process="0123456789abcdef", name="default-abcde")
    for number in range(1, RECORDS):
        ended = tuple(
            Outcome(
                index=index,
                kind=OutcomeKind.COMPLETED,
                outputs={"result": Piece(object=0, offset=index, length=8, sha256="0" * 64)},
                seconds=0.25,
            )
            for index in range(start, start + (end - start) * number // (RECORDS - 1))
        )
        kind = RecordKind.DONE if len(ended) == end - start else RecordKind.PROGRESS
        yield Record(kind=kind, epoch=1, owner=owner, outcomes=ended, objects=("n/s/t/0/1-0",), **common)


def read_all(loop: JournalReader, task: str, elements: int, size: int) -> int:
    """Read a Task's records; their bytes."""
    sequence = total = 0
    for start in range(0, elements, size):
        run = RunId("namespace", UID.format(0), task, start)
        for record in records(start, min(elements, start + size)):
            sequence += 1
            data = record.encode()
            loop._receive(run.journal, data, sequence, NOW)
            total += len(data)
    return total


def finished(number: int, *, whole: bool = False) -> Task:
    """A single Task of a client; as it is while it runs, or as it is when it has finished."""
    name = f"single-{number:06}"
    done = {"type": "Finished", "status": "False" if whole else "True", "reason": "Succeeded"}
    done |= {"message": "", "lastTransitionTime": NOW.isoformat(), "observedGeneration": 1}
    result = {"name": "result", "id": f"{UID.format(number)}.0.result", "size": 8, "inline": "12345678"}
    times = {name: NOW.isoformat() for name in ("created", "submitted", "dispatched", "started", "ended")}
    status: dict[str, Any] = {
        "phase": "Completed",
        "observedGeneration": 1,
        "partition": "default",
        "sessionUid": UID.format(0),
        "options": {"partition": "default", "maxRetries": 3, "priority": 1},
        "journalEpoch": 1,
        "journalSequence": 3 * number + 3,
        "elements": {"total": 1, "succeeded": 1},
        "succeededIndexes": "0",
        "times": times,
        "worker": "default-abcde",
        "attempts": 1,
        "results": [result],
        "conditions": [done],
    }
    meta = {"name": name, "namespace": "namespace", "uid": UID.format(number), "generation": 1}
    meta |= {"resourceVersion": str(1_000_000 + number), "creationTimestamp": NOW.isoformat()}
    meta |= {"labels": {"app": "function"}}
    spec = {"session": "session", "payload": {"inline": "x" * 100}, "outputs": ["result"]}
    return Task.from_object({"metadata": meta, "spec": spec, "status": status})


def test_a_replay_keeps_the_newest_record_of_each_run_as_bytes(traced: Callable[[], int]) -> None:
    known = state()
    total = read_all(fold_loop(known, Replay({})), UID.format(9), ELEMENTS, RUN)
    newest = total * 2 / RECORDS  # the last one has all outcomes, the one before half of them
    assert len(list(known.inbox.runs.of(UID.format(9)))) == ELEMENTS / RUN
    assert traced() < 1.1 * newest
    assert traced() / ELEMENTS < 300, "parsed it takes 1,500 bytes an element"


def test_a_replay_keeps_no_more_bytes_than_its_bound(traced: Callable[[], int]) -> None:
    known = state()
    known.inbox.runs = Backlog(1_000_000)
    read_all(fold_loop(known, Replay({})), UID.format(9), ELEMENTS, RUN)
    assert known.inbox.runs.size <= 1_000_000
    assert traced() < 2_000_000


def test_of_finished_tasks_a_replay_keeps_nothing(traced: Callable[[], int]) -> None:
    statuses = {UID.format(9): JournaledStatus(0, 10 * ELEMENTS, True)}
    read_all(fold_loop(state(), Replay(statuses)), UID.format(9), RUN, RUN)  # what is loaded and cached once
    known, before = state(), traced()
    read_all(fold_loop(known, Replay(statuses)), UID.format(9), ELEMENTS, RUN)
    assert traced() - before < 0.1 * ELEMENTS


def test_a_finished_task_costs_less_than_a_kibibyte(traced: Callable[[], int]) -> None:
    def held(*, whole: bool) -> float:
        known, before = state(), traced()
        for number in range(TASKS):
            known.put_task(finished(number, whole=whole))
        return (traced() - before) / TASKS

    ended, goes_on = held(whole=False), held(whole=True)
    assert ended < 1024
    assert ended < goes_on / 5


def test_a_task_that_finishes_costs_no_more_than_one_that_was_found_finished(
    traced: Callable[[], int],
) -> None:
    known = state()
    loop = fold_loop(known, Replay({}))
    for number in range(TASKS):
        goes_on = finished(number, whole=True)
        uid = goes_on.metadata.uid
        known.put_task(goes_on)
        read_all(loop, uid, 1, 1)
        fold = known.fold(uid)
        for waiting in list(known.inbox.runs.of(uid)):
            record = waiting.record()
            assert record is not None
            fold.add(record, waiting.sequence, waiting.time, waiting.before)
            known.loads.note("namespace", uid, fold.runs[0])
            known.inbox.runs.done(waiting)
        known.put_task(finished(number))
        assert known.settle(uid) is not None
    assert traced() / TASKS < 1024
    assert not [*known.folds, *known.tasks, *known.first_seen, *known.by_session, *known.by_partition]


UPLOADED = b'{"recordId":"r","kind":"Created"}'


@pytest.mark.parametrize(
    "subject",
    [
        "armonik.journal.Team.s.result.r",
        "armonik.journal.other.s.result.r",
        "armonik.journal.team.s.result.a b",
        "armonik.journal.team.s_.t.0",
        "armonik.journal.team.s.t.1234567890123",
        "armonik.journal.team.s.t",
        f"armonik.journal.team.s.{'t' * 64}.0",
    ],
)
def test_what_is_nobodys_is_not_kept(subject: str) -> None:
    known = state()
    known.settings = known.settings.model_copy(update={"watch_namespaces": ("team",)})
    record = next(records(0, 1)).encode()
    fold_loop(known, Replay({}))._receive(subject, record if "result" not in subject else UPLOADED, 1, NOW)
    assert (len(known.inbox.runs), known.inbox.results_waiting, len(known.inbox.unreadable)) == (0, 0, 0)


def test_a_record_of_a_task_of_another_namespace_is_not_kept() -> None:
    known = state()
    task = finished(1, whole=True)
    known.put_task(task)
    loop = fold_loop(known, Replay({}))
    for number, namespace in enumerate(("other", "namespace"), start=1):
        run = RunId(namespace, "s", task.metadata.uid, 0)
        loop._receive(run.journal, next(records(0, 1)).encode(), number, NOW)
    assert [waiting.run.namespace for waiting in known.inbox.runs.of(task.metadata.uid)] == ["namespace"]


def test_what_is_said_again_and_again_of_a_result_is_kept_once() -> None:
    known = state()
    loop = fold_loop(known, Replay({}))
    for sequence in range(1, 100):
        loop._receive("armonik.journal.team.s.result.r", UPLOADED, sequence, NOW)
    assert known.inbox.results_waiting == 1


def test_a_run_that_has_ended_costs_less_than_a_hundred_bytes(traced: Callable[[], int]) -> None:
    """A Task of long elements has a run for each of them, and lasts as long as any does."""
    fold = TaskFold()
    before = traced()
    for start in range(TASKS):
        for sequence, record in enumerate(records(start, start + 1)):
            fold.add(record, RECORDS * start + sequence, NOW + timedelta(seconds=start))
    assert len(fold.runs) == TASKS
    assert (traced() - before) / TASKS < 100
