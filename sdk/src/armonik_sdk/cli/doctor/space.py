"""Checks of what NATS stores: how full it is, and how far the operator has read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from armonik_sdk.api.names import JOURNAL, QUEUE
from armonik_sdk.cli.doctor.findings import Finding, ok, skipped, warning
from armonik_sdk.cli.views.reading import Object, number, part, text

WAITS: Final = 0.7
"""Filled share of the journal's room above which new work waits; the rest is for work that runs."""
NEAR: Final = 0.6
"""Share from which on it is worth a warning."""
FULL: Final = 0.9
"""The same of the queue, which work leaves as it is computed."""


@dataclass(frozen=True)
class Stored:
    """What JetStream stores. Sizes are bytes."""

    used: int
    """Of all streams."""
    most: int
    """That the server may store; 0: no bound."""
    journals: int
    """Journals: one, or one for each namespace with an account of its own."""
    journal: int
    """Of all journals."""
    journal_most: int
    """Room of the journal, where there is one."""
    queue: int
    queue_most: int
    """The same of the queue."""
    unread: int
    """Records of journals that the operator has not read yet."""


def stored(said: Any, shares: float) -> Stored:
    """From the answer of `/jsz`.

    Args:
        said: the answer.
        shares: of the server's storage that other streams than JOURNAL may fill.
    """
    journals, queues = list(_streams(said, JOURNAL)), list(_streams(said, QUEUE))
    most = number(said, "config", "max_storage")
    own = max((number(one, "config", "max_bytes") for one in journals), default=0)
    return Stored(
        used=number(said, "storage"),
        most=most,
        journals=len(journals),
        journal=sum(number(one, "state", "bytes") for one in journals),
        journal_most=own if own > 0 else round(most * (1 - shares)),
        queue=sum(number(one, "state", "bytes") for one in queues),
        queue_most=max((number(one, "config", "max_bytes") for one in queues), default=0),
        unread=sum(
            number(consumer, "num_pending")
            for one in journals
            for consumer in part(one, "consumer_detail") or ()
        ),
    )


def _streams(said: Any, name: str) -> Iterator[Mapping[str, Any]]:
    for account in part(said, "account_details") or ():
        for stream in part(account, "stream_detail") or ():
            if text(stream, "name") == name:
                yield stream


def space(found: Stored | str, sessions: Sequence[Object]) -> list[Finding]:
    """Whether there is room for new work.

    Args:
        found: what is stored, or why that is not known.
        sessions: of the namespace, for advice.
    """
    if isinstance(found, str):
        return [skipped("space", found)]
    if not found.journals:
        return [skipped("space", "NATS has no journal yet: the operator makes it at its start")]
    if found.journals > 1:
        return [_together(found, sessions)]
    if found.journal_most and found.journal >= NEAR * found.journal_most:
        full = _full("NATS' journal", found.journal, found.journal_most)
        return [
            warning("space", f"{full}: from {WAITS:.0%} on new work waits (QueueFull)", _remedy(sessions))
        ]
    if found.queue_most > 0 and found.queue >= FULL * found.queue_most:
        full = _full("NATS' queue", found.queue, found.queue_most)
        advice = "More pods empty it: podMax of the partitions; or raise nats.jetstream.maxFileStore"
        return [warning("space", f"{full}: what does not fit waits outside", advice)]
    journal = f"journal {_of(found.journal, found.journal_most)}"
    return [ok("space", f"{journal}, queue {_of(found.queue, found.queue_most)}")]


def _together(found: Stored, sessions: Sequence[Object]) -> Finding:
    """Of namespaces with accounts of their own: they share the server's storage."""
    if found.most and found.used >= NEAR * found.most:
        full = _full("NATS' file store", found.used, found.most)
        return warning("space", f"{full}: from {WAITS:.0%} on new work waits (QueueFull)", _remedy(sessions))
    return ok("space", f"{_of(found.used, found.most)} in {found.journals} namespaces")


def _remedy(sessions: Sequence[Object]) -> str:
    ended = ("Closed", "Cancelled", "Purged")
    kept = sum(
        text(one, "status", "phase") in ended and part(one, "spec", "ttlSecondsAfterFinished") is None
        for one in sessions
    )
    which = f"{kept} have no time to live: " if kept else ""
    return (
        f"Delete finished sessions ({which}armonikctl session list --phase Closed,Cancelled),"
        " or raise nats.jetstream.maxFileStore"
    )


def _full(what: str, used: int, most: int) -> str:
    return f"{what} is {used / most:.0%} full ({_of(used, most)})"


def _of(used: int, most: int) -> str:
    return f"{_size(used)} of {_size(most)}" if most > 0 else _size(used)


def _size(count: int) -> str:
    """In the unit that leaves two or three digits."""
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB" if count else "0"
    return f"{count / 1e6:.0f} MB" if count < 1_000_000_000 else f"{count / 1e9:.3g} GB"
