"""Checks that a key of an object, named by another party, is below the prefix of its Session.

All data of a Session lies below `<namespace>/<session uid>/`. Environments alone may also be the namespace's,
at `<namespace>/env/<sha256>`. Users name keys in Tasks, clients in their
records of results, agents in records and workers through them. The operator, the agents and the clients read
with credentials that reach the whole bucket, so each of them checks a key before it reads.
"""

import logging
import re
from collections.abc import Callable
from typing import Final, TypeVar

from armonik_sdk.api.bounds import MAX_KEY_BYTES
from armonik_sdk.api.kinds import ObjectRef, Task, TaskOptions
from armonik_sdk.api.messages import ElementSpec, RunMessage
from armonik_sdk.api.names import environments, nothing_key
from armonik_sdk.api.records import Record
from armonik_sdk.api.results import ResultEntry, RunResults

log = logging.getLogger(__name__)

R = TypeVar("R", bound=ObjectRef)
C = TypeVar("C", Record, RunResults)
MEND = "upload the data below that prefix, delete the task and create it with the new key"
_PLAIN: Final = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*", re.ASCII)
"""What nearly all keys are made of: nothing else is to be looked at in them."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SHOWN = 200
"""Characters of a wrong key that a message repeats."""


def misplaced(key: str, namespace: str, session: str) -> str:
    """Why a key is not one of this Session's, given by its UID; empty if it is.

    Pure, and the same for a key that exists and one that does not.
    """
    if _PLAIN.fullmatch(key) and key.startswith(f"{namespace}/{session}/") and len(key) <= MAX_KEY_BYTES:
        return ""
    shown = repr(key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…")
    if len(key.encode(errors="replace")) > MAX_KEY_BYTES:
        return f"the object key {shown} is longer than {MAX_KEY_BYTES} bytes"
    if not key.isprintable():
        return f"the object key {shown} has characters that cannot be printed"
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return f"the object key {shown} has a part that is empty, '.' or '..'"
    if len(parts) < 3 or parts[:2] != [namespace, session]:
        return f"the object key {shown} is not below {namespace}/{session}/, where the data of its session is"
    return ""


def misplaced_environment(key: str, namespace: str, session: str) -> str:
    """The same of the key of an environment, which may also be one that the namespace keeps for all."""
    kept = environments(namespace)
    if namespace and key.startswith(kept) and _SHA256.fullmatch(key, len(kept)):
        return ""
    return misplaced(key, namespace, session)


def misplaced_in(task: Task, session: str) -> str:
    """The field of a Task's spec that names a key outside of its Session, and why; empty if none does."""
    spec, namespace = task.spec, task.metadata.namespace or ""
    named: dict[str, str] = {}
    if spec.items_ref is not None:
        named[spec.items_ref.object] = "itemsRef.object"
    if spec.payload is not None and spec.payload.object is not None:
        named.setdefault(spec.payload.object.key, "payload.object.key")
    for index, item in enumerate(spec.items or ()):  # many of them share an object
        if item.payload is not None and item.payload.object is not None:
            named.setdefault(item.payload.object.key, f"items[{index}].payload.object.key")
    for key, field in named.items():
        if wrong := misplaced(key, namespace, session):
            return f"{field}: {wrong}; {MEND}"
    return ""


def confined_key(
    key: str, namespace: str, session: str, wrong_of: Callable[[str, str, str], str] = misplaced
) -> str:
    """The key; in place of one that is not the Session's, that of an object that never exists."""
    if not (wrong := wrong_of(key, namespace, session)):
        return key
    log.warning("an object is not read: %s", wrong)
    return nothing_key(namespace, session, "misplaced")


def confined_ref(ref: R | None, namespace: str, session: str) -> R | None:
    """The same of a reference; one that carries its bytes names no key."""
    if ref is None or not ref.key:
        return ref
    key = confined_key(ref.key, namespace, session)
    return ref if key == ref.key else ref.model_copy(update={"key": key})


def confined_entry(entry: ResultEntry, namespace: str, session: str) -> ResultEntry:
    """The same of an entry of RESULTS."""
    ref = confined_ref(entry.ref, namespace, session)
    return entry if ref is entry.ref else entry.model_copy(update={"ref": ref})


def confined(committed: C, namespace: str, session: str) -> C:
    """The same of all keys of a record of a run, or of its entry in RESULTS."""
    changes: dict[str, object] = {}
    objects = tuple(confined_key(key, namespace, session) for key in committed.objects)
    if objects != committed.objects:
        changes["objects"] = objects
    manifest = confined_ref(committed.manifest, namespace, session)
    if manifest is not committed.manifest:
        changes["manifest"] = manifest
    if isinstance(committed, Record) and committed.children:
        children = tuple(
            group.model_copy(update={"items": confined_key(group.items, namespace, session)})
            for group in committed.children
        )
        if children != committed.children:
            changes["children"] = children
    return committed.model_copy(update=changes) if changes else committed


def confined_message(message: RunMessage, namespace: str, session: str) -> RunMessage:
    """The same of a message of the queue."""

    def element(spec: ElementSpec) -> ElementSpec:
        payload = confined_ref(spec.payload, namespace, session)
        if spec.options is not None and spec.options.environment is not None:
            return spec.model_copy(update={"payload": payload, "options": options(spec.options)})
        return spec if payload is spec.payload else spec.model_copy(update={"payload": payload})

    def options(own: TaskOptions) -> TaskOptions:
        if own.environment is None:
            return own
        key = confined_key(own.environment.object, namespace, session, misplaced_environment)
        return own.model_copy(update={"environment": own.environment.model_copy(update={"object": key})})

    locators = {name: confined_ref(ref, namespace, session) for name, ref in message.locators.items()}
    return message.model_copy(
        update={
            "options": options(message.options),
            "payload": confined_ref(message.payload, namespace, session),
            "spill": confined_ref(message.spill, namespace, session),
            "elements": {index: element(spec) for index, spec in message.elements.items()},
            "locators": locators,
        }
    )
