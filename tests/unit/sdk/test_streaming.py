"""Pieces from an event loop, read as a file in another thread."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.client.results.base import CHUNK_BYTES, pieces
from armonik_sdk.dataplane.s3.chunk_reader import ChunkReader


async def over(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def read_all(reader: ChunkReader, sizes: list[int]) -> bytes:
    found, at = [], 0
    while data := reader.read(sizes[at % len(sizes)]):
        assert len(data) <= sizes[at % len(sizes)]
        found.append(data)
        at += 1
    return b"".join(found)


@given(st.lists(st.binary(max_size=9), max_size=9), st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_what_is_read_is_what_was_given_whatever_the_pieces(parts: list[bytes], sizes: list[int]) -> None:
    async def run() -> None:
        reader = ChunkReader(over(parts), asyncio.get_running_loop())
        whole = b"".join(parts)
        assert await asyncio.to_thread(read_all, reader, sizes) == whole
        assert (reader.length, reader.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())

    asyncio.run(run())


async def test_an_error_of_the_source_is_raised_and_kept() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("no more")

    reader = ChunkReader(broken(), asyncio.get_running_loop())
    with pytest.raises(ValueError, match="no more"):
        await asyncio.to_thread(read_all, reader, [10])
    assert isinstance(reader.error, ValueError)


async def test_a_thread_that_waits_for_a_piece_is_let_go() -> None:
    waits = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        waits.set()
        await asyncio.Event().wait()
        yield b""

    reader = ChunkReader(silent(), asyncio.get_running_loop())
    reading = asyncio.create_task(asyncio.to_thread(reader.read, 1))
    await waits.wait()
    reader.close()
    with pytest.raises((CancelledError, asyncio.CancelledError)):
        await reading


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
async def test_bytes_files_and_pieces_come_as_they_are(size: int, tmp_path: Path) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    file = tmp_path / "content"
    file.write_bytes(data)
    for content in (data, file, [data[: size // 2], data[size // 2 :]], over([data])):
        found = [piece async for piece in pieces(content)]
        assert b"".join(found) == data
        assert all(len(piece) <= max(CHUNK_BYTES, size) for piece in found)
    assert [piece async for piece in pieces("é")] == ["é".encode()]
