"""State transitions of a result with an entry of its own (protocol rule 8). Pure.

Each returns the entry after the transition, or None where it is not allowed from this state. Created may
become Completed, Aborted or Deleted, and Completed may become Deleted; nothing else ever changes a state.
"""

from armonik_sdk.api.records import DataRef
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultState

Entry = ResultEntry | None


def created(now: Entry, record: ResultRecord, at: float) -> Entry:
    """Absent -> Created by a client; `at` is the stream's time."""
    if now is not None:
        return None
    return ResultEntry(
        state=ResultState.CREATED, name=record.name, manual_deletion=record.manual_deletion, created=at
    )


def uploaded(now: Entry, record: ResultRecord, at: float) -> Entry:
    """Created -> Completed by a client's upload; not for a result that a Task owes."""
    now = now or created(None, record, at)
    if now is None or now.state is not ResultState.CREATED or now.task or record.ref is None:
        return None
    ref = DataRef.model_validate(record.ref)
    return now.model_copy(update={"state": ResultState.COMPLETED, "ref": ref, "ended": at})


def given_up(now: Entry, record: ResultRecord, reason: str, at: float) -> Entry:
    """Created -> Aborted by its client, or because its Session ended before the upload."""
    now = now or created(None, record, at)
    if now is None or now.state is not ResultState.CREATED or now.task:
        return None
    return now.model_copy(update={"state": ResultState.ABORTED, "reason": reason, "ended": at})


def deleted(now: Entry, at: float) -> Entry:
    """Completed or Created -> Deleted by a client."""
    gone = now is not None and (
        now.state is ResultState.COMPLETED or (now.state is ResultState.CREATED and not now.task)
    )
    if now is None or not gone:
        return None
    return now.model_copy(update={"state": ResultState.DELETED, "ref": None, "ended": at})


def owned(now: Entry, task: str, index: int, former: str) -> Entry:
    """Assigns a result that no Task owes, or `former` does, to an element."""
    if now is None:
        return ResultEntry(state=ResultState.CREATED, task=task, index=index)
    if now.state is not ResultState.CREATED or now.task not in ("", former):
        return None
    return now.model_copy(update={"task": task, "index": index})


def completed(now: Entry, task: str, index: int, ref: DataRef, at: float) -> Entry:
    """Created -> Completed by the commit of an element."""
    if now is None:
        return ResultEntry(state=ResultState.COMPLETED, task=task, index=index, ref=ref, ended=at)
    if now.state is not ResultState.CREATED:
        return None
    changes = {"state": ResultState.COMPLETED, "task": task, "index": index, "ref": ref, "ended": at}
    return now.model_copy(update=changes)


def aborted(now: Entry, task: str, index: int, reason: str) -> Entry:
    """Created -> Aborted; allowed only for the Task that owes the result."""
    if now is None:
        return ResultEntry(state=ResultState.ABORTED, task=task, index=index, reason=reason)
    if now.state is not ResultState.CREATED or now.task not in ("", task):
        return None
    changes = {"state": ResultState.ABORTED, "task": task, "index": index, "reason": reason}
    return now.model_copy(update=changes)
