"""The process that runs the function, one element after the other. It may be killed at any moment.

Each end is written at once, so that a process that dies takes only the element with it that it runs.
"""

import os
import socket
import struct
import time
import traceback
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from armonik_sdk.api.bounds import MAX_BLOB_BYTES, MAX_DETAIL_BYTES, MAX_ENDED_BYTES, MAX_ERROR_BYTES
from armonik_sdk.api.runcall import frame, unframe
from armonik_sdk.worker.element import Abort, Element, Function, Retry, read_elements
from armonik_sdk.worker.executor import leftovers
from armonik_sdk.worker.executor.log_prefix import Speaker

LENGTH: Final = struct.Struct(">I")
"""Before each frame between this process and the one that serves."""
_READ: Final = 256 * 1024


def execute(function: Function, connection: socket.socket, speaker: Speaker) -> NoReturn:
    """Work until nobody is there any more that would give work."""
    inbox, own = _Inbox(connection), os.getpid()
    while inbox.more(wait=not inbox.todo):
        if not inbox.todo:
            continue
        element, outputs, folder = inbox.todo.popleft()
        if element.index in inbox.skip:
            inbox.skip.discard(element.index)
            reply = frame({"ended": [{"index": element.index, "skipped": True}]})
        else:
            speaker.begin(element.task_id)
            reply = run_element(function, element, outputs, folder)
            speaker.end()
            if os.getpid() != own:
                os._exit(0)  # a copy of this process that came out of the function: no element is its own
            leftovers.sweep()
        connection.sendall(LENGTH.pack(len(reply)) + reply)
    os._exit(0)


class _Inbox:
    """Elements that were received and have not begun."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = bytearray()
        self.todo: deque[tuple[Element, dict[str, str], Path]] = deque()
        self.skip: set[int] = set()

    def more(self, *, wait: bool) -> bool:
        """Take what has come; False when the other side is gone."""
        flags = 0 if wait else socket.MSG_DONTWAIT
        while True:
            try:
                data = self._connection.recv(_READ, flags)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._pending += data
            for one in split_frames(self._pending):
                self._take(*unframe(one))
            if self.todo:
                flags = socket.MSG_DONTWAIT

    def _take(self, head: dict[str, Any], blobs: list[memoryview]) -> None:
        if "elements" in head:
            folder = Path(head["folder"])
            self.todo += ((element, outputs, folder) for element, outputs in read_elements(head, blobs))
        elif "skip" in head:
            # What has begun already is not skipped, nor is its like in a later run.
            self.skip |= {element.index for element, *_ in self.todo}.intersection(head["skip"])


def split_frames(pending: bytearray) -> list[bytes]:
    """Take the whole frames off what was received."""
    found, at = [], 0
    while len(pending) - at >= LENGTH.size:
        end = at + LENGTH.size + LENGTH.unpack_from(pending, at)[0]
        if end > len(pending):
            break
        found.append(bytes(memoryview(pending)[at + LENGTH.size : end]))
        at = end
    if at:
        del pending[:at]
    return found


def run_element(function: Function, element: Element, outputs: dict[str, str], folder: Path) -> bytes:
    """Execute one element; the frame that says how it ended."""
    started = time.monotonic()
    ended: dict[str, Any] = {"index": element.index}
    blobs: list[bytes] = []
    try:
        ended["outputs"] = _keep(function(element), element, outputs, folder, blobs)
        if element.sub_tasks:
            ended["children"] = element.sub_tasks.entries(folder, blobs)
    except Abort as error:
        ended["error"] = _short(str(error) or "aborted")
        blobs = _detail(error, ended)
    except Retry as error:
        ended["failed"] = _short(str(error) or "to be tried again")
        blobs = _detail(error, ended)
    except BaseException as error:  # noqa: BLE001 - whatever a user's function raises, SystemExit included
        traceback.print_exc()
        ended["failed"] = _short(f"{type(error).__name__}: {error}")
        blobs = []
    ended["seconds"] = round(time.monotonic() - started, 6)
    message = frame({"ended": [ended]}, blobs)
    if len(message) <= MAX_ENDED_BYTES:
        return message
    ended.pop("outputs")
    count = len(ended.pop("children", ()))
    ended["error"] = (
        f"{count} sub-tasks take {len(message)} bytes to describe, and at most {MAX_ENDED_BYTES} are taken "
        "of one element: submit fewer, with fewer dependencies and options, or let sub-tasks submit the rest"
    )
    return frame({"ended": [ended]})


def _keep(
    returned: object, element: Element, outputs: dict[str, str], folder: Path, blobs: list[bytes]
) -> dict[str, int | None]:
    """What was returned, small things as blobs, large ones as files."""
    handed_over = element.sub_tasks.handed_over
    own = [name for name in element.outputs if name not in handed_over]
    if isinstance(returned, bytes | bytearray | memoryview):
        if len(own) != 1:
            expected = ", ".join(own) or "none"
            raise Abort(f"the function returned bytes alone, and the expected outputs are: {expected}")
        returned = {own[0]: returned}
    elif returned is None:
        returned = {}
    if not isinstance(returned, Mapping):
        kind = type(returned).__name__
        raise Abort(f"the function returned {kind}; it must return bytes, or bytes by the name of an output")
    places: dict[str, int | None] = {}
    for name, data in returned.items():
        if name not in outputs:
            raise Abort(f"the function returned an output that nobody expects: {name!r}")
        if name in handed_over:
            raise Abort(f"the function returned output {name!r}, which it handed over to a sub-task")
        if not isinstance(data, bytes | bytearray | memoryview):
            raise Abort(f"the function returned {type(data).__name__} for output {name!r}, not bytes")
        if len(data) <= MAX_BLOB_BYTES:
            places[name] = len(blobs)
            blobs.append(bytes(data))
        else:
            places[name] = None
            (folder / outputs[name]).write_bytes(data)
    return places


def _detail(error: Abort | Retry, ended: dict[str, Any]) -> list[bytes]:
    """What the error brings beside its text, if it is not too long."""
    if not 0 < len(error.detail) <= MAX_DETAIL_BYTES:
        return []
    ended["detail"] = 0
    return [bytes(error.detail)]


def _short(text: str) -> str:
    return text.encode(errors="replace")[:MAX_ERROR_BYTES].decode(errors="ignore")
