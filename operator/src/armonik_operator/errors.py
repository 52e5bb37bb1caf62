"""The errors of the operator.

OperatorError
├── InvalidSetting    an environment variable is missing or unusable; names it
├── InvalidKey        a key of NATS, or claims signed with one, is unusable; names it
├── AccountError      NATS refused an account, or a request about one
│   └── AccountsUnavailable  no usable answer within the retries; the same call may work later
├── KubeError         the apiserver refused a request; carries status, reason and message
│   ├── NotFound      404
│   ├── AlreadyExists 409 on create
│   ├── Conflicted    409 on anything else
│   └── Refused       422 and 400: the object breaks a rule
├── KubeUnavailable   no usable answer within the retries; the same call may work later
├── LeaseLost         another operator holds the Lease
├── JournalLost       records that were folded are gone from the journal
├── ConnectionEnded   the connection to NATS has ended permanently; the process must end
├── WatchEnded        a watch of the apiserver has ended, or delivers nothing; the process must end
├── BucketRefused     the object store refuses a bucket or user of a namespace; says the remedy
├── StoreBusy         too many handlers use the object store; call this one again later
├── Parked            a Task is blocked until a cause is corrected; carries reason and message
├── ItemsUnread       a Task has more items than are read in one go; ask again
└── ChildrenBlocked   the Tasks that a worker submitted cannot be created now
"""

from typing import Any

from armonik_sdk.api.const import Reason


class OperatorError(Exception):
    """Root of the operator's errors."""


class InvalidSetting(OperatorError):  # noqa: N818 - reads as the thing that is wrong
    """An environment variable is missing or unusable."""


class InvalidKey(OperatorError):  # noqa: N818 - reads as the thing that is wrong
    """A key of NATS, or claims that were signed with one, is unusable."""


class AccountError(OperatorError):
    """NATS refused an account, or a request about one."""


class AccountsUnavailable(AccountError):  # noqa: N818 - reads as the state
    """NATS gave no usable answer about accounts within the retries; the same call may work later."""


class KubeError(OperatorError):
    """The apiserver refused a request."""

    def __init__(self, status: int, body: dict[str, Any], what: str) -> None:
        self.status = status
        """HTTP status."""
        self.reason = str(body.get("reason", ""))
        """`reason` of the Status object, such as Forbidden."""
        self.message = str(body.get("message", ""))
        """`message` of the Status object."""
        causes = (body.get("details") or {}).get("causes") or ()
        self.going = any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
        """The namespace is being deleted: nothing can be created in it any more."""
        super().__init__(f"{what}: {status} {self.reason}: {self.message}")


class NotFound(KubeError):  # noqa: N818 - named after the apiserver's reason
    """404."""


class AlreadyExists(KubeError):  # noqa: N818 - named after the apiserver's reason
    """409 on create: an object of this name already exists."""


class Conflicted(KubeError):  # noqa: N818 - named after the apiserver's reason
    """409: the object is not the one that was read."""


class Refused(KubeError):  # noqa: N818 - reads as what happened
    """400 or 422: the object breaks a rule of its schema or of admission."""


class KubeUnavailable(OperatorError):  # noqa: N818 - reads as the state
    """No usable answer within the retries."""


class LeaseLost(OperatorError):  # noqa: N818 - reads as what happened
    """Another operator holds the Lease; this one must stop."""


class JournalLost(OperatorError):  # noqa: N818 - reads as what happened
    """Records that were folded, a stream or a bucket are gone; the operator has to start again."""


class ConnectionEnded(OperatorError):  # noqa: N818 - reads as what happened
    """The connection to NATS has ended permanently, which no known fault does; the process must end."""


class WatchEnded(OperatorError):  # noqa: N818 - reads as what happened
    """A watch of the apiserver has ended, or delivers nothing of what is there; the process must end."""


class BucketRefused(OperatorError):  # noqa: N818 - reads as what happened
    """The object store does not give a namespace its bucket or users; the message says the remedy."""


class StoreBusy(OperatorError):  # noqa: N818 - reads as the state
    """Too many handlers use the object store; this one has to be called again later."""


class Parked(OperatorError):  # noqa: N818 - reads as the state
    """A Task is blocked until a cause outside of it is corrected; the message says what and how."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        """Of the condition `Ready=False`."""
        self.message = message
        super().__init__(f"{reason}: {message}")


class ItemsUnread(OperatorError):  # noqa: N818 - reads as the state
    """A Task has too many items to read at once; the next call continues."""


class ChildrenBlocked(OperatorError):  # noqa: N818 - reads as the state
    """The apiserver refuses to create a child for now, a quota most likely."""
