"""Explains a Task, one of its elements, a Session or a Partition by the row of its reason."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from armonik_sdk.api.const import ConditionType, FailureReason, Reason
from armonik_sdk.api.errors import InvalidIntervals
from armonik_sdk.api.kinds import ElementCounts, Partition, Session, Task, TaskState, find_condition, is_true
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.explain.dependencies import Case, counts_of, has_finished
from armonik_sdk.explain.explanation import Explanation, Finding, Link
from armonik_sdk.explain.facts import MOST_DEPTH, Facts, held_by
from armonik_sdk.explain.failures import kinds_of, remedies, table
from armonik_sdk.explain.partitions import ROWS as PARTITION_ROWS
from armonik_sdk.explain.partitions import Pods, without_pods
from armonik_sdk.explain.waiting import ROWS, unknown
from armonik_sdk.explain.wording import (
    NOTHING_LOST,
    ONCE_THERE,
    clean,
    elements,
    have,
    last_line,
    plural,
    sentence,
    stopped,
    verb,
)

_NOT_SEEN: Final = (
    "The operator has not written a status yet; it does within a few seconds where it serves the namespace."
)


def explain(facts: Facts) -> Explanation:
    """Why an object is as it is. Whatever its status says, an explanation comes out."""
    return _explain(facts, 0)


def unreadable(subject: str, problem: str, now: datetime) -> Explanation:
    """An object that this version cannot read, such as one of another schema."""
    why = f"Its manifest cannot be read here: {stopped(problem)}"
    mend = ["Correct the field and apply it again, or use a client of the operator's version."]
    return Finding(why, mend, ["armonikctl version"]).explanation(subject, "not readable", "", now)


def _explain(facts: Facts, depth: int) -> Explanation:
    subject = facts.subject
    if isinstance(subject, Task):
        found = _task(facts, depth)
    elif isinstance(subject, Session):
        found = _session(facts, subject)
    else:
        found = _partition(facts, subject)
    if not facts.unread:
        return found
    note = [f"  Not read: {clean(one)}" for one in facts.unread]
    return found.model_copy(update={"why": "\n".join([found.why, *note])})


# Tasks.


def _task(facts: Facts, depth: int) -> Explanation:
    task = facts.task
    subject = f"task {task.metadata.name} (session {task.spec.session})"
    if facts.index is not None:
        subject = f"element {facts.index} of {subject}"
        if facts.index >= task.spec.total:
            why = f"It has {elements(task.spec.total)}, counted from 0."
            return Finding(why).explanation(subject, "does not exist", "", facts.now)
    if has_finished(task):
        return _with_refused(_finished(facts, subject), task)
    end = _end_of(task, facts.index)
    if end:
        return _ended_element(facts, end).explanation(subject, end, "", facts.now)
    held = held_by(task)
    if task.metadata.deletion_timestamp is not None or not held:
        return _with_refused(_not_held(facts).explanation(subject, _state(facts), "", facts.now), task)
    case = Case(facts, held[0], lambda other: _behind(other, depth))
    finding = ROWS.get(case.condition.reason, unknown)(case)
    admitted = held[0].type != ConditionType.READY or counts_of(task).pending < task.spec.total
    usual = _state(facts) if admitted else _not_admitted(task.spec.total)
    if facts.index is not None:
        finding = finding if not finding.state else _stateless(finding)
    return _with_refused(finding.explanation(subject, usual, case.condition.reason, facts.now), task)


def _stateless(finding: Finding) -> Finding:
    """Its state is that of all elements."""
    return Finding(finding.why, finding.mend, finding.look, finding.since, finding.likely, finding.chain)


def _behind(facts: Facts, depth: int) -> Explanation:
    if depth < MOST_DEPTH:
        return _explain(facts, depth + 1)
    name = facts.task.metadata.name
    why = f"It waits, too; more than {MOST_DEPTH} tasks that wait for each other are not followed."
    look = [f"armonikctl explain task/{name}"]
    return Finding(why, look=look).explanation(f"task {name}", _state(facts), "", facts.now)


def _state(facts: Facts) -> str:
    """How many elements wait and run."""
    counts = counts_of(facts.task)
    waiting = max(0, counts.total - counts.running - counts.ended)
    if facts.index is not None:
        return "waits" if not counts.running else "waits or runs" if waiting else "runs"
    running = f"{counts.running} {verb(counts.running, 'run')}" if counts.running else "none runs"
    if not waiting and counts.running:
        return f"{running} of {counts.total} elements, {counts.ended} {have(counts.ended)} ended"
    return f"{waiting} of {counts.total} elements {verb(waiting, 'wait')}, {running}"


def _not_admitted(total: int) -> str:
    return f"not admitted, {total} {'element waits' if total == 1 else 'elements wait'}"


def _not_held(facts: Facts) -> Finding:
    """No condition says that it waits."""
    task, counts = facts.task, counts_of(facts.task)
    name = task.metadata.name
    if task.metadata.deletion_timestamp is not None:
        return Finding("It is being deleted.")
    if task.status is None:
        return Finding(_NOT_SEEN, look=["armonikctl doctor"])
    if task.spec.desired_state is TaskState.CANCELLED:
        return Finding("It is being cancelled: what runs is stopped.", look=[f"armonikctl task get {name}"])
    if counts.running:
        why = f"Nothing holds it back: {elements(counts.running)} {verb(counts.running, 'run')}."
        return Finding(why, look=[f"armonikctl logs {name} -f"])
    return Finding(
        "The operator has not written why yet; it does within a minute.", look=[f"kubectl describe tk {name}"]
    )


_ENDS: Final = {
    "succeeded": "succeeded_indexes",
    "failed": "failed_indexes",
    "timed out": "timed_out_indexes",
    "cancelled": "cancelled_indexes",
}


def _end_of(task: Task, index: int | None) -> str:
    """How an element ended; empty when it has not, or the status does not say."""
    if index is None or task.status is None:
        return ""
    for word, name in _ENDS.items():
        try:
            ended = Ranges.parse(getattr(task.status, name))
        except InvalidIntervals:
            continue
        if index in ended:
            return word
    return ""


def _finished(facts: Facts, subject: str) -> Explanation:
    task = facts.task
    done = find_condition(task.status.conditions if task.status else (), ConditionType.FINISHED)
    assert done is not None
    if facts.index is not None:
        end = _end_of(task, facts.index)
        return _ended_element(facts, end).explanation(subject, end or "has ended", done.reason, facts.now)
    finding = FINISHED.get(done.reason, _ended_badly)(facts)
    return finding.explanation(subject, f"finished, {_ends(counts_of(task))}", done.reason, facts.now)


def _ends(counts: ElementCounts) -> str:
    numbers = (counts.succeeded, counts.failed, counts.timed_out, counts.cancelled)
    return (
        ", ".join(f"{number} {word}" for number, word in zip(numbers, _ENDS, strict=True) if number)
        or "0 succeeded"
    )


def _succeeded(facts: Facts) -> Finding:
    total, name = facts.task.spec.total, facts.task.metadata.name
    why = f"All {total} elements succeeded." if total > 1 else "Its element succeeded."
    return Finding(why, look=[f"armonikctl task results {name}"])


def _ended_badly(facts: Facts) -> Finding:
    task, counts = facts.task, counts_of(facts.task)
    failed, late, name = counts.failed, counts.timed_out, task.metadata.name
    bad = failed + late
    kinds = kinds_of(task, facts.partition)
    if bad and counts.cancelled:  # those were wanted, and may be all that the status has
        kinds = [kind for kind in kinds if kind.reason != FailureReason.CANCELLED]
    known = sum(len(kind.indexes) for kind in kinds)
    unseen = (bad or counts.cancelled) - known
    what = f"{elements(bad)} failed" if failed else f"{elements(bad)} took longer than allowed"
    if not bad:
        what = f"{elements(counts.cancelled)} {'was' if counts.cancelled == 1 else 'were'} cancelled"
    if not bad and not counts.cancelled:
        what = "Not all of its elements succeeded"
    if not kinds:
        why = f"{what}; why is not in the status, which has the lowest indexes only." if bad else f"{what}."
        return Finding(why, [f"armonikctl task retry {name}"], [f"armonikctl task failures {name}"])
    first = f" (of the first {known})" if unseen > 0 else ""
    many = f", {plural(len(kinds), 'kind')} of failure{first}" if bad else ""
    chain = [link for kind in kinds for link in kind.links]
    lines = table(kinds)
    look = [f"armonikctl task failures {name} --traceback" if failed else f"armonikctl task failures {name}"]
    if bad and unseen > 0:
        lines.append(f"  why {elements(unseen)} more failed is not in the status: there may be other kinds")
        look = [f"armonikctl task failures {name} --limit {bad}", *look]
    return Finding("\n".join([f"{what}{many}:", *lines]), remedies(kinds), look, chain=chain)


def _ended_element(facts: Facts, end: str) -> Finding:
    task, name, index = facts.task, facts.task.metadata.name, facts.index
    if end == "succeeded":
        return Finding("It succeeded.", look=[f"armonikctl task results {name} --index {index}"])
    kinds = kinds_of(task, facts.partition, index)
    look = [f"armonikctl logs {name}/{index}", f"armonikctl task failures {name} --traceback"]
    if not kinds:
        how = f"It ended as {end}; why" if end else "How it ended"
        return Finding(f"{how} is not in the status, which has the first failures only.", look=look)
    tries = f" after {plural(kinds[0].executions, 'execution')}" if kinds[0].executions > 1 else ""
    why = f"{kinds[0].reason}{tries}:\n    {last_line(kinds[0].message) or 'without a message'}"
    return Finding(why, remedies(kinds), look, chain=kinds[0].links)


FINISHED: Final[Mapping[str, Callable[[Facts], Finding]]] = {
    Reason.SUCCEEDED: _succeeded,
    Reason.FAILED: _ended_badly,
    Reason.TIMED_OUT: _ended_badly,
    Reason.CANCELLED: _ended_badly,
}
"""Of Tasks, by the reason of `Finished`."""


def _with_refused(found: Explanation, task: Task) -> Explanation:
    """With a sub-task that can never be created, whatever else there is."""
    conditions = task.status.conditions if task.status is not None else ()
    refused = find_condition(conditions, ConditionType.CHILDREN_REFUSED)
    if refused is None or not is_true(conditions, ConditionType.CHILDREN_REFUSED):
        return found
    said = clean(refused.message)
    name = task.metadata.name
    link = Link(subject=f"sub-task of task {name}", reason=refused.reason, why=said)
    why = f"{found.why}\n  A task that its worker submitted can never be created: {said}"
    return found.model_copy(update={"why": why, "chain": [*found.chain, link]})


# Partitions.


def _partition(facts: Facts, partition: Partition) -> Explanation:
    of = Pods(partition, facts.now, facts.pods)
    status = partition.status
    name = f"partition {of.name}"
    if status is None:
        finding = Finding(_NOT_SEEN, look=["armonikctl doctor"])
        return finding.explanation(name, "new", "", facts.now)
    waiting = f"{elements(status.queued)} {verb(status.queued, 'wait')}" if status.queued else "nothing waits"
    state = f"{of.ready} of {plural(status.replicas, 'pod')} ready, {waiting}"
    finding = without_pods(of)
    isolated = find_condition(status.conditions, ConditionType.ISOLATED)
    if isolated is not None and not is_true(status.conditions, ConditionType.ISOLATED):
        row = PARTITION_ROWS.get(isolated.reason)
        more = row(of).why if row is not None else sentence(isolated.message)
        finding = Finding(
            f"{finding.why}\n  {more}", finding.mend, finding.look, finding.since, chain=finding.chain
        )
    return finding.explanation(name, state, of.reason, facts.now)


# Sessions.


def _session(facts: Facts, session: Session) -> Explanation:
    status, name = session.status, session.metadata.name
    subject = f"session {name}"
    if status is None:
        return Finding(_NOT_SEEN, look=["armonikctl doctor"]).explanation(subject, "new", "", facts.now)
    counts = status.elements or ElementCounts()
    state = f"{clean(status.phase).lower() or 'new'}, {counts.ended} of {counts.total} elements have ended"
    for type_, bad in _SESSION_ORDER:
        found = find_condition(status.conditions, type_)
        if found is not None and is_true(status.conditions, type_) == bad:
            row = SESSION_ROWS.get(found.reason)
            finding = row(session, facts) if row is not None else _unknown_of_session(session, found.reason)
            return finding.explanation(subject, state, found.reason, facts.now)
    return _accepted(session, facts).explanation(subject, state, Reason.ACCEPTED, facts.now)


_SESSION_ORDER: Final = (
    (ConditionType.DELETING, True),
    (ConditionType.FINISHED, True),
    (ConditionType.READY, False),
    (ConditionType.SUSPENDED, True),
)
"""Conditions that are news, and the value with which they are."""


def _accepted(session: Session, facts: Facts) -> Finding:
    """Why its Tasks wait, one line each."""
    name = session.metadata.name
    found = [_behind(task, 0) for task in facts.waiting]
    found = [one for one in found if one.reason]
    look = [f"armonikctl task list -s {name} --waiting"]
    if not found:
        return Finding("Nothing holds it back: no task of it says that it waits.", look=look)
    chain = [Link(subject=one.subject, reason=one.reason, why=one.why.partition("\n")[0]) for one in found]
    lines = [f"  {one.subject.partition(' (')[0]}: {one.why}" for one in chain]
    many = f"{plural(len(found), 'task')} of it {verb(len(found), 'wait')}:"
    mend = list(dict.fromkeys(line for one in found for line in one.mend))
    return Finding("\n".join([many, *lines]), mend[:4], look, chain=chain)


def _said(session: Session, type_: ConditionType = ConditionType.READY) -> str:
    found = find_condition(session.status.conditions if session.status else (), type_)
    return found.message if found is not None else ""


def _session_without_partition(session: Session, facts: Facts) -> Finding:
    there = f" Those that exist: {', '.join(facts.partitions)}." if facts.partitions else ""
    why = f"It names a partition that does not exist: {stopped(_said(session))}{there}"
    return Finding(why, [f"Create the partition. {ONCE_THERE}"])


def _session_server(session: Session, _: Facts) -> Finding:
    why = sentence(_said(session) or "a server cannot be reached")
    return Finding(why, [NOTHING_LOST], ["armonikctl doctor"])


def _session_unreadable(session: Session, _: Facts) -> Finding:
    why = f"The operator cannot read it: {stopped(_said(session))}"
    return Finding(why, ["Correct it and apply it again."])


def _session_paused(session: Session, _: Facts) -> Finding:
    suspended = find_condition(session.status.conditions if session.status else (), ConditionType.SUSPENDED)
    since = suspended.last_transition_time if suspended is not None else None
    return Finding("It is paused.", [f"armonikctl session resume {session.metadata.name}"], since=since)


def _session_over(session: Session, _: Facts) -> Finding:
    name = session.metadata.name
    return Finding("All its work has ended.", look=[f"armonikctl task list -s {name}"])


def _session_purged(_: Session, __: Facts) -> Finding:
    return Finding("All its work has ended, and its data was removed.")


def _session_deleting(session: Session, _: Facts) -> Finding:
    deleting = find_condition(session.status.conditions if session.status else (), ConditionType.DELETING)
    step = _STEPS.get(deleting.reason if deleting is not None else "", "its work and data are removed")
    since = deleting.last_transition_time if deleting is not None else None
    return Finding(f"It is being deleted: {step}.", look=["armonikctl doctor"], since=since)


_STEPS: Final[Mapping[str, str]] = {
    Reason.CANCELLING_TASKS: "its tasks are cancelled",
    Reason.DELETING_TASKS: "its tasks are deleted",
    Reason.DELETING_DATA: "its data is removed",
}


def _unknown_of_session(session: Session, reason: str) -> Finding:
    why = f"The operator says {clean(reason)}. {sentence(_said(session))}".rstrip()
    return Finding(why, look=[f"kubectl describe aks {session.metadata.name}"])


SESSION_ROWS: Final[Mapping[str, Callable[[Session, Facts], Finding]]] = {
    Reason.ACCEPTED: _accepted,
    Reason.PARTITION_NOT_FOUND: _session_without_partition,
    Reason.QUEUE_UNAVAILABLE: _session_server,
    Reason.STORE_UNAVAILABLE: _session_server,
    Reason.MANIFEST_INVALID: _session_unreadable,
    Reason.PAUSED: _session_paused,
    Reason.CANCELLING_TASKS: _session_deleting,
    Reason.DELETING_TASKS: _session_deleting,
    Reason.DELETING_DATA: _session_deleting,
    Reason.CLOSED: _session_over,
    Reason.CANCELLED: _session_over,
    Reason.PURGED: _session_purged,
}
"""By the reason of `Ready`, `Suspended`, `Deleting` and `Finished`."""
