"""The errors of the data plane.

DataPlaneError
├── Conflict            an append or a key's update names something that is no longer the last
├── ObjectMissing       the object store has no such object
├── ChecksumMismatch    an object's bytes are not those that were committed
├── StoreUnavailable    the object store gave no usable answer within the retries
├── QueueUnavailable    NATS gave no usable answer within the retries
│   └── QueueFull       it has no room for what was to be written
└── InvalidCredentials  a key of the credentials is missing or unusable
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armonik_sdk.dataplane.journal import Standing


class DataPlaneError(Exception):
    """Root of the errors of the data plane."""


class Conflict(DataPlaneError):  # noqa: N818 - reads as what happened
    """Somebody else wrote first. `head` is what stands there now (journal only), None when nothing does."""

    def __init__(self, message: str, head: "Standing[Any] | None" = None) -> None:
        self.head = head
        super().__init__(message)


class ObjectMissing(DataPlaneError):  # noqa: N818 - reads as what happened
    """The object store has no such object."""


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
