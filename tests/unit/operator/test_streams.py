"""Streams and buckets that somebody deleted or emptied under a running operator."""

from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
import pytest

from armonik_operator.clients.stream_identity import lost, shows_loss
from armonik_sdk.api.names import CONTROL, JOURNAL, QUEUE, bucket_stream
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.streams import Snapshot

THEN = datetime(2026, 1, 1, tzinfo=UTC)
BUCKET = bucket_stream(CONTROL)
BEFORE = {
    QUEUE: Snapshot(THEN, 1, 0),
    JOURNAL: Snapshot(THEN, 5, 10),
    BUCKET: Snapshot(THEN, 1, 3),
}


def test_nothing_is_lost_while_all_exist() -> None:
    assert lost(BEFORE, BEFORE, 5, (BUCKET,)) == ""
    assert (
        lost(
            BEFORE,
            BEFORE | {QUEUE: Snapshot(THEN, 90, 7), JOURNAL: Snapshot(THEN, 9, 10)},
            9,
            (BUCKET,),
        )
        == ""
    )
    assert lost(BEFORE, BEFORE | {BUCKET: Snapshot(THEN, 4, 0)}, None) == ""


@pytest.mark.parametrize("name", BEFORE)
def test_one_that_is_gone_or_was_made_again_is_named(name: str) -> None:
    rest = {other: snapshot for other, snapshot in BEFORE.items() if other != name}
    assert lost(BEFORE, rest, None) == f"the stream {name} is gone"
    again = BEFORE | {name: BEFORE[name]._replace(created=THEN + timedelta(seconds=1))}
    assert lost(BEFORE, again, None).startswith(f"the stream {name} was made again at 2026-01-01")


def test_a_journal_without_the_last_record_of_a_run_is_a_loss() -> None:
    purged = BEFORE | {JOURNAL: Snapshot(THEN, 15, 0)}
    assert lost(BEFORE, purged, 14) == "the journal begins at 15, and record 14 is the last one of a run"
    assert lost(BEFORE, purged, None) == ""


def test_a_bucket_that_cannot_be_empty_and_is_was_emptied() -> None:
    emptied = BEFORE | {BUCKET: Snapshot(THEN, 4, 0)}
    assert lost(BEFORE, emptied, None, (BUCKET,)) == f"the stream {BUCKET} was emptied"
    assert lost(emptied, emptied, None, (BUCKET,)) == ""  # it was made a moment ago


@pytest.mark.parametrize(
    ("cause", "shows"),
    [
        (nats.js.errors.NoStreamResponseError(), True),
        (nats.js.errors.NotFoundError(), True),
        (nats.errors.NoRespondersError(), True),
        (TimeoutError(), False),
        (nats.errors.ConnectionClosedError(), False),
    ],
)
def test_an_error_that_a_missing_stream_causes_is_distinguished_from_an_outage(
    cause: Exception, shows: bool
) -> None:
    assert shows_loss(cause) is shows
    error = QueueUnavailable("could not be written")
    error.__cause__ = cause
    assert shows_loss(error) is shows
