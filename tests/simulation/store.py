"""The object store in memory: what was written once must never be written again with other bytes."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from pathlib import Path

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import carried
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing, StoreUnavailable
from armonik_sdk.dataplane.s3.store import Keep, Stored
from simulation.process import CURRENT


class SimulatedStore:
    """An ObjectStore."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False

    async def ensure_bucket(self) -> None:
        """There is only one."""
        await self._turn()

    async def probe(self) -> None:
        """Whether it answers."""
        await self._turn()

    async def put(self, key: str, data: bytes | Path) -> ObjectRef:
        """Store."""
        await self._turn()
        content = data.read_bytes() if isinstance(data, Path) else bytes(data)  # noqa: ASYNC240 - small
        if "/detail-" not in key:  # the one object that is written over (protocol rule 7)
            assert self.objects.get(key, content) == content, f"{key} was written twice with different bytes"
        self.objects[key] = content
        digest = hashlib.sha256(content).hexdigest()
        return ObjectRef(key=key, offset=0, length=len(content), sha256=digest)

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> ObjectRef:
        """Store piece by piece; nothing is there before the last one."""
        content = b""
        async for piece in pieces:
            await self._turn()
            content += piece
        return await self.put(key, content)

    async def get(self, ref: ObjectRef) -> bytes:
        """Read."""
        if (here := carried(ref)) is not None:
            return here
        await self._turn()
        if ref.length == 0:
            return b""
        if ref.key not in self.objects:
            raise ObjectMissing(f"get {ref.key}: NoSuchKey")
        data = self.objects[ref.key][ref.offset or 0 :]
        data = data if ref.length is None else data[: ref.length]
        if ref.sha256 is not None and hashlib.sha256(data).hexdigest() != ref.sha256:
            raise ChecksumMismatch(f"object {ref.key} was altered")
        return data

    async def download(self, ref: ObjectRef, path: Path) -> None:
        """Read into a file."""
        path.write_bytes(await self.get(ref))  # noqa: ASYNC240 - small

    async def stat(self, key: str) -> int:
        """Size."""
        await self._turn()
        if key not in self.objects:
            raise ObjectMissing(f"stat {key}: NoSuchKey")
        return len(self.objects[key])

    async def folders(self, prefix: str) -> set[str]:
        """Names one level below a prefix that have more below them."""
        await self._turn()
        below = (key.removeprefix(prefix) for key in self.objects if key.startswith(prefix))
        return {rest.partition("/")[0] for rest in below if "/" in rest}

    async def delete_many(self, prefix: str, keep: Keep | None = None) -> int:
        """Delete all below a prefix but those to keep."""
        await self._turn()
        below = [key for key in self.objects if key.startswith(prefix)]
        kept = await keep(below) if keep is not None else ()
        gone = [key for key in below if key not in kept]
        for key in gone:
            del self.objects[key]
        return len(gone)

    async def ages(self, prefix: str, now: float) -> dict[str, float]:
        """Too young to be collected: no history lasts a day."""
        await self._turn()
        return {key: 0.0 for key in self.objects if key.startswith(prefix)}

    async def page(self, prefix: str, after: str, most: int, now: float) -> list[Stored]:
        """Some objects below a prefix; too young to be collected, but for what a Task has left at its end."""
        await self._turn()
        return [Stored(key, 0.0) for key in sorted(self.objects) if key.startswith(prefix) and key > after][
            :most
        ]

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete these."""
        await self._turn()
        for key in keys:
            self.objects.pop(key, None)

    async def give_up(self, prefix: str, before: datetime) -> int:
        """There are no parts."""
        await self._turn()
        return 0

    async def _turn(self) -> None:
        await CURRENT.get().turn()
        if self.down:
            raise StoreUnavailable("the object store is down")
