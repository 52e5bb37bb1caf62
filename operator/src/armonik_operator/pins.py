"""What the names of Tasks in `dependsOn` stand for: resolved to UIDs once and for ever (protocol step S1).

The pins stand in the Task's entry in TASKS, so another Task that is given the name of a deleted one is not
taken for it, neither now nor by the next operator.
"""

from collections.abc import Mapping

from armonik_operator.errors import Parked
from armonik_operator.state import Servers, State
from armonik_sdk.api.const import MAX_PINS, PARENT_LABEL, Reason
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import inventory_key
from armonik_sdk.api.records import Inventory, Pin


class Pins:
    """Reads and adds pins; those of Tasks that still wait are kept in memory."""

    def __init__(self, servers: Servers, state: State) -> None:
        self._servers = servers
        self._state = state
        self._known: dict[str, Mapping[str, Pin]] = {}

    async def of(self, task: Task) -> Mapping[str, Pin]:
        """The pins of a Task, by name.

        Raises:
            QueueUnavailable: no answer.
        """
        uid = task.metadata.uid
        if uid not in self._known:
            found = await self._servers.inventory.get(inventory_key(task.metadata.namespace or "", uid))
            self._known[uid] = self._take(uid, found[0]) if found is not None else {}
        return self._known[uid]

    async def add(self, task: Task, session: str, fresh: Mapping[str, Pin]) -> bool:
        """Pin these names; False when some were pinned otherwise before, by another operator.

        Raises:
            Parked: they are too many.
            QueueUnavailable: no answer; some may stand.
        """
        uid = task.metadata.uid

        def decide(standing: Inventory | None) -> Inventory | None:
            entry = standing or Inventory(
                uid=uid,
                name=task.metadata.name,
                session=session,
                parent=task.metadata.labels.get(PARENT_LABEL, ""),
            )
            pins = {**fresh, **entry.pins}
            if len(pins) > MAX_PINS:
                message = f"it depends on {len(pins)} tasks by name, more than {MAX_PINS}; name results"
                raise Parked(Reason.DEPENDENCY_INVALID, f"{message} by their ids instead")
            return entry.model_copy(update={"pins": pins}) if pins != entry.pins else None

        key = inventory_key(task.metadata.namespace or "", uid)
        (stands, _), _ = await self._servers.inventory.change(key, decide)
        assert stands is not None  # what is not there is written
        self._known[uid] = self._take(uid, stands)
        return all(self._known[uid][name] == pin for name, pin in fresh.items())

    def forget(self, uid: str) -> None:
        """The Task asks for nothing by name any more; what is asked all the same is read again."""
        self._known.pop(uid, None)

    def _take(self, uid: str, entry: Inventory) -> Mapping[str, Pin]:
        """The entry also says for good which Session the Task belongs to."""
        fold = self._state.fold(uid)
        fold.session = fold.session or entry.session
        return entry.pins
