"""A task with the tasks that its workers submitted."""

import sys
from datetime import UTC, datetime
from typing import Final

from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.forms.tasks import TaskTree, TreeTask
from armonik_sdk.cli.output.remarks import remark, write_form
from armonik_sdk.cli.views.family import Member, lines, member
from armonik_sdk.cli.views.reading import text

MOST: Final = 1_000
"""Tasks that are shown; a tree of more is no help to anybody."""


async def show(cluster: Cluster, name: str, depth: int) -> None:
    """Write the tree.

    Raises:
        NotFound: there is no such task.
    """
    root = member(await cluster.get(TASKS, name))
    count, generation = 1, [root]
    for _ in range(depth):
        following: list[Member] = []
        for parent in generation:
            async for page in cluster.pages(TASKS, labels=f"{PARENT_LABEL}={parent.uid}"):
                found = [
                    member(obj) for obj in page.get("items", ()) if text(obj, "metadata", "uid") != parent.uid
                ]
                parent.children += found[: MOST - count]
                parent.more = parent.more or count + len(found) > MOST
                count = min(MOST, count + len(found))
                if count >= MOST:
                    break
            following += parent.children
        generation = following
        if not generation or count >= MOST:
            break
    if not write_form(cluster.settings, TaskTree(root=_entry(root))):
        sys.stdout.write("\n".join(lines(root, datetime.now(UTC))) + "\n")
    if count >= MOST:
        remark(cluster.settings, f"{MOST} tasks are shown; there may be more")


def _entry(found: Member) -> TreeTask:
    return TreeTask(
        name=found.name,
        uid=found.uid,
        phase=found.phase,
        progress=found.progress,
        children=[_entry(child) for child in found.children],
    )
