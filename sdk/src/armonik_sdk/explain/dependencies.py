"""Why a Task waits for others, and the chain of Tasks down to the first cause."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import Condition, ElementCounts, Task, is_true
from armonik_sdk.explain.explanation import Explanation, Finding, Link
from armonik_sdk.explain.facts import Facts, Need, held_by, named_tasks, needs
from armonik_sdk.explain.wording import clean, duration, elements, seconds_between, sentence, stopped, verb

SEEN_SECONDS: Final = 300.0
"""A rate is that of the last five minutes."""
_UNCHANGED: Final = "Tasks cannot be changed: delete it and apply it corrected"


@dataclass(frozen=True)
class Case:
    """A Task with the condition that is explained."""

    facts: Facts
    condition: Condition
    behind: Callable[[Facts], Explanation]
    """Explains a Task that this one waits for."""

    @property
    def task(self) -> Task:
        """The Task."""
        return self.facts.task

    @property
    def name(self) -> str:
        """Of the Task."""
        return self.task.metadata.name

    @property
    def session(self) -> str:
        """Name of its Session."""
        return self.task.spec.session

    @property
    def namespace(self) -> str:
        """Of the Task."""
        return self.task.namespace or "default"

    @property
    def counts(self) -> ElementCounts:
        """Its elements by state."""
        return counts_of(self.task)

    @property
    def waiting(self) -> int:
        """Elements that neither run nor have ended."""
        return max(0, self.counts.total - self.counts.running - self.counts.ended)

    @property
    def said(self) -> str:
        """The condition's message."""
        return clean(self.condition.message, 1000)

    @property
    def since(self) -> datetime:
        """Since when the condition holds."""
        return self.condition.last_transition_time


def counts_of(task: Task) -> ElementCounts:
    """Its elements by state; all pending while the operator has not counted them."""
    counts = task.status.elements if task.status is not None else None
    return counts or ElementCounts(total=task.spec.total, pending=task.spec.total)


def has_finished(task: Task) -> bool:
    """Whether all its elements have ended."""
    return task.status is not None and is_true(task.status.conditions, ConditionType.FINISHED)


def waits_for_data(case: Case) -> Finding:
    """Which Task or result is not there yet, and why that one waits."""
    need = _blocking(case)
    if need is None:
        return Finding(f"It waits for data: {stopped(_needed(case))}", look=[_describe(case)])
    if need.result:
        why = f"It needs result {need.result}, which is not there yet."
        return Finding(why, look=[f"armonikctl result get -s {case.session} {need.result}"])
    look = [f"armonikctl explain task/{need.task}"]
    other = case.facts.tasks.get(need.task)
    if other is None:
        return Finding(f"It needs {_what(need)}. {sentence(_needed(case))}".rstrip(), look=look)
    deeper = case.behind(other)
    why, likely = _progress(need, other), _likely(other)
    link = Link(
        subject=f"task {need.task}", reason=deeper.reason, why=deeper.why.partition("\n")[0] or deeper.state
    )
    chain = [link, *deeper.chain]
    if not _stuck(other):
        return Finding(why, look=look, likely=likely, chain=chain)
    below = [f"  {one.subject}: {one.why}" for one in chain if one.subject.startswith("task ")]
    more = [line for line in deeper.look if line not in look]
    return Finding("\n".join([why, *below]), deeper.mend, [*look, *more], chain=chain)


def not_there(case: Case) -> Finding:
    """A dependency that does not exist."""
    wanted = needs(case.task, case.facts.index)
    missing = next((need.task for need in wanted if need.task in case.facts.missing), "")
    if not missing and (named := named_tasks(case.condition.message)) and "does not exist" in case.said:
        missing = named[0]
    if missing:
        like = difflib.get_close_matches(missing, [n for n in case.facts.names if n != case.name], 1)
        there = f" There is a task {like[0]}." if like else ""
        why = f"It depends on task {missing}, which does not exist in session {case.session}.{there}"
        return Finding(why, [f"{_UNCHANGED}, or create {missing}; it then goes on by itself."])
    named_result = next((need.result for need in wanted if need.result and need.result in case.said), "")
    if named_result and "does not exist" in case.said:
        why = f"It depends on result {named_result}, which does not exist in session {case.session}."
        return Finding(why, [f"{_UNCHANGED}, or create that result; it then goes on by itself."])
    return Finding(f"A dependency is not there: {stopped(case.said)}", [f"{_UNCHANGED}."])


def invalid(case: Case) -> Finding:
    """A dependency that can never be."""
    return Finding(f"A dependency is impossible: {stopped(case.said)}", [f"{_UNCHANGED}."], [_describe(case)])


def cycle(case: Case) -> Finding:
    """Tasks that wait for each other."""
    around = dict.fromkeys(named_tasks(case.condition.message))
    chain = [
        Link(subject=f"task {name}", reason=case.condition.reason, why="is part of the cycle")
        for name in around
    ]
    mend = f"Cancel or delete one of them and apply it corrected: armonikctl task cancel {case.name}"
    return Finding(f"Tasks wait for each other: {stopped(case.said)}", [mend], chain=chain)


def _blocking(case: Case) -> Need | None:
    """The first of its needs that is not there, as far as that is known."""
    wanted = needs(case.task, case.facts.index)
    for need in wanted:
        other = case.facts.tasks.get(need.task)
        if other is not None and not has_finished(other.task):
            return need
    results = [need for need in wanted if need.result and need.result in case.said]
    named = named_tasks(case.condition.message)
    unread = [need for need in wanted if need.task in named and need.task not in case.facts.tasks]
    return next(iter([*results, *unread]), None)


def _progress(need: Need, other: Facts) -> str:
    counts = counts_of(other.task)
    left = max(0, counts.total - counts.ended)
    if need.index is not None or counts.total == 1:
        return f"It needs {_what(need)}, which has not ended."
    few = f"{left} of its elements {verb(left, 'run')} or {verb(left, 'wait')}"
    return f"It needs {_what(need)}, of which {counts.succeeded} of {counts.total} are there; {few}."


def _what(need: Need) -> str:
    of = f"task {need.task}" if need.index is None else f"element {need.index} of task {need.task}"
    if need.output is not None:
        return f"output {need.output} of {of}"
    return f"all outputs of {of}" if need.index is None else of


def _likely(other: Facts) -> tuple[float, str] | None:
    """How long a Task takes that runs, where all it did was done within the last five minutes."""
    created, counts = other.task.metadata.creation_timestamp, counts_of(other.task)
    age = seconds_between(created, other.now) if created is not None else 0.0
    if not 1.0 <= age <= SEEN_SECONDS or not counts.ended or counts.ended >= counts.total:
        return None
    rate = counts.ended / age
    left = (counts.total - counts.ended) / rate
    name, minute = other.task.metadata.name, round(rate * 60)
    if not minute:
        return None
    many = elements(minute)
    return left, f"{duration(left)}: {name} does {many} a minute."


def _stuck(other: Facts) -> bool:
    """Whether nothing of it runs, and it says why."""
    return not counts_of(other.task).running and bool(held_by(other.task))


def _needed(case: Case) -> str:
    """The operator's words, without the number of elements that wait."""
    return case.said.partition(" for data: ")[2] or case.said.partition(" for data, ")[2] or case.said


def _describe(case: Case) -> str:
    return f"kubectl describe tk {case.name}"
