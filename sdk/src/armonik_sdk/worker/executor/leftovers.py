"""Processes that a function leaves behind: none outlives its element.

What runs in the background, has ended and was not waited for, or has made itself a session of its own
becomes a child of its executor when its parent ends, since executors are sub-reapers (Linux 3.4); of an
executor that is ended, a child of the template, which is one too. So all that is left is found among the
children of one process.
"""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

MANY: Final = 512
"""Processes of `multiprocessing` above which a function is taken to forget them, not to keep them."""
_PASSES: Final = 50
"""Looks in a row at what is left; a process that makes others all the time needs several."""
_MOMENT: Final = 0.002
"""Seconds that what was killed gets to be gone."""
_SET_CHILD_SUBREAPER: Final = 36
_HELPERS: Final = (
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
    ("loky.backend.resource_tracker", "_resource_tracker", "_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker", "_pid"),
)
"""Where libraries keep the id of a process that serves the whole process and not one element."""
_asked_for: set[int] = set()


def keep(process: Any) -> None:
    """Let a process that the function has started serve later elements too.

    Without this it is ended when the element has ended, as is all that an element started; only pools and
    processes of `multiprocessing` are kept without being named. It ends with the process that executes the
    function, which a time-out, a crash or a cancellation may end at any moment.

    Args:
        process: its id, or an object with the id as `pid`, such as `subprocess.Popen`.
    """
    _asked_for.add(process if isinstance(process, int) else process.pid)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own has ended."""
    try:
        failed = ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError) as error:
        log.warning("processes that leave their parents may be left behind: %s", error)
        return
    if failed:
        why = os.strerror(ctypes.get_errno())
        log.warning("processes that leave their parents may be left behind: %s", why)


def sweep(kept: Collection[int] | None = None, *, wait: bool = True) -> bool:
    """End and reap the children.

    Args:
        kept: those that are not; unset means those that the function keeps.
        wait: until they have ended.

    Returns:
        Whether none is left. It costs one system call when there never was one.
    """
    for _ in range(_PASSES):
        if not _has_children():
            return True
        left = _children() - set(_kept() if kept is None else kept)
        if not left:
            return True
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):  # a thread of the function's has reaped it
                os.waitpid(pid, 0 if wait else os.WNOHANG)
        time.sleep(0 if wait else _MOMENT)
    return False


def reap() -> None:
    """Take note of all children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> set[int]:
    own, found = os.getpid(), set[int]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                # The name is in brackets and may hold any character; the parent is the second after it.
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == own:
                    found.add(int(folder.name))
    return found


def _kept() -> set[int]:
    found = set(_asked_for)
    library = sys.modules.get("multiprocessing")
    if library is not None:
        working = {child.pid for child in library.active_children()}
        if len(working) > MANY:
            log.warning("the function has left %d processes of multiprocessing; they are ended", len(working))
        else:
            found |= working
    for module, attribute, pid in _HELPERS:
        helper = getattr(getattr(sys.modules.get(module), attribute, None), pid, None)
        if isinstance(helper, int):
            found.add(helper)
    return found
