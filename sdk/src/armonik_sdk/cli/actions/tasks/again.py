"""Submits elements that did not succeed once more."""

import secrets
import sys
from dataclasses import dataclass

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import BadInput, Missing
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.cli.output.writers import write_object
from armonik_sdk.cli.views.columns import TASK
from armonik_sdk.client.handles.task import Unsuccessful
from armonik_sdk.grid.cluster.task import ClusterTask


@dataclass(frozen=True)
class Chosen:
    """Which elements to submit again; nothing means those that failed or took too long."""

    failed: bool = False
    timed_out: bool = False
    cancelled: bool = False
    indexes: Ranges | None = None

    def of(self, ended: Unsuccessful) -> Ranges:
        """The elements, of those that ended so."""
        if self.failed or self.timed_out or self.cancelled:
            wanted = (self.failed, self.timed_out, self.cancelled)
        elif self.indexes is not None:
            return self.indexes
        else:
            wanted = (True, True, False)
        found = Ranges()
        for indexes, asked in zip(ended, wanted, strict=True):
            found |= indexes if asked else Ranges()
        return found if self.indexes is None else found & self.indexes


async def retry(cluster: Cluster, name: str, chosen: Chosen, new: str | None) -> None:
    """Make the new task, and write it.

    Raises:
        NotFound: there is no such task, or its session was deleted.
        Missing: no element of it ended so.
        BadInput: it has no such element.
        AlreadyExists: there is a task of the new name.
    """
    client = cluster.client
    handle = await client.task(await cluster.name(TASKS, name))
    task = await handle.read()
    indexes = chosen.of(await handle.unsuccessful())
    if not indexes:
        raise Missing(f"task {handle.name} has no such elements: nothing to submit again")
    if indexes.spans[-1][1] > handle.total:
        raise BadInput(f"task {handle.name} has {handle.total} elements, counted from 0")
    session = await client.session(task.spec.session)
    again = ClusterTask(client.connection, session, handle)
    made = await again.again(new or f"{handle.name[:50]}-{secrets.token_hex(4)}", list(indexes))
    count = len(indexes)
    remark(cluster.settings, f"{count} element{'s' if count > 1 else ''} of task {handle.name}: {indexes}")
    if cluster.settings.form in ("table", "wide"):
        sys.stdout.write(f"{made.name}\n")
    else:
        write_object(await cluster.get(TASKS, made.name), TASK, cluster.settings)
