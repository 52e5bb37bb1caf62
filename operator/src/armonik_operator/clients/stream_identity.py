"""Detects streams and buckets that were deleted, purged or created again. Pure.

Somebody may delete or purge one under a running operator. What is lost with it is made again from the rest:
the operator starts again, as after a loss of the journal (protocol rule 12).
"""

from collections.abc import Collection, Mapping

from nats.errors import NoRespondersError
from nats.js.errors import NoStreamResponseError, NotFoundError

from armonik_sdk.api.names import JOURNAL
from armonik_sdk.dataplane.nats.streams import Snapshot


def shows_loss(error: BaseException) -> bool:
    """Whether an error may be caused by a missing stream."""
    return isinstance(error.__cause__ or error, (NoStreamResponseError, NotFoundError, NoRespondersError))


def lost(
    before: Mapping[str, Snapshot],
    now: Mapping[str, Snapshot],
    oldest: int | None,
    filled: Collection[str] = (),
) -> str:
    """Why the operator has to restart from the journal; empty when nothing is lost.

    Args:
        before: streams at the last check.
        now: streams now.
        oldest: sequence of the oldest last record of a run that has not ended; noted after `now` was read.
        filled: streams that cannot be empty, by what the operator knows.
    """
    for name, snapshot in before.items():
        if name not in now:
            return f"the stream {name} is gone"
        if now[name].created != snapshot.created:
            return f"the stream {name} was made again at {now[name].created}"
    journal = now.get(JOURNAL)
    if journal is not None and oldest is not None and journal.first > oldest:
        return f"the journal begins at {journal.first}, and record {oldest} is the last one of a run"
    for name in sorted(before.keys() & set(filled)):
        if before[name].messages and not now[name].messages:
            return f"the stream {name} was emptied"
    return ""
