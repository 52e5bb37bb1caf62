"""The project's code that goes along with the calls of a session: which files, and their archive."""

import importlib.metadata
import json
import logging
import os
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from armonik_sdk.aio.calls.packages import packed
from armonik_sdk.functions import SourceFile, archive, loaded_sources, named_sources, project_folders
from armonik_sdk.functions.sources import INSTALLED

log = logging.getLogger("armonik_sdk")

LOADED: Final = "loaded"
Chosen = Literal["loaded"] | Sequence[str | Path] | None
"""The loaded modules of the project, these files and folders, or nothing."""
OF_WORKERS: Final = ("armonik_sdk", "armonikctl")
"""The packages of this distribution never go along: workers have their own."""


class Code:
    """The files are read once, and again when more modules of the project have been loaded. In any thread."""

    def __init__(
        self, chosen: Chosen = LOADED, packages: Sequence[SourceFile] = (), cache: Path | None = None
    ) -> None:
        """Find the files.

        Args:
            chosen: which.
            packages: files of installed packages. Archives with them are large, so there is one alone:
                modules that are loaded later are not in it.
            cache: the folder to keep such an archive in.

        Raises:
            TypeError: it is none of what may be chosen.
            FileNotFoundError: a named file is not there.
            CodeTooLarge: they are more than the bound.
            OSError: one cannot be read.
        """
        self._lock = threading.Lock()
        self._loaded = chosen == LOADED
        self._packages, self._cache = packages, cache
        self._folders = project() if self._loaded else ()
        self._seen: set[str] = set()
        self._count = -1
        self._archives: dict[str, bytes | Path] = {}
        self._sha256: str | None = None
        if self._loaded:
            self.look()
            self._loaded = not packages
        else:
            self._pack([] if chosen is None else named_sources(_paths(chosen)))

    def look(self) -> str | None:
        """SHA-256 of the archive that calls of now need; None when there is nothing to send.

        Raises:
            CodeTooLarge: they are more than the bound.
            OSError: a file cannot be read.
        """
        if self._loaded and len(sys.modules) != self._count:
            with self._lock:
                self._collect()
        return self._sha256

    def content(self, sha256: str) -> bytes | Path:
        """The archive, as long as it is not `sent`."""
        return self._archives[sha256]

    def sent(self, sha256: str) -> None:
        """The grid has it: its bytes are needed no more."""
        self._archives.pop(sha256, None)

    def _collect(self) -> None:
        """The lock is held."""
        modules = dict(sys.modules)
        fresh = {name: module for name, module in modules.items() if name not in self._seen}
        files = loaded_sources(_sendable(fresh), self._folders)
        if files and self._seen:
            files = loaded_sources(_sendable(modules), self._folders)
        self._pack(files)
        self._seen |= fresh.keys()
        self._count = len(modules)

    def _pack(self, files: Sequence[SourceFile]) -> None:
        if self._packages and self._cache is not None:
            made = packed(self._packages, files, self._cache)
            self._archives[made.file_sha256] = made.path
        elif not files:
            return
        else:
            with tempfile.TemporaryDirectory(prefix="armonik-") as folder:
                made = archive(files, Path(folder))
                if made.file_sha256 != self._sha256:
                    self._archives[made.file_sha256] = made.path.read_bytes()
        self._sha256 = made.file_sha256
        names = ", ".join(file.name for file in files)
        if self._packages:
            log.info("files of packages that go along: %d", len(self._packages))
        log.info("source files that go along: %d, an archive of %d bytes", len(files), made.size)
        log.debug("source files that go along: %s", names)


def project() -> tuple[Path, ...]:
    """The folders whose modules are the user's own.

    A program that is installed (pytest, a server) runs the project of the working folder.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file and _installed(Path(file).resolve()):
        main = None
    try:
        working = Path.cwd()
    except FileNotFoundError:  # it was removed, so no module lies below it
        working = Path(os.devnull)
    return project_folders(main, working, editable(importlib.metadata.distributions()))


def editable(distributions: Iterable[importlib.metadata.Distribution]) -> list[Path]:
    """The folders of editable installations (PEP 610)."""
    found = []
    for distribution in distributions:
        text = distribution.read_text("direct_url.json")
        if not text:
            continue
        try:
            direct = json.loads(text)
            url = urlsplit(direct["url"])
            if direct.get("dir_info", {}).get("editable") and url.scheme == "file":
                found.append(Path(unquote(url.path)))
        except (ValueError, KeyError, TypeError, AttributeError):
            log.debug("%s: direct_url.json cannot be read", distribution.name)
    return found


def _installed(file: Path) -> bool:
    """Whether it is of an installed package, or a program of one."""
    paths = {Path(path).resolve() for name, path in sysconfig.get_paths().items() if name != "data"}
    paths.add(Path(sys.executable).parent.resolve())
    return not INSTALLED.isdisjoint(file.parts) or any(file.is_relative_to(path) for path in paths)


def _sendable(modules: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    return {name: module for name, module in modules.items() if name.partition(".")[0] not in OF_WORKERS}


def _paths(chosen: Sequence[str | Path]) -> list[Path]:
    if isinstance(chosen, str | Path):
        raise TypeError(f'code: "loaded", a list of files and folders, or None, not {chosen!r}')
    return [Path(path) for path in chosen]
