"""When a status is written again; the budget of writes: never above its rate, and all have a turn."""

from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.errors import NotFound
from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import Plan, TaskView
from armonik_operator.settings import Settings
from armonik_operator.status.pending_reason import Waiting
from armonik_operator.status.task import StatusInputs
from armonik_operator.status.writer import NEWS, SLOW, RateLimiter, StatusWriter, outdated
from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import ObjectRef, Task, TaskOptions, TaskStatus, condition
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import OutcomeKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NONE = "1 element waits for a pod: partition p has none ready"
STARTING = Waiting(Reason.NO_PODS, f"{NONE}: Starting, pods are starting", gist=f"{NONE}: Starting")
PULLING = Waiting(Reason.NO_PODS, f"{NONE}: ImagePullFailed, a", gist=f"{NONE}: ImagePullFailed")
PULLED = Waiting(Reason.NO_PODS, f"{NONE}: ImagePullFailed, b", gist=f"{NONE}: ImagePullFailed")
LONG = Waiting(Reason.NO_PODS, f"{NONE}: ImagePullFailed, {'x' * 2000}", gist=f"{NONE}: ImagePullFailed")
QUEUED = Waiting(Reason.QUEUED, "1 element waits for a free worker in partition p, 0 of other tasks")
BEHIND = Waiting(Reason.QUEUED, "1 element waits for a free worker in partition p, 5 of other tasks")


@given(pauses=st.lists(st.floats(0, 0.2), max_size=60), rate=st.sampled_from([5.0, 20.0]))
def test_turns_keep_the_rate_and_come_for_all(pauses: list[float], rate: float) -> None:
    budget, now, turns = RateLimiter(rate), 0.0, []
    for who, pause in enumerate(pauses):
        now += pause
        delay = budget.wait(str(who), now)
        assert 0.0 <= delay <= (who + 1) / rate
        if delay > 1e-6:  # half of a smaller one may vanish in the sum
            assert budget.wait(str(who), now + delay / 2) > 0.0
            assert budget.wait(str(who), now + delay + 1e-9) == 0.0
        turns.append(now + delay)
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(turns))


def test_who_needs_no_turn_any_more_gives_up_its_place() -> None:
    budget = RateLimiter(1.0)
    assert budget.wait("a", 0.0) == 0.0
    assert budget.wait("b", 0.0) == 1.0
    budget.forget("b")
    assert budget.wait("b", 5.0) == 0.0


@pytest.mark.parametrize(
    ("shown", "is_so", "after"),
    [
        (STARTING, PULLING, NEWS),
        (STARTING, QUEUED, NEWS),
        (QUEUED, PULLING, NEWS),
        (PULLING, PULLED, SLOW),
        (PULLING, PULLING, None),
        (LONG, LONG, None),
        (QUEUED, BEHIND, None),
        (STARTING, None, None),
        (None, PULLING, None),
    ],
)
def test_what_is_said_of_missing_pods_is_said_again_when_it_is_no_longer_so(
    shown: Waiting | None, is_so: Waiting | None, after: float | None
) -> None:
    conditions = []
    if shown is not None:
        said = (ConditionType.WAITING, True, shown.reason, shown.message)
        conditions = [condition(*said, generation=1, now=NOW)]
    assert outdated(TaskStatus(conditions=conditions), is_so) == after


def scattered(sequence: int) -> TaskFold:
    """A Task with so many failures that its intervals are longer than a status may hold."""
    fold = TaskFold()
    for index in range(0, 8_000, 2):
        fold.seed(OutcomeKind.ERROR, Ranges.single(index))
    fold.sequence = sequence
    return fold


async def test_all_details_of_a_task_are_one_object() -> None:
    keys: set[str] = set()

    class Objects:
        async def put(self, key: str, data: bytes) -> ObjectRef:
            keys.add(key)
            return ObjectRef(key=key, offset=0, length=len(data), sha256="0" * 64)

    class Kube:
        async def patch(self, *_: Any, **__: Any) -> None:
            raise NotFound(404, {}, "gone")

    servers = cast(
        "Any", SimpleNamespace(objects=Objects(), kube=Kube(), events=SimpleNamespace(record=lambda *_: None))
    )
    settings = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s", agent_image="a")
    state = ClusterState(settings, PartitionLoads(lambda: 0.0, lambda _: None))
    meta = {"name": "t", "namespace": "n", "uid": "u", "generation": 1}
    spec = {"session": "s", "count": 10_000}
    task = Task.from_object(
        {"apiVersion": "armonik.io/v1alpha1", "kind": "Task", "metadata": meta, "spec": spec}
    )
    for sequence in (3, 4, 5):
        state.first_seen["u"] = -1_000.0
        writer = StatusWriter(servers, state)
        view = TaskView(task, None, None, TaskOptions(), scattered(sequence))
        await writer.write(view, Plan(TaskOptions(), "session"), StatusInputs())
    assert len(keys) == 1


def test_a_writer_keeps_nothing_of_a_task_that_is_gone() -> None:
    settings = Settings(namespace="a", nats_url="nats://n", s3_endpoint="s", agent_image="a")
    state = ClusterState(settings, PartitionLoads(lambda: 0.0, lambda _: None))
    writer = StatusWriter(cast("Any", None), state)
    writer._written["u"] = writer._spec_sizes["u"] = writer._mended["u"] = 1
    for budget in (writer._progress, writer._first):
        budget._next = 10.0
        assert budget.wait("u", 0.0) > 0
    writer.forget("u")
    assert not [*writer._written, *writer._spec_sizes, *writer._mended]
    assert not [*writer._progress._places, *writer._first._places]
