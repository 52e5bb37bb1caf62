"""The call that gives a worker a whole run (ADR 0007): its name, and the frames that go both ways.

A frame is the length of its head (four bytes, big-endian), the head (a JSON object), and bytes that the head
refers to. `blobs` in the head holds their lengths; whatever else mentions them does so by their number. This
module needs the standard library alone: the worker's processes import it.

From agent to worker, any number of times:

- `elements`, each with `index`, `id` (of the task), `payload` (number of a blob, or the name of a file of the
  folder), `dependencies` (by id: number of a blob, or null for the file of that name; left out when there are
  none), `needs` (their ids in the order of submission: the Task's, then the element's own; an id may occur
  twice; left out with `dependencies`), `outputs` (id of the result by name), `attempt` (number of this
  execution, from 1); beside them `folder`, `options` (text by text), `limit` (seconds that one execution may
  take), `executions` (how many an element may have), `session`, and for people `sessionName`, `task`,
  `partition`; `printed` (most bytes of what each prints that `ended` shall bring; left out when none); and if
  there is one, `environment` with `sha256` and `place` (number of a blob, or name of a file) of a ZIP archive
  that functions import from. Worked on in this order, one after the other.
- `skip`: indexes that need not begin any more.
- `stop`: the same, and the one that is executed is ended.

The agent closes its side when it gives no more; then the worker ends the call once all have ended.

From worker to agent: `ended`, each with `index` and one of

- `outputs`: by name, number of a blob, or null for the file of the folder called like the result; with it
  `children`, if there are sub-tasks, in the order in which they were submitted, each with `payload` (number
  of a blob, or name of a file of the folder), and where there are any `needs` (numbers of earlier ones, ids
  of the element's dependencies), `output` (name of the output that it makes in the element's place, which is
  then not in `outputs`), `options`, `partition`, `priority`;
- `error`: text of a final error;
- `failed`: text of an error after which the element may be tried again; both may have `detail`, number of a
  blob that says more: it is kept with the element's end, readable as its output `error`;
- `timeout` or `skipped`: true;

and `seconds` of the execution, if there was one; with it `printed`, number of a blob: the beginning and the
end of what it printed, as UTF-8, if it printed something and this was asked for. A call
in which no element was given is a question: its only frame has no `ended` entries, and `worker`, text by
text: `kind` and what else `WorkerInfo` says.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, Final

METHOD: Final = "/armonik.k8s.v1.RunWorker/ProcessRun"
"""Full name of the gRPC method; bidirectional streaming, messages are frames."""
_LENGTH: Final = struct.Struct(">I")
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def frame(head: dict[str, Any], blobs: Sequence[bytes | memoryview] = ()) -> bytes:
    """The bytes of a frame."""
    if blobs:
        head = {**head, "blobs": [len(blob) for blob in blobs]}
    text = _encode(head).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *blobs))


def unframe(data: bytes | memoryview) -> tuple[dict[str, Any], list[memoryview]]:
    """Head and blobs of a frame.

    Raises:
        ValueError: it is not a frame.
    """
    view = memoryview(data)
    if len(view) < _LENGTH.size:
        raise ValueError("a frame is shorter than its length")
    at = _LENGTH.size + _LENGTH.unpack_from(view)[0]
    if at > len(view):
        raise ValueError("the head of a frame is longer than the frame")
    head = json.loads(bytes(view[_LENGTH.size : at]))
    if not isinstance(head, dict):
        raise ValueError("the head of a frame is no object")  # noqa: TRY004 - all that is wrong is one error
    lengths = head.get("blobs", ())
    if not isinstance(lengths, list | tuple) or not all(type(n) is int and n >= 0 for n in lengths):
        raise ValueError("blobs are lengths")
    if at + sum(lengths) != len(view):
        raise ValueError("the blobs of a frame are not as long as its head says")
    blobs = []
    for length in lengths:
        blobs.append(view[at : at + length])
        at += length
    return head, blobs
