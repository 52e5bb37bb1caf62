"""The errors of the data plane.

DataPlaneError
├── Conflict            an append or a key's update names something that is no longer the last
├── NotSendable         what was to be written breaks a rule of its own: a mistake of who makes it, no outage
│   ├── TooLarge        it is longer than its bound
│   └── Unreadable      nobody could read it, or what is stored cannot be read
├── ObjectMissing       the object store has no such object
│   └── InvalidKey      no object can have this key
├── ChecksumMismatch    an object's bytes are not those that were committed
├── StoreUnavailable    the object store gave no usable answer within the retries
├── QueueUnavailable    NATS gave no usable answer within the retries
│   └── QueueFull       it has no room for what was to be written
└── InvalidCredentials  a key of the credentials is missing or unusable
"""

from typing import Any

from armonik_sdk.dataplane.head import JournalHead


class DataPlaneError(Exception):
    """Root of the errors of the data plane."""


class Conflict(DataPlaneError):  # noqa: N818 - reads as what happened
    """Another process wrote first. `head` is the current head (journal only), None if there is none."""

    def __init__(self, message: str, head: JournalHead[Any] | None = None) -> None:
        self.head = head
        super().__init__(message)


class NotSendable(DataPlaneError):  # noqa: N818 - reads as the state
    """What was to be written is invalid: an error of the caller, not an outage."""


class TooLarge(NotSendable):
    """A message, record or entry is longer than its bound (protocol rule 15)."""


class Unreadable(NotSendable):
    """A record or entry that cannot be read: it was to be written, or is stored.

    `sequence` is that of the stored record (journal only), else 0.
    """

    def __init__(self, message: str, sequence: int = 0) -> None:
        self.sequence = sequence
        super().__init__(message)


class ObjectMissing(DataPlaneError):  # noqa: N818 - reads as what happened
    """The object store has no such object."""


class InvalidKey(ObjectMissing):
    """No object can have this key, so there is none; the message says what is wrong with it."""


class ChecksumMismatch(DataPlaneError):  # noqa: N818 - reads as what happened
    """An object's bytes are not those that were committed."""


class StoreUnavailable(DataPlaneError):  # noqa: N818 - reads as the state
    """The object store gave no usable answer within the retries; the same call may work later."""


class QueueUnavailable(DataPlaneError):  # noqa: N818 - reads as the state
    """NATS gave no usable answer within the retries; the same call may work later."""


class QueueFull(QueueUnavailable):
    """NATS has no room for what was to be written; the same call works when there is room again."""


class InvalidCredentials(DataPlaneError):  # noqa: N818 - reads as the thing that is wrong
    """A key of the credentials is missing or unusable; the message names it."""
