"""Why elements of a Task do not run: a row for each reason of its conditions."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import find_condition
from armonik_sdk.api.names import BANDS, band_of
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.explain import dependencies
from armonik_sdk.explain.dependencies import Case
from armonik_sdk.explain.explanation import Finding, Link
from armonik_sdk.explain.facts import partition_of
from armonik_sdk.explain.partitions import Pods, without_pods
from armonik_sdk.explain.wording import (
    NOTHING_LOST,
    ONCE_THERE,
    clean,
    duration,
    elements,
    have,
    last_line,
    plural,
    seconds_between,
    sentence,
    some,
    stopped,
    verb,
)

MOST_PODS: Final = 10_000
_NOTHING_TO_DO: Final = "Nothing has to be done"
_AHEAD: Final = re.compile(
    r", (\d{1,12}) of other tasks before them; (\d{1,12}) of (\d{1,12}) pods work", re.ASCII
)
_UNTIL: Final = re.compile(r" until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z:", re.ASCII)
_HELD: Final = re.compile(r"(\d{1,12}) elements? waits? until ", re.ASCII)
_TROUBLE: Final = re.compile(
    r"\(of element (\d{1,12}) (?:(\d{1,12}) failed)?.*?, the last: (.*)\)$", re.DOTALL | re.ASCII
)


# Not admitted.


def _no_session(case: Case) -> Finding:
    if "with the UID" in case.said:
        why = f"The session {case.session} that it was submitted to does not exist any more."
        return Finding(why, ["Delete the task and submit it to a session that exists."])
    why = f"Session {case.session} does not exist in namespace {case.namespace}."
    create = f"armonikctl session create {case.session} -p PARTITION"
    return Finding(why, [f"Create it, or delete the task and name another. {ONCE_THERE}", create])


def _closed(case: Case) -> Finding:
    why = f"Session {case.session} accepts no more tasks: its submission is closed, which is final."
    return Finding(
        why, ["Delete the task and submit it to another session."], [f"armonikctl session get {case.session}"]
    )


def _no_partition(case: Case) -> Finding:
    name, there = partition_of(case.task, case.facts.session), case.facts.partitions
    known = f" Those that do: {some(there)}." if there else ""
    why = f"Partition {name} does not exist in namespace {case.namespace}.{known}"
    return Finding(why, [f"Create it, or delete the task and name another. {ONCE_THERE}"])


def _foreign_partition(case: Case) -> Finding:
    name, session = partition_of(case.task, case.facts.session), case.facts.session
    own = f": {some(session.spec.partitions)}" if session is not None else ""
    why = f"Partition {name} is not one of session {case.session}'s{own}."
    mend = f"Add it to spec.partitions of session {case.session}, or delete the task and name another."
    return Finding(why, [f"{mend} It goes on by itself once it is one of them."])


def _no_payload(case: Case) -> Finding:
    mend = (
        "Upload what is missing; if the name of the object is wrong, delete the task and apply it corrected."
    )
    return Finding(f"Its input cannot be read: {stopped(case.said)}", [mend], [_describe(case)])


def _unreadable(case: Case) -> Finding:
    mend = "Delete the task and apply it corrected."
    return Finding(f"The operator cannot accept it: {stopped(case.said)}", [mend], [_describe(case)])


def _bad_data(case: Case) -> Finding:
    mend = "Delete the task and apply it again with other data."
    return Finding(
        f"A record or an object of it cannot be used: {stopped(case.said)}", [mend], [_describe(case)]
    )


def _quota(case: Case) -> Finding:
    namespace = case.namespace
    raised = f"kubectl annotate namespace {namespace} armonik.io/max-elements=NUMBER --overwrite"
    mend = ["Wait until others have finished: it then goes on by itself.", f"Or raise it: {raised}"]
    chain = [Link(subject=f"namespace {namespace}", reason=Reason.QUOTA_EXCEEDED, why=case.said)]
    if case.condition.type == ConditionType.CHILDREN_BLOCKED:
        why = f"Tasks that its worker submitted cannot be created yet: {stopped(case.said)}"
        return Finding(
            why, mend[:1], [f"kubectl describe resourcequota -n {namespace}"], case.since, chain=chain
        )
    why = f"Namespace {namespace} has no room for it: {stopped(case.said)}"
    return Finding(why, mend, ["armonikctl session list"], case.since, chain=chain)


def _server(case: Case) -> Finding:
    what = "The object store" if case.condition.reason == Reason.STORE_UNAVAILABLE else "NATS"
    chain = [
        Link(subject=what.lower() if what != "NATS" else what, reason=case.condition.reason, why=case.said)
    ]
    why = sentence(case.said or f"{what} cannot be reached")
    return Finding(why, [NOTHING_LOST], ["armonikctl doctor"], case.since, chain=chain)


def _queue_full(case: Case) -> Finding:
    mend = [
        "Wait: it is queued as room appears, and nothing has to be submitted again.",
        "Make room:   delete finished tasks and sessions, or let ttlSecondsAfterFinished do it",
    ]
    chain = [Link(subject="NATS", reason=Reason.QUEUE_FULL, why=case.said)]
    return Finding(
        f"NATS has no room for more work: {stopped(case.said)}",
        mend,
        ["armonikctl doctor"],
        case.since,
        chain=chain,
    )


def _sub_task_refused(case: Case) -> Finding:
    why = f"A task that its worker submitted can never be created: {stopped(case.said)}"
    return Finding(why, ["Correct what the worker submits, and submit this task again."], [_describe(case)])


# Admitted, and waiting.


def _paused(case: Case) -> Finding:
    session = case.facts.session
    status = session.status if session is not None else None
    suspended = find_condition(status.conditions, ConditionType.SUSPENDED) if status is not None else None
    since = suspended.last_transition_time if suspended is not None else case.since
    counts = case.counts
    waits = f"{case.waiting} of {counts.total} elements {verb(case.waiting, 'wait')}"
    return Finding(
        f"Session {case.session} is paused.",
        [f"armonikctl session resume {case.session}"],
        since=since,
        chain=[Link(subject=f"session {case.session}", reason=Reason.PAUSED, why="is paused")],
        state=f"{waits}, {counts.running} {verb(counts.running, 'run')}",
    )


def _no_pods(case: Case) -> Finding:
    partition = case.facts.partition
    if partition is None:
        return Finding(sentence(case.said), look=[_describe(case)], since=case.since)
    pods = Pods(partition, case.facts.now, case.facts.pods)
    if not pods.ready:
        return without_pods(pods)
    now = f"{pods.ready} {'is' if pods.ready == 1 else 'are'} ready"
    why = f"Partition {pods.name} had no ready pod; by now {now}."
    return Finding(why, [f"{_NOTHING_TO_DO}: work starts now, and the status follows."], pods.look)


def _back_off(case: Case) -> Finding:
    counts, name, single = case.counts, case.name, case.counts.total == 1
    found = _HELD.match(case.said)
    held = int(found[1]) if found else case.waiting
    # An agent may hold what it tries again: it counts as running, and does not run.
    waiting = max(case.waiting, held)
    running = max(0, counts.running - (waiting - case.waiting))
    trouble = _TROUBLE.search(case.condition.message)
    which, failed, words = trouble.groups() if trouble else (None, None, "")
    if single:
        why = "Its last execution failed, and it is tried again"
    elif held < waiting:
        why = f"The last execution of {held:,} of them failed, and they are tried again"
    else:
        why = "Their last execution failed, and they are tried again"
    why += f" {_when(case)}{_execution(case, failed)}."
    if words:
        newest = " The failure:" if single else f" The newest failure, element {which}:"
        why += f"{newest}\n    {last_line(words)}"
    still = "" if held < waiting else str(_left(case))
    stop = f" --index {still}" if still and not single and len(still) <= 80 else ""
    runs = f"{running} {verb(running, 'run')}" if running else "none runs"
    ended = f"{counts.succeeded} {have(counts.succeeded)} succeeded"
    return Finding(
        why,
        [f"{_NOTHING_TO_DO}. To stop it: armonikctl task cancel {name}{stop}"],
        [f"armonikctl logs {name}/{which}" if which and not single else f"armonikctl logs {name}"],
        state=f"{waiting} of {counts.total} elements {verb(waiting, 'wait')},"
        f" {ended if counts.succeeded and not running else runs}",
    )


def _when(case: Case) -> str:
    """When elements are tried again."""
    found = _UNTIL.search(case.said)
    try:
        until = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found is not None else case.facts.now
    except ValueError:  # a status may say anything
        return "now"
    left = seconds_between(case.facts.now, until)
    return f"in {duration(left)}" if left >= 1 else "now"


def _execution(case: Case, failed: str | None) -> str:
    """Which execution comes next, of how many."""
    options = case.task.status.options if case.task.status is not None else None
    if not failed or options is None or options.max_retries is None:
        return ""
    return f" (execution {int(failed) + 1} of {options.max_retries + 1})"


def _queued(case: Case) -> Finding:
    partition, name = case.facts.partition, partition_of(case.task, case.facts.session)
    if partition is not None and partition.status is not None and not partition.status.ready_replicas:
        return _no_pods(case)  # its pods went after the status was written
    found = _AHEAD.search(case.condition.message)
    before, busy, ready = (int(number) for number in found.groups()) if found else (0, 0, 0)
    if partition is not None and partition.status is not None and partition.status.ready_replicas:
        busy, ready = partition.status.busy_replicas, partition.status.ready_replicas
    why = _busy(name, busy, ready)
    is_before = f"{elements(before)} of other tasks {'is' if before == 1 else 'are'} before these"
    why += f", and {is_before}." if before else "."
    likely = None
    rate = partition.status.elements_per_minute if partition is not None and partition.status else 0
    if rate and before:
        does = f"the partition does {elements(rate)} a minute"
        likely = (before / rate * 60, f"{duration(before / rate * 60)} until the first starts: {does}.")
    mend = []
    if partition is not None and partition.spec.pod_max < MOST_PODS:
        now = partition.spec.pod_max
        more = f"""'{{"spec":{{"podMax":{min(MOST_PODS, max(1, 2 * now))}}}}}'"""
        mend = [f"More pods:   kubectl patch akp {name} --type merge -p {more}     (podMax is {now})"]
    options = case.task.status.options if case.task.status is not None else None
    priority = (options.priority if options is not None else None) or 1
    band = band_of(priority)
    if band + 1 < BANDS:
        above = (band + 1) * BANDS - 1
        mend += [f"Go first:    submit with a priority above {above}; this task has {priority}"]
    chain = [
        Link(subject=f"partition {name}", reason=Reason.QUEUED, why=f"{plural(busy, 'pod')} of {ready} busy")
    ]
    return Finding(why, mend, [f"armonikctl logs {case.name} -f"], likely=likely, chain=chain)


def _busy(name: str, busy: int, ready: int) -> str:
    if not ready:
        return f"The pods of partition {name} are busy"
    if busy < ready:
        return f"{busy} of {ready} pods of partition {name} are busy"
    return (
        f"All {ready} pods of partition {name} are busy"
        if ready > 1
        else f"The pod of partition {name} is busy"
    )


def _no_room(case: Case) -> Finding:
    why = "Earlier elements of the same task are queued first: few are queued at a time."
    return Finding(why, [f"{_NOTHING_TO_DO}."], [f"armonikctl task get {case.name}"])


def _left(case: Case) -> Ranges:
    """The elements that have not ended; none where the status cannot say, or where some of them run."""
    status = case.task.status
    if status is None or status.detail_ref or case.counts.running:
        return Ranges()
    texts = (
        status.succeeded_indexes,
        status.failed_indexes,
        status.timed_out_indexes,
        status.cancelled_indexes,
    )
    ended = Ranges()
    for text in texts:
        ended |= Ranges.parse(text)
    return ended.complement(case.counts.total)


def _describe(case: Case) -> str:
    return f"kubectl describe tk {case.name}"


def unknown(case: Case) -> Finding:
    """A reason that this version does not know, in the operator's words."""
    said = f": {stopped(case.said)}" if case.said else "."
    why = f"The operator says {clean(case.condition.reason)}{said}"
    return Finding(why, look=[_describe(case)], since=case.since)


ROWS: Final[Mapping[str, Callable[[Case], Finding]]] = {
    Reason.SESSION_NOT_FOUND: _no_session,
    Reason.SUBMISSION_CLOSED: _closed,
    Reason.PARTITION_NOT_FOUND: _no_partition,
    Reason.PARTITION_NOT_IN_SESSION: _foreign_partition,
    Reason.DEPENDENCY_NOT_FOUND: dependencies.not_there,
    Reason.DEPENDENCY_INVALID: dependencies.invalid,
    Reason.DEPENDENCY_CYCLE: dependencies.cycle,
    Reason.PAYLOAD_NOT_FOUND: _no_payload,
    Reason.MANIFEST_INVALID: _unreadable,
    Reason.DATA_INVALID: _bad_data,
    Reason.QUOTA_EXCEEDED: _quota,
    Reason.QUEUE_UNAVAILABLE: _server,
    Reason.STORE_UNAVAILABLE: _server,
    Reason.QUEUE_FULL: _queue_full,
    Reason.SUB_TASK_INVALID: _sub_task_refused,
    Reason.PAUSED: _paused,
    Reason.NO_PODS: _no_pods,
    Reason.BACK_OFF: _back_off,
    Reason.QUEUED: _queued,
    Reason.WAITING_FOR_DATA: dependencies.waits_for_data,
    Reason.WAITING_FOR_ROOM: _no_room,
}
"""By the reason of `Ready`, `Waiting`, `QueueFull`, `ChildrenBlocked` and `ChildrenRefused`."""
