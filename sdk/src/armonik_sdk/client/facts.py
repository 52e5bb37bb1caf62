"""Collects from the apiserver what an explanation is made of: few requests, each list with a bound."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from armonik_sdk.api.const import PARTITION_LABEL, WORKER_CONTAINER, ConditionType, FailureReason, Reason
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Resource, Session, SessionState, Task, find_condition, is_true
from armonik_sdk.apiserver import EVENTS, PODS
from armonik_sdk.client.errors import ClientError, NotFound, Refused
from armonik_sdk.client.transport.kube import PARTITIONS, SESSIONS, TASKS, Kind, Kube, Object
from armonik_sdk.explain import Explanation, Facts, explain, needs, unreadable
from armonik_sdk.explain.facts import MOST_DEPTH, Pod, held_by, partition_of

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R", bound=Resource)

MOST_REQUESTS: Final = 60
"""Of one explanation; what would need more is left out, and the explanation says so."""
MOST_PODS: Final = 20
MOST_EVENTS: Final = 20
MOST_NAMES: Final = 1_000
MOST_TASKS: Final = 20
"""Tasks of a Session that are read, of those that have not ended."""
MOST_WAITING: Final = 3
"""And of these, those that are explained."""
KINDS: Final = {
    **dict.fromkeys(("task", "tasks", "tk"), TASKS),
    **dict.fromkeys(("session", "sessions", "aks"), SESSIONS),
    **dict.fromkeys(("partition", "partitions", "akp"), PARTITIONS),
}
"""Kinds by the names that people type."""
_MODELS: Final[dict[Kind, type[Task | Session | Partition]]] = {
    TASKS: Task,
    SESSIONS: Session,
    PARTITIONS: Partition,
}
_OPEN: Final = "".join(f",status.phase!={phase}" for phase in ("Completed", "Error", "Timeout", "Cancelled"))
"""Selects the Tasks that have not ended."""
_OF_PARTITION: Final = (Reason.NO_PODS, Reason.QUEUED)
_OF_SESSION: Final = (Reason.PAUSED, Reason.PARTITION_NOT_IN_SESSION, Reason.PARTITION_NOT_FOUND)
_OF_DEPENDENCIES: Final = (Reason.WAITING_FOR_DATA, Reason.DEPENDENCY_NOT_FOUND)


async def explain_object(
    kube: Kube, namespace: str, name: str, *, kind: str = "", index: int | None = None
) -> Explanation:
    """Why an object is as it is; `text` of what is returned is for people.

    Args:
        kube: the apiserver.
        namespace: where the object is.
        name: of the object.
        kind: task, session or partition, or a short name of them; empty: the first that has the name.
        index: the element of a Task; unset means all of them.

    Raises:
        NotFound: there is no such object, or the Task has no such element.
        Refused: the user may not read it, or the kind is none of these.
        Unavailable: the apiserver does not answer.
    """
    kinds = [KINDS[kind.lower()]] if kind.lower() in KINDS else list(_MODELS)
    if kind and len(kinds) > 1:
        raise Refused(f"{kind}: what can be explained is a task, a session or a partition")
    if index is not None:
        kinds = [one for one in kinds if one is TASKS]
    for one in kinds:
        try:
            obj = await kube.get(one, namespace, name)
        except NotFound as missing:
            log.debug("%s", missing)
            continue
        return await explain_read(kube, one, obj, index)
    raise NotFound(
        f"no {' or '.join(one.name.lower() for one in kinds) or kind} {name} in namespace {namespace}"
    )


async def explain_read(kube: Kube, kind: Kind, obj: Object, index: int | None = None) -> Explanation:
    """The same of an object that was read already.

    Raises:
        NotFound: the Task has no such element.
    """
    name = str(obj["metadata"]["name"])
    try:
        subject = _MODELS[kind].from_object(obj)
    except InvalidManifest as error:
        return unreadable(f"{kind.name.lower()} {name}", str(error), datetime.now(UTC))
    if isinstance(subject, Task) and index is not None and not 0 <= index < subject.spec.total:
        raise NotFound(f"task {name} has no element {index}: it has {subject.spec.total}, counted from 0")
    return await explain_model(kube, subject, index)


async def explain_model(
    kube: Kube, subject: Task | Session | Partition, index: int | None = None
) -> Explanation:
    """The same of what was made of an object."""
    return explain(await Collector(kube, subject.namespace, datetime.now(UTC)).facts(subject, index))


class Collector:
    """Collects the facts of one explanation."""

    def __init__(self, kube: Kube, namespace: str, now: datetime) -> None:
        self._kube, self._namespace, self._now = kube, namespace, now
        self._left = MOST_REQUESTS
        self._seen: set[str] = set()
        """Names of Tasks that were followed: a cycle is followed once."""
        self._partitions: dict[str, tuple[Partition | None, list[Pod]]] = {}
        self._unread: list[str] = []

    async def facts(self, subject: Task | Session | Partition, index: int | None) -> Facts:
        """What explains the object; what cannot be read is named."""
        if isinstance(subject, Task):
            found = await self._task(subject, index, 0)
        elif isinstance(subject, Session):
            found = await self._session(subject)
        else:
            pods = await self._pods_of(subject)
            found = {"partition": subject, "pods": pods}
        return Facts(subject, self._now, index, **found, unread=list(dict.fromkeys(self._unread)))

    async def _session(self, session: Session) -> dict[str, Any]:
        conditions = session.status.conditions if session.status is not None else []
        ready = find_condition(conditions, ConditionType.READY)
        if ready is not None and ready.reason == Reason.PARTITION_NOT_FOUND:
            return {"partitions": await self._names(PARTITIONS)}
        if session.spec.desired_state is not SessionState.RUNNING or session.status is None:
            return {}
        name = session.metadata.name
        selector = {"fieldSelector": f"spec.session={name}{_OPEN}"}
        found = await self._list(TASKS, MOST_TASKS, selector, f"tasks of session {name}")
        tasks = [task for obj in found if (task := self._model(Task, obj)) is not None and held_by(task)]
        waiting = [
            Facts(task, self._now, **(await self._task(task, None, 1))) for task in tasks[:MOST_WAITING]
        ]
        return {"waiting": waiting}

    async def _task(self, task: Task, index: int | None, depth: int) -> dict[str, Any]:
        """The further facts of a Task, by the reason why it is not done."""
        conditions = task.status.conditions if task.status is not None else []
        if is_true(conditions, ConditionType.FINISHED):
            failures = task.status.failures if task.status is not None else []
            killed = any(failure.reason == FailureReason.ATTEMPTS_EXHAUSTED for failure in failures)
            return await self._partition(partition_of(task, None), pods=False) if killed else {}
        held = held_by(task)
        reason = held[0].reason if held else ""
        found: dict[str, Any] = {}
        if reason in _OF_SESSION:
            found["session"] = await self._object(Session, SESSIONS, task.spec.session)
        if reason == Reason.PARTITION_NOT_FOUND:
            found["partitions"] = await self._names(PARTITIONS)
        if reason in _OF_PARTITION:
            found |= await self._partition(partition_of(task, None))
        if reason in _OF_DEPENDENCIES:
            found |= await self._behind(task, index, depth)
        return found

    async def _behind(self, task: Task, index: int | None, depth: int) -> dict[str, Any]:
        """The first of its needs that has not ended, with what that one waits for; and what is missing."""
        self._seen.add(task.metadata.name)
        names = list(dict.fromkeys(need.task for need in needs(task, index) if need.task))
        tasks, missing = dict[str, Facts](), set[str]()
        for name in names:
            try:
                other = await self._object(Task, TASKS, name, raising=True)
            except NotFound:
                missing.add(name)
                break
            if other is None:
                break
            followed = name not in self._seen and depth < MOST_DEPTH
            more = await self._task(other, None, depth + 1) if followed else {}
            tasks[name] = Facts(other, self._now, **more)
            if not is_true(other.status.conditions if other.status else (), ConditionType.FINISHED):
                break
        like = await self._names(TASKS, f"spec.session={task.spec.session}") if missing else []
        return {"tasks": tasks, "missing": frozenset(missing), "names": like}

    async def _partition(self, name: str, *, pods: bool = True) -> dict[str, Any]:
        if name and name not in self._partitions:
            read = await self._object(Partition, PARTITIONS, name)
            own = await self._pods_of(read) if read is not None and pods else []
            self._partitions[name] = (read, own)
        partition, known = self._partitions.get(name, (None, []))
        return {"partition": partition, "pods": known}

    async def _pods_of(self, partition: Partition) -> list[Pod]:
        """Its pods if none is ready, with the events and the last words of the one that has a trouble."""
        name, status = partition.metadata.name, partition.status
        if status is not None and status.ready_replicas:
            return []
        selector = {"labelSelector": f"{PARTITION_LABEL}={name}"}
        found = await self._list(PODS, MOST_PODS, selector, f"pods of partition {name}")
        pods = [Pod.of(obj) for obj in found]
        at = next((at for at, pod in enumerate(pods) if not pod.ready and (pod.message or pod.restarts)), 0)
        if not found or pods[at].ready:
            return pods
        uid = str((found[at].get("metadata") or {}).get("uid"))
        about = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
        said = await self._list(EVENTS, MOST_EVENTS, about, f"events of pod {pods[at].name}")
        words = await self._last_words(pods[at]) if pods[at].exit_code is not None else ""
        troubled = Pod.of(found[at], said, words)
        return [troubled, *pods[:at], *pods[at + 1 :]]

    async def _names(self, kind: Kind, fields: str = "") -> list[str]:
        selector = {"fieldSelector": fields} if fields else {}
        found = await self._list(kind, MOST_NAMES, selector, f"names of {kind.plural}", names_only=True)
        return [str((obj.get("metadata") or {}).get("name")) for obj in found]

    async def _object(self, model: type[R], kind: Kind, name: str, *, raising: bool = False) -> R | None:
        what = f"{kind.name.lower()} {name}"
        obj = await self._read(lambda: self._kube.get(kind, self._namespace, name), what, raising=raising)
        return self._model(model, obj) if obj is not None else None

    def _model(self, model: type[R], obj: Object) -> R | None:
        try:
            return model.from_object(obj)
        except InvalidManifest as error:
            self._unread.append(str(error))
            return None

    async def _last_words(self, pod: Pod) -> str:
        container = pod.container or WORKER_CONTAINER
        printed = await self._read(
            lambda: self._kube.log_end(self._namespace, pod.name, container), f"log of pod {pod.name}"
        )
        return printed or ""

    async def _list(
        self, kind: Kind, most: int, selector: dict[str, str], what: str, *, names_only: bool = False
    ) -> Sequence[Object]:
        """The first objects of a list; none where they cannot be read."""
        found = await self._read(
            lambda: self._kube.first(kind, self._namespace, most, selector, names_only=names_only), what
        )
        return found or ()

    async def _read(
        self, request: Callable[[], Awaitable[T]], what: str, *, raising: bool = False
    ) -> T | None:
        """What a request answers; None where there is no answer, which the explanation then says.

        Raises:
            NotFound: with `raising`, that there is none.
        """
        if self._left <= 0:
            self._unread.append(f"more than {MOST_REQUESTS} objects")
            return None
        self._left -= 1
        try:
            return await request()
        except NotFound:
            if raising:
                raise
            return None
        except ClientError as error:
            self._unread.append(f"{what}: {error}")
            return None
