"""Tasks that workers submit: made once and for ever, after their parent's commit (protocol rule 16)."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable

from armonik_operator.adapters.kube import TASKS as TASK_KIND
from armonik_operator.errors import AlreadyExists, ChildrenBlocked, KubeError, NotFound, Parked, Refused
from armonik_operator.inputs import Items
from armonik_operator.reconcile.task import is_child, task_options
from armonik_operator.resources.child import build_child
from armonik_operator.results import ResultBook, ResultName, aborting, owning
from armonik_operator.state import Servers, State
from armonik_operator.texts import shorten
from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.api.kinds import Session, Task, TaskOptions, merge_options
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import RunId, child_key, inventory_key
from armonik_sdk.api.records import ChildGroup, Inventory

log = logging.getLogger(__name__)

ORPHAN = 60.0
"""Seconds after which a Task with a parent's label that no commit stands behind is deleted."""
NOBODY = "-"
"""Recorded as the UID of a child that can never be made."""


class Children:
    """Creates children, admits them, and speaks for those that never came to be."""

    def __init__(
        self, servers: Servers, state: State, book: ResultBook, items: Items, wake: Callable[[str], None]
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
        key = child_key(run.namespace, group.name)
        if await self._servers.inventory.get(key) is not None:
            return
        session = self._state.session_with(run.session)
        if session is None or session.metadata.deletion_timestamp is not None:
            log.info("child %s/%s is not made: its session goes", run.namespace, group.name)
            return
        items = await self._children_items(group)
        uid, refusal = await self._make(run, group, session)

        await self._hand_over(run, group, items, uid, refusal)
        entry = Inventory(uid=uid or NOBODY, name=group.name, session=run.session, parent=run.task)
        await self._servers.inventory.create(key, entry)
        if uid:
            self._wake(uid)  # only now may it be admitted, and it has looked before

    async def _hand_over(
        self, run: RunId, group: ChildGroup, items: list[ManifestItem], uid: str, refusal: str
    ) -> None:
        """The child owes what the element that submitted it said; where it can never be, nobody does."""
        moves = [
            aborting(name, run.task, index, refusal) if refusal else owning(name, uid, index, run.task)
            for index, item in enumerate(items)
            for result in item.output_ids or ()
            for name in [ResultName(run.namespace, run.session, result)]
        ]
        for name, stands in (await self._book.move_all(moves)).items():
            if not refusal and (stands is None or stands.task != uid):
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
        try:
            made = await self._servers.kube.create(TASK_KIND, child, run.namespace)
        except AlreadyExists:
            made = await self._servers.kube.get(TASK_KIND, group.name, run.namespace)
            if made["metadata"].get("labels", {}).get(PARENT_LABEL) != run.task:
                raise ChildrenBlocked(
                    f"{what}, cannot be created: another task has its name; delete it"
                ) from None
        except (Refused, NotFound) as error:
            log.warning("child %s/%s is refused: %s", run.namespace, group.name, error.message)
            return "", shorten(f"{what}, was refused: {error.message}")
        except KubeError as error:
            if error.going:
                return "", f"{what}, was not created: the namespace is being deleted"
            if error.status != 403:
                raise
            raise ChildrenBlocked(f"{what}, cannot be created: {error.message}") from error
        task = Task.from_object(made)
        self._state.put_task(task)  # so that its session is not over before the watch tells of it
        return task.metadata.uid, ""

    async def _options(self, parent: Task | None, group: ChildGroup, session: Session) -> TaskOptions:
        """What a sub-task inherits: all that is in force for the element that submitted it."""
        if parent is None:
            return TaskOptions()
        own = task_options(parent, session, self._state.settings.task_defaults)
        try:
            items = await self._items.of(parent)
        except Parked as parked:
            log.warning("items of task %s: %s", parent.metadata.name, parked.message)
            items = None
        return merge_options(items[group.element].options if items is not None else None, own)

    async def _children_items(self, group: ChildGroup) -> list[ManifestItem]:
        items = await self._items.read(group.items, group.count)
        return [item for item in items if isinstance(item, ManifestItem)]

    async def admit(self, task: Task) -> bool | str:
        """Whether a Task may run: one with a parent only if the inventory names its very UID.

        Returns:
            True, or why it has to wait. A Task that is not that child is deleted.
        """
        uid = task.metadata.uid
        if not is_child(task) or uid in self._state.admitted or self._state.fold(uid).runs:
            return True
        namespace, name = task.metadata.namespace or "", task.metadata.name
        entry = await self._servers.inventory.get(child_key(namespace, name))
        if entry is not None and entry[0].uid == uid:
            await self._servers.inventory.create(inventory_key(namespace, uid), entry[0])
            self._state.admitted.add(uid)
            return True
        if entry is None and await self._servers.inventory.get(inventory_key(namespace, uid)) is not None:
            self._state.admitted.add(uid)  # its parent, and the parent's keys, are gone already
            return True
        age = time.monotonic() - self._state.seen.get(uid, time.monotonic())
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
        for key, entry in (await bucket.get_many(await bucket.keys("*.child.>"))).items():
            namespace, _, name = key.split(".", 2)
            if entry.parent not in living:
                await self._forget(namespace, name, entry)
            if entry.uid in living or entry.uid == NOBODY or entry.uid in self._state.tasks:
                continue
            if await self._servers.inventory.get(inventory_key(namespace, entry.uid)) is None:
                dead[namespace, entry.session].add(entry.uid)
        count = 0
        for (namespace, session), uids in dead.items():
            reason = "the task that owed it was deleted before it ran"
            count += await self._book.abort_all(namespace, session, uids, reason)
        return count

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
        if entry.parent in self._state.tasks or await self._servers.inventory.get(parent) is not None:
            return
        admitted = await self._servers.inventory.get(inventory_key(namespace, entry.uid)) is not None
        if admitted or entry.uid not in self._state.tasks:
            await self._servers.inventory.delete(child_key(namespace, name))
