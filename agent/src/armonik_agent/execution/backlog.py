"""The elements of a run that have not begun, in order, and those that wait for another attempt."""

from collections import deque
from collections.abc import Iterable

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Record


class Backlog:
    """What is left of one run, as far as the worker does not have it."""

    def __init__(self, head: Record) -> None:
        self.head = head
        """The head that this was last compared with."""
        wait = {attempt.index: attempt.not_before for attempt in head.attempts}
        # What has failed and has to wait longest comes last.
        self.left = deque(sorted(head.remaining, key=lambda index: (wait.get(index, 0.0), index)))
        self.retries: list[int] = []
        """Elements that have failed here and are executed again, once their back-off is over."""

    @property
    def empty(self) -> bool:
        """Whether nothing has to be begun any more."""
        return not self.left and not self.retries

    @property
    def waits(self) -> bool:
        """Whether everything that is left waits for its back-off."""
        return bool(self.retries) and not self.left

    def compare(self, head: Record) -> None:
        """Drop what has ended without being executed here: an operator's note may have ended elements."""
        if head is self.head:
            return
        self.head = head
        remaining = set(head.remaining).difference(Ranges.parse(head.cancel))
        self.left = deque(index for index in self.left if index in remaining)
        self.retries = [index for index in self.retries if index in remaining]

    def put_back(self, indexes: Iterable[int]) -> None:
        """These come first again, in this order."""
        self.left.extendleft(reversed(list(indexes)))

    def next_retry(self, head: Record) -> tuple[float, int]:
        """When the first back-off of those to be retried is over, and which one's; only if there are any."""
        until = {attempt.index: attempt.not_before for attempt in head.attempts}
        return min((until.get(index, 0.0), index) for index in self.retries)

    def retry(self, index: int) -> None:
        """The back-off of an element is over: it is the last of those that are left."""
        self.retries.remove(index)
        self.left.append(index)

    def split_off(self, at: int) -> list[int]:
        """Take out all that are left from an element on, lest they begin meanwhile."""
        tail = [index for index in self.left if index >= at]
        self.left = deque(index for index in self.left if index < at)
        return tail
