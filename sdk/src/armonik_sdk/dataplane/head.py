"""The last record on a subject of the journal, as plain data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from armonik_sdk.api.records import Record
from armonik_sdk.api.results import ResultRecord

R = TypeVar("R", Record, ResultRecord)


@dataclass(frozen=True)
class JournalHead(Generic[R]):
    """The last record on a subject."""

    record: R
    sequence: int
    """Its sequence in the stream; the next append must name it."""
    time: datetime
    """When the server stored it."""


Head = JournalHead[Record]
"""The last record of a run."""
