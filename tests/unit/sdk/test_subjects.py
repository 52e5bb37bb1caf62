"""No subject is sent on which the server would end the connection."""

import nats.errors
import pytest

from armonik_sdk.api.bounds import MAX_SUBJECT_BYTES
from armonik_sdk.dataplane.errors import TooLarge
from armonik_sdk.dataplane.nats.connection import PersistentClient
from armonik_sdk.dataplane.nats.requests import unreachable

LONG = "a" * (MAX_SUBJECT_BYTES + 1)


@pytest.mark.parametrize("subject", [LONG, "é" * MAX_SUBJECT_BYTES, "a b", "a\r\nPUB x 0"])
async def test_a_subject_that_no_message_can_have_is_not_sent(subject: str) -> None:
    with pytest.raises(nats.errors.BadSubjectError) as caught:
        await PersistentClient().publish(subject, b"")
    assert isinstance(unreachable("an entry", caught.value), TooLarge), "it is no outage"


async def test_the_longest_subject_is_sent() -> None:
    with pytest.raises(nats.errors.OutboundBufferLimitError):  # it is not connected
        await PersistentClient().publish("a" * MAX_SUBJECT_BYTES, b"")
