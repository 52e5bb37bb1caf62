"""Objects with statuses as the operator writes them: by its own functions, from records and pods."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from armonik_operator.cache.partition_load import PartitionLoad
from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.partition import Observed, partition_status
from armonik_operator.planning.task import DependencyState, DependencyStatus, Readiness, TaskView, plan
from armonik_operator.status.pending_reason import pending_reason
from armonik_operator.status.task import StatusInputs, task_status
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import ElementCounts, Partition, Resource, Session, Task, TaskOptions
from armonik_sdk.api.records import Attempt, Outcome, OutcomeKind, Owner, Record, RecordKind
from armonik_sdk.client.errors import NotFound, Refused
from armonik_sdk.client.transport.kube import Kind, Object
from armonik_sdk.explain import Facts
from armonik_sdk.explain.facts import Pod

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DEFAULTS = TaskOptions(priority=1, max_retries=3)
OWNER = Owner(pod="pod", process="x", name="default-x7k2p")
HASH = "new"


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def session(name: str = "demo", *partitions: str, status: bool = True, **spec: Any) -> Session:
    from armonik_operator.planning.session import session_status

    meta = {"name": name, "namespace": "default", "uid": f"{name}-uid", "generation": 1}
    made = Session.from_object(
        {"metadata": meta, "spec": {"partitions": list(partitions or ["default"]), **spec}}
    )
    if not status:
        return made
    said = session_status(made, ElementCounts(total=1000, pending=1000), ago(hours=2))
    return made.model_copy(update={"status": said})


def partition(name: str = "default", *, image: str = "w:1", memory: str = "", **spec: Any) -> Partition:
    worker: dict[str, Any] = {"image": image}
    if memory:
        worker["resources"] = {"limits": {"memory": memory}}
    made = {"podMax": 2, "template": {"spec": {"worker": worker}}, **spec}
    meta = {"name": name, "namespace": "default", "uid": f"{name}-uid", "generation": 1}
    return Partition.from_object({"metadata": meta, "spec": made})


def pod(name: str, of: str = "default", *, ready: bool = False, **status: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "uid": name,
        "creationTimestamp": ago(minutes=3).isoformat(),
        "labels": {"armonik.io/template-hash": HASH},
        "ownerReferences": [{"uid": f"{of}-uid"}],
    }
    facts = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", [])]
    return {"metadata": meta, "status": {"phase": "Pending", "conditions": facts, **status}}


def waiting_container(reason: str, message: str, **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"initContainerStatuses": [{"name": "worker", "state": state, **more}]}


def observed(of: Partition, pods: Sequence[dict[str, Any]], seen: Observed | None = None) -> Partition:
    """The Partition with its status of four minutes ago."""
    busy = {p["metadata"]["uid"]: 1 for p in pods if p["status"]["conditions"][0]["status"] == "True"}
    seen = seen or Observed(HASH, PartitionLoad(runs=9, elements=9, owners=busy))
    return of.model_copy(update={"status": partition_status(of, list(pods), seen, ago(minutes=4))})


def task(
    name: str, count: int = 1, of: str = "demo", *, created: datetime | None = None, **spec: Any
) -> Task:
    meta = {"name": name, "namespace": "default", "uid": f"{name}-uid", "generation": 1}
    meta |= {"creationTimestamp": (created or ago(hours=3)).isoformat()}
    many = {"count": count} if count > 1 else {}
    return Task.from_object({"metadata": meta, "spec": {"session": of, **many, **spec}})


def submitted(start: int, end: int, **fields: Any) -> Record:
    made = Record(record_id="r", kind=RecordKind.SUBMITTED, start=start, end=end, n=1, partition="default")
    return made.model_copy(update=fields)


def running(start: int, end: int) -> Record:
    return submitted(start, end, kind=RecordKind.DISPATCHED, owner=OWNER)


def done(start: int, end: int) -> Record:
    outcomes = tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in range(start, end))
    return submitted(start, end, kind=RecordKind.DONE, outcomes=outcomes)


def failed(index: int, reason: FailureReason, message: str, attempts: int = 1) -> Record:
    outcome = Outcome(index=index, kind=OutcomeKind.ERROR, reason=reason, message=message, attempts=attempts)
    return submitted(index, index + 1, kind=RecordKind.DONE, outcomes=(outcome,))


def tried(index: int, executions: int, message: str, *, seconds: float) -> Record:
    """An element whose executions failed, and that waits for the next one."""
    later = (NOW + timedelta(seconds=seconds)).timestamp()
    attempt = Attempt(index=index, executions=executions, message=message)
    return submitted(index, index + 1, attempts=(attempt,), not_before=later)


def needing(message: str, state: DependencyState = DependencyState.WAITING) -> Readiness:
    return Readiness(DependencyStatus(state, message))


def written(
    made: Task,
    of: Session | None,
    place: Partition | None,
    records: Iterable[Record] = (),
    *,
    readiness: Readiness | None = None,
    ahead: int = 0,
    inputs: Mapping[str, Any] | None = None,
) -> Task:
    """The Task with the status that the operator writes after these records."""
    fold, readiness = TaskFold(), readiness or Readiness()
    for number, record in enumerate(records, 1):
        fold.add(record, number, ago(minutes=5))
    view = TaskView.of(made, of, fold, DEFAULTS, lambda _: place)
    planned = plan(view, readiness, DEFAULTS)
    said = StatusInputs(
        refusal=planned.refusal,
        waiting=pending_reason(view, readiness, lambda: ahead, NOW.timestamp()),
        paused=of is not None and of.spec.desired_state == "Paused",
        **(inputs or {}),
    )
    status = task_status(view, said, session_uid="s", journal_epoch=1, now=ago(minutes=1))
    return made.model_copy(update={"status": status})


def facts(subject: Task | Session | Partition, **more: Any) -> Facts:
    pods = [one if isinstance(one, Pod) else Pod.of(one) for one in more.pop("pods", ())]
    return Facts(subject, NOW, pods=pods, **more)


class Apiserver:
    """Objects in memory; counts requests, and refuses kinds that the user may not read."""

    def __init__(self, *made: Resource | Object, forbidden: Sequence[str] = (), log: str = "") -> None:
        found = [one.to_object() if isinstance(one, Resource) else one for one in made]
        self.objects = {(one["kind"], one["metadata"]["name"]): one for one in found}
        self.forbidden, self.log = forbidden, log
        self.requests: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        self._count(kind, name)
        if (kind.name, name) not in self.objects:
            raise NotFound(f"{kind.plural} {name} not found")
        return self.objects[kind.name, name]

    async def first(
        self, kind: Kind, namespace: str, most: int, selector: Mapping[str, str], *, names_only: bool = False
    ) -> Sequence[Object]:
        self._count(kind, f"list {selector}")
        return [one for (of, _), one in self.objects.items() if of == kind.name][:most]

    async def log_end(self, namespace: str, pod: str, container: str, lines: int = 20) -> str:
        self.requests.append(f"log {pod} {container}")
        return self.log

    def _count(self, kind: Kind, what: str) -> None:
        self.requests.append(f"{kind.name} {what}")
        if kind.name in self.forbidden:
            raise Refused(f"{kind.plural} is forbidden: user alice")
