"""Lines that were kept with the outcomes of elements, of pods that may be gone (ADR 29)."""

from collections import deque
from collections.abc import AsyncIterator

from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.cli.views.log_lines import Choice, Line, Seen
from armonik_sdk.cli.views.reading import Object, name_of, number, part, text
from armonik_sdk.client.errors import ClientError

_ENDED = ("succeeded", "failed", "timedOut")


async def of_element(
    cluster: Cluster, task: Object, index: int, choice: Choice, tail: int | None
) -> list[Line] | None:
    """The chosen lines of one element, at most the last `tail`; None where nothing is kept of it."""
    if not _some_ended(task):
        return None
    try:
        printed = await (await cluster.client.task(name_of(task))).printed(index)
    except ClientError as error:
        _not_shown(cluster, error)
        return None
    if not printed:
        return None
    return list(deque((line for line in _lines(task, index, printed) if choice.takes(line)), maxlen=tail))


async def of_others(cluster: Cluster, task: Object, seen: Seen, choice: Choice) -> AsyncIterator[Line]:
    """The chosen lines of all elements of whose last execution no pod has them, ascending by index."""
    if not _some_ended(task):
        return
    try:
        async for index, printed in (await cluster.client.task(name_of(task))).printed_by_all():
            lines = _lines(task, index, printed)
            if not seen.has(lines):
                for line in lines:
                    if choice.takes(line):
                        yield line
    except ClientError as error:
        _not_shown(cluster, error)


def _some_ended(task: Object) -> bool:
    counts = part(task, "status", "elements")
    return any(number(counts, state) for state in _ENDED)


def _lines(task: Object, index: int, printed: str) -> list[Line]:
    uid = text(task, "metadata", "uid")
    return [Line("", "", one, uid, index) for one in printed.removesuffix("\n").split("\n")]


def _not_shown(cluster: Cluster, error: ClientError) -> None:
    remark(cluster.settings, f"what was kept of elements that have ended is not shown: {error}")
