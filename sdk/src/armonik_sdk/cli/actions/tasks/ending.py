"""Waits for the end of tasks, or asks for it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.cluster.waiting import until
from armonik_sdk.cli.errors import WorkFailed
from armonik_sdk.cli.output.progress import Progress
from armonik_sdk.cli.output.remarks import confirm, remark
from armonik_sdk.cli.output.writers import list_writer
from armonik_sdk.cli.views.columns import TASK
from armonik_sdk.cli.views.reading import Object, condition, is_true, name_of, number, part, text


@dataclass(frozen=True)
class Wait:
    """Tasks to wait for."""

    names: Sequence[str]
    succeeded: bool
    """End the wait at the first element that did not succeed."""
    timeout: float | None
    """Seconds for all of them."""
    allow_failed: bool


async def wait(cluster: Cluster, wanted: Wait) -> None:
    """Until they have ended; how far they are is shown on a terminal.

    Raises:
        NotFound: there is no such task.
        WorkFailed: an element did not succeed.
        TimeOver: the time is over; the tasks continue.
    """
    names = [await cluster.name(TASKS, name) for name in wanted.names]
    with Progress(cluster.settings, "elements") as progress:

        def done(task: Object) -> bool:
            counts = part(task, "status", "elements")
            progress.at(name_of(task), _ended(task), number(counts, "total"))
            return is_true(task, "Finished") or (wanted.succeeded and _unsuccessful(task) > 0)

        found = await until(cluster, TASKS, names, done, wanted.timeout, "all have ended")
    if cluster.settings.form in ("table", "wide"):
        for task in found:
            remark(cluster.settings, _outcome(task))
    else:
        writer = list_writer(TASK, cluster.settings, namespaces=False)
        writer.page(found)
        writer.end()
        sys.stdout.flush()
    failed = [name_of(task) for task in found if _failed(task)]
    if failed and not wanted.allow_failed:
        raise WorkFailed(f"not all elements succeeded of: {', '.join(failed)}")


async def cancel(cluster: Cluster, names: Sequence[str], indexes: Ranges | None, *, yes: bool) -> None:
    """End what has not ended of these tasks, or these elements of the one.

    Raises:
        NotFound: there is no such task; those before it were cancelled.
        Refused: there is no such element.
    """
    names = [await cluster.name(TASKS, name) for name in names]
    what = "all elements" if indexes is None else f"elements {indexes}"
    confirm(f"End {what} of task{'s' if len(names) > 1 else ''} {', '.join(names)}?", yes=yes)
    for name in names:
        if indexes is None:
            await cluster.patch(TASKS, name, {"spec": {"desiredState": "Cancelled"}})
        else:
            await (await cluster.client.task(name)).cancel(indexes)
        remark(cluster.settings, f"{what} of task {name} are being cancelled")


def _ended(task: Object) -> int:
    counts = part(task, "status", "elements")
    return number(counts, "succeeded") + _unsuccessful(task)


def _unsuccessful(task: Object) -> int:
    counts = part(task, "status", "elements")
    return sum(number(counts, state) for state in ("failed", "timedOut", "cancelled"))


def _failed(task: Object) -> bool:
    return _unsuccessful(task) > 0 or text(condition(task, "Finished"), "reason") not in ("Succeeded", "")


def _outcome(task: Object) -> str:
    """One line for people."""
    counts = part(task, "status", "elements")
    states = {
        "succeeded": "succeeded",
        "failed": "failed",
        "timedOut": "took too long",
        "cancelled": "cancelled",
    }
    said = [f"{number(counts, state)} {word}" for state, word in states.items() if number(counts, state)]
    how = "finished" if is_true(task, "Finished") else "not finished"
    return f"task {name_of(task)}: {how}, {', '.join(said) or 'nothing has ended'}"
