"""Deleted Sessions whose Tasks and data may still exist.

The finalizer keeps a Session until its data is removed. Whoever may edit Sessions can take the finalizer
away, and a deletion gives up on a server that does not answer. What is left is then removed at once, and not
when housekeeping finds it.
"""

from collections.abc import Iterable

from armonik_operator.util.bounded_cache import BoundedCache
from armonik_sdk.api.kinds import Session

KEPT = 10_000
"""Sessions that are remembered; of what is beyond that, housekeeping takes the data."""
Name = tuple[str, str]
"""Namespace and name."""


class Departed:
    """Deleted Sessions that may have data left, by UID."""

    def __init__(self) -> None:
        self._left: BoundedCache[str, tuple[Name, Session]] = BoundedCache(KEPT)
        self._settled: BoundedCache[str, bool] = BoundedCache(KEPT)

    def settle(self, uid: str) -> None:
        """Nothing of it is left; the event of its deletion may come later."""
        self._left.pop(uid)
        self._settled.put(uid, True)

    def put(self, name: Name, session: Session) -> None:
        """The event of its deletion came."""
        uid = session.metadata.uid
        if not self._settled.pop(uid):
            self._left.put(uid, (name, session))

    def of(self, name: Name) -> Iterable[Session]:
        """Deleted Sessions of this name."""
        return [session for called, session in self._left.values() if called == name]
