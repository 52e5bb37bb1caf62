"""Checks that a dependency selects elements and outputs that the named Task has."""

from armonik_operator.cache.state import ClusterState
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.items.listing import output_names
from armonik_sdk.api.kinds import Item, Task


async def selection_error(
    state: ClusterState,
    items: ItemCache,
    mine: tuple[Task, str],
    other: Task,
    index: int | None,
    output: str | None,
) -> str:
    """Why a dependency selects what the other Task does not have; empty when it is valid.

    Raises:
        Parked: the items of the other Task cannot be read.
    """
    (task, session), name, total = mine, other.metadata.name, other.spec.total
    if other.spec.session != task.spec.session:
        return (
            f"task {name} is of session {other.spec.session}, not of {task.spec.session};"
            " depend on tasks of the same session"
        )
    theirs = state.fold(other.metadata.uid).session
    if other.metadata.namespace != task.metadata.namespace or (theirs and session and theirs != session):
        return f"task {name} is of another session; depend on tasks of the same session"
    if index is not None and index >= total:
        return f"task {name} has no element {index}, only 0 to {total - 1}; correct the index"
    if output is not None:
        listing, at = await items.of(other), index or 0
        if index is None and listing is not None:
            lacking = listing.lacking(output)
        else:
            names = output_names(other, await listing.item(at) if listing is not None else Item())
            lacking = None if output in names else (at, names)
        if lacking is not None:
            at, names = lacking
            return f"element {at} of task {name} has no output {output}, only {', '.join(names)}"
    return ""
