"""The folder shared with a worker that may do anything in it."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from armonik_agent.data.shared_folder import Folder, plain_name
from armonik_agent.errors import InputUnavailable

NOBODY = 65534


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    async with Folder(tmp_path / "run") as made:
        yield made
    assert not made.path.exists()


def read(folder: Folder, name: str) -> bytes:
    with os.fdopen(folder.open(name), "rb") as file:
        return file.read()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("password")
    return path


async def test_a_link_is_never_followed(folder: Folder, secret: Path) -> None:
    (folder.path / "result").symlink_to(secret)
    assert folder.size("result") is None
    with pytest.raises(InputUnavailable, match="result"):
        read(folder, "result")
    folder.write("result", b"mine")
    assert read(folder, "result") == b"mine"
    assert secret.stat().st_size == len("password")  # noqa: ASYNC240 - a local file


async def test_a_folder_that_is_turned_into_a_link_changes_nothing(folder: Folder, secret: Path) -> None:
    folder.write("secret", b"mine")
    moved = folder.path.rename(folder.path.with_name("moved"))
    folder.path.symlink_to(secret.parent)
    assert read(folder, "secret") == b"mine"
    folder.write("result", b"more")
    assert (moved / "result").exists()
    folder.path.unlink()


async def test_what_is_no_file_is_refused_at_once(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe")
    (folder.path / "folder").mkdir()
    for name in ("pipe", "folder", "missing"):
        assert folder.size(name) is None
        with pytest.raises(InputUnavailable, match=name):
            read(folder, name)
        folder.write(name, b"mine")
        assert read(folder, name) == b"mine"


async def test_inputs_are_read_only(folder: Folder) -> None:
    folder.write("input", b"mine")
    assert (folder.path / "input").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b", "a\\b", "x" * 254])
async def test_only_plain_names_are_looked_for(folder: Folder, name: str) -> None:
    assert not plain_name(name)
    assert folder.size(name) is None


@pytest.mark.parametrize("name", ["a", "...", ".a", "..a", "a\n", "\n", "é b", "x" * 253])
def test_any_other_name_is_plain(name: str) -> None:
    assert plain_name(name)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[int]:
    """No right to override modes, as an agent in a pod; the uid."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    os.chown(tmp_path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield NOBODY
    finally:
        os.seteuid(0)


async def test_a_directory_of_mode_0_in_a_files_place_is_removed(unprivileged: int, tmp_path: Path) -> None:
    async with Folder(tmp_path / "run") as folder:
        (folder.path / "result" / "below" / "deep").mkdir(parents=True)
        (folder.path / "result" / "below").chmod(0)
        (folder.path / "result").chmod(0)
        folder.remove("result")
        folder.write("result", b"mine")
        assert read(folder, "result") == b"mine"
        assert [path.name for path in folder.path.iterdir()] == ["result"]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a directory of another user's")
async def test_a_directory_that_cannot_be_removed_is_moved_aside(tmp_path: Path) -> None:
    async with Folder(tmp_path / "run") as folder:
        made = folder.path / "result"
        (made / "below").mkdir(parents=True)
        made.chmod(0o700)
        os.chown(made, NOBODY + 1, NOBODY + 1)
        os.seteuid(NOBODY)
        try:
            folder.remove("result")
            folder.write("result", b"mine")
        finally:
            os.seteuid(0)
        assert read(folder, "result") == b"mine"
