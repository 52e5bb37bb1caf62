"""Pods of a Partition: what is created, drained and deleted, and what the status says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armonik_operator.cache.partition_load import PartitionLoad
from armonik_operator.planning import pod_facts as read
from armonik_operator.planning.partition import (
    LOOPING,
    Observed,
    PartitionPlan,
    Refused,
    partition_plan,
    partition_share,
    partition_status,
    wanted_pods,
)
from armonik_operator.planning.pod_warnings import Warned
from armonik_operator.planning.preemption import Footprint, Preemption, kept
from armonik_sdk.api.const import Reason
from armonik_sdk.api.kinds import Partition, WorkerInfo

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Pod = dict[str, Any]
SEEN = Observed("new")
NO_MAP = Warned("FailedMount", 'configmap "c" not found')
DNS = Warned("DNSConfigForming", "Nameserver limits were exceeded")
MOUNT = Observed("new", PartitionLoad(runs=1), warned={"a": NO_MAP})
LONG = 1e6


def make_partition(**spec: Any) -> Partition:
    return Partition.from_object(
        {
            "metadata": {"name": "p", "uid": "pu", "generation": 1},
            "spec": {"podMax": 10, "template": {"spec": {"worker": {"image": "w:1"}}}, **spec},
        }
    )


def pod(
    name: str, made_from: str = "new", *, phase: str = "Running", ready: bool = True, **changes: Any
) -> Pod:
    state = {"waiting": {"reason": "PodInitializing"}} if phase == "Pending" else {"running": {}}
    status = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": "agent", "state": state}],
    }
    meta = {
        "name": name,
        "uid": name,
        "creationTimestamp": "2025-12-31T23:00:00Z",
        "labels": {"armonik.io/template-hash": made_from},
        "ownerReferences": [{"uid": "pu"}],
    }
    return {"metadata": meta, "status": status | changes}


def pending(name: str, made_from: str = "new", **changes: Any) -> Pod:
    return pod(name, made_from, phase="Pending", ready=False, **changes)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"initContainerStatuses": [{"name": "worker", "state": state}]}


def names(pods: tuple[Pod, ...]) -> list[str]:
    return sorted(p["metadata"]["name"] for p in pods)


def act(made: PartitionPlan) -> tuple[int, list[str], list[str]]:
    return made.create, names(made.delete), names(made.drain)


@pytest.mark.parametrize(
    ("runs", "owned", "expected"), [(0, 0, 1), (1, 0, 1), (3, 0, 2), (4, 3, 4), (1000, 0, 10)]
)
def test_pods_follow_the_runs_between_floor_and_maximum(runs: int, owned: int, expected: int) -> None:
    load = PartitionLoad(runs=runs, elements=runs, owners={"a": owned} if owned else {})
    assert wanted_pods(make_partition(podReserved=1, slotsPerPod=2).spec, load) == expected


def test_pods_are_created_at_once_for_what_waits() -> None:
    seen = replace(SEEN, load=PartitionLoad(runs=5, elements=50))
    assert act(partition_plan(make_partition(), [pod("a")], seen)) == (4, [], [])


def test_an_idle_pod_goes_after_its_time_and_never_below_the_floor() -> None:
    partition = make_partition(podReserved=1, idleSeconds=60)
    pods = [pod("a"), pod("b")]
    young = partition_plan(partition, pods, replace(SEEN, idle={"a": 50.0, "b": 10.0}))
    assert (act(young), young.again) == ((0, [], []), 10.0)
    assert act(partition_plan(partition, pods, replace(SEEN, idle={"a": 61.0, "b": 10.0})))[2] == ["a"]
    assert len(partition_plan(partition, pods, replace(SEEN, idle={"a": LONG, "b": LONG})).drain) == 1


def test_a_busy_pod_is_not_taken_for_an_idle_one() -> None:
    seen = replace(SEEN, load=PartitionLoad(owners={"a": 1}), idle={"b": LONG})
    assert act(partition_plan(make_partition(), [pod("a"), pod("b")], seen)) == (0, [], ["b"])


def test_above_the_maximum_pods_are_drained_at_once_idle_ones_first() -> None:
    seen = replace(SEEN, load=PartitionLoad(owners={"a": 1, "b": 1}), idle={"c": 0.0})
    plan = partition_plan(make_partition(podMax=1), [pod("a"), pod("b"), pod("c")], seen)
    assert act(plan)[:2] == (0, [])
    assert "c" in names(plan.drain)
    assert len(plan.drain) == 2


def test_a_pod_that_never_started_is_deleted_instead_of_drained() -> None:
    seen = replace(SEEN, idle={"a": LONG, "b": LONG})
    plan = partition_plan(make_partition(podReserved=1), [pod("a"), pending("b")], seen)
    assert act(plan) == (0, ["b"], [])


def test_ended_pods_are_replaced_and_with_back_off_only_removed() -> None:
    partition = make_partition(podReserved=2)
    pods = [pod("a"), pod("b", phase="Failed", ready=False)]
    assert act(partition_plan(partition, pods, SEEN)) == (1, ["b"], [])
    later = partition_plan(partition, pods, replace(SEEN, back_off=4.0))
    assert (act(later), later.again) == ((0, ["b"], []), 4.0)


def test_pods_with_dead_workers_are_replaced_a_tenth_at_a_time() -> None:
    partition = make_partition(podReserved=30, podMax=30)
    pods = [pod(f"p{i}") for i in range(30)]
    seen = replace(SEEN, down=frozenset(f"p{i}" for i in range(20)))
    create, deleted, drained = act(partition_plan(partition, pods, seen))
    assert (create, len(deleted), drained) == (3, 3, [])
    gone = [p | {"metadata": p["metadata"] | {"deletionTimestamp": "x"}} for p in pods[:3]]
    fresh = [pending(f"f{i}") for i in range(3)]
    assert act(partition_plan(partition, [*gone, *fresh, *pods[3:]], seen)) == (0, [], [])
    assert act(partition_plan(partition, pods, replace(seen, back_off=3.0)))[1] == []


def test_a_new_template_surges_where_there_is_room_and_drains_what_it_replaces() -> None:
    partition = make_partition(podReserved=2)
    old = [pod("a", "old"), pod("b", "old")]
    assert act(partition_plan(partition, old, SEEN)) == (1, [], [])
    assert act(partition_plan(partition, [*old, pending("n")], SEEN)) == (0, [], [])
    assert len(partition_plan(partition, [*old, pod("n")], SEEN).drain) == 1


def test_a_new_template_without_room_drains_first() -> None:
    partition = make_partition(podReserved=2, podMax=2)
    old = [pod("a", "old"), pod("b", "old")]
    working = replace(SEEN, load=PartitionLoad(owners={"a": 1}), idle={"b": 1.0})
    assert act(partition_plan(partition, old, working)) == (0, [], ["b"])
    draining = replace(SEEN, draining=frozenset({"b"}))
    assert act(partition_plan(partition, old, draining)) == (0, [], [])
    assert act(partition_plan(partition, old[:1], SEEN)) == (1, [], [])
    assert act(partition_plan(partition, [old[0], pending("n")], SEEN)) == (0, [], [])
    assert act(partition_plan(partition, [old[0], pod("n")], SEEN)) == (0, [], ["a"])


def test_old_pods_keep_serving_while_the_new_template_is_no_good() -> None:
    partition = make_partition(podReserved=2)
    old = [pod("a", "old"), pod("b", "old")]
    refused = replace(SEEN, refused=Refused(Reason.TEMPLATE_INVALID, "no such thing"))
    assert act(partition_plan(partition, old, refused)) == (0, [], [])
    status = partition_status(partition, old, refused, NOW)
    assert (status.conditions[0].reason, status.ready_replicas) == ("TemplateInvalid", 2)
    assert status.conditions[0].message == "no such thing"
    broken = [*old, pending("n", **waiting("ImagePullBackOff"))]
    assert act(partition_plan(partition, broken, SEEN)) == (0, [], [])
    assert partition_status(partition, broken, SEEN, NOW).conditions[0].reason == "ImagePullFailed"


def test_a_silent_pod_that_was_asked_to_drain_is_deleted() -> None:
    seen = replace(SEEN, draining=frozenset({"a"}), lost=frozenset({"a"}))
    assert act(partition_plan(make_partition(), [pod("a")], seen)) == (0, ["a"], [])


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}


@pytest.mark.parametrize(
    ("pods", "seen", "reason", "word"),
    [
        ([pending("a", **waiting("ErrImagePull", "not found"))], SEEN, "ImagePullFailed", "not found"),
        ([pending("a", **waiting("CrashLoopBackOff"))], SEEN, "WorkerCrashLooping", "worker"),
        (
            [pending("a", **waiting("CreateContainerConfigError", 'secret "s" not found'))],
            SEEN,
            "PodStartFailed",
            'a: worker: secret "s" not found',
        ),
        ([pending("a")], MOUNT, "PodStartFailed", 'a: FailedMount: configmap "c" not found'),
        ([pod("a"), pending("b")], replace(MOUNT, warned={"b": NO_MAP}), "Serving", "1 of 2 pods: Pod"),
        ([pending("a")], replace(MOUNT, warned={"a": DNS}), "Starting", "are starting: a: DNSConfigForming"),
        ([pending("a", conditions=[UNSCHEDULABLE])], SEEN, "Unschedulable", "no node"),
        ([pending("a")], replace(SEEN, strikes=LOOPING), "WorkerCrashLooping", "3 pods"),
        ([pending("a")], replace(SEEN, load=PartitionLoad(runs=1)), "Starting", "starting"),
        ([], replace(SEEN, load=PartitionLoad(runs=1)), "Starting", ""),
        ([], SEEN, "ScaledToZero", "podReserved"),
        ([pod("a")], SEEN, "Serving", ""),
        ([pod("a", "old"), pending("b")], SEEN, "Serving", "new template"),
        ([pod("a"), pending("b", conditions=[UNSCHEDULABLE])], SEEN, "Serving", "1 of 2 pods: Unschedulable"),
    ],
)
def test_the_condition_says_why(pods: list[Pod], seen: Observed, reason: str, word: str) -> None:
    (found,) = partition_status(make_partition(), pods, seen, NOW).conditions
    assert (found.reason, found.status) == (
        reason,
        "True" if reason in ("Serving", "ScaledToZero") else "False",
    )
    assert word in found.message


def test_between_two_crashes_it_is_still_called_crash_looping() -> None:
    """Until a pod is ready, the spec changes, something else is wrong, or nothing is asked for."""
    partition, work = make_partition(podReserved=1), replace(SEEN, load=PartitionLoad(runs=1))
    crashed = partition_status(
        partition, [pending("a", **waiting("CrashLoopBackOff", "back-off"))], work, NOW
    )
    again = partition.model_copy(update={"status": crashed})

    def says(pods: list[Pod], seen: Observed = work, of: Partition = again) -> tuple[str, str]:
        (found,) = partition_status(of, pods, seen, NOW).conditions
        return str(found.reason), found.message

    broken = ("WorkerCrashLooping", "a: worker: back-off")
    assert says([pending("a")]) == says([pending("b")]) == says([]) == broken
    assert says([pod("old", "old"), pending("b")]) == broken
    assert says([pod("b")])[0] == "Serving"
    assert says([pending("b", **waiting("ErrImagePull"))])[0] == "ImagePullFailed"
    mended = again.model_copy(update={"metadata": again.metadata.model_copy(update={"generation": 9})})
    assert says([pending("b")], of=mended)[0] == "Starting"
    idle = make_partition().model_copy(update={"status": crashed})
    assert says([], SEEN, idle)[0] == "ScaledToZero"
    ready = again.model_copy(update={"status": partition_status(again, [pod("b")], work, NOW)})
    assert says([pending("c")], of=ready)[0] == "Starting"


def test_counts_are_those_of_the_living_pods() -> None:
    leaving = pod("c")
    leaving["metadata"]["deletionTimestamp"] = "x"
    seen = replace(SEEN, load=PartitionLoad(runs=2, elements=40, owners={"a": 1, "c": 1, "gone": 1}))
    status = partition_status(make_partition(), [pod("a"), pending("b"), leaving], seen, NOW)
    assert (status.replicas, status.ready_replicas, status.busy_replicas, status.queued) == (2, 1, 1, 40)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Partition, list[Pod], Observed]:
    maximum = draw(st.integers(0, 12))
    partition = make_partition(
        podMax=maximum,
        podReserved=draw(st.integers(0, maximum)),
        slotsPerPod=draw(st.integers(1, 3)),
        preemptionPercentage=draw(st.sampled_from([0, 30, 100])),
    )
    pods = []
    for i in range(draw(st.integers(0, 12))):
        phase = draw(st.sampled_from(["Running", "Pending", "Failed"]))
        made = pod(
            f"p{i}",
            draw(st.sampled_from(["new", "old"])),
            phase=phase,
            ready=phase == "Running" and draw(st.booleans()),
        )
        if draw(st.integers(0, 5)) == 0:
            made["metadata"]["deletionTimestamp"] = "x"
        pods.append(made)
    uids = [p["metadata"]["uid"] for p in pods]
    some = st.frozensets(st.sampled_from(uids)) if uids else st.just(frozenset[str]())
    owners = dict.fromkeys(draw(some), 1)
    seen = replace(
        SEEN,
        load=PartitionLoad(runs=draw(st.integers(0, 20)), owners=owners),
        idle={uid: draw(st.sampled_from([0.0, 59.0, LONG])) for uid in uids if uid not in owners},
        draining=draw(some),
        down=draw(some),
        back_off=draw(st.sampled_from([0.0, 5.0])),
        refused=draw(st.sampled_from([None, Refused(Reason.TEMPLATE_INVALID, "x")])),
        gives_way=draw(st.builds(Preemption, st.sampled_from(["", "high"]), st.integers(0, 5))),
    )
    return partition, pods, seen


@given(situations())
def test_no_working_pod_is_deleted_and_no_bound_is_broken(
    situation: tuple[Partition, list[Pod], Observed],
) -> None:
    partition, pods, seen = situation
    made = partition_plan(partition, pods, seen)
    living = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
    serving = [p for p in living if p["status"]["phase"] != "Failed"]
    for gone in made.delete:
        useless = gone["status"]["phase"] in ("Failed", "Pending")
        assert useless or gone["metadata"]["uid"] in seen.down
    assert all(p in living for p in (*made.delete, *made.drain))
    assert not set(names(made.delete)) & set(names(made.drain))
    assert not set(names(made.drain)) & seen.draining
    assert len({*names(made.delete)}) == len(made.delete)
    left = len([p for p in serving if p not in made.delete])
    assert made.create == 0 or left + made.create <= partition.spec.pod_max
    if seen.refused is not None or seen.back_off:
        assert made.create == 0


@given(situations())
def test_giving_way_takes_no_pod_that_is_kept_and_none_that_is_not_asked_for(
    situation: tuple[Partition, list[Pod], Observed],
) -> None:
    partition, pods, seen = situation
    without = partition_plan(partition, pods, replace(seen, gives_way=Preemption()))
    made = partition_plan(partition, pods, seen)
    more = {*names(made.drain), *names(made.delete)} - {*names(without.drain), *names(without.delete)}
    assert len(more) <= (seen.gives_way.pods if seen.gives_way.to else 0)
    if not more:
        return
    gone = {*names(made.drain), *names(made.delete)} | seen.draining
    left = [p for p in pods if p["metadata"]["name"] not in gone and "deletionTimestamp" not in p["metadata"]]
    assert len(left) >= kept(partition.spec, wanted_pods(partition.spec, seen.load))


FULL = UNSCHEDULABLE | {"message": "0/1 nodes are available: 1 Insufficient cpu."}
WAY = Preemption("high", 1)


def test_who_gives_way_drains_idle_pods_first_and_makes_none() -> None:
    partition = make_partition(preemptionPercentage=50, podMax=4)
    pods = [pod("a"), pod("b"), pod("c"), pending("d", conditions=[FULL])]
    seen = replace(SEEN, load=PartitionLoad(runs=9, owners={"a": 1, "b": 1}), idle={"c": 1.0}, gives_way=WAY)
    assert act(partition_plan(partition, pods, seen)) == (0, ["d"], ["c"])
    busy = replace(seen, load=PartitionLoad(runs=9, owners={"a": 1, "b": 1, "c": 1}), idle={})
    made = partition_plan(partition, pods[:3], busy)
    assert (made.create, made.delete, len(made.drain)) == (0, (), 1)
    assert act(partition_plan(partition, pods[:2], busy)) == (0, [], [])
    assert act(partition_plan(partition, pods[:1], busy))[0] == 1  # what it keeps it may have
    assert act(partition_plan(partition, pods[:3], replace(busy, gives_way=Preemption())))[0] == 1


def test_who_lacks_room_asks_for_as_much_as_it_wants() -> None:
    partition = make_partition(priority=9, podMax=5)
    pods = [pod("a"), pending("b", conditions=[FULL]), pending("c", conditions=[UNSCHEDULABLE])]
    seen = replace(SEEN, load=PartitionLoad(runs=3))
    assert partition_share(partition, pods, seen) == Footprint(9, keeps=3, pods=1, asks=1)
    quota = replace(seen, refused=Refused(Reason.QUOTA_EXCEEDED, "exceeded quota"))
    assert partition_share(partition, pods[:1], quota) == Footprint(9, keeps=3, pods=1, asks=2)
    assert partition_share(partition, pods, replace(SEEN, draining=frozenset("a"))).leaving == 1
    assert partition_share(partition, pods, SEEN).asks == 0


def test_a_partition_that_gave_way_says_to_whom() -> None:
    seen = replace(SEEN, load=PartitionLoad(runs=1), gives_way=WAY)
    (found,) = partition_status(make_partition(), [], seen, NOW).conditions
    assert (found.status, found.reason) == ("False", "Preempted")
    assert "partition high" in found.message
    (found,) = partition_status(make_partition(), [pod("a")], seen, NOW).conditions
    assert (found.status, found.reason) == ("True", "Serving")
    assert "partition high" in found.message


def _grown(made: Pod) -> Pod:
    return pod(made["metadata"]["name"], made["metadata"]["labels"]["armonik.io/template-hash"])


class Cluster:
    """Pods that become ready, and agents that drain, one step at a time."""

    def __init__(self, partition: Partition, pods: list[Pod], owners: set[str]) -> None:
        self.partition, self.pods = partition, pods
        self.draining: set[str] = set()
        self.busy = owners
        self.made = 0

    def ready(self) -> int:
        return sum(1 for p in self.pods if p["status"]["conditions"][0]["status"] == "True")

    def step(self, runs: int, idle: float) -> bool:
        """Carry out one plan, then let every pod move on; whether anything changed."""
        uids = {p["metadata"]["uid"] for p in self.pods}
        seen = replace(
            SEEN,
            load=PartitionLoad(runs=runs, owners=dict.fromkeys(self.busy & uids, 1)),
            idle=dict.fromkeys(uids - self.busy, idle),
            draining=frozenset(self.draining),
        )
        made = partition_plan(self.partition, self.pods, seen)
        assert not self.busy & set(names(made.delete))
        starting = [p for p in self.pods if p["status"]["phase"] == "Pending"]
        drained = self.draining - self.busy
        self.pods = [p for p in self.pods if p["metadata"]["uid"] not in drained and p not in made.delete]
        self.pods = [_grown(p) if p in starting else p for p in self.pods]
        self.draining = {*self.draining - drained, *names(made.drain)}
        self.busy -= self.draining  # their elements end
        for _ in range(made.create):
            self.made += 1
            self.pods.append(pending(f"n{self.made}"))
        return bool(made.create or made.delete or made.drain or starting or drained)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(0, 3), st.integers(0, 8), st.integers(0, 8), st.integers(0, 12))
def test_any_beginning_comes_to_rest_with_the_wanted_pods_of_the_new_template(
    maximum: int, room: int, old: int, new: int, runs: int
) -> None:
    maximum += room
    partition = make_partition(podMax=maximum, podReserved=min(2, maximum))
    pods = [pod(f"o{i}", "old") for i in range(old)] + [pod(f"c{i}") for i in range(new)]
    cluster = Cluster(partition, pods, {f"o{i}" for i in range(0, old, 2)})
    want = min(maximum, max(min(2, maximum), runs))
    least = min(want, old + new, maximum) - max(1, want // 4)
    for _ in range(80):
        if not cluster.step(runs, LONG):
            break
        assert cluster.ready() >= min(least, want - max(1, ceil(want / 4)))
    else:
        pytest.fail("it never comes to rest")
    assert {p["metadata"]["labels"]["armonik.io/template-hash"] for p in cluster.pods} <= {"new"}
    assert len(cluster.pods) == want == cluster.ready()


def test_since_when_is_read_from_the_pod() -> None:
    made = pod("a")
    made["status"]["conditions"][0]["lastTransitionTime"] = (NOW - timedelta(seconds=7)).isoformat()
    assert read.ready_for(made, NOW) == 7
    assert read.age(made, NOW) == 3600


OLD, NEW = WorkerInfo(kind="functions", python="3.11"), WorkerInfo(kind="functions", python="3.12")


def born(name: str, minute: int) -> Pod:
    made = pod(name)
    made["metadata"]["creationTimestamp"] = f"2025-12-31T23:{minute:02}:00Z"
    return made


@pytest.mark.parametrize(
    ("before", "pods", "about", "expected"),
    [
        (None, [], {}, None),
        (None, [born("a", 1)], {}, None),
        (None, [born("b", 2), born("a", 1)], {"a": OLD, "b": NEW}, OLD),
        (OLD, [], {}, OLD),  # no pod at the moment: clients still check
        (OLD, [born("b", 2)], {}, OLD),  # it has not said anything yet
        (OLD, [born("a", 1), born("b", 2)], {"b": NEW}, OLD),  # an operator that was restarted
        (OLD, [born("a", 1), born("b", 2)], {"a": OLD, "b": NEW}, OLD),
        (OLD, [born("b", 2)], {"b": NEW}, NEW),
        (OLD, [born("b", 2)], {"a": OLD, "b": NEW}, NEW),
    ],
)
def test_the_status_says_what_the_oldest_workers_are_until_the_last_of_them_is_gone(
    before: WorkerInfo | None, pods: list[Pod], about: dict[str, WorkerInfo], expected: WorkerInfo | None
) -> None:
    partition = make_partition()
    if before is not None:
        status = partition_status(partition, [], SEEN, NOW).model_copy(update={"worker": before})
        partition = partition.model_copy(update={"status": status})
    assert partition_status(partition, pods, replace(SEEN, about=about), NOW).worker == expected


def test_a_partition_says_that_others_reach_its_data_until_they_do_not() -> None:
    partition = make_partition()
    told = partition_status(partition, [], replace(SEEN, shared="one key for all"), NOW)
    (found,) = (c for c in told.conditions if c.type == "Isolated")
    assert (found.status, found.reason, found.message) == ("False", "Shared", "one key for all")
    assert told.conditions[0].type == "Ready", "what the column shows"
    later = replace(SEEN, shared="one key for all")
    again = partition_status(partition.model_copy(update={"status": told}), [], later, NOW + timedelta(1))
    assert again.conditions == told.conditions
    mended = partition_status(partition.model_copy(update={"status": told}), [], SEEN, NOW)
    assert [c.type for c in mended.conditions] == ["Ready"]


def test_a_rate_alone_is_worth_no_write_but_its_end() -> None:
    made, busy = make_partition(), Observed("new", PartitionLoad(elements=5), rate=100)
    first = partition_status(made, [pod("a")], busy, NOW)
    assert first.elements_per_minute == 100
    written = made.model_copy(update={"status": first})
    later = NOW + timedelta(seconds=30)
    assert partition_status(written, [pod("a")], replace(busy, rate=110), later) == first
    other = replace(busy, rate=110, load=PartitionLoad(elements=4))
    assert partition_status(written, [pod("a")], other, later).elements_per_minute == 110
    assert partition_status(written, [pod("a")], replace(busy, rate=0), later).elements_per_minute == 0
    idle = made.model_copy(update={"status": first.model_copy(update={"elements_per_minute": 0})})
    assert partition_status(idle, [pod("a")], busy, later).elements_per_minute == 0
