"""What functions import from: archives that are unpacked once in a pod, and each executor's one."""

import importlib
import io
import os
import shutil
import site
from pathlib import Path
from typing import Final

from armonik_sdk.functions import BadEnvironment, unpack
from armonik_sdk.worker.element import Environment
from armonik_sdk.worker.serve_function import WORKER_ADDRESS

KEPT: Final = 4
"""Unpacked archives; the one that was used longest ago goes first."""
MAX_BYTES: Final = 1024**3
"""Of one unpacked archive, and of those kept beside a new one; the pod's volume has room for both."""
FOLDER: Final = "ARMONIK_ENVIRONMENTS"
"""Environment variable with the folder for them; unset, it is `environments` beside the worker's socket."""
_active: list[str] = []
"""SHA-256 of the one that this process imports from."""


def activate(environment: Environment | None) -> None:
    """Let this process import from it.

    Raises:
        BadEnvironment: it is no archive, or this process imports from another one.
        OSError: it cannot be unpacked.
    """
    wanted = [environment.sha256] if environment is not None else []
    if _active == wanted or environment is None:
        return
    if _active:
        raise BadEnvironment("the elements of one call have different environments")
    site.addsitedir(str(unpacked(environment, _folder())))
    importlib.invalidate_caches()
    _active[:] = wanted


def _folder() -> Path:
    socket = os.environ.get(WORKER_ADDRESS) or "/cache/armonik_worker.sock"
    return Path(os.environ.get(FOLDER) or Path(socket).parent / "environments")


def unpacked(environment: Environment, folder: Path) -> Path:
    """The folder with its files; it is there whole or not at all."""
    path = folder / environment.sha256
    if not path.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _keep_few(folder)
        source = environment.source
        try:
            unpack(source if isinstance(source, Path) else io.BytesIO(source), path, MAX_BYTES)
        except OSError:
            if not path.is_dir():  # else another executor was faster
                raise
    os.utime(path)
    return path


def _keep_few(folder: Path) -> None:
    """Make room for one more."""
    there = [path for path in folder.iterdir() if not path.name.startswith(".")]
    there.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    size = 0
    for number, path in enumerate(there, start=1):
        size += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if number >= KEPT or size > MAX_BYTES:
            shutil.rmtree(path, ignore_errors=True)
