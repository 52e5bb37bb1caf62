"""What may become of a result with an entry of its own (protocol rule 8). Pure.

Each move says what shall stand after it, or None where it is no move from what stands. Created may become
Completed, Aborted or Deleted, and Completed may become Deleted; nothing else ever changes a state.
"""

from armonik_sdk.api.records import DataRef, ResultEntry, ResultRecord, ResultState

Standing = ResultEntry | None


def created(now: Standing, record: ResultRecord, at: float) -> Standing:
    """A client made it; `at` is the stream's time."""
    if now is not None:
        return None
    return ResultEntry(
        state=ResultState.CREATED, name=record.name, manual_deletion=record.manual_deletion, created=at
    )


def uploaded(now: Standing, record: ResultRecord, at: float) -> Standing:
    """A client uploaded it; what a Task shall make, it cannot."""
    now = now or created(None, record, at)
    if now is None or now.state is not ResultState.CREATED or now.task or record.ref is None:
        return None
    ref = DataRef.model_validate(record.ref)
    return now.model_copy(update={"state": ResultState.COMPLETED, "ref": ref, "ended": at})


def given_up(now: Standing, record: ResultRecord, reason: str, at: float) -> Standing:
    """A client gave it up, or its Session ended before it was uploaded."""
    now = now or created(None, record, at)
    if now is None or now.state is not ResultState.CREATED or now.task:
        return None
    return now.model_copy(update={"state": ResultState.ABORTED, "reason": reason, "ended": at})


def deleted(now: Standing, at: float) -> Standing:
    """A client does not want it any more."""
    gone = now is not None and (
        now.state is ResultState.COMPLETED or (now.state is ResultState.CREATED and not now.task)
    )
    if now is None or not gone:
        return None
    return now.model_copy(update={"state": ResultState.DELETED, "ref": None, "ended": at})


def owned(now: Standing, task: str, index: int, former: str) -> Standing:
    """An element shall make what nobody owes, or `former` does."""
    if now is None:
        return ResultEntry(state=ResultState.CREATED, task=task, index=index)
    if now.state is not ResultState.CREATED or now.task not in ("", former):
        return None
    return now.model_copy(update={"task": task, "index": index})


def completed(now: Standing, task: str, index: int, ref: DataRef, at: float) -> Standing:
    """The commit of an element holds it."""
    if now is None:
        return ResultEntry(state=ResultState.COMPLETED, task=task, index=index, ref=ref, ended=at)
    if now.state is not ResultState.CREATED:
        return None
    changes = {"state": ResultState.COMPLETED, "task": task, "index": index, "ref": ref, "ended": at}
    return now.model_copy(update=changes)


def aborted(now: Standing, task: str, index: int, reason: str) -> Standing:
    """It will never be there; only the Task that owes it can say so."""
    if now is None:
        return ResultEntry(state=ResultState.ABORTED, task=task, index=index, reason=reason)
    if now.state is not ResultState.CREATED or now.task not in ("", task):
        return None
    changes = {"state": ResultState.ABORTED, "task": task, "index": index, "reason": reason}
    return now.model_copy(update=changes)
