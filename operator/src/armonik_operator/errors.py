"""The errors of the operator.

OperatorError
├── InvalidSetting    an environment variable is missing or unusable; names it
├── KubeError         the apiserver refused a request; carries status, reason and message
│   ├── NotFound      404
│   ├── AlreadyExists 409 on create
│   ├── Conflicted    409 on anything else
│   └── Refused       422 and 400: the object breaks a rule
├── KubeUnavailable   no usable answer within the retries; the same call may work later
├── LeaseLost         another operator holds the Lease
├── JournalLost       records that were folded are gone from the journal
├── Parked            a Task cannot go on before something is mended; carries reason and message
└── ChildrenBlocked   the Tasks that a worker submitted cannot be created now
"""

from typing import Any

from armonik_sdk.api.const import Reason


class OperatorError(Exception):
    """Root of the operator's errors."""


class InvalidSetting(OperatorError):  # noqa: N818 - reads as the thing that is wrong
    """An environment variable is missing or unusable."""


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
    """409 on create: an object of this name stands already."""


class Conflicted(KubeError):  # noqa: N818 - named after the apiserver's reason
    """409: the object is not the one that was read."""


class Refused(KubeError):  # noqa: N818 - reads as what happened
    """400 or 422: the object breaks a rule of its schema or of admission."""


class KubeUnavailable(OperatorError):  # noqa: N818 - reads as the state
    """No usable answer within the retries."""


class LeaseLost(OperatorError):  # noqa: N818 - reads as what happened
    """Another operator holds the Lease; this one must stop."""


class JournalLost(OperatorError):  # noqa: N818 - reads as what happened
    """Records that were folded are gone from the journal; the operator has to start afresh."""


class Parked(OperatorError):  # noqa: N818 - reads as the state
    """A Task cannot go on before something outside is mended; the message says what and how."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        """Of the condition `Ready=False`."""
        self.message = message
        super().__init__(f"{reason}: {message}")


class ChildrenBlocked(OperatorError):  # noqa: N818 - reads as the state
    """The apiserver refuses to create a child for now, a quota most likely."""
