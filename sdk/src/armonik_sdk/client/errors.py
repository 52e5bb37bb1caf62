"""The errors of the client.

ClientError
├── NotConnected      no cluster, no credentials, or no way to the data plane; says which
├── Unavailable       apiserver, NATS or object store gave no usable answer within the retries
├── Refused           what was asked breaks a rule; the message names the field
├── NotFound          there is no such object, or it was deleted meanwhile
├── AlreadyExists     another object has this name
├── WaitTimeout       the time given to a wait is over; nothing is cancelled (also a TimeoutError)
└── ResultError       a result is not available
    ├── ResultAborted     its element ended without it; carries reason and the owner's error
    ├── ResultDeleted     its data was removed
    └── ResultDamaged     its bytes are not those that were committed, or are missing
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # models take long to import, and a program that shows objects needs none
    from armonik_sdk.api.kinds import ObjectRef


class ClientError(Exception):
    """Root of the errors raised by `armonik_sdk.client`."""


class NotConnected(ClientError):  # noqa: N818 - reads as what happened
    """No cluster, no credentials, or no way to the data plane."""


class Unavailable(ClientError):  # noqa: N818 - reads as what happened
    """Apiserver, NATS or object store gave no usable answer within the retries."""


class Refused(ClientError):  # noqa: N818 - reads as what happened
    """The apiserver does not accept it; the message names the field."""


class NotFound(ClientError):  # noqa: N818 - reads as what happened
    """There is no such object, or it was deleted meanwhile."""


class AlreadyExists(ClientError):  # noqa: N818 - reads as what happened
    """Another object has this name."""


class WaitTimeout(ClientError, TimeoutError):  # noqa: N818 - reads as what happened
    """The time-out of a wait is over; the work continues."""


class ResultError(ClientError):
    """A result cannot be read."""


class ResultAborted(ResultError):  # noqa: N818 - reads as what happened
    """The element that should have made the result ended without it."""

    def __init__(self, result: str, reason: str, message: str = "") -> None:
        self.result = result
        self.reason = reason
        """A `FailureReason`, or the reason of the Task's Finished condition."""
        self.detail = message
        self.attempts = 0
        """Executions, where they are known."""
        self.error: ObjectRef | None = None
        """Where its output `error` is, of an element that brought one."""
        self.printed: ObjectRef | None = None
        """Where that is which is kept of what it printed."""
        self.owner: tuple[str, int] | None = None
        """UID of the task that owed it in the end, and the element, where these are known."""
        super().__init__(f"{result} was aborted: {reason}" + (f": {message}" if message else ""))


class ResultDeleted(ResultError):  # noqa: N818 - reads as what happened
    """The data of the result was removed."""


class ResultDamaged(ResultError):  # noqa: N818 - reads as what happened
    """The bytes are not those that were committed, or are missing."""
