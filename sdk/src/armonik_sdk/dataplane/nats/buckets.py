"""Typed access to the buckets TASKS, CONTROL and RESULTS."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import nats.js.errors
from nats.aio.client import Client
from pydantic import ValidationError

from armonik_sdk.api.errors import explain
from armonik_sdk.api.names import bucket_stream, bucket_subject
from armonik_sdk.api.records import Control, DesiredState, Wire
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable, Unreadable
from armonik_sdk.dataplane.nats.requests import (
    REQUEST_TIMEOUT,
    UNREACHABLE,
    WRONG_LAST_SEQUENCE,
    Write,
    bounded,
    expected_sequence,
    expiring,
    unreachable,
    write_all,
    write_error,
)
from armonik_sdk.dataplane.nats.subjects import Pages, pages, subjects

T = TypeVar("T", bound=Wire)

READS_AT_ONCE = 32
"""Gets in flight when many keys are read."""
_CAS_ATTEMPTS = 20


class Versioned(NamedTuple, Generic[T]):
    """The value of a key, with its revision."""

    value: T | None
    """None: nothing."""
    revision: int
    """0 when the key has no value."""


class KeyPages:
    """Keys of a bucket, one page in memory at a time."""

    def __init__(self, subjects: Pages, prefix: str) -> None:
        self._subjects = subjects
        self._prefix = prefix

    async def next(self) -> list[str]:
        """As `Pages.next`."""
        return [name.removeprefix(self._prefix) for name in await self._subjects.next()]


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
            Unreadable: it is not understood.
        """
        try:
            message = await self._js.get_last_msg(bucket_stream(self._name), self._subject(key))
        except nats.js.errors.NotFoundError:
            return None
        except UNREACHABLE as error:
            raise unreachable(f"{self._name}[{key}] could not be read", error) from error
        if (message.headers or {}).get("KV-Operation"):
            return None
        return await self.read(key, message.data or b""), int(message.seq or 0)

    async def read(self, key: str, data: bytes) -> T:
        """The value in the bytes of an entry.

        Raises:
            Unreadable: they are not understood.
        """
        try:
            return self._model.model_validate_json(data)
        except ValidationError as error:
            raise Unreadable(f"{self._name}[{key}] is not understood: {explain(error)}") from error

    async def create(self, key: str, value: T, ttl: float | None = None) -> int | None:
        """Write a key that must not exist; its revision, or None when it does exist.

        `ttl`: seconds after which the server removes it, in a bucket that allows it (CONTROL).

        Raises:
            QueueUnavailable: no answer; the key may or may not be written.
        """
        try:
            return await self._write(key, value, 0, ttl)
        except Conflict:
            # A deleted key's marker counts as a record: the new value follows the marker.
            marker = await self._marker(key)
            if marker is None:
                return None
        try:
            return await self._write(key, value, marker, ttl)
        except Conflict:
            return None

    async def put(self, key: str, value: T) -> int:
        """Write whatever the present value is.

        Raises:
            QueueUnavailable: no answer; the value may or may not be written.
        """
        return await self._write(key, value, None)

    async def update(self, key: str, value: T, revision: int, ttl: float | None = None) -> int:
        """Write if the key's revision is still this one; `ttl` as for `create`.

        Raises:
            Conflict: it is not.
            QueueUnavailable: no answer; the value may or may not be written.
        """
        return await self._write(key, value, revision, ttl)

    async def change(
        self,
        key: str,
        decide: Callable[[T | None], T | None],
        belief: Versioned[T] | None = None,
        ttl: float | None = None,
    ) -> tuple[Versioned[T], bool]:
        """Write what `decide` makes of the present value, by compare-and-set; None leaves it alone.

        Args:
            key: the key.
            decide: from the present value to the new one. May be called several times.
            belief: the present value, if the caller knows it. A true one saves the read; on a false one
                nothing is written, and nothing is left alone either: then it is read.
            ttl: as for `create`, of what is written.

        Returns:
            The value then, and whether it was written now.

        Raises:
            QueueUnavailable: no answer, or the key changed again and again meanwhile.
        """
        for _ in range(_CAS_ATTEMPTS):
            current = belief if belief is not None else await self._current(key)
            believed, belief = belief is not None, None
            wanted = decide(current.value)
            if wanted is None:
                if believed:
                    continue
                return current, False
            try:
                if current.value is not None:
                    return Versioned(wanted, await self.update(key, wanted, current.revision, ttl)), True
                if (revision := await self.create(key, wanted, ttl)) is not None:
                    return Versioned(wanted, revision), True
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
        writes = [
            Write(self._subject(key), await self._encoded(key, value), revision)
            for key, value, revision in changes
        ]
        last = await write_all(self._client, bucket_stream(self._name), writes, self._timeout)
        return list(range(last - len(writes) + 1, last + 1))

    async def delete(self, key: str) -> None:
        """Remove a key without a trace; an absent one is fine. The operator alone may.

        A marker, as other tools leave it, would never be removed, and would be listed.

        Raises:
            QueueUnavailable: no answer; the key may or may not be written.
        """
        try:
            await self._js.purge_stream(bucket_stream(self._name), subject=self._subject(key))
        except (*UNREACHABLE, nats.js.errors.APIError) as error:
            raise unreachable(f"{self._name}[{key}] could not be deleted", error) from error

    async def keys(self, pattern: str = ">") -> set[str]:
        """Keys that match a subject pattern, such as `ns.*`, whatever their values.

        Raises:
            QueueUnavailable: no usable answer.
        """
        found = await subjects(self._client, bucket_stream(self._name), self._subject(pattern))
        return {name.removeprefix(self._subject("")) for name in found}

    def key_pages(self, pattern: str = ">") -> "KeyPages":
        """The same, a page at a time."""
        return KeyPages(
            pages(self._client, bucket_stream(self._name), self._subject(pattern)), self._subject("")
        )

    async def key_parts(self, pattern: str, most: int) -> AsyncIterator[list[str]]:
        """The same, at most `most` at a time: a page may have 100,000. Raises as `keys`."""
        pages = self.key_pages(pattern)
        while page := await pages.next():
            for at in range(0, len(page), most):
                yield page[at : at + most]

    async def get_many(self, keys: Iterable[str]) -> dict[str, T]:
        """The values of those keys that exist, read from the leader.

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

    async def _current(self, key: str) -> Versioned[T]:
        found = await self.get(key)
        return Versioned(*found) if found is not None else Versioned(None, 0)

    async def _marker(self, key: str) -> int | None:
        message = await self._js.get_last_msg(bucket_stream(self._name), self._subject(key))
        return int(message.seq or 0) if (message.headers or {}).get("KV-Operation") else None

    async def _write(self, key: str, value: T, revision: int | None, ttl: float | None = None) -> int:
        headers = {} if revision is None else expected_sequence(revision)
        data = await self._encoded(key, value)
        try:
            ack = await self._js.publish(
                self._subject(key), data, headers=headers, msg_ttl=ttl if expiring(self._client) else None
            )
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{self._name}[{key}] is not at revision {revision}") from error
            raise write_error(f"{self._name}[{key}] could not be written", error) from error
        except UNREACHABLE as error:
            raise unreachable(f"{self._name}[{key}] could not be written", error) from error
        return int(ack.seq)

    async def _encoded(self, key: str, value: T) -> bytes:
        """The bytes of an entry.

        Raises:
            TooLarge: they are more than an entry of this model may have.
        """
        return bounded(f"{self._name}[{key}]", value)


async def put_control(
    bucket: Bucket[Control], key: str, wanted: Control, ttl: float | None = None
) -> Control:
    """Write a desired state by compare-and-set and return the state afterwards.

    A lower generation never replaces a higher one, and Deleted is final (protocol section 1): so an operator
    that is behind cannot revive what a newer one has ended.

    The server removes it after `ttl` seconds, if given; an equal state is written again when half of them are
    over.
    """

    def decide(current: Control | None) -> Control | None:
        if current is None:
            return wanted
        if ttl is not None and current.state is wanted.state and wanted.at - current.at > ttl / 2:
            return wanted if wanted.generation >= current.generation else current
        if current.state is DesiredState.DELETED:
            return None
        if wanted.state is not DesiredState.DELETED and wanted.generation < current.generation:
            return None
        same = (wanted.state, wanted.generation) == (current.state, current.generation)
        return None if same and wanted.reason in ("", current.reason) else wanted

    (current, _), _ = await bucket.change(key, decide, ttl=ttl)
    assert current is not None  # what is not there is written
    return current
