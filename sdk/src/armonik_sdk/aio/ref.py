"""A value or a file that was put into a session."""

from pathlib import Path
from typing import Any, Generic, TypeVar

from armonik_sdk.aio.results.reference import RefCore

T = TypeVar("T")


class Ref(Generic[T]):
    """What was put: an argument of calls, at any depth, that is sent once and not with each call."""

    def __init__(self, core: RefCore) -> None:
        self._core = core

    def __repr__(self) -> str:
        return repr(self._core)

    def __reduce__(self) -> Any:
        return self._core.reduce()

    @property
    def id(self) -> str:
        """The result's id: for manifests and other languages."""
        return self._core.id

    @property
    def size(self) -> int:
        """Bytes, as they are stored."""
        return self._core.size

    async def get(self, timeout: float | None = None) -> T:
        """The value; of a file its bytes.

        Raises:
            ResultDeleted: it was removed.
        """
        data = await self._core.raw(timeout)
        value: T = self._core.value(data)
        return value

    async def download(self, path: Path, timeout: float | None = None) -> None:
        """Write a file that was put into a file here."""
        await self._core.download(path, timeout)

    async def delete(self) -> None:
        """Remove it; calls that wait for it fail."""
        await self._core.delete()
