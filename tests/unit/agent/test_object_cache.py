"""Inputs that a pod keeps for later runs: bounded, and checked before each use."""

import asyncio
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from armonik_agent.data.inputs import Room, RunInputs
from armonik_agent.data.object_cache import LEAST_BYTES, ObjectCache
from armonik_agent.data.shared_folder import Folder
from armonik_sdk.api.kinds import ObjectRef

MIB = 1024 * 1024


def cache_of(tmp_path: Path, most: int = 8 * MIB) -> ObjectCache:
    cache = ObjectCache(tmp_path / "objects", most)
    cache.prepare()
    return cache


def file(tmp_path: Path, name: str, size: int = LEAST_BYTES + 1) -> tuple[str, Path]:
    data = name.encode() + bytes(size - len(name))
    path = tmp_path / name
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), path


def test_what_was_kept_is_taken_again(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    sha256, path = file(tmp_path, "a")
    assert not cache.take(sha256, tmp_path / "b")
    cache.keep(sha256, path)
    path.unlink()  # the run has ended
    assert cache.take(sha256, tmp_path / "b")
    assert (tmp_path / "b").read_bytes()[:1] == b"a"


def test_what_a_worker_has_changed_is_fetched_again(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    sha256, path = file(tmp_path, "a")
    cache.keep(sha256, path)
    path.write_bytes(b"changed in place")
    assert not cache.take(sha256, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not cache.has(sha256)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 3 * MIB)
    kept = [file(tmp_path, name, MIB) for name in "abc"]
    for number, (sha256, path) in enumerate(kept):
        cache.keep(sha256, path)
        os.utime(tmp_path / "objects" / sha256, (number, number))
    assert cache.take(kept[0][0], tmp_path / "again")
    cache.keep(*file(tmp_path, "d", MIB))
    assert [cache.has(sha256) for sha256, _ in kept] == [True, False, True]


def test_small_unknown_and_very_large_inputs_are_not_kept(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    assert cache.takes("00", LEAST_BYTES + 1)
    assert not cache.takes("00", LEAST_BYTES)
    assert not cache.takes("00", 3 * MIB)
    assert not cache.takes("00", None)
    assert not cache.takes(None, MIB)
    assert cache.takes("00", 1, least=0)
    assert cache.length("00") is None


class Store:
    """Counts what is fetched."""

    def __init__(self, data: bytes) -> None:
        self.data, self.fetched, self.measured = data, 0, 0

    async def get(self, ref: ObjectRef) -> bytes:
        self.fetched += 1
        return self.data[ref.offset or 0 :][: ref.length]

    async def stat(self, key: str) -> int:
        self.measured += 1
        return len(self.data)

    async def download(self, ref: ObjectRef, path: Path) -> None:
        self.fetched += 1
        await asyncio.to_thread(path.write_bytes, self.data)


async def test_a_run_reads_what_another_has_fetched(tmp_path: Path) -> None:
    for size in (MIB, 5 * MIB):  # read in a span, streamed
        data = bytes([size % 251]) * size
        store, cache = Store(data), cache_of(tmp_path, 64 * MIB)
        ref = ObjectRef(key="k", length=size, sha256=hashlib.sha256(data).hexdigest())
        element: Any = SimpleNamespace(index=0, inputs={"in": ref}, empty_payload=False)
        (tmp_path / "spool").mkdir(exist_ok=True)
        for run in range(3):
            room = Room(64 * MIB, 64 * MIB)
            async with (
                Folder(tmp_path / f"run-{size}-{run}") as folder,
                RunInputs(store, [element], folder, tmp_path / "spool", room, 64, cache) as inputs,  # type: ignore[arg-type]
            ):
                await inputs.lay(element)
                assert (folder.path / "in").read_bytes() == data
        assert store.fetched == 1


async def test_a_small_environment_is_fetched_once_for_all_runs(tmp_path: Path) -> None:
    data = b"an archive"
    store, cache = Store(data), cache_of(tmp_path)
    sha256 = hashlib.sha256(data).hexdigest()
    name, ref = f"environment-{sha256}", ObjectRef(key="k", sha256=sha256)
    element: Any = SimpleNamespace(index=0, inputs={name: ref}, empty_payload=False)
    (tmp_path / "spool").mkdir()
    room = Room(MIB, MIB)
    for run in range(3):
        async with (
            Folder(tmp_path / f"run-{run}") as folder,
            RunInputs(store, [element], folder, tmp_path / "spool", room, 64, cache) as inputs,  # type: ignore[arg-type]
        ):
            await inputs.lay(element)
            assert (folder.path / name).read_bytes() == data
    assert (store.fetched, store.measured) == (1, 1)
