"""Whatever is kept of Tasks goes with them: tables are empty once all of them are deleted."""

from collections.abc import Sized
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.journal.backlog import Glance
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.settings import Settings
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = "session-uid"
TOTAL = 4


class Tables(RuleBasedStateMachine):
    """Tasks come, work, finish and go in any order; the tables as the operator uses them."""

    tasks = Bundle("tasks")

    @initialize()
    def begin(self) -> None:
        """An operator that knows nothing."""
        settings = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s", agent_image="a")
        self.state = ClusterState(settings, PartitionLoads(lambda: 0.0, lambda _: None))
        self.state.life = JournalEpoch(1, 1)
        self.number = self.sequence = 0
        self.living: set[str] = set()

    @rule(target=tasks, finished=st.booleans())
    def come(self, finished: bool) -> str:
        """The watch delivers a Task."""
        self.number += 1
        uid = f"uid-{self.number}"
        self.living.add(uid)
        self.state.put_task(self._task(uid, finished=finished))
        return uid

    @rule(uid=tasks, start=st.integers(0, TOTAL - 1), kind=st.sampled_from(RecordKind))
    def read(self, uid: str, start: int, kind: RecordKind) -> None:
        """A record is read."""
        self.sequence += 1
        ended = (Outcome(index=start, kind=OutcomeKind.COMPLETED),) if kind.terminal else ()
        record = Record(record_id="r", kind=kind, start=start, end=start + 1, n=1, outcomes=ended)
        data = record.encode()
        run = RunId("n", SESSION, uid, start)
        self.state.inbox.runs.add(run, Glance.model_validate_json(data), data, self.sequence, NOW)

    @rule(uid=tasks)
    def work(self, uid: str) -> None:
        """Its records are worked on."""
        state = self.state
        if uid not in self.living:
            state.drop_records(uid)
            return
        task = state.tasks.get(uid)
        if task is not None:
            state.run_by(task, "default")
            state.republish.setdefault(uid, set()).add(0)
            state.admitted.add(uid)
        while (waiting := state.inbox.runs.first(uid)) is not None:
            record = waiting.record()
            assert record is not None
            fold = state.fold(uid)
            if fold.add(record, waiting.sequence, waiting.time, waiting.before) is not None:
                state.loads.note("n", uid, fold.runs[record.start])
            state.inbox.runs.done(waiting)

    @rule(uid=tasks)
    def finish(self, uid: str) -> None:
        """Its status says that it has finished."""
        if uid in self.living:
            self.state.put_task(self._task(uid, finished=True))
            self.state.settle(uid)

    @rule(uid=consumes(tasks), passing=st.booleans())
    def go(self, uid: str, passing: bool) -> None:
        """It is deleted, maybe in the middle of a pass over it, and its traces are removed."""
        task = self.state.living(uid)
        if task is None:
            return
        self.living.discard(uid)
        self.state.drop_task(task)
        if passing:  # a pass keeps the Task that it began with
            self.state.run_by(task, "default")
            self.state.count(task, admit=True)
            self.state.put_written(task)
        self.state.forget(uid)

    @invariant()
    def nothing_is_kept_of_what_is_gone(self) -> None:
        """In no table."""
        state = self.state
        living = self.living
        by_uid: list[Any] = [state.tasks, state.ended, state.folds, state.first_seen]
        by_uid += [
            state.republish,
            state.inbox.unreadable,
            state.deleted,
            state.admitted,
            state.tally._shares,
        ]
        by_uid += [state.loads._shares, state.partition_of]
        assert all(set(table) <= living for table in by_uid)
        assert set(state.uids.values()) <= living
        of_partitions = {uid: name for name, uids in state.by_partition.items() for uid in uids}
        assert state.partition_of == of_partitions
        for index in (state.by_session, state.by_partition):
            assert {uid for uids in index.values() for uid in uids} <= living
        assert not set(state.ended) & {*state.tasks, *state.first_seen, *state.admitted}
        if not living:
            tables: list[Sized] = [state.uids, state.by_session, state.by_partition, state.tally._sums]
            assert not any(map(len, tables))

    def _task(self, uid: str, *, finished: bool) -> Task:
        done = {"type": "Finished", "status": "True", "reason": "Succeeded", "message": ""}
        done |= {"lastTransitionTime": NOW.isoformat()}
        status = {"journalEpoch": 1, "sessionUid": SESSION, "elements": {"total": TOTAL, "succeeded": TOTAL}}
        status |= {"conditions": [done], "journalSequence": self.sequence}
        meta = {"name": uid, "namespace": "n", "uid": uid, "resourceVersion": "1"}
        body: dict[str, Any] = {"metadata": meta, "spec": {"session": "s", "count": TOTAL}}
        return Task.from_object(body | ({"status": status} if finished else {}))


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
