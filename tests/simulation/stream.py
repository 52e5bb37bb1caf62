"""A JetStream stream: what it stores, refuses and forgets. The rules are those of nats-server 2.15."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stored:
    """One message of a stream."""

    sequence: int
    subject: str
    headers: dict[str, str]
    data: bytes
    time: float
    """Seconds since the epoch."""


class Refusal(Exception):  # noqa: N818 - what the server answers
    """An error answer of the JetStream API."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        self.body = {"code": code, "err_code": err_code, "description": description}
        super().__init__(description)


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject matches a pattern with `*` and `>`."""
    if pattern == subject:
        return True
    if "*" not in pattern and not pattern.endswith(">"):
        return False
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


@dataclass
class Stream:
    """Messages by sequence, with an index by subject."""

    config: dict[str, Any]
    created: float
    messages: dict[int, Stored] = field(default_factory=dict)
    by_subject: dict[str, list[int]] = field(default_factory=dict)
    last: int = 0

    @property
    def name(self) -> str:
        """Name of the stream."""
        return str(self.config["name"])

    def takes(self, subject: str) -> bool:
        """Whether a message on this subject is stored here."""
        return any(matches(pattern, subject) for pattern in self.config.get("subjects") or ())

    def publish(self, subject: str, headers: dict[str, str], data: bytes, now: float) -> int:
        """Store a message; its sequence.

        Raises:
            Refusal: an expectation in the headers does not hold, or the subject is full.
        """
        self.check(subject, headers)
        return self._put(subject, headers, data, now)

    def publish_all(self, messages: list[tuple[str, dict[str, str], bytes]], now: float) -> int:
        """Store all or none; the sequence of the last.

        Raises:
            Refusal: an expectation does not hold, or such batches are not allowed.
        """
        if not self.config.get("allow_atomic"):
            raise Refusal(400, 10174, "atomic publish is disabled")
        for number, (subject, headers, _) in enumerate(messages, start=1):
            if headers.get("Nats-Batch-Sequence") != str(number):
                raise Refusal(400, 10176, "atomic publish batch is incomplete")
            self.check(subject, headers)
        for message in messages:
            self._put(*message, now)
        return self.last

    def check(self, subject: str, headers: dict[str, str]) -> None:
        """Whether a message may be stored.

        Raises:
            Refusal: an expectation in the headers does not hold, or the subject is full.
        """
        if headers.get("Nats-Expected-Stream", self.name) != self.name:
            raise Refusal(400, 10060, "expected stream does not match")
        mine = self.by_subject.get(subject, [])
        expected = headers.get("Nats-Expected-Last-Subject-Sequence")
        if expected is not None and int(expected) != (mine[-1] if mine else 0):
            raise Refusal(400, 10071, f"wrong last sequence: {mine[-1] if mine else 0}")
        most = self.config.get("max_msgs_per_subject") or 0
        if most > 0 and len(mine) >= most and self.config.get("discard_new_per_subject"):
            raise Refusal(503, 10077, "maximum messages per subject exceeded")

    def _put(self, subject: str, headers: dict[str, str], data: bytes, now: float) -> int:
        most = self.config.get("max_msgs_per_subject") or 0
        if headers.get("Nats-Rollup") == "sub":
            self.remove(list(self.by_subject.get(subject, [])))
        self.last += 1
        self._index(Stored(self.last, subject, headers, data, now))
        if most > 0:
            self.remove(self.by_subject[subject][:-most])
        return self.last

    def remove(self, sequences: list[int]) -> None:
        """Remove messages; absent ones are fine."""
        for sequence in sequences:
            message = self.messages.pop(sequence, None)
            if message is None:
                continue
            mine = self.by_subject[message.subject]
            mine.pop(bisect_left(mine, sequence))
            if not mine:
                del self.by_subject[message.subject]

    def matching(self, pattern: str) -> list[int]:
        """Sequences of the messages whose subject matches, ascending."""
        return sorted(s for name, some in self.by_subject.items() if matches(pattern, name) for s in some)

    def last_on(self, subject: str) -> Stored | None:
        """The last message on a subject, or on any that matches."""
        mine = self.by_subject.get(subject) or self.matching(subject)
        return self.messages[mine[-1]] if mine else None

    def lose_newest(self, count: int) -> None:
        """As after a power cut without syncing: the newest are gone and their sequences are used again."""
        lost = sorted(self.messages)[-count:] if count else []
        self.remove(lost)
        if lost:
            self.last = min(lost) - 1

    def _index(self, message: Stored) -> None:
        self.messages[message.sequence] = message
        self.by_subject.setdefault(message.subject, []).append(message.sequence)
