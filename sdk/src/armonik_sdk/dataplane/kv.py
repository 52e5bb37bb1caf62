"""Typed access to the buckets TASKS, CONTROL and RESULTS."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import nats.js.errors
from nats.aio.client import Client

from armonik_sdk.api.names import bucket_stream, bucket_subject
from armonik_sdk.api.records import Control, DesiredState, Wire
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.listing import subjects
from armonik_sdk.dataplane.requests import (
    REQUEST_TIMEOUT,
    UNREACHABLE,
    WRONG_LAST_SEQUENCE,
    Write,
    expecting,
    refused,
    write_all,
)

T = TypeVar("T", bound=Wire)

READS_AT_ONCE = 32
"""Gets in flight when many keys are read."""
_CAS_ATTEMPTS = 20


class Kept(NamedTuple, Generic[T]):
    """What stands under a key."""

    value: T | None
    """None: nothing."""
    revision: int
    """0 when nothing stands."""


class Bucket(Generic[T]):
    """One bucket whose values are all of one model."""

    def __init__(
        self, client: Client, name: str, model: type[T], *, timeout: float = REQUEST_TIMEOUT
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._js = client.jetstream(timeout=timeout)
        self._name = name
        self._model = model

    def _subject(self, key: str) -> str:
        return bucket_subject(self._name, key)

    async def get(self, key: str) -> tuple[T, int] | None:
        """The value and its revision, read from the leader; None when absent or deleted.

        Raises:
            QueueUnavailable: no answer.
        """
        try:
            message = await self._js.get_last_msg(bucket_stream(self._name), self._subject(key))
        except nats.js.errors.NotFoundError:
            return None
        except UNREACHABLE as error:
            raise QueueUnavailable(f"{self._name}[{key}] could not be read: {error}") from error
        if (message.headers or {}).get("KV-Operation"):
            return None
        return self._model.model_validate_json(message.data or b""), int(message.seq or 0)

    async def create(self, key: str, value: T) -> int | None:
        """Write a key that must not exist; its revision, or None when it does exist.

        Raises:
            QueueUnavailable: no answer; the key may or may not stand.
        """
        try:
            return await self._write(key, value, 0)
        except Conflict:
            # A deleted key's marker counts as a record: the new value follows the marker.
            marker = await self._marker(key)
            if marker is None:
                return None
        try:
            return await self._write(key, value, marker)
        except Conflict:
            return None

    async def put(self, key: str, value: T) -> int:
        """Write whatever stands there."""
        return await self._write(key, value, None)

    async def update(self, key: str, value: T, revision: int) -> int:
        """Write if the key's revision is still this one.

        Raises:
            Conflict: it is not.
            QueueUnavailable: no answer; the value may or may not stand.
        """
        return await self._write(key, value, revision)

    async def change(
        self, key: str, decide: Callable[[T | None], T | None], belief: Kept[T] | None = None
    ) -> tuple[Kept[T], bool]:
        """Write what `decide` makes of what stands, by compare-and-set; None leaves it alone.

        Args:
            key: the key.
            decide: from what stands to what shall stand. May be called several times.
            belief: what the caller takes to stand. A true one saves the read; on a false one nothing is
                written, and nothing is left alone either: then it is read.

        Returns:
            What stands then, and whether it was written now.

        Raises:
            QueueUnavailable: no answer, or the key changed again and again meanwhile.
        """
        for _ in range(_CAS_ATTEMPTS):
            stands = belief if belief is not None else await self._standing(key)
            believed, belief = belief is not None, None
            wanted = decide(stands.value)
            if wanted is None:
                if believed:
                    continue
                return stands, False
            try:
                if stands.value is not None:
                    return Kept(wanted, await self.update(key, wanted, stands.revision)), True
                if (revision := await self.create(key, wanted)) is not None:
                    return Kept(wanted, revision), True
            except Conflict:
                continue
        raise QueueUnavailable(f"{self._name}[{key}] changed {_CAS_ATTEMPTS} times while it was written")

    async def update_all(self, changes: Sequence[tuple[str, T, int]]) -> list[int]:
        """Write each of these values if its key's revision is still the one beside it; 0: it must not exist.

        Only RESULTS allows it. All are written or none, in one batch, asked once.

        Returns:
            The new revisions.

        Raises:
            Conflict, QueueUnavailable: as `write_all`.
        """
        writes = [Write(self._subject(key), value.encode(), revision) for key, value, revision in changes]
        last = await write_all(self._client, bucket_stream(self._name), writes, self._timeout)
        return list(range(last - len(writes) + 1, last + 1))

    async def delete(self, key: str) -> None:
        """Remove a key without a trace; an absent one is fine. The operator alone may.

        A marker, as other tools leave it, would stay for ever and be listed for ever.

        Raises:
            QueueUnavailable: no answer; the key may or may not stand.
        """
        try:
            await self._js.purge_stream(bucket_stream(self._name), subject=self._subject(key))
        except (*UNREACHABLE, nats.js.errors.APIError) as error:
            raise QueueUnavailable(f"{self._name}[{key}] could not be deleted: {error}") from error

    async def keys(self, pattern: str = ">") -> set[str]:
        """Keys that match a subject pattern, such as `ns.*`, whatever their values.

        Raises:
            QueueUnavailable: no usable answer.
        """
        found = await subjects(self._client, bucket_stream(self._name), self._subject(pattern))
        return {name.removeprefix(self._subject("")) for name in found}

    async def get_many(self, keys: Iterable[str]) -> dict[str, T]:
        """The values of those keys that stand, read from the leader.

        Raises:
            QueueUnavailable: no answer.
        """
        found: dict[str, T] = {}
        waiting = list(keys)
        for at in range(0, len(waiting), READS_AT_ONCE):
            batch = waiting[at : at + READS_AT_ONCE]
            for key, standing in zip(batch, await asyncio.gather(*map(self.get, batch)), strict=True):
                if standing is not None:
                    found[key] = standing[0]
        return found

    async def _standing(self, key: str) -> Kept[T]:
        found = await self.get(key)
        return Kept(*found) if found is not None else Kept(None, 0)

    async def _marker(self, key: str) -> int | None:
        message = await self._js.get_last_msg(bucket_stream(self._name), self._subject(key))
        return int(message.seq or 0) if (message.headers or {}).get("KV-Operation") else None

    async def _write(self, key: str, value: T, revision: int | None) -> int:
        headers = {} if revision is None else expecting(revision)
        try:
            ack = await self._js.publish(self._subject(key), value.encode(), headers=headers)
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{self._name}[{key}] is not at revision {revision}") from error
            raise refused(f"{self._name}[{key}] could not be written", error) from error
        except UNREACHABLE as error:
            raise QueueUnavailable(f"{self._name}[{key}] could not be written: {error}") from error
        return int(ack.seq)


async def put_control(bucket: Bucket[Control], key: str, wanted: Control) -> Control:
    """Write a desired state by compare-and-set and return what stands afterwards.

    A lower generation never replaces a higher one, and Deleted is final (protocol section 1): so an operator
    that is behind cannot revive what a newer one has ended.
    """

    def decide(current: Control | None) -> Control | None:
        if current is None:
            return wanted
        if current.state is DesiredState.DELETED:
            return None
        if wanted.state is not DesiredState.DELETED and wanted.generation < current.generation:
            return None
        same = (wanted.state, wanted.generation) == (current.state, current.generation)
        return None if same else wanted

    (stands, _), _ = await bucket.change(key, decide)
    assert stands is not None  # what is not there is written
    return stands
