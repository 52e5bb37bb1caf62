"""The bound of unfinished elements of a namespace: a running sum, and a list of what waits for room."""

from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.planning.retries import FIRST, MOST, Retries
from armonik_operator.queueing import quota as quota_module
from armonik_operator.queueing.quota import AT_ONCE, Quota
from armonik_operator.queueing.quota_waiters import Waiters
from armonik_operator.settings import Settings
from armonik_operator.util.concurrency import in_portions
from armonik_sdk.api.const import Reason
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s", agent_image="a")
TOTAL = 4


def task(uid: str, count: int = TOTAL, namespace: str = "n", **fields: Any) -> Task:
    meta = {"name": uid, "namespace": namespace, "uid": uid, "generation": 1, "resourceVersion": "1"}
    return Task.from_object(
        {
            "apiVersion": "armonik.io/v1alpha1",
            "kind": "Task",
            "metadata": meta,
            "spec": {"session": "s", "count": count},
            **fields,
        }
    )


def recount(state: ClusterState, namespace: str, inside: set[str]) -> int:
    """The sum by a walk over everything."""
    sum_ = 0
    for uid, each in state.tasks.items():
        fold = state.folds.get(uid)
        if each.metadata.namespace == namespace and (uid in inside or (fold is not None and fold.admitted)):
            sum_ += each.spec.total - (len(fold.ended) if fold is not None else 0)
    return sum_


class Sums(RuleBasedStateMachine):
    """Tasks come, are admitted, work and go in any order."""

    tasks = Bundle("tasks")

    @initialize()
    def begin(self) -> None:
        """Nothing is known."""
        self.state = ClusterState(SETTINGS, PartitionLoads(lambda: 0.0, lambda _: None))
        self.number = self.sequence = 0
        self.inside: set[str] = set()
        self.freed: list[str] = []
        self.state.tally.freed = self.freed.append
        self.before = {"m": 0, "n": 0}

    @rule(target=tasks, count=st.integers(1, TOTAL), namespace=st.sampled_from("mn"))
    def come(self, count: int, namespace: str) -> str:
        """The watch shows a Task."""
        self.number += 1
        self.state.put_task(task(f"uid-{self.number}", count, namespace))
        return f"uid-{self.number}"

    @rule(uid=tasks)
    def admit(self, uid: str) -> None:
        """There is room for it."""
        self.state.count(self.state.tasks[uid], admit=True)
        self.inside.add(uid)

    @rule(uid=tasks, start=st.integers(0, TOTAL - 1), kind=st.sampled_from(RecordKind))
    def fold(self, uid: str, start: int, kind: RecordKind) -> None:
        """A record of it is folded."""
        found = self.state.tasks[uid]
        if start >= found.spec.total:
            return
        self.sequence += 1
        ended = (Outcome(index=start, kind=OutcomeKind.COMPLETED),) if kind.terminal else ()
        record = Record(
            record_id="r", kind=kind, start=start, end=start + 1, n=1, outcomes=ended, partition="p"
        )
        self.state.fold(uid).add(record, self.sequence, NOW)
        self.state.count(found)

    @rule(uid=consumes(tasks))
    def go(self, uid: str) -> None:
        """It is deleted."""
        self.state.drop_task(self.state.tasks[uid])

    @invariant()
    def the_sum_is_that_of_a_recount(self) -> None:
        """Of each namespace; when it falls that is said."""
        if not hasattr(self, "state"):
            return
        for namespace, before in self.before.items():
            used = self.state.tally.unfinished(namespace)
            assert used == recount(self.state, namespace, self.inside)
            assert (namespace in self.freed) == (used < before)
            self.before[namespace] = used
        self.freed.clear()


TestSums = Sums.TestCase
TestSums.settings = examples(max_examples=60, stateful_step_count=30, deadline=None)


class Namespaces:
    """An apiserver that counts how often a namespace is read."""

    def __init__(self, bound: str) -> None:
        self.bound = bound
        self.reads = 0

    async def get(self, *_: Any) -> dict[str, Any]:
        self.reads += 1
        return {"metadata": {"annotations": {"armonik.io/max-elements": self.bound} if self.bound else {}}}


class Counted(dict[str, Task]):
    """Tasks by UID that count how many of them are looked at."""

    looks = 0

    def get(self, *args: Any) -> Any:
        self.looks += 1
        return super().get(*args)

    def __iter__(self) -> Any:
        self.looks += len(self)
        return super().__iter__()

    def items(self) -> Any:
        self.looks += len(self)
        return super().items()

    def values(self) -> Any:
        self.looks += len(self)
        return super().values()

    def keys(self) -> Any:
        self.looks += len(self)
        return super().keys()


class Held:
    """A namespace with a bound."""

    def __init__(self, bound: str, monkeypatch: Any = None) -> None:
        self.state = ClusterState(SETTINGS, PartitionLoads(lambda: 0.0, lambda _: None))
        self.tasks = self.state.tasks = Counted()
        self.keys: list[WorkKey] = []
        self.kube = Namespaces(bound)
        servers = cast("Any", type("Servers", (), {"kube": self.kube}))
        self.quota = Quota(servers, self.state, self.keys.append)

    async def come(self, uid: str, count: int = 1) -> bool:
        """A Task that is looked at once; whether it is let in."""
        made = task(uid, count)
        self.state.put_task(made)
        return await self.quota.refusal(made) is None

    def end(self, uid: str, count: int = 1) -> None:
        outcomes = tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in range(count))
        record = Record(
            record_id="r",
            kind=RecordKind.DONE,
            start=0,
            end=count,
            n=1,
            outcomes=outcomes,
            partition="p",
        )
        self.state.fold(uid).add(record, 1, NOW)
        self.state.count(self.state.tasks[uid])

    async def woken(self) -> list[str]:
        """Tasks that are woken by what happened."""
        again: float | None = 0.0
        while again == 0.0:
            again = await self.quota.let_in(WorkKey(quota_module.KIND, "n", "n"))
        found = [key.name for key in self.keys if key.kind == "task"]
        self.keys.clear()
        return found


async def test_ten_thousand_tasks_that_wait_cost_no_walk() -> None:
    held = Held("1")
    assert await held.come("first")
    for number in range(10_000):
        assert not await held.come(f"uid-{number}")
    assert await held.woken() == []
    held.tasks.looks = 0
    held.kube.reads = 0
    for uid in ("first", "uid-0", "uid-1"):
        held.end(uid)
        assert len(await held.woken()) == 1
    assert held.tasks.looks < 20
    assert held.kube.reads < 4


async def test_only_what_fits_is_woken_and_the_oldest_first() -> None:
    held = Held("4")
    assert await held.come("first", 4)
    assert not await held.come("big", 5)
    assert not await held.come("three", 3)
    assert not await held.come("one", 1)
    assert not await held.come("another", 1)
    held.end("first", 4)
    assert await held.woken() == ["three", "one"]
    assert await held.quota.refusal(held.state.tasks["three"]) is None
    refused = await held.quota.refusal(held.state.tasks["another"])
    assert refused is not None
    assert "4 of 4 allowed in namespace n are unfinished" in refused.message
    held.state.drop_task(held.state.tasks["one"])
    assert await held.woken() == ["another"]


async def test_a_bound_that_is_taken_away_lets_all_in(monkeypatch: Any) -> None:
    monkeypatch.setattr(quota_module, "FRESH", 0.0)
    held = Held("many")
    for number in range(2 * AT_ONCE + 1):
        assert not await held.come(f"uid-{number}")
    refused = await held.quota.refusal(held.state.tasks["uid-0"])
    assert refused is not None
    assert "is 'many', not a number" in refused.message
    held.kube.bound = ""
    assert len(await held.woken()) == 2 * AT_ONCE + 1


async def test_tasks_that_are_gone_or_ask_for_nothing_take_no_room() -> None:
    held = Held("1")
    assert await held.come("first")
    for uid in ("deleted", "cancelled", "last"):
        assert not await held.come(uid)
    held.state.drop_task(held.state.tasks["deleted"])
    held.quota.leave("n", "deleted")
    held.quota.leave("n", "cancelled")
    held.end("first")
    assert await held.woken() == ["last"]
    assert not held.quota._waiting, "nobody waits any more"


async def test_a_task_that_ran_before_a_restart_counts_before_its_records_are_folded() -> None:
    held = Held("4")
    counts = {"total": 4, "pending": 0, "queued": 2, "running": 1, "succeeded": 1}
    counts |= {"failed": 0, "timedOut": 0, "cancelled": 0}
    held.state.put_task(task("old", 4, status={"elements": counts, "sessionUid": "u"}))
    assert held.state.tally.unfinished("n") == 3
    assert not await held.come("new", 2)


def test_what_waits_leaves_nothing_behind() -> None:
    waiters = Waiters()
    for number in range(20):
        waiters.add(f"uid-{number}", 1 + number % 3)
        waiters.add(f"uid-{number}", 1 + number % 3)
    assert len(waiters) == 20
    for number in range(20):
        waiters.drop(f"uid-{number}")
        waiters.drop(f"uid-{number}")
    assert waiters.take(1_000, 10) == []
    assert not waiters._by_size
    assert not waiters._ascending


def test_looks_at_what_is_held_back_become_rarer() -> None:
    now, woken = [0.0], list[str]()
    retries = Retries(lambda: now[0], woken.append)
    waits = []
    for _ in range(6):
        waits.append(retries.wait("a", Reason.PAYLOAD_NOT_FOUND))
        now[0] += 1.0
        assert retries.wait("a", Reason.PAYLOAD_NOT_FOUND) == waits[-1] - 1.0, "a look in between"
        now[0] += waits[-1] - 1.0
    assert waits == [FIRST, 10.0, 20.0, 40.0, MOST, MOST]
    assert retries.wait("a", Reason.SESSION_NOT_FOUND) == FIRST, "another cause"
    retries.over("a")
    assert retries.wait("a", Reason.SESSION_NOT_FOUND) == FIRST
    assert woken == []


def test_a_cause_that_is_gone_wakes_those_that_it_held_back() -> None:
    woken: list[str] = []
    retries = Retries(lambda: 0.0, woken.append)
    for uid in ("a", "b", "c"):
        retries.wait(uid, Reason.STORE_UNAVAILABLE)
    retries.wait("d", Reason.QUOTA_EXCEEDED)
    in_portions(retries.mended(Reason.STORE_UNAVAILABLE, 1))
    assert woken == ["a"]
    in_portions(retries.mended(Reason.STORE_UNAVAILABLE))
    assert woken == ["a", "b", "c"]
    in_portions(retries.mended(Reason.STORE_UNAVAILABLE))
    assert woken == ["a", "b", "c"]
    assert retries.wait("a", Reason.STORE_UNAVAILABLE) == FIRST
