"""Descriptions of single objects for people: labels and values."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from armonik_sdk.cli.views.reading import STATES, Object, name_of, number, part, since, text

Fact = tuple[str, str]

_WORDS: Final = {"timedOut": "timed out"}


def described(word: str, obj: Object, now: datetime) -> list[Fact]:
    """What to say of it; facts that are not known are left out."""
    facts = [
        ("Name", name_of(obj)),
        ("Namespace", text(obj, "metadata", "namespace")),
        ("Age", since(text(obj, "metadata", "creationTimestamp"), now)),
        *_OF_KIND[word](obj),
        *_conditions(obj, now),
    ]
    return [(label, value) for label, value in facts if value]


def _session(obj: Object) -> Iterator[Fact]:
    spec = part(obj, "spec") or {}
    yield "Status", text(obj, "status", "phase") or "Pending"
    yield "Partitions", ", ".join(part(spec, "partitions") or ())
    yield "Defaults", _options(part(spec, "taskDefaults"))
    closed = [who for who in ("client", "worker") if text(spec, "submission", who) == "Closed"]
    yield "Submission", " and ".join(f"closed for {who}s" for who in closed)
    yield "Kept", _kept(spec)
    yield "Elements", _counts(obj)


def _task(obj: Object) -> Iterator[Fact]:
    spec, status = part(obj, "spec") or {}, part(obj, "status") or {}
    yield "Session", text(spec, "session")
    yield "Status", text(status, "phase") or "Creating"
    yield "Partition", text(status, "partition")
    yield "Needs", ", ".join(_needed(entry) for entry in part(spec, "dependsOn") or ())
    yield "Outputs", ", ".join(part(spec, "outputs") or ())
    yield "Options", _options(part(status, "options") or part(spec, "options"))
    yield "Submitted by", _parent(status)
    yield "Kept", _kept(spec)
    yield "Elements", _counts(obj)
    for label, key in (
        ("Failed", "failedIndexes"),
        ("Timed out", "timedOutIndexes"),
        ("Cancelled", "cancelledIndexes"),
    ):
        yield label, shortened(text(status, key))
    yield "Worker", text(status, "worker")
    yield "Failures", "\n".join(failure(entry) for entry in part(status, "failures") or ())
    yield "Results", "\n".join(_result(entry) for entry in part(status, "results") or ())


def _partition(obj: Object) -> Iterator[Fact]:
    spec, status = part(obj, "spec") or {}, part(obj, "status") or {}
    counts = f"{number(status, 'readyReplicas')} ready of {number(status, 'replicas')}"
    bounds = f"at least {number(spec, 'podReserved')}, at most {number(spec, 'podMax')}"
    yield "Pods", f"{counts}, {number(status, 'busyReplicas')} compute; {bounds}"
    yield "Waiting", f"{number(status, 'queued')} elements"
    yield "Image", text(spec, "template", "spec", "worker", "image")
    yield "At a time", f"{number(spec, 'slotsPerPod') or 1} elements a pod"
    yield "Priority", text(spec, "priority")
    worker = part(status, "worker") or {}
    kind = f"{text(worker, 'kind')}, Python {text(worker, 'python')}" if text(worker, "python") else ""
    yield "Workers", kind or text(worker, "kind")


_OF_KIND: Final[Mapping[str, Callable[[Object], Iterator[Fact]]]] = {
    "session": _session,
    "task": _task,
    "partition": _partition,
}


def failure(entry: Object) -> str:
    """One line of an element that failed."""
    attempts = number(entry, "attempt")
    often = f", execution {attempts}" if attempts > 1 else ""
    return f"element {number(entry, 'index')}{often}: {text(entry, 'reason')}: {text(entry, 'message')}"


def shortened(text_: str, most: int = 200) -> str:
    """A long list of indexes, cut."""
    if len(text_) <= most:
        return text_
    return f"{text_[:most].rpartition(',')[0]} …"


def _counts(obj: Object) -> str:
    counts = part(obj, "status", "elements")
    if counts is None:
        return ""
    parts = [
        f"{number(counts, state)} {_WORDS.get(state, state)}" for state in STATES if number(counts, state)
    ]
    total = number(counts, "total")
    return f"{total} in all" + (f": {', '.join(parts)}" if parts else "")


def _conditions(obj: Object, now: datetime) -> Iterator[Fact]:
    lines = []
    for said in part(obj, "status", "conditions") or ():
        age = since(text(said, "lastTransitionTime"), now)
        message = text(said, "message")
        line = f"{text(said, 'type')}={text(said, 'status')} {text(said, 'reason')}, for {age}"
        lines.append(line + (f": {message}" if message else ""))
    yield "Conditions", "\n".join(lines)


def _options(options: Object | None) -> str:
    return ", ".join(f"{key}={_value(value)}" for key, value in (options or {}).items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_value(one)}" for key, one in value.items()) + "}"
    return str(value)


def _needed(entry: Object) -> str:
    if result := text(entry, "result"):
        return f"result {result}"
    output, index = text(entry, "output"), text(entry, "index")
    return text(entry, "task") + (f".{output}" if output else "") + (f":{index}" if index else "")


def _parent(status: Object) -> str:
    name = text(status, "parent", "name") or text(status, "parent", "uid")
    index = text(status, "parent", "index")
    return name + (f", element {index}" if index else "")


def _kept(spec: Object) -> str:
    seconds = text(spec, "ttlSecondsAfterFinished")
    return f"{seconds} s after its end" if seconds else ""


def _result(entry: Object) -> str:
    size = part(entry, "size")
    shown = text(entry, "inline")
    value = f": {shortened(shown, 80)}" if shown and "\n" not in shown else ""
    return f"{text(entry, 'name')}: " + (f"{size} bytes{value}" if size is not None else "not there yet")
