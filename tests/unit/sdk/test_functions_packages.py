"""Packages for functions: what they are installed for, how often, and what goes wrong."""

import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import armonik_sdk as ak
from armonik_sdk.aio.calls import packages, target
from armonik_sdk.aio.calls.packages import MAX_INSTALLED_BYTES, install, keep_few
from armonik_sdk.aio.calls.target import Target, platform_of, target_of
from armonik_sdk.api.kinds import SessionState
from armonik_sdk.functions import CodeTooLarge, PackagesNotInstalled, read
from armonik_sdk.grid.local.engine import LocalEngine
from armonik_sdk.grid.protocol import PartitionInfo, Submission, TaskInfo
from armonik_sdk.worker.functions.environments import MAX_BYTES
from fake_uv import Uv, uv

WAIT = 60.0
TARGET = Target("3.12", "x86_64-manylinux_2_36")

__all__ = ["uv"]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "env"


def test_wheels_for_the_workers_are_installed(uv: Uv, cache: Path) -> None:
    files = install(["polars>=1", "--index-url=https://x"], TARGET, cache)
    assert [file.name for file in files] == ["of_a_package.py", "pkg/fast.so"]
    assert all(file.path.stat().st_size == file.size for file in files)
    ((given, asked),) = uv.asked
    assert asked.splitlines() == ["--index-url=https://x", "polars>=1"]
    assert given[:2] == ["pip", "install"]
    pairs = list(itertools.pairwise(given))
    assert ("--only-binary", ":all:") in pairs
    assert ("--python-version", "3.12") in pairs
    assert ("--python-platform", "x86_64-manylinux_2_36") in pairs


def test_equal_requirements_are_installed_once_for_each_target(uv: Uv, cache: Path) -> None:
    for wanted in (["b", "a"], ["a", "b"]):
        install(wanted, TARGET, cache)
    assert len(uv.asked) == 1
    install(["a", "b"], TARGET._replace(python="3.13"), cache)
    install(["a", "c"], TARGET, cache)
    assert len(uv.asked) == 3


def test_files_of_requirements_and_lock_files_are_read(uv: Uv, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.16\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    for name in ("requirements.txt", "uv.lock"):
        install(tmp_path / name, TARGET, cache)
    assert [asked for _, asked in uv.asked] == ["six==1.16\n", "polars==1.0 --hash=sha256:00\n"]
    with pytest.raises(FileNotFoundError, match=r"packages names .*gone"):
        install(tmp_path / "gone", TARGET, cache)


@pytest.mark.parametrize("line", ["-r base.txt", " -e .", "--constraint=c.txt"])
def test_requirements_in_other_files_are_refused(uv: Uv, cache: Path, line: str) -> None:
    with pytest.raises(ValueError, match="names another file; list all requirements in one place"):
        install(["six", line], TARGET, cache)
    assert uv.asked == []


def test_a_text_in_the_place_of_a_list_is_refused(cache: Path) -> None:
    wrong: Any = "requirements.txt"
    with pytest.raises(TypeError, match=r"packages: a list .*, not 'requirements\.txt'"):
        install(wrong, TARGET, cache)


def test_without_uv_the_error_says_how_to_get_it(
    uv: Uv, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv.path.unlink()
    monkeypatch.setattr(sys, "executable", str(cache / "python"))
    with pytest.raises(PackagesNotInstalled, match="pip install uv"):
        install(["six"], TARGET, cache)


def test_what_uv_says_is_in_the_error_and_nothing_is_left(uv: Uv, cache: Path) -> None:
    with pytest.raises(
        PackagesNotInstalled,
        match=r"for Python 3\.12 x86_64-manylinux_2_36: broken has no wheels(?s:.*)build an image",
    ):
        install(["broken"], TARGET, cache)
    assert list(cache.iterdir()) == []


def test_more_than_a_worker_unpacks_is_refused(uv: Uv, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_INSTALLED_BYTES == MAX_BYTES
    monkeypatch.setattr(packages, "MAX_INSTALLED_BYTES", 10)
    with pytest.raises(CodeTooLarge, match=r"packages: they have .* at most 10 are sent; build an image"):
        install(["six"], TARGET, cache)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("", ""),
        ("x86_64-manylinux_2_36", "x86_64-manylinux_2_36"),
        ("aarch64-manylinux_2_30", "aarch64-manylinux_2_28"),
        ("x86_64-manylinux_2_99", "x86_64-manylinux_2_40"),
    ],
)
def test_the_platform_is_the_newest_that_uv_has_a_name_for(said: str, named: str) -> None:
    assert platform_of(said) == named


@pytest.mark.parametrize("said", ["x86_64", "riscv64-manylinux_2_36", "x86_64-manylinux_2_5"])
def test_platforms_without_wheels_are_refused(said: str) -> None:
    with pytest.raises(PackagesNotInstalled, match=f"workers of platform {said}; build an image"):
        platform_of(said)


class Called:
    """A grid with one partition, whose worker says what it is some looks after it was called."""

    namespace = "ns"

    def __init__(self, *, looks: int = 3, why: str = "", ended: bool = False) -> None:
        self.looks, self.why, self.ended = looks, why, ended
        self.names = ["fast"]
        self.opened: list[Sequence[str]] = []
        self.calls: list[Submission] = []
        self.states: list[SessionState] = []
        self.name = "probe"

    async def worker(self, partition: str) -> Mapping[str, str]:
        assert partition == "fast"
        self.looks -= bool(self.calls)
        return {"python": "3.12", "platform": "x86_64-manylinux_2_36"} if self.looks <= 0 else {}

    async def partitions(self) -> AsyncIterator[PartitionInfo]:
        for name in self.names:
            yield PartitionInfo(name, ready=False, pods=0)

    async def open(self, name: str | None, *, partitions: Sequence[str], **_: object) -> "Called":
        assert name is None
        self.opened.append(partitions)
        return self

    async def submit(self, made: Submission) -> "Called":
        self.calls.append(made)
        return self

    async def set_state(self, state: SessionState) -> None:
        self.states.append(state)

    async def info(self) -> TaskInfo:
        return TaskInfo("t", "f", "Submitted", 1, 0, 1 - self.ended, 0, int(self.ended), 0, 0, why=self.why)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "LOOK_SECONDS", 0)
    monkeypatch.setattr(target, "POD_SECONDS", 0.2)
    monkeypatch.setattr(target, "WORKER_SECONDS", 0.0)


async def test_a_partition_that_remembers_its_workers_is_not_called() -> None:
    grid = Called(looks=0)
    assert await target_of(cast("Any", grid), "fast") == TARGET
    assert grid.calls == grid.opened == []


async def test_a_partition_without_a_pod_so_far_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "LOOK_SECONDS", 0)
    grid = Called()
    assert await target_of(cast("Any", grid), "fast") == TARGET
    assert grid.opened == [("fast",)]
    assert grid.states == [SessionState.CANCELLED]
    (call,) = grid.calls
    payload = call.items[0].payload
    assert isinstance(payload, bytes)
    function = read(payload).header.fn
    assert function is not None
    assert function.ref == "platform:python_version", "no bytecode"


async def test_workers_can_execute_the_call_that_wakes_them() -> None:
    grid = LocalEngine(1)
    try:
        session = await grid.open(None, partitions=("p",), defaults=None, ttl_seconds=0, attach=False)
        task = await target._call(session)
        assert (await task.wait(WAIT)).succeeded == 1
    finally:
        await grid.close()


async def test_the_wait_for_a_first_pod_ends_and_says_why(hurried: None) -> None:
    grid = Called(looks=1_000_000, why="PodStartFailed: no image")
    with pytest.raises(ak.WaitTimeout, match=r"no worker of partition fast has said.*runs: PodStartFailed"):
        await target_of(cast("Any", grid), "fast")
    assert grid.states == [SessionState.CANCELLED]


async def test_a_worker_that_was_called_and_says_nothing_is_not_waited_for(
    hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "POD_SECONDS", 1e9)
    grid = Called(looks=1_000_000, ended=True)
    with pytest.raises(ak.WaitTimeout, match="is it a worker of functions"):
        await target_of(cast("Any", grid), "fast")


async def test_a_partition_that_is_not_there_is_named(hurried: None) -> None:
    grid = Called()
    grid.names = ["slow"]
    with pytest.raises(ak.WaitTimeout, match="there is no partition fast after 0 s, only: slow"):
        await target_of(cast("Any", grid), "fast")
    assert grid.opened == []


def test_what_was_used_last_is_kept(tmp_path: Path) -> None:
    now = time.time()
    for name, age in (("new", 1.0), ("old", 3.0), ("older.zip", 9.0), (".killed", 1e6), (".begun", 5.0)):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (now - age, now - age))
    keep_few(tmp_path, 200)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".begun", "new", "old"]
    keep_few(tmp_path, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".begun", "new"]


def test_functions_import_the_packages_of_their_session(uv: Uv, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1,2\n")

    def found() -> tuple[str, str]:
        import of_a_package  # type: ignore[import-not-found]

        return of_a_package.NAME, Path(of_a_package.__file__).with_name("table.csv").read_text()

    with ak.connect("local") as client:
        for name in ("one", "two"):
            with client.session(packages=[name], code=[tmp_path / "table.csv"], on_exit="cancel") as session:
                assert session.submit(found).result(WAIT) == (name, "1,2\n")
        with client.session(code=None, on_exit="cancel") as session, pytest.raises(ModuleNotFoundError):
            session.submit(found).result(WAIT)
    assert "--python-platform" not in uv.asked[0][0], "the local grid is this machine"


def test_packages_for_the_workers_of_another_partition_are_refused(uv: Uv) -> None:
    with ak.connect("local") as client:
        client.session("mine", partitions=["other"])
        with pytest.raises(ak.Refused, match="partition other, and they are installed for python"):
            client.session("mine", packages=["six"])
