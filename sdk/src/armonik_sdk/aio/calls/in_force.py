"""The session in force, for functions that are declared with `task`."""

from contextvars import ContextVar
from typing import Any, Final

from armonik_sdk.client.errors import NotConnected

SESSION: Final[ContextVar[Any]] = ContextVar("armonik_session")
"""Set by the session's `with` block."""


def session_in_force() -> Any:
    """The session of the innermost block.

    Raises:
        NotConnected: there is none.
    """
    try:
        return SESSION.get()
    except LookupError:
        raise NotConnected(
            "no session is in force here: use `with client.session() as session:`, or session.submit(…)"
        ) from None
