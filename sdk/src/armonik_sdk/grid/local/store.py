"""The results of a local grid: small ones in memory, the others as files that executors map."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from armonik_sdk.api.bounds import MAX_BLOB_BYTES
from armonik_sdk.client.errors import NotFound, ResultAborted, ResultDeleted, WaitTimeout
from armonik_sdk.grid.protocol import Ended, Failure

HELD_BYTES: Final = 256 * 1024 * 1024
"""Of small results in memory; beyond it all of them are files."""


class Store:
    """Results by id: bytes, a file, or why there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Files are called like their results; executors read them there."""
        self._kept: dict[str, bytes | Path | Failure] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._held = 0

    def __contains__(self, result: str) -> bool:
        return result in self._kept

    def keep(self, result: str, data: bytes | memoryview | None) -> None:
        """Keep bytes; None means that the file is there already."""
        path = self.folder / result
        if data is None:
            self._kept[result] = path
        elif len(data) > MAX_BLOB_BYTES or self._held + len(data) > HELD_BYTES:
            path.write_bytes(data)
            self._kept[result] = path
        else:
            self._held += len(data)
            self._kept[result] = bytes(data)
        self._wake(result)

    def move(self, result: str, path: Path) -> int:
        """Keep a file of the folder under this id; its size."""
        target = self.folder / result
        path.replace(target)
        self._kept[result] = target
        self._wake(result)
        return target.stat().st_size

    def fail(self, result: str, failure: Failure) -> None:
        """There will be none."""
        self._kept[result] = failure
        self._wake(result)

    def alias(self, result: str, of: str) -> None:
        """The same as another one that is there."""
        found = self._kept[of]
        if isinstance(found, Path):
            (self.folder / result).hardlink_to(found)
            found = self.folder / result
        self._kept[result] = found
        self._wake(result)

    def failure(self, result: str) -> Failure | None:
        """Why there is none."""
        found = self._kept.get(result)
        return found if isinstance(found, Failure) else None

    def place(self, result: str) -> bytes | Path:
        """Its bytes, or its file.

        Raises:
            ResultAborted: there is none.
            ResultDeleted: it was removed.
            NotFound: nobody knows it.
        """
        found = self._kept.get(result)
        if found is None:
            raise NotFound(f"there is no result {result}")
        if isinstance(found, Failure):
            if found.reason == "Deleted":
                raise ResultDeleted(f"{result} was deleted")
            raise ResultAborted(result, found.reason, found.message)
        return found

    def ended(self, index: int, result: str) -> Ended:
        """An element that ended with this result."""
        found = self.place(result)
        if isinstance(found, bytes):
            return Ended(index, found, size=len(found))
        return Ended(index, result, size=found.stat().st_size)

    async def wait(self, result: str, timeout: float | None = None) -> None:
        """Until it is there, or never will be.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        if result in self._kept:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(result, []).append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError as error:
            raise WaitTimeout(f"{result}: not there after {timeout} s") from error

    def delete(self, result: str) -> None:
        """Remove its bytes; one that has none is fine."""
        found = self._kept.get(result)
        if isinstance(found, bytes):
            self._held -= len(found)
        elif isinstance(found, Path):
            found.unlink(missing_ok=True)
        if found is None or not isinstance(found, Failure):
            self._kept[result] = Failure("Deleted", f"{result} was deleted")
            self._wake(result)

    def close(self) -> None:
        """Remove everything."""
        self._kept.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wake(self, result: str) -> None:
        for waiter in self._waiting.pop(result, ()):
            if not waiter.done():
                waiter.set_result(None)
