# Generated from armonik_sdk.aio by hack/generate/sync.py; do not edit.
"""A value or a file that was put into a session."""

from pathlib import Path
from typing import Any, Generic, TypeVar

from armonik_sdk.aio.results.reference import RefCore
from armonik_sdk.sync.portal import run

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

    def get(self, timeout: float | None = None) -> T:
        """The value; of a file its bytes.

        Raises:
            ResultDeleted: it was removed.
        """
        data = run(self._core, self._core.raw(timeout))
        value: T = self._core.value(data)
        return value

    def download(self, path: Path, timeout: float | None = None) -> None:
        """Write a file that was put into a file here."""
        run(self._core, self._core.download(path, timeout))

    def delete(self) -> None:
        """Remove it; calls that wait for it fail."""
        run(self._core, self._core.delete())
