"""Sessions: created, taken to another state, deleted."""

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from armonik_sdk.apiserver import SESSIONS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.cluster.waiting import gone, until
from armonik_sdk.cli.errors import BadInput
from armonik_sdk.cli.frame.task_options import task_options
from armonik_sdk.cli.output.remarks import confirm, remark
from armonik_sdk.cli.output.writers import write_object
from armonik_sdk.cli.views.columns import SESSION
from armonik_sdk.cli.views.reading import Object, is_true, name_of, text
from armonik_sdk.client.errors import AlreadyExists, NotFound


@dataclass(frozen=True)
class Wanted:
    """A session to be created."""

    name: str | None
    partitions: Sequence[str]
    ttl: int | None
    """Seconds after its end at which it is deleted."""
    if_not_exists: bool
    defaults: Mapping[str, Any]
    """Options of its tasks, by the names of the command line."""


async def create(cluster: Cluster, wanted: Wanted) -> None:
    """Create it, and write it.

    Raises:
        AlreadyExists: there is one of this name.
        Refused: it breaks a rule.
    """
    if len(wanted.partitions) > 1 and not wanted.defaults.get("default_partition"):
        raise BadInput("with several partitions, --default-partition says where tasks run that name none")
    name = wanted.name or f"session-{secrets.token_hex(5)}"
    try:
        made = await cluster.bounded(
            cluster.kube.create(SESSIONS, cluster.namespace, _manifest(name, wanted))
        )
    except AlreadyExists:
        if not wanted.if_not_exists:
            raise
        made = dict(await cluster.get(SESSIONS, name))
        remark(cluster.settings, f"session {name} exists already; it was not changed")
    if cluster.settings.form in ("table", "wide"):
        sys.stdout.write(f"{name_of(made)}\n")
    else:
        write_object(made, SESSION, cluster.settings)


def _manifest(name: str, wanted: Wanted) -> dict[str, Any]:
    """The object."""
    spec: dict[str, Any] = {"partitions": list(dict.fromkeys(wanted.partitions))}
    if options := task_options(wanted.defaults):
        spec["taskDefaults"] = options
    if wanted.ttl is not None:
        spec["ttlSecondsAfterFinished"] = wanted.ttl
    return {
        "apiVersion": f"{SESSIONS.group}/{SESSIONS.version}",
        "kind": "Session",
        "metadata": {"name": name},
        "spec": spec,
    }


@dataclass(frozen=True)
class _Verb:
    """A state that a user can ask for."""

    state: str
    done: Callable[[Object], bool]
    """Whether it has happened."""
    word: str
    """What is said when it was asked for."""
    asks: str = ""
    """The question before it, of what cannot be undone."""


def _in_phase(phase: str) -> Callable[[Object], bool]:
    return lambda obj: text(obj, "status", "phase") == phase


def _finished(obj: Object) -> bool:
    return is_true(obj, "Finished")


_VERBS: Final = {
    "pause": _Verb("Paused", _in_phase("Paused"), "pauses"),
    "resume": _Verb("Running", _in_phase("Running"), "continues"),
    "close": _Verb("Closed", _finished, "closes", "Cancel what has not begun, and take no more tasks, of"),
    "cancel": _Verb(
        "Cancelled", _finished, "is being cancelled", "End all elements, also those that run, of"
    ),
    "purge": _Verb("Purged", _in_phase("Purged"), "is being purged", "Remove all payloads and results of"),
}


@dataclass(frozen=True)
class Change:
    """A verb for some sessions."""

    verb: str
    names: Sequence[str]
    wait: bool
    timeout: float | None
    """Seconds to wait for all of them."""
    yes: bool


async def change(cluster: Cluster, wanted: Change) -> None:
    """Ask for the state, and wait for it if that is wanted.

    Raises:
        NotFound: there is no such session; those before it were changed.
        Refused: it cannot go from its state to this one.
        TimeOver: it has not happened in time.
    """
    verb = _VERBS[wanted.verb]
    names = [await cluster.name(SESSIONS, name) for name in wanted.names]
    if verb.asks:
        confirm(f"{verb.asks} {_listed(names)}?", yes=wanted.yes)
    for name in names:
        await cluster.patch(SESSIONS, name, {"spec": {"desiredState": verb.state}})
        remark(cluster.settings, f"session {name} {verb.word}")
    if wanted.wait:
        await until(cluster, SESSIONS, names, verb.done, wanted.timeout, f"{wanted.verb} has happened")


@dataclass(frozen=True)
class Deletion:
    """Sessions to be deleted."""

    names: Sequence[str]
    wait: bool
    wait_timeout: float | None
    ignore_not_found: bool
    yes: bool


async def delete(cluster: Cluster, wanted: Deletion) -> None:
    """Delete them, and wait until they are gone if that is wanted.

    Raises:
        NotFound: there is no such session; those before it were deleted.
        TimeOver: they are not gone in time.
    """
    names = [await cluster.name(SESSIONS, name) for name in wanted.names]
    confirm(f"Delete {_listed(names)} with all tasks, results and data?", yes=wanted.yes)
    uids: dict[str, str] = {}
    for name in names:
        try:
            found = await cluster.get(SESSIONS, name)
        except NotFound:
            if not wanted.ignore_not_found:
                raise
            remark(cluster.settings, f"session {name} does not exist")
            continue
        uids[name] = text(found, "metadata", "uid")
        await cluster.bounded(cluster.kube.delete(SESSIONS, cluster.namespace, name, uids[name]))
        remark(cluster.settings, f"session {name} is being deleted")
    if wanted.wait or wanted.wait_timeout is not None:
        await gone(cluster, SESSIONS, uids, wanted.wait_timeout)


async def stop_submission(cluster: Cluster, name: str, who: Sequence[str]) -> None:
    """Close it for tasks of clients, of workers, or of both.

    Raises:
        NotFound: there is no such session.
    """
    name = await cluster.name(SESSIONS, name)
    await cluster.patch(SESSIONS, name, {"spec": {"submission": dict.fromkeys(who, "Closed")}})
    remark(
        cluster.settings, f"session {name} takes no more tasks of {' and '.join(f'{one}s' for one in who)}"
    )


def _listed(names: Sequence[str]) -> str:
    """For a question."""
    return f"session{'s' if len(names) > 1 else ''} {', '.join(names)}"
