"""What the users of a soak do: a pure function of the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

RETRIES = 30
"""Attempts that the adversary may cost an element; it must still complete."""
SIZES = (0, 1, 900, 1_100, 30_000, 40_000, 300_000, 3_000_000)
"""Bytes of payloads: around the bounds of what rides in messages, in manifests, and above."""
LONGEST = 400
"""Elements of a Task at most."""


class Act(StrEnum):
    """What a user does to a Task while it runs."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    CANCEL_SOME = "cancel-some"
    DELETE = "delete"


class End(StrEnum):
    """How a user ends a session."""

    DELETE = "delete"
    PURGE = "purge"
    CLOSE = "close"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Job:
    """One Task."""

    name: str
    partition: str
    payloads: tuple[bytes, ...]
    options: dict[str, str] = field(default_factory=dict)
    expected: dict[int, bytes | None] = field(default_factory=dict)
    """Bytes of each element's result; None where the element must fail."""
    act: Act = Act.NOTHING
    needs: str = ""
    """Name of the Task whose outputs it depends on."""
    upload: bytes | None = None
    """Data that the client uploads while the Task waits for it."""
    ttl: int | None = None
    """Seconds that the Task stays after its end."""


@dataclass(frozen=True)
class Plan:
    """One Session, with its Tasks in the order of their submission."""

    name: str
    jobs: tuple[Job, ...]
    pause: float
    """Seconds for which the Session is paused in the middle; 0 is not at all."""
    end: End


def session(seed: int, user: int, number: int) -> Plan:
    """The session with this number of this user."""
    chance = random.Random(f"{seed}/{user}/{number}")
    name = f"s{user}-{number}"
    makers = chance.choices(tuple(_MAKERS), weights=tuple(_MAKERS.values()), k=chance.randint(1, 4))
    jobs: list[Job] = []
    for at, make in enumerate(makers):
        jobs += make(chance, f"{name}-t{at}")
    pause = chance.uniform(1, 5) if chance.random() < 0.15 else 0.0
    return Plan(name, tuple(jobs), pause, chance.choice(tuple(End)))


def _echo(chance: random.Random, name: str) -> list[Job]:
    payload = chance.randbytes(chance.choice(SIZES))
    return [Job(name, "lab", (payload,), {"mode": "echo"}, {0: payload}, ttl=chance.choice((None, 0, 5)))]


def _many(chance: random.Random, name: str) -> list[Job]:
    count = chance.randint(2, LONGEST)
    payloads = tuple(chance.randbytes(chance.choice((3, 50, 1_500))) for _ in range(count))
    act = chance.choices(tuple(Act), weights=(5, 1, 1, 1))[0]
    options = {"mode": "sleep", "seconds": f"{chance.choice((0, 0, 0.01, 0.05))}"}
    return [Job(name, "lab", payloads, options, dict(enumerate(payloads)), act)]


def _function(chance: random.Random, name: str) -> list[Job]:
    """Whole runs in a worker of our own; one element may fail."""
    count = chance.randint(1, LONGEST)
    payloads = tuple(b"%d" % chance.randrange(10**6) for _ in range(count))
    expected: dict[int, bytes | None] = {i: f"{i}: {p.decode()}".encode() for i, p in enumerate(payloads)}
    options: dict[str, str] = {}
    if chance.random() < 0.4:
        bad = chance.randrange(count)
        expected[bad] = None
        options = {"index": str(bad), "how": "abort"}
    return [Job(name, "own", payloads, options, expected)]


def _error(chance: random.Random, name: str) -> list[Job]:
    del chance
    return [Job(name, "lab", (b"1",), {"mode": "error", "message": "as planned"}, {0: None})]


def _subtasks(chance: random.Random, name: str) -> list[Job]:
    numbers = [chance.randrange(100) for _ in range(chance.randint(1, 12))]
    total = b"%d" % sum(number**2 for number in numbers)
    return [Job(name, "lab", (" ".join(map(str, numbers)).encode(),), {"mode": "subtasks"}, {0: total})]


def _chain(chance: random.Random, name: str) -> list[Job]:
    """The second Task adds up what the first one made."""
    numbers = [chance.randrange(1_000) for _ in range(chance.randint(1, 40))]
    first = tuple(b"%d" % number for number in numbers)
    return [
        Job(f"{name}-a", "lab", first, {"mode": "echo"}, dict(enumerate(first))),
        Job(f"{name}-b", "lab", (b"",), {"mode": "sum"}, {0: b"%d" % sum(numbers)}, needs=f"{name}-a"),
    ]


def _upload(chance: random.Random, name: str) -> list[Job]:
    data = chance.randbytes(chance.choice((10, 50_000, 2_000_000)))
    return [Job(name, "lab", (b"",), {"mode": "concat"}, {0: data}, upload=data)]


_MAKERS = {_echo: 5, _many: 4, _function: 4, _error: 1, _subtasks: 2, _chain: 2, _upload: 2}
