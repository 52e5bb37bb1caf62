"""Bounds in bytes are checked where something is made, and breaking one is no outage (protocol rule 15)."""

import nats.errors
import pytest

from armonik_sdk.api.bounds import MAX_KEY_BYTES
from armonik_sdk.api.records import Control, DesiredState, Inventory, Pin
from armonik_sdk.api.results import ResultEntry, ResultState
from armonik_sdk.dataplane.errors import InvalidKey, ObjectMissing, QueueUnavailable, TooLarge
from armonik_sdk.dataplane.nats.requests import bounded, unreachable
from armonik_sdk.dataplane.s3.client import usable


def test_what_is_too_long_is_not_sent() -> None:
    entry = ResultEntry(state=ResultState.ABORTED, reason="")
    room = entry.most_bytes - len(entry.model_copy(update={"reason": "r"}).encode()) + 1
    assert len(bounded("it", entry.model_copy(update={"reason": "r" * room}))) == entry.most_bytes
    with pytest.raises(TooLarge, match=f"it has {entry.most_bytes + 1} bytes, more than {entry.most_bytes}"):
        bounded("it", entry.model_copy(update={"reason": "r" * (room + 1)}))


def test_as_many_pins_as_are_allowed_fit() -> None:
    pins = {
        f"{number:063}": Pin("0b0c7c1e-8a53-4f0e-9d37-2f6f0b7b7a11", 10_000_000) for number in range(8_000)
    }
    assert bounded("it", Inventory(uid="u", name="n" * 63, session="s", pins=pins))


def test_an_entry_of_control_is_short() -> None:
    assert bounded("it", Control(state=DesiredState.CANCELLED, generation=2**62, at=1e10 / 3))


def test_a_payload_that_nats_never_takes_is_no_outage() -> None:
    error = unreachable("it", nats.errors.MaxPayloadError())
    assert isinstance(error, TooLarge)
    assert not isinstance(error, QueueUnavailable)
    assert isinstance(unreachable("it", nats.errors.TimeoutError()), QueueUnavailable)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("inputs/../x", "a part that is '.' or '..'"),
        ("./x", "a part that is '.' or '..'"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("k" * (MAX_KEY_BYTES + 1), f"longer than {MAX_KEY_BYTES} bytes"),
        ("é" * (MAX_KEY_BYTES // 2 + 1), f"longer than {MAX_KEY_BYTES} bytes"),
        ("a\nb", "cannot be printed"),
    ],
)
def test_a_key_that_no_object_can_have_is_a_missing_object(key: str, says: str) -> None:
    with pytest.raises(InvalidKey, match=says) as raised:
        usable(key)
    assert isinstance(raised.value, ObjectMissing)


@pytest.mark.parametrize("key", ["k", "ns/s/t/0/1-aa/pack-1", "a..b", "k" * MAX_KEY_BYTES])
def test_other_keys_are_usable(key: str) -> None:
    usable(key)
