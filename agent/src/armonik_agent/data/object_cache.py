"""Inputs that this pod has fetched before: kept by their SHA-256, bounded, checked before each use."""

import contextlib
import hashlib
import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

LEAST_BYTES = 64 * 1024
"""Smaller inputs travel in messages, or are packed with others: fetching them costs little."""
SHARE = 4
"""Objects larger than one fourth of the bound are not kept."""


class ObjectCache:
    """Files of this pod's volume, called after their SHA-256. Whoever uses one gets a hard link to it.

    The worker can change files that it was given, by mistake or not, so each is hashed before it is used
    again: that costs less than a tenth of fetching it. Blocks; to be called in a thread.
    """

    def __init__(self, folder: Path, most: int) -> None:
        """`most` bytes are kept in `folder`; what was used longest ago goes first."""
        self._folder, self._most = folder, most

    def prepare(self) -> None:
        """Begin with nothing: what an earlier process of this container kept is not known to be whole."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    def takes(self, sha256: str | None, length: int | None, least: int = LEAST_BYTES) -> bool:
        """Whether such an input is looked for and kept here; one of at most `least` bytes is not."""
        return sha256 is not None and length is not None and least < length <= self._most // SHARE

    def length(self, sha256: str | None) -> int | None:
        """Bytes of what is kept; None when it is not there."""
        if sha256 is None:
            return None
        with contextlib.suppress(OSError):
            return (self._folder / sha256).stat(follow_symlinks=False).st_size
        return None

    def has(self, sha256: str) -> bool:
        """Whether it seems to be there."""
        return (self._folder / sha256).is_file()

    def take(self, sha256: str, path: Path) -> bool:
        """Link it to `path`; False when it is not there, or not what it was."""
        kept = self._folder / sha256
        try:
            os.link(kept, path, follow_symlinks=False)
            with path.open("rb") as file:
                right = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            right = False
        if right:
            with contextlib.suppress(FileNotFoundError):  # another run has made room meanwhile
                os.utime(kept)
            return True
        if kept.exists():
            log.warning("input %s was changed in the folder of a run, it is fetched again", sha256)
        for wrong in (path, kept):
            wrong.unlink(missing_ok=True)
        return False

    def keep(self, sha256: str, path: Path) -> None:
        """Keep what was fetched to `path`; what cannot be kept is fetched again when it is needed."""
        try:
            os.link(path, self._folder / sha256, follow_symlinks=False)
            self._make_room()
        except FileExistsError:
            return
        except OSError as error:
            log.info("input %s is not kept: %s", sha256, error.strerror)

    def _make_room(self) -> None:
        found = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime, status.st_size, entry.path))
        size = sum(each for _, each, _ in found)
        for _, each, path in sorted(found):
            if size <= self._most:
                return
            Path(path).unlink(missing_ok=True)
            size -= each
