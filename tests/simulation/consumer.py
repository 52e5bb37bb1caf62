"""A JetStream consumer: what it delivers, holds for acknowledgement and delivers again."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from simulation.stream import Stored, Stream, matches

SECOND = 1_000_000_000


@dataclass
class Pull:
    """A request for messages that waits."""

    reply: str
    left: int
    expires: float
    """Virtual time; infinite without a limit."""


@dataclass
class Held:
    """A delivered message that is not acknowledged."""

    count: int
    deadline: float
    """Virtual time at which it is delivered again."""


@dataclass
class Consumer:
    """State of one consumer; the server decides when it delivers and to whom."""

    name: str
    stream: Stream
    config: dict[str, Any]
    created: float
    cursor: int = 1
    """Next sequence that was never delivered."""
    delivered: int = 0
    held: dict[int, Held] = field(default_factory=dict)
    again: deque[int] = field(default_factory=deque)
    pulls: deque[Pull] = field(default_factory=deque)
    chosen: set[int] | None = None
    """The first messages of LAST_PER_SUBJECT; what comes later is delivered whole."""

    def __post_init__(self) -> None:
        match self.config.get("deliver_policy", "all"):
            case "by_start_sequence":
                self.cursor = int(self.config.get("opt_start_seq") or 1)
            case "new":
                self.cursor = self.stream.last + 1
            case "last_per_subject":
                names = [n for n in self.stream.by_subject if self._wants(n)]
                self.chosen = {self.stream.by_subject[n][-1] for n in names}
            case "last":
                newest = [s for s, m in self.stream.messages.items() if self._wants(m.subject)]
                self.cursor = max(newest, default=self.stream.last + 1)

    @property
    def acknowledged(self) -> bool:
        """Whether deliveries wait for an acknowledgement."""
        return self.config.get("ack_policy", "none") != "none"

    @property
    def ephemeral(self) -> bool:
        """It does not outlive the server."""
        return not self.config.get("durable_name")

    @property
    def ack_wait(self) -> float:
        """Seconds until a held message is delivered again."""
        return float(self.config.get("ack_wait") or 30 * SECOND) / SECOND

    def pending(self) -> int:
        """Messages that were never delivered."""
        return sum(1 for s, m in self.stream.messages.items() if s >= self.cursor and self._due(m))

    def take(self, now: float) -> tuple[Stored, int] | None:
        """The next message to deliver and how often it was delivered with this one."""
        while self.again:
            sequence = self.again.popleft()
            message = self.stream.messages.get(sequence)
            known = self.held.get(sequence)
            if message is None or known is None:
                self.held.pop(sequence, None)
                continue
            known.count += 1
            known.deadline = now + self.ack_wait
            return message, known.count
        while self.cursor <= self.stream.last:
            sequence = self.cursor
            self.cursor += 1
            message = self.stream.messages.get(sequence)
            if message is not None and self._due(message):
                if self.acknowledged:
                    self.held[sequence] = Held(1, now + self.ack_wait)
                return message, 1
        return None

    def acknowledge(self, sequence: int, word: bytes, delay: float, now: float) -> bool:
        """Take in an acknowledgement; whether the message is done with."""
        known = self.held.get(sequence)
        if word.startswith(b"+WPI"):
            if known is not None and sequence not in self.again:
                known.deadline = now + self.ack_wait
        elif word.startswith(b"-NAK"):
            if known is not None:
                known.deadline = now + delay
        else:
            self.held.pop(sequence, None)
            return True
        return False

    def expire(self, now: float) -> None:
        """Queue again what was held too long."""
        for sequence, known in self.held.items():
            if known.deadline <= now and sequence not in self.again:
                self.again.append(sequence)

    def next_event(self) -> float:
        """Virtual time at which something is held too long, or a request runs out."""
        waiting = [known.deadline for s, known in self.held.items() if s not in self.again]
        return min([*waiting, *(pull.expires for pull in self.pulls)], default=float("inf"))

    def rewind(self) -> None:
        """After the stream lost its newest messages: what comes under their sequences is new."""
        self.cursor = min(self.cursor, self.stream.last + 1)
        for sequence in [s for s in self.held if s > self.stream.last]:
            del self.held[sequence]

    def _due(self, message: Stored) -> bool:
        if not self._wants(message.subject):
            return False
        first = self.chosen is not None and message.sequence <= max(self.chosen, default=0)
        return message.sequence in self.chosen if first and self.chosen is not None else True

    def _wants(self, subject: str) -> bool:
        filters = self.config.get("filter_subjects") or [self.config.get("filter_subject") or ">"]
        return any(matches(pattern, subject) for pattern in filters)
