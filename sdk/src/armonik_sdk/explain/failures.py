"""How elements failed, by kinds, and what can be done: a row for each reason of a failure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import Failure, Partition, Task
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.explain.explanation import Link
from armonik_sdk.explain.wording import clean, last_line, plural

MOST_KINDS: Final = 5
"""Kinds of failure that are listed."""
_MESSAGE: Final = 43
"""Columns of a message; a longer one moves what follows."""
_WHERE: Final = re.compile(r"^(.*?) ended as (\w+)(?:: )?")
_EXCEPTION: Final = re.compile(r"^((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?::|$)")
_MEMORY: Final = re.compile(r"SIGKILL|OOM|memory", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """Failures that have the reason and the message in common."""

    reason: str
    message: str
    indexes: Ranges
    executions: int
    """Of the element that had the most."""
    task: Task
    partition: Partition | None

    @property
    def links(self) -> list[Link]:
        """What failed before, one behind the other, where the message is about a dependency."""
        found, rest = list[Link](), self.message
        while at := _WHERE.match(rest):
            rest = rest[at.end() :]
            found.append(Link(subject=at[1], reason=at[2], why=f"it ended as {at[2]}"))
        if found and rest:
            found[-1] = found[-1].model_copy(update={"why": rest})
        return found

    @property
    def where(self) -> str:
        """Name of the Partition that it ran in."""
        status = self.task.status
        return status.partition if status is not None and status.partition else "of the task"

    @property
    def retry(self) -> str:
        """The command that submits them again."""
        return f"armonikctl task retry {self.task.metadata.name}"


def kinds_of(task: Task, partition: Partition | None, index: int | None = None) -> list[Kind]:
    """The failures in the status of a Task by kind, the most frequent first; of one element or of all."""
    grouped: dict[tuple[str, str], list[Failure]] = {}
    for failure in task.status.failures if task.status is not None else ():
        if index is None or failure.index == index:
            message = clean(failure.message, 600)
            grouped.setdefault((failure.reason, message), []).append(failure)
    found = [
        Kind(
            reason=reason,
            message=message,
            indexes=Ranges.indexes(failure.index for failure in failures),
            executions=max(failure.attempt for failure in failures),
            task=task,
            partition=partition,
        )
        for (reason, message), failures in grouped.items()
    ]
    return sorted(found, key=lambda kind: -len(kind.indexes))


def table(kinds: Sequence[Kind]) -> list[str]:
    """A line for each kind, and below it what failed before."""
    lines: list[str] = []
    wide = max([len(FailureReason.ATTEMPTS_EXHAUSTED), *(len(kind.reason) for kind in kinds[:MOST_KINDS])])
    for kind in kinds[:MOST_KINDS]:
        links = kind.links
        said = f"{links[0].subject} ended as {links[0].reason}" if links else last_line(kind.message)
        many = "element" if len(kind.indexes) == 1 else "elements"
        tries = f", {plural(kind.executions, 'execution')}" if kind.executions > 1 else ""
        where = f"{many} {clean(str(kind.indexes), 60)}{tries}"
        lines.append(f"  {len(kind.indexes)}×  {kind.reason:<{wide}} {said:<{_MESSAGE}}  {where}")
        lines += [f"        because {link.subject} ended as {link.reason}" for link in links[1:]]
        if links and links[-1].why != f"it ended as {links[-1].reason}":
            lines.append(f"        because {last_line(links[-1].why)}")
    more = len(kinds) - MOST_KINDS
    return [*lines, f"  and {plural(more, 'other kind')}"] if more > 0 else lines


def remedies(kinds: Sequence[Kind]) -> list[str]:
    """What can be done about each kind, once."""
    found = [line for kind in kinds[:MOST_KINDS] for line in ROWS.get(kind.reason, _unknown)(kind)]
    return list(dict.fromkeys(found))


def _worker_error(kind: Kind) -> list[str]:
    named = _EXCEPTION.match(last_line(kind.message))
    what = named[1] if named else kind.reason
    return [f"{what}: mend the input or the function, then  {kind.retry}"]


def _exhausted(kind: Kind) -> list[str]:
    if not _MEMORY.search(kind.message):
        return [f"{kind.reason}: read the worker's log, correct what ended it, then  {kind.retry}"]
    resources = kind.partition.spec.template.spec.worker.resources if kind.partition is not None else None
    limit = ((resources.limits if resources is not None else None) or {}).get("memory")
    where = f"template.spec.worker.resources.limits.memory of partition {kind.where}"
    if limit:
        return [f"Memory: the limit is {limit}; raise {where}"]
    if kind.partition is None:
        return [f"Memory: raise {where}, if it has a limit"]
    return [f"Memory: the worker has no limit, so its node had too little; set {where}"]


def _output_missing(kind: Kind) -> list[str]:
    return [f"{kind.reason}: let the worker write each output that the task names, then  {kind.retry}"]


def _input_missing(kind: Kind) -> list[str]:
    return [f"{kind.reason}: upload the input again, or run what made it again, then  {kind.retry}"]


def _input_too_large(kind: Kind) -> list[str]:
    return [f"{kind.reason}: give an element less input, or lower slotsPerPod of partition {kind.where}"]


def _aborted(kind: Kind) -> list[str]:
    return [f"{kind.reason}: correct what failed first and run that again, then  {kind.retry}"]


def _too_long(kind: Kind) -> list[str]:
    options = kind.task.status.options if kind.task.status is not None else None
    limit = options.max_duration_seconds if options is not None else None
    now = f"; it is {limit}" if limit else ""
    return [f"{kind.reason}: raise spec.options.maxDurationSeconds{now}, or give an element less to do"]


def _moved_too_often(kind: Kind) -> list[str]:
    return [f"{kind.reason}: pods or nodes ended too often; when they are stable,  {kind.retry}"]


def _lost(kind: Kind) -> list[str]:
    return [f"{kind.reason}: how they ended cannot be read any more; run them again:  {kind.retry}"]


def _cancelled(kind: Kind) -> list[str]:
    return [f"Cancelled: they were ended by request; to run them nevertheless  {kind.retry} --cancelled"]


def _unknown(kind: Kind) -> list[str]:
    return [f"{clean(kind.reason)}: correct what the message says, then  {kind.retry}"]


ROWS: Final[Mapping[str, Callable[[Kind], list[str]]]] = {
    FailureReason.WORKER_ERROR: _worker_error,
    FailureReason.ATTEMPTS_EXHAUSTED: _exhausted,
    FailureReason.OUTPUT_MISSING: _output_missing,
    FailureReason.INPUT_MISSING: _input_missing,
    FailureReason.INPUT_TOO_LARGE: _input_too_large,
    FailureReason.DEPENDENCY_ABORTED: _aborted,
    FailureReason.MAX_DURATION_EXCEEDED: _too_long,
    FailureReason.LEASE_LOST: _moved_too_often,
    FailureReason.DATA_LOST: _lost,
    FailureReason.CANCELLED: _cancelled,
}
