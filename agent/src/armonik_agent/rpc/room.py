"""Memory for long messages: those that do not fit beside each other take turns, in the order they came."""

from collections import deque
from collections.abc import Callable


class Turn:
    """Bytes that one message has been given, or waits for."""

    def __init__(self, room: "Room", size: int, ready: Callable[[], None]) -> None:
        self._room, self.size, self.ready = room, size, ready
        self.granted = False

    def shrink(self, size: int) -> None:
        """Give back what the message turned out not to need."""
        if self.granted and size < self.size:
            returned, self.size = self.size - size, size
            self._room.give_back(returned)

    def release(self) -> None:
        """Give all of it back, or wait no more; may be repeated."""
        self._room.leave(self)


class Room:
    """Memory for messages, `total` bytes; no message asks for more than that."""

    def __init__(self, total: int) -> None:
        self.total = self._free = total
        self._waiting: deque[Turn] = deque()

    def take(self, size: int, ready: Callable[[], None]) -> Turn:
        """A turn, granted now if there is room; else `ready` is called once it is."""
        turn = Turn(self, size, ready)
        if not self._waiting and size <= self._free:
            self._grant(turn)
        else:
            self._waiting.append(turn)
        return turn

    def give_back(self, size: int) -> None:
        """`size` bytes are free again."""
        self._free += size
        while self._waiting and self._waiting[0].size <= self._free:
            turn = self._waiting.popleft()
            self._grant(turn)
            turn.ready()

    def leave(self, turn: Turn) -> None:
        """A turn has ended, whether it was granted or not."""
        if turn.granted:
            size, turn.size = turn.size, 0
            self.give_back(size)
        elif turn in self._waiting:
            self._waiting.remove(turn)
            self.give_back(0)  # who waited behind it may fit

    def _grant(self, turn: Turn) -> None:
        self._free -= turn.size
        turn.granted = True
