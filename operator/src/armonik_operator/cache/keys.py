"""Keys of the caches and of the work queue, and small records that several packages share."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from armonik_operator.journal.backlog import Before
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record


class WorkKey(NamedTuple):
    """What the work queue works on. Tasks and pods by UID, Sessions and Partitions by name."""

    kind: str
    namespace: str
    name: str


class DeletedTask(NamedTuple):
    """A deleted Task whose traces still have to go."""

    namespace: str
    session: str
    """UID; empty when it is not known to have had one."""
    name: str = ""
    parent: str = ""
    """UID of the parent, of a child."""
    task: Task | None = None
    """As it was last seen."""


@dataclass(frozen=True)
class JournalEntry:
    """A record of a run, as it was read from the journal."""

    run: RunId
    record: Record
    sequence: int
    time: datetime
    before: Before | None = None
    """What earlier records of the run said that were never worked on."""


def is_newer(version: str, than: str) -> bool:
    """Whether a resource version is later than another one of the object; True where that is not known."""
    return not (version.isdecimal() and than.isdecimal()) or int(version) > int(than)
