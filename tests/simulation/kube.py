"""The apiserver in memory, behind the operator's own adapter: versions, UIDs, selectors, watch, refusals."""

import copy
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from armonik_operator.clients.kube import TASKS, Kind
from armonik_operator.errors import AlreadyExists, Conflicted, KubeUnavailable, NotFound, Refused
from simulation.loop import VirtualLoop
from simulation.process import CURRENT, OUTSIDE

Object = dict[str, Any]
Objects = list[Object]
WATCHED = ("sessions", "tasks", "partitions", "pods")


class SimulatedKube:
    """Objects by kind, namespace and name; calls a listener with every change."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.down = False
        self.skips_own = False
        """Watches do not deliver statuses that an operator wrote."""
        self.listeners: list[Callable[[str, str | None, Object], None]] = []
        self._version = 0

    async def close(self) -> None:
        """Nothing is open."""

    def watched(self) -> list[tuple[str, Object]]:
        """What a watch lists first."""
        return [(key[0], copy.deepcopy(obj)) for key, obj in self.objects.items() if key[0] in WATCHED]

    async def probe(self) -> None:
        """Whether it answers."""
        await self._turn()

    async def unserved(self, kinds: Iterable[Kind]) -> list[str]:
        """All kinds are served."""
        await self._turn()
        return []

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read one object."""
        await self._turn()
        return copy.deepcopy(self._standing(kind, name, namespace))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "", most: int = 0
    ) -> Objects:
        """All that match; with `most` only so many."""
        await self._turn()
        found = [copy.deepcopy(obj) for obj in self._matching(kind, namespace, labels, fields)]
        return found[:most] if most else found

    async def each(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """All that match, one after the other."""
        for obj in await self.list(kind, namespace, labels=labels, fields=fields):
            yield obj

    async def metadata(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """Their metadata."""
        for obj in await self.list(kind, namespace, labels=labels, fields=fields):
            yield obj["metadata"]

    async def create(
        self, kind: Kind, body: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """Create."""
        await self._turn()
        obj = copy.deepcopy(body)
        meta = obj["metadata"]
        if "name" not in meta:
            meta["name"] = meta.pop("generateName") + uuid.uuid4().hex[:5]
        key = (kind.plural, namespace or "", meta["name"])
        if key in self.objects:
            raise AlreadyExists(409, {"reason": "AlreadyExists"}, meta["name"])
        meta |= {"namespace": namespace or "", "uid": str(uuid.uuid4()), "generation": 1}
        meta["creationTimestamp"] = self._now()
        if not dry_run:
            self._put(key, obj, "ADDED")
        return copy.deepcopy(obj)

    async def apply(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """Create, or merge into what exists."""
        try:
            return await self.patch(kind, body["metadata"]["name"], body, namespace)
        except NotFound:
            return await self.create(kind, body, namespace)

    async def patch(
        self, kind: Kind, name: str, body: Object, namespace: str | None = None, *, status: bool = False
    ) -> Object:
        """Merge, checked as the apiserver checks."""
        await self._turn()
        old = self._standing(kind, name, namespace)
        meta = body.get("metadata", {})
        if meta.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise Conflicted(409, {"reason": "Conflict"}, name)
        if meta.get("resourceVersion") not in (None, old["metadata"]["resourceVersion"]):
            raise Conflicted(409, {"reason": "Conflict"}, name)
        new = _merged(old, {k: v for k, v in body.items() if (k == "status") == status or k == "metadata"})
        if kind.plural == TASKS.plural and status:
            _never_back(old.get("status") or {}, new.get("status") or {}, name)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if new != old:
            told = not (status and self.skips_own and CURRENT.get() is not OUTSIDE)
            self._put((kind.plural, namespace or "", name), new, "MODIFIED" if told else "")
        self._drop_if_over(kind, namespace or "", name)
        return copy.deepcopy(new)

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, uid: str = "", grace: int | None = None
    ) -> None:
        """Delete, or mark what has finalizers or is a pod."""
        await self._turn()
        key = (kind.plural, namespace or "", name)
        obj = self.objects.get(key)
        if obj is None:
            return
        if uid and obj["metadata"]["uid"] != uid:
            raise Conflicted(409, {"reason": "Conflict"}, name)
        if obj["metadata"].get("finalizers") or (kind.plural == "pods" and grace != 0):
            if "deletionTimestamp" not in obj["metadata"]:
                marked = copy.deepcopy(obj)
                marked["metadata"]["deletionTimestamp"] = self._now()
                self._put(key, marked, "MODIFIED")
        else:
            self.remove(*key)

    async def delete_collection(
        self, kind: Kind, namespace: str, *, labels: str = "", fields: str = ""
    ) -> None:
        """Delete all that match."""
        await self._turn()
        for obj in self._matching(kind, namespace, labels, fields):
            await self.delete(kind, obj["metadata"]["name"], namespace)

    def remove(self, plural: str, namespace: str, name: str) -> None:
        """Take an object away at once."""
        obj = self.objects.pop((plural, namespace, name), None)
        if obj is not None:
            self._tell(plural, "DELETED", obj)

    def _drop_if_over(self, kind: Kind, namespace: str, name: str) -> None:
        meta = self.objects[(kind.plural, namespace, name)]["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers") and kind.plural != "pods":
            self.remove(kind.plural, namespace, name)

    def _standing(self, kind: Kind, name: str, namespace: str | None) -> Object:
        found = self.objects.get((kind.plural, namespace or "", name))
        if found is None:
            raise NotFound(404, {"reason": "NotFound"}, f"{kind.plural} {name}")
        return found

    def _matching(self, kind: Kind, namespace: str | None, labels: str, fields: str) -> Objects:
        found = []
        for (plural, space, _), obj in self.objects.items():
            if plural != kind.plural or (namespace and space != namespace):
                continue
            wanted = [part.partition("=") for part in labels.split(",") if part]
            own = obj["metadata"].get("labels", {})
            chosen = [part.partition("=") for part in fields.split(",") if part]
            if all(own.get(k) == v if is_ else k in own for k, is_, v in wanted) and all(
                str(_at(obj, k)) == v for k, _, v in chosen
            ):
                found.append(obj)
        return found

    def _put(self, key: tuple[str, str, str], obj: Object, event: str) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = obj
        self._tell(key[0], event, obj)

    def _tell(self, plural: str, event: str, obj: Object) -> None:
        if plural in WATCHED and event:
            for listener in list(self.listeners):
                listener(plural, event, copy.deepcopy(obj))

    def _now(self) -> str:
        return datetime.fromtimestamp(self._loop.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def _turn(self) -> None:
        process = CURRENT.get()
        await process.turn()
        if self.down and process is not OUTSIDE:
            raise KubeUnavailable("the apiserver is down")


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key), value)
    return copy.deepcopy(new)


def _at(obj: Object, path: str) -> Any:
    found: Any = obj
    for part in path.split("."):
        found = (found or {}).get(part, "")
    return found


def _never_back(old: Object, new: Object, name: str) -> None:
    """The CEL rules of the Task's status."""
    before = (old.get("journalEpoch", 0), old.get("journalSequence", 0))
    after = (new.get("journalEpoch", 0), new.get("journalSequence", 0))
    was = any(c["type"] == "Finished" and c["status"] == "True" for c in old.get("conditions", []))
    now = any(c["type"] == "Finished" and c["status"] == "True" for c in new.get("conditions", []))
    if after < before or (was and not now):
        raise Refused(
            422, {"reason": "Invalid", "message": f"status goes back from {before} to {after}"}, name
        )
