"""Frames of the call that gives a worker a whole run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.runcall import frame, unframe
from armonik_sdk.worker.executor.process import LENGTH, split_frames

HEADS = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name != "blobs"), st.integers() | st.text(), max_size=3
)
BLOBS = st.lists(st.binary(max_size=20), max_size=4)


@given(HEADS, BLOBS)
def test_what_was_framed_is_read_again(head: dict[str, object], blobs: list[bytes]) -> None:
    read, found = unframe(frame(head, blobs))
    read.pop("blobs", None)
    assert read == head
    assert [bytes(blob) for blob in found] == blobs


@given(HEADS, BLOBS, st.data())
def test_what_is_cut_short_is_no_frame(
    head: dict[str, object], blobs: list[bytes], data: st.DataObject
) -> None:
    whole = frame(head, blobs)
    with pytest.raises(ValueError, match=r".+"):
        unframe(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 40))
def test_frames_are_found_however_they_arrive(frames: list[bytes], step: int) -> None:
    stream = b"".join(LENGTH.pack(len(one)) + one for one in frames)
    pending, found = bytearray(), []
    for at in range(0, len(stream), step):
        pending += stream[at : at + step]
        found += split_frames(pending)
    assert found == frames
    assert not pending


@pytest.mark.parametrize("blobs", [[-1], ["1"], [True], 3, [10**12]])
def test_lengths_that_are_none_are_refused(blobs: object) -> None:
    with pytest.raises(ValueError, match="blobs"):
        unframe(frame({"blobs": blobs}))
