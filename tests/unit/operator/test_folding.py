"""Times of the journal are the same whichever way a record is read."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.sources.journal import is_deferrable, stored_at
from armonik_sdk.api.records import RecordKind
from armonik_sdk.dataplane.nats.journal import parse_time

SECONDS = 1_795_513_568


@given(nanoseconds=st.integers(0, 999_999_999), domain=st.booleans())
def test_a_delivery_has_the_time_that_a_read_has(nanoseconds: int, domain: bool) -> None:
    time = f"{SECONDS}{nanoseconds:09}"
    reply = f"$JS.ACK.JOURNAL.consumer.1.7.3.{time}.0"
    if domain:
        reply = f"$JS.ACK._.account.JOURNAL.consumer.1.7.3.{time}.0"
    assert stored_at(reply) == parse_time(f"2026-11-24T09:46:08.{nanoseconds:09}Z")


def test_what_others_wait_for_is_worked_on_at_once() -> None:
    at_once = {kind for kind in RecordKind if not is_deferrable(kind)}
    assert at_once >= {kind for kind in RecordKind if kind.terminal}
    assert at_once >= {RecordKind.PROGRESS, RecordKind.RELEASED, RecordKind.PAUSED}
