"""Plans which pods of a Partition to create, drain and delete, and computes its status. Pure.

A pod that may hold work is never deleted for the operator's own reasons: it drains, and is deleted
when its agent reports that it holds no work. At most a share of the pods is in motion at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

from armonik_operator.cache.partition_load import PartitionLoad
from armonik_operator.planning import pod_facts as read
from armonik_operator.planning.pod_facts import Pod, uid_of
from armonik_operator.planning.pod_warnings import Warned
from armonik_operator.planning.preemption import Footprint, Preemption, kept
from armonik_sdk.api.const import PARTITION_LABEL, ConditionType, Reason
from armonik_sdk.api.kinds import (
    Condition,
    Partition,
    PartitionSpec,
    PartitionStatus,
    WorkerInfo,
    condition,
    find_condition,
    remove_condition,
    set_condition,
)

ROLLING = 4
"""When the template changes, the number of pods divided by this is replaced at a time."""
REPLACING = 10
"""When workers are down, the number of pods divided by this is replaced at a time."""
LOOPING = 3
"""Pods that failed one after the other, each soon after its start, from which on the Partition reports it."""


@dataclass(frozen=True)
class Refused:
    """The apiserver's refusal of a pod of the template."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Observed:
    """Observations beside the Partition and its pods. Pods are named by UID."""

    wanted_hash: str
    """Of the template in force."""
    load: PartitionLoad = field(default_factory=PartitionLoad)
    rate: int = 0
    """Elements that ended in a minute, of the last five."""
    idle: Mapping[str, float] = field(default_factory=dict)
    """Seconds without work."""
    draining: frozenset[str] = frozenset()
    """Asked to drain."""
    down: frozenset[str] = frozenset()
    """Their agents say that the worker must be replaced."""
    lost: frozenset[str] = frozenset()
    """Asked to drain, without work and without an answer for longer than allowed."""
    warned: Mapping[str, Warned] = field(default_factory=dict)
    """Warning events of pods that do not become ready."""
    refused: Refused | None = None
    strikes: int = 0
    """Pods that failed one after the other, each soon after its start."""
    back_off: float = 0.0
    """Seconds until failed pods may be replaced again."""
    gives_way: Preemption = field(default_factory=Preemption)
    """What Partitions of higher priority need of its room."""
    shared: str = ""
    """Why other namespaces can reach this one's data; empty when they cannot."""
    about: Mapping[str, WorkerInfo] = field(default_factory=dict)
    """What their workers are, as far as their agents said so."""


@dataclass(frozen=True)
class PartitionPlan:
    """Pods to create, drain and delete now."""

    create: int = 0
    delete: tuple[Pod, ...] = ()
    drain: tuple[Pod, ...] = ()
    again: float | None = None
    """Seconds after which something is due, if nothing else happens."""


def wanted_pods(spec: PartitionSpec, load: PartitionLoad) -> int:
    """As many pods as there are runs for their slots, between the floor and the maximum."""
    runs = load.runs + sum(load.owners.values())
    return min(spec.pod_max, max(spec.pod_reserved, ceil(runs / spec.slots_per_pod)))


def partition_plan(partition: Partition, pods: list[Pod], seen: Observed) -> PartitionPlan:
    """Follow the load, replace failed pods, roll out a new template; never stop a pod that works."""
    spec, want = partition.spec, wanted_pods(partition.spec, seen.load)
    living = [pod for pod in pods if read.owned(pod, partition) and not read.leaving(pod)]
    failed = [pod for pod in living if read.ended(pod)]
    serving = [pod for pod in living if not read.ended(pod)]
    staying = [pod for pod in serving if uid_of(pod) not in seen.draining]
    down = _down(pods, serving, staying, seen)
    staying = [pod for pod in staying if pod not in down]
    surplus, again = _surplus(spec, want, staying, seen)
    staying = [pod for pod in staying if pod not in surplus]
    outdated = _outdated(spec, want, serving, staying, seen)
    staying = [pod for pod in staying if pod not in outdated]
    ceded = _ceded(spec, want, staying, len(surplus), seen)
    staying = [pod for pod in staying if pod not in ceded]
    leave = [*surplus, *outdated, *ceded]
    idle = [pod for pod in leave if not read.started(pod)]
    create = _create(spec, want, len(serving) - len(idle) - len(down), staying, seen)
    if seen.gives_way.to:
        create = min(create, max(0, kept(spec, want) - len(staying)))
    if seen.back_off > 0 and (down or want > len(staying)):
        again = min(again or seen.back_off, seen.back_off)
    return PartitionPlan(
        create=create,
        delete=(*failed, *down, *idle, *(pod for pod in serving if uid_of(pod) in seen.lost)),
        drain=tuple(pod for pod in leave if pod not in idle),
        again=again,
    )


def _down(pods: list[Pod], serving: list[Pod], staying: list[Pod], seen: Observed) -> list[Pod]:
    """Pods whose worker must be replaced, few at a time."""
    if seen.back_off > 0:
        return []
    down = [pod for pod in staying if uid_of(pod) in seen.down]
    fresh = [pod for pod in staying if pod not in down and not read.ready(pod)]
    moving = len(fresh) + sum(1 for pod in pods if read.leaving(pod) and uid_of(pod) in seen.down)
    return down[: max(0, max(1, len(serving) // REPLACING) - moving)]


def _surplus(
    spec: PartitionSpec, want: int, staying: list[Pod], seen: Observed
) -> tuple[list[Pod], float | None]:
    """Pods that are not needed: at once above the maximum, else after their time without work."""
    spare = sorted((pod for pod in staying if not _busy(pod, seen)), key=lambda pod: _keep(pod, seen))
    busy = sorted((pod for pod in staying if _busy(pod, seen)), key=lambda pod: _keep(pod, seen))
    above = max(0, len(staying) - spec.pod_max)
    chosen = [*spare, *busy][:above]
    current, outdated = _by_template([pod for pod in staying if pod not in chosen], seen)
    # While a new template comes in, pods beyond the wanted number are there on purpose.
    many = len(current) if outdated else len(staying) - above
    left = [pod for pod in spare if pod in current][: max(0, many - want)]
    due = [pod for pod in left if seen.idle.get(uid_of(pod), 0.0) >= spec.idle_seconds]
    waits = [spec.idle_seconds - seen.idle.get(uid_of(pod), 0.0) for pod in left if pod not in due]
    return [*chosen, *due], min(waits) if waits else None


def _outdated(
    spec: PartitionSpec, want: int, serving: list[Pod], staying: list[Pod], seen: Observed
) -> list[Pod]:
    """Pods of an older template that can be spared: as pods of the new one serve, a share at a time."""
    current, outdated = _by_template(staying, seen)
    if not outdated or seen.refused is not None or seen.gives_way.to:
        return []
    useless = [pod for pod in outdated if not read.started(pod)]
    useful = sorted((pod for pod in outdated if pod not in useless), key=lambda pod: _keep(pod, seen))
    serves = sum(1 for pod in current if read.ready(pod))
    spare = max(0, serves + len(useful) - want)
    if not spare and len(serving) - len(useless) >= spec.pod_max:  # no room for one more beside them
        moving = len(current) - serves + len(serving) - len(staying)
        spare = max(0, _share(want) - moving)
    return [*useless, *useful[:spare]]


def _ceded(spec: PartitionSpec, want: int, staying: list[Pod], going: int, seen: Observed) -> list[Pod]:
    """Pods whose room others need: those that have none and would only compete, then idle, then busy ones."""
    if not seen.gives_way.to:
        return []
    above = max(0, len(staying) - kept(spec, want))
    homeless = [pod for pod in staying if read.unschedulable(pod)][:above]
    rest = [pod for pod in staying if not read.unschedulable(pod)]
    rest.sort(key=lambda pod: (_busy(pod, seen), *_keep(pod, seen)))
    return [*homeless, *rest[: max(0, min(seen.gives_way.pods - going, above - len(homeless)))]]


def partition_share(partition: Partition, pods: list[Pod], seen: Observed) -> Footprint:
    """What counts of it when room is scarce."""
    spec, want = partition.spec, wanted_pods(partition.spec, seen.load)
    living = [pod for pod in pods if read.owned(pod, partition) and not read.ended(pod)]
    going = [pod for pod in living if read.leaving(pod) or uid_of(pod) in seen.draining]
    staying = [pod for pod in living if pod not in going]
    housed = [pod for pod in staying if not read.unschedulable(pod)]
    asks = sum(1 for pod in staying if read.insufficient_resources(pod))
    if seen.refused is not None and seen.refused.reason is Reason.QUOTA_EXCEEDED:
        asks += max(0, want - len(staying))
    return Footprint(
        priority=spec.priority,
        keeps=kept(spec, want),
        pods=len(housed),
        leaving=sum(1 for pod in going if not read.unschedulable(pod)),
        asks=min(asks, max(0, want - len(housed))),
    )


def _create(spec: PartitionSpec, want: int, standing: int, staying: list[Pod], seen: Observed) -> int:
    current, outdated = _by_template(staying, seen)
    fresh = [pod for pod in current if not read.ready(pod)]
    hopeless = sum(1 for pod in fresh if _trouble(pod, seen))
    if seen.refused is not None or seen.back_off > 0 or hopeless > len(current) // REPLACING:
        return 0
    missing = min(want - len(current), spec.pod_max - standing)
    if outdated and want <= len(staying):  # nothing is missing but the new template
        missing = min(missing, _share(want) - len(fresh))
    elif outdated:
        missing = min(missing, max(want - len(staying), _share(want) - len(fresh)))
    return max(0, missing)


def _by_template(staying: list[Pod], seen: Observed) -> tuple[list[Pod], list[Pod]]:
    current = [pod for pod in staying if read.template_hash_of(pod) == seen.wanted_hash]
    return current, [pod for pod in staying if pod not in current]


def _share(want: int) -> int:
    return max(1, want // ROLLING)


def _busy(pod: Pod, seen: Observed) -> bool:
    return uid_of(pod) in seen.load.owners


def _keep(pod: Pod, seen: Observed) -> tuple[bool, bool, float]:
    """Order in which pods may go: useless ones, then of an older template, then the longest idle."""
    return (
        read.ready(pod),
        read.template_hash_of(pod) == seen.wanted_hash,
        -seen.idle.get(uid_of(pod), 0.0),
    )


def partition_status(partition: Partition, pods: list[Pod], seen: Observed, now: datetime) -> PartitionStatus:
    """Counts, the condition Ready, and Isolated=False where other namespaces reach this one's data."""
    serving = [p for p in pods if read.owned(p, partition) and not read.leaving(p) and not read.ended(p)]
    generation = partition.metadata.generation
    old = partition.status.conditions if partition.status else []
    before = find_condition(old, ConditionType.READY)
    if before is not None and before.observed_generation != generation:
        before = None  # perhaps of another template
    ok, reason, message = _verdict(partition.spec, serving, seen, before)
    new = condition(ConditionType.READY, ok, reason, message, generation=generation, now=now)
    type_ = ConditionType.ISOLATED
    shared = condition(type_, False, Reason.SHARED, seen.shared, generation=generation, now=now)
    conditions = set_condition(old, new)
    conditions = set_condition(conditions, shared) if seen.shared else remove_condition(conditions, type_)
    status = PartitionStatus(
        observed_generation=generation,
        replicas=len(serving),
        ready_replicas=sum(1 for pod in serving if read.ready(pod)),
        busy_replicas=sum(1 for pod in serving if _busy(pod, seen)),
        queued=seen.load.elements,
        selector=f"{PARTITION_LABEL}={partition.metadata.name}",
        conditions=conditions,
        elements_per_minute=seen.rate,
        worker=_worker(partition, pods, seen),
    )
    return _with_old_rate(status, partition.status) if seen.rate else status


def _with_old_rate(status: PartitionStatus, old: PartitionStatus | None) -> PartitionStatus:
    """With the rate that was written, if nothing else is new: a rate alone is worth no write but its end."""
    if old is None:
        return status
    kept = status.model_copy(update={"elements_per_minute": old.elements_per_minute})
    return kept if kept.model_dump() == old.model_dump() else status


def _worker(partition: Partition, pods: list[Pod], seen: Observed) -> WorkerInfo | None:
    """What the workers are: what it was while a pod may still be so, else what the oldest pod says.

    Clients check against it before they send: while a new template comes in, work for the old one still runs.
    """
    before = partition.status.worker if partition.status else None
    there = sorted((p for p in pods if read.owned(p, partition) and not read.ended(p)), key=read.created)
    workers = [about for pod in there if (about := seen.about.get(uid_of(pod))) is not None]
    if not workers or (before is not None and (before in workers or len(workers) < len(there))):
        return before
    return workers[0]


def _trouble(pod: Pod, seen: Observed) -> tuple[Reason, str] | None:
    """Why a pod does not become ready, when waiting alone will not help: from its status or events."""
    warned = seen.warned.get(uid_of(pod))
    if warned is not None and warned.stops and not read.not_ready_reason(pod):
        return Reason.POD_START_FAILED, f"{read.name_of(pod)}: {warned}"
    return read.not_ready_reason(pod)


def _way(seen: Observed) -> str:
    return f"its pods give way to those of partition {seen.gives_way.to}, which has a higher priority"


def _verdict(
    spec: PartitionSpec, serving: list[Pod], seen: Observed, before: Condition | None
) -> tuple[bool, Reason, str]:
    """Whether the Partition serves, and why; `before` is its condition for this spec."""
    if seen.refused is not None:
        return False, seen.refused.reason, seen.refused.message
    current = [pod for pod in serving if read.template_hash_of(pod) == seen.wanted_hash]
    troubles = [found for pod in current if (found := _trouble(pod, seen)) is not None]
    if any(read.ready(pod) for pod in current):
        first = f": {troubles[0][0]}: {troubles[0][1]}" if troubles else ""
        parts = [f"{len(troubles)} of {len(current)} pods{first}"] if first else []
        return True, Reason.SERVING, "; ".join([*parts, *([_way(seen)] if seen.gives_way.to else [])])
    if seen.gives_way.to and wanted_pods(spec, seen.load) and not any(read.ready(pod) for pod in serving):
        return False, Reason.PREEMPTED, _way(seen)
    if troubles:
        return False, *troubles[0]
    if seen.strikes >= LOOPING:
        text = f"{seen.strikes} pods failed soon after their start, one after the other"
        return False, Reason.WORKER_CRASH_LOOPING, text
    looped = before if before and before.reason == Reason.WORKER_CRASH_LOOPING else None
    if looped and wanted_pods(spec, seen.load):
        # Between two crashes a pod, or the next one, looks as if it only started.
        return False, Reason.WORKER_CRASH_LOOPING, looped.message
    if any(read.ready(pod) for pod in serving):
        return True, Reason.SERVING, "pods of the new template are starting"
    if wanted_pods(spec, seen.load) == 0:
        text = "there is no work, and no pods are asked for without (spec.podReserved)"
        return True, Reason.SCALED_TO_ZERO, text if spec.pod_max else "stopped (spec.podMax is 0)"
    slow = [f": {read.name_of(p)}: {seen.warned[uid_of(p)]}" for p in current if uid_of(p) in seen.warned]
    return False, Reason.STARTING, f"pods are starting{''.join(slow[:1])}"
