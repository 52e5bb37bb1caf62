"""Buckets and keys that the user made: one for all namespaces, or one of a namespace's own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from armonik_operator.errors import BucketRefused
from armonik_sdk.dataplane.credentials import Credentials

_NEEDED = ("bucket", "access-key", "secret-key")


class GivenBuckets:
    """See `Buckets`. A namespace has its own by keys `<namespace>.bucket`, `.access-key` and `.secret-key`.

    They are in the Secret of the release namespace, where no user of the namespace writes: else a user could
    name the bucket of another namespace, which the operator would then read with its own key.
    """

    shared = True

    def __init__(
        self, root: Credentials, values: Mapping[str, str], read: Callable[[], Awaitable[Mapping[str, str]]]
    ) -> None:
        """`values` are those of the Secret, which `read` reads again."""
        self._root = root
        self._values = values
        self._read = read

    def of(self, namespace: str) -> Credentials:
        """See `Places`."""
        own = self._own(namespace)
        if not own:
            return self._root
        access, secret = own["access-key"], own["secret-key"]
        return replace(self._root, s3_bucket=own["bucket"], s3_access_key=access, s3_secret_key=secret)

    def namespaces(self) -> set[str]:
        """See `Places`."""
        return {key.removesuffix(".bucket") for key in self._values if key.endswith(".bucket")}

    def isolation(self, namespace: str) -> str:
        """See `Buckets`."""
        if self._own(namespace):
            return ""
        return (
            f"the object store's bucket {self._root.s3_bucket} and its key are shared by all namespaces "
            "without keys of their own: whoever may read this namespace's Secrets can read and change the "
            f"objects of the others; give it a bucket (docs/install.md, keys {namespace}.bucket, …)"
        )

    async def values(self, namespace: str) -> Mapping[str, str]:
        """See `Buckets`.

        Raises:
            BucketRefused: some of the namespace's keys are missing; the message names them.
        """
        self._values = await self._read()
        own = self._own(namespace)
        missing = [f"{namespace}.{key}" for key in _NEEDED if own and not own.get(key)]
        if missing:
            raise BucketRefused(f"the Secret of the object store lacks {', '.join(missing)}; add them")
        return own or {key: value for key, value in self._values.items() if "." not in key}

    async def run(self, used: Callable[[], set[str]]) -> None:
        """Nothing is made, so nothing is removed."""
        del used
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is under way."""

    def _own(self, namespace: str) -> dict[str, str]:
        prefix = f"{namespace}."
        return {k.removeprefix(prefix): v for k, v in self._values.items() if k.startswith(prefix)}
