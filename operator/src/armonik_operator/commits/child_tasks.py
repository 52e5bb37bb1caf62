"""Child Tasks, which workers submit: created once, after their parent's commit (protocol rule 16)."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable

from armonik_operator.cache.keys import DeletedTask
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import TASKS as TASK_KIND
from armonik_operator.clients.servers import Clients
from armonik_operator.errors import AlreadyExists, ChildrenBlocked, KubeError, NotFound, Parked, Refused
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.manifests.child_task import build_child, is_same_child
from armonik_operator.planning.task import is_child, task_options
from armonik_operator.results.store import ResultName, ResultStore, Transition, aborting, disowning, owning
from armonik_operator.util.text import shorten
from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.api.kinds import Session, Task, TaskOptions, merge_options
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import RunId, child_key, inventory_key
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import ChildGroup, Inventory

log = logging.getLogger(__name__)

ORPHAN = 60.0
"""Seconds after which a Task with a parent's label that no commit made is deleted."""
AT_ONCE = 1_000
"""Most moves of results, and entries of the inventory, that are held at a time."""
NOBODY = "-"
"""Recorded as the UID of a child that can never be made."""


class ChildTasks:
    """Creates and admits child Tasks; aborts results owed by children that could not be created."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        book: ResultStore,
        items: ItemCache,
        wake: Callable[[str], None],
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._wake = wake

    async def create(self, run: RunId, group: ChildGroup) -> None:
        """Make the child of a commit, hand it what it owes, and only then admit it.

        Raises:
            ChildrenBlocked: the apiserver refuses it for now.
        """
        key, origin = child_key(run.namespace, group.name), f"{run.start}/{group.element}/{group.group}"
        if (known := await self._servers.inventory.get(key)) is not None:
            if known[0].parent != run.task or known[0].origin not in ("", origin):
                raise ChildrenBlocked(f"task {group.name} is another element's; apply the parent again")
            return
        session = self._state.session_with(run.session)
        if session is None or session.metadata.deletion_timestamp is not None:
            log.info("child %s/%s is not made: its session goes", run.namespace, group.name)
            return
        uid, refusal = await self._make(run, group, session)
        if refusal:
            self._state.refused[run.task] = refusal
        await self._hand_over(run, group, uid, refusal)
        entry = Inventory(
            uid=uid or NOBODY,
            name=group.name,
            session=run.session,
            parent=run.task,
            origin=origin,
        )
        await self._servers.inventory.create(key, entry)
        if uid:
            self._wake(uid)  # only now may it be admitted, and it has looked before

    async def _hand_over(self, run: RunId, group: ChildGroup, uid: str, refusal: str) -> None:
        """The child owes what the element that submitted it said; where it can never be, nobody does."""
        async for first, items in self._items.read(group.items, group.count):
            moves = [
                aborting(name, run.task, index, refusal) if refusal else owning(name, uid, index, run.task)
                for index, item in enumerate(items, start=first)
                for result in (item.output_ids or () if isinstance(item, ManifestItem) else ())
                for name in [ResultName(run.namespace, run.session, result)]
            ]
            for name, entry in (await self._book.move_all(moves)).items():
                if not refusal and (entry is None or entry.task != uid):
                    child = f"{run.namespace}/{group.name}"
                    log.warning("result %s of child %s is another task's", name.result, child)

    async def _make(self, run: RunId, group: ChildGroup, session: Session) -> tuple[str, str]:
        """UID of the child; or, where it can never be, why."""
        parent = self._state.tasks.get(run.task)
        if parent is None and (gone := self._state.deleted.get(run.task)) is not None:
            parent = gone.task
        options = await self._options(parent, group, session)
        child = build_child(
            group,
            session_name=session.metadata.name,
            parent_uid=run.task,
            parent_name=parent.metadata.name if parent is not None else "",
            run=run.start,
            inherited=options,
        )
        what = f"task {group.name}, submitted by element {group.element}"
        wanted = child["spec"].get("options", {}).get("partition")
        if wanted and wanted not in session.spec.partitions:
            there = ", ".join(session.spec.partitions)
            message = f"partition {wanted} is not one of session {session.metadata.name}'s: {there}"
            return "", shorten(f"{what}, was refused: {message}")
        try:
            existing = await self._servers.kube.create(TASK_KIND, child, run.namespace)
        except AlreadyExists:
            existing = await self._servers.kube.get(TASK_KIND, group.name, run.namespace)
            if existing["metadata"].get("labels", {}).get(PARENT_LABEL) != run.task:
                raise ChildrenBlocked(
                    f"{what}, cannot be created: another task has its name; delete it"
                ) from None
            if not is_same_child(existing, child):
                # No commit has admitted it, or there were a key; so it has not run.
                log.warning("deleting task %s/%s: it is not what was submitted", run.namespace, group.name)
                uid = existing["metadata"]["uid"]
                await self._servers.kube.delete(TASK_KIND, group.name, run.namespace, uid=uid)
                raise ChildrenBlocked(f"{what}, is created once a task of that name is deleted") from None
        except (Refused, NotFound) as error:
            log.warning("child %s/%s is refused: %s", run.namespace, group.name, error.message)
            return "", shorten(f"{what}, was refused: {error.message}")
        except KubeError as error:
            if error.going:
                return "", f"{what}, was not created: the namespace is being deleted"
            if error.status != 403:
                raise
            raise ChildrenBlocked(f"{what}, cannot be created: {error.message}") from error
        task = Task.from_object(existing)
        self._state.put_task(task)  # so that its session is not over before the watch brings it
        return task.metadata.uid, ""

    async def _options(self, parent: Task | None, group: ChildGroup, session: Session) -> TaskOptions:
        """What a sub-task inherits: all that is in force for the element that submitted it."""
        if parent is None:
            return TaskOptions()
        own = task_options(parent, session, self._state.settings.task_defaults)
        try:
            listing = await self._items.of(parent)
            item = await listing.item(group.element) if listing is not None else None
        except Parked as parked:
            log.warning("items of task %s: %s", parent.metadata.name, parked.message)
            item = None
        return merge_options(item.options if item is not None else None, own)

    async def admit(self, task: Task) -> bool | str:
        """Whether a Task may run: one with a parent only if the inventory names its very UID.

        Returns:
            True, or why it has to wait. A Task that is not that child is deleted.
        """
        uid = task.metadata.uid
        if not is_child(task) or uid in self._state.admitted or self._state.fold(uid).runs:
            return True
        namespace, name = task.namespace, task.metadata.name
        entry = await self._servers.inventory.get(child_key(namespace, name))
        if entry is not None and entry[0].uid == uid:
            await self._servers.inventory.create(inventory_key(namespace, uid), entry[0])
            self._state.admitted.add(uid)
            return True
        if entry is None and await self._servers.inventory.get(inventory_key(namespace, uid)) is not None:
            self._state.admitted.add(uid)  # its parent, and the parent's keys, are gone already
            return True
        age = time.monotonic() - self._state.first_seen.get(uid, time.monotonic())
        if entry is not None or age > ORPHAN:
            log.warning("deleting task %s/%s: no commit of its parent made it", namespace, name)
            await self._servers.kube.delete(TASK_KIND, name, namespace, uid=uid)
        return f"the label {PARENT_LABEL} is for tasks that workers submit; remove it from the manifest"

    async def abort_orphans(self, living: set[str]) -> int:
        """Abort what children owe that were deleted before they were admitted; how many results.

        Part of the comparison of the inventory with what lives.
        """
        dead: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        bucket = self._servers.inventory
        async for part in bucket.key_parts("*.child.>", AT_ONCE):
            for key, entry in (await bucket.get_many(part)).items():
                namespace, _, name = key.split(".", 2)
                if entry.parent not in living:
                    await self._forget(namespace, name, entry)
                if entry.uid in living or entry.uid == NOBODY or self._state.lives(entry.uid):
                    continue
                if await self._servers.inventory.get(inventory_key(namespace, entry.uid)) is None:
                    dead[namespace, entry.session].add(entry.uid)
        count = 0
        for (namespace, session), uids in dead.items():
            reason = "the task that owed it was deleted before it ran"
            count += await self._book.abort_all(namespace, session, uids, reason)
        return count

    async def disown(self, uid: str, gone: DeletedTask, session: str, reason: str) -> None:
        """Abort what a deleted child owes: by its items, or by all results of the Session if they are gone.

        Raises:
            ItemsUnread: its items are being read.
        """
        if session in self._state.leaving:
            return  # its results go with it
        owed: list[Transition] = []
        found = 0
        if gone.task is not None:
            every = Ranges.of([(0, gone.task.spec.total)])
            async for index, result in self._items.owed(gone.task, every):
                owed.append(disowning(ResultName(gone.namespace, session, result), uid, index, reason))
                found += 1
                if len(owed) >= AT_ONCE:
                    await self._book.move_all(owed)
                    owed = []
        await self._book.move_all(owed)
        if not found:
            await self._book.abort_all(gone.namespace, session, {uid}, reason)

    async def forget(self, namespace: str, names: set[str]) -> None:
        """Traces of a Task are gone: drop those keys of children that nobody asks for any more.

        A key is asked for by the parent's records, until they are gone, and by the child until it is
        admitted.
        """
        for name in names:
            entry = await self._servers.inventory.get(child_key(namespace, name))
            if entry is not None:
                await self._forget(namespace, name, entry[0])

    async def _forget(self, namespace: str, name: str, entry: Inventory) -> None:
        parent = inventory_key(namespace, entry.parent)
        if self._state.lives(entry.parent) or await self._servers.inventory.get(parent) is not None:
            return
        admitted = await self._servers.inventory.get(inventory_key(namespace, entry.uid)) is not None
        if admitted or not self._state.lives(entry.uid):
            await self._servers.inventory.delete(child_key(namespace, name))
