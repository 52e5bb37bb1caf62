"""The folder of one run that agent and worker share, used without trusting what the worker puts there.

Everything is opened below a descriptor of the folder, never through a link: a worker that replaces a file by
a link to the agent's credentials must not have them uploaded as a result.
"""

import asyncio
import logging
import os
import re
import shutil
import stat
import uuid
from pathlib import Path
from typing import Self

from armonik_agent.errors import InputUnavailable

log = logging.getLogger(__name__)

INPUT_MODE = 0o444
"""Inputs are shared by the elements of a run, so a worker cannot change them by accident."""
REMOVALS = 32
"""Closed directories below each other that are opened in order to remove them."""
_PLAIN = re.compile(r"(?!\.{1,2}\Z)[^/\\\0]{1,253}\Z")


def plain_name(name: str) -> bool:
    """Whether an id is a file name of the folder and nothing else."""
    return _PLAIN.match(name) is not None


class Folder:
    """One folder; removed with all that is in it when it is closed."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        path.chmod(0o777)  # the worker may have a uid of its own; the volume is this pod's alone
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        os.close(self._fd)
        # Errors are a worker's that still writes there; what it leaves goes with the next start, or the pod.
        await asyncio.to_thread(shutil.rmtree, self.path, ignore_errors=True)

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Make a file that the worker may read; one that is there is replaced."""
        self.remove(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(name, flags, INPUT_MODE, dir_fd=self._fd), "wb") as file:
            file.write(data)

    def adopt(self, name: str, source: Path) -> None:
        """Move a file of the same volume into the folder."""
        source.chmod(INPUT_MODE)
        os.rename(source, name, dst_dir_fd=self._fd)

    def size(self, name: str) -> int | None:
        """Bytes of a regular file; None when there is none of that name."""
        if not plain_name(name):
            return None
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def open(self, name: str) -> int:
        """A descriptor of a regular file, for reading.

        Raises:
            InputUnavailable: there is no regular file of that name (any more).
        """
        try:
            # Without O_NONBLOCK a pipe in the file's place would block the agent without an end.
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._fd)
        except OSError as error:
            raise InputUnavailable(f"{name} cannot be read from the data folder: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise InputUnavailable(f"{name} is no regular file of the data folder")
        return fd

    def remove(self, name: str) -> None:
        """Remove a file, or whatever the worker made of that name; none is fine. Never raises.

        What cannot be removed is moved aside, so that its name is free; it goes with the folder, or the pod.
        """
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError:
            self._remove_directory(name)

    def _remove_directory(self, name: str) -> None:
        for _ in range(REMOVALS):  # each one opens the closed directories that the one before met
            closed = False

            def open_up(_: object, path: str, error: object) -> None:
                nonlocal closed
                closed = self._open_up(path) or closed

            shutil.rmtree(name, dir_fd=self._fd, onerror=open_up)
            if not closed:
                break
        try:
            os.rename(name, f".left-{uuid.uuid4().hex}", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s cannot be removed from the data folder: %s", name, error.strerror)
        else:
            log.warning("%s cannot be removed from the data folder; it is moved aside", name)

    def _open_up(self, path: str) -> bool:
        """Make a directory accessible; whether it was not and is now."""
        try:
            fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=self._fd)
        except OSError:
            return False
        try:
            if os.fstat(fd).st_mode & 0o700 == 0o700:
                return False
            Path(f"/proc/self/fd/{fd}").chmod(0o700)
        except OSError:
            return False  # it is another user's
        finally:
            os.close(fd)
        return True
