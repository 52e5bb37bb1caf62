"""The project's code goes along with the calls of a session: which, when, and how often it is uploaded."""

import io
import logging
import sys
import zipfile
from collections.abc import AsyncIterator
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

import armonik_sdk as ak
from armonik_sdk.aio.calls import code
from armonik_sdk.aio.calls.code import Code, editable, project
from armonik_sdk.api.keys import misplaced
from armonik_sdk.api.kinds import SessionSpec, TaskOptions
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.client.errors import Unavailable
from armonik_sdk.client.results.base import Content
from armonik_sdk.functions import CodeTooLarge, loaded_sources
from armonik_sdk.grid.cluster.session import ClusterSession
from armonik_sdk.grid.local.session import LocalSession
from user_modules import Load, loader

WAIT = 60.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, which is the project; no editable installations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "editable", lambda _: [])
    return tmp_path.resolve()


@pytest.fixture
def load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    return loader(folder, monkeypatch)


def names(sent: Code) -> list[str]:
    sha256 = sent.look()
    assert sha256 is not None
    content = sent.content(sha256)
    assert isinstance(content, bytes)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sorted(archive.namelist())


def test_nothing_goes_where_no_module_of_the_project_is_loaded(folder: Path) -> None:
    (folder / "never_loaded.py").write_text("x = 1\n")
    assert Code().look() is None


def test_loaded_modules_go_and_their_size_is_logged(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    module = load("x = 1\n")
    with caplog.at_level(logging.INFO, "armonik_sdk"):
        sent = Code()
    assert names(sent) == [f"{module.__name__}.py"]
    content = sent.content(sent.look() or "")
    assert isinstance(content, bytes)
    size = len(content)
    assert f"source files that go along: 1, an archive of {size} bytes" in caplog.text


def test_a_module_that_is_loaded_later_goes_with_later_calls(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("x = 1\n")
    sent = Code()
    before = sent.look()
    monkeypatch.setitem(sys.modules, "not_of_the_project", ModuleType("not_of_the_project"))
    assert sent.look() == before
    second = load("x = 2\n")
    assert sent.look() != before
    assert names(sent) == sorted(f"{module.__name__}.py" for module in (first, second))


def test_this_package_does_not_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(ak.__file__).parents[2])
    assert Code().look() is None


def test_named_files_and_folders_go_and_no_others(load: Load, folder: Path) -> None:
    load("x = 1\n")
    (folder / "data").mkdir()
    (folder / "data" / "table.csv").write_text("1,2\n")
    assert names(Code([folder / "data"])) == ["data/table.csv"]
    assert names(Code(["data/table.csv"])) == ["table.csv"]
    assert Code(None).look() is None
    assert Code([]).look() is None


@pytest.mark.parametrize("wrong", ["src/pkg", Path("src/pkg")])
def test_one_path_in_the_place_of_a_list_is_refused(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r'code: "loaded", a list of files and folders, or None, not .*src/pkg'
    ):
        Code(wrong)


def test_a_program_that_is_installed_runs_the_project_of_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for file in (Path(pytest.__file__), Path(sys.executable).with_name("pytest"), Path(logging.__file__)):
        main.__file__ = str(file)
        assert project() == (folder,)
    main.__file__ = str(folder / "scripts" / "job.py")
    assert project() == (folder / "scripts",)


def test_a_working_folder_that_was_removed_has_no_modules(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    assert Code().look() is None


def test_editable_installations_belong_to_the_project() -> None:
    def said(text: str | None) -> Distribution:
        return cast("Distribution", SimpleNamespace(name="x", read_text=lambda _: text))

    found = editable(
        said(text)
        for text in (
            None,
            '{"url": "file:///home/me/my%20src", "dir_info": {"editable": true}}',
            '{"url": "file:///home/me/other", "dir_info": {}}',
            '{"url": "https://x/y.git", "vcs_info": {}}',
            "[]",
            "no json",
        )
    )
    assert found == [Path("/home/me/my src")]


def test_looking_at_modules_runs_none_of_their_code(tmp_path: Path) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    class Strange:
        def __getattribute__(self, name: str) -> Any:
            return ModuleType if name == "__class__" else None

    modules = {"lazy": Lazy("lazy"), "strange": cast("ModuleType", Strange())}
    assert loaded_sources(modules, [tmp_path]) == []


def test_code_beyond_the_bound_names_the_largest_files_and_makes_no_session(folder: Path) -> None:
    with (folder / "large.bin").open("wb") as file:
        file.truncate(51 * 1024 * 1024)
    with ak.connect("local") as client:
        with pytest.raises(CodeTooLarge, match=r"large\.bin \(53,477,376 bytes\)"):
            client.session(code=["large.bin"])
        with pytest.raises(FileNotFoundError, match="code names gone"):
            client.session(code=["gone"])
        assert list(client.sessions()) == []


def test_an_environment_in_the_defaults_is_the_only_one(load: Load) -> None:
    load("x = 1\n")
    own = TaskOptions(environment=Environment(object="env", sha256="0" * 64))
    with ak.connect("local") as client:
        session = client.session(defaults=own)
        assert session._core._code.look() is None
        with pytest.raises(ValueError, match=r"code, packages: defaults\.environment names"):
            client.session(defaults=own, code=["x.py"])


def test_an_archive_is_uploaded_once_and_again_after_a_failure(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("def times(x):\n    return 3 * x\n")
    real, asked = LocalSession.put_environment, list[str]()

    async def put(self: LocalSession, archive: Content, sha256: str) -> str:
        asked.append(sha256)
        if len(asked) == 1:
            raise Unavailable("the store does not answer")
        return await real(self, archive, sha256)

    monkeypatch.setattr(LocalSession, "put_environment", put)
    with ak.connect("local") as client, client.session(on_exit="cancel") as session:
        with pytest.raises(Unavailable):
            session.submit(module.times, 2).result(WAIT)
        assert session.submit(module.times, 2).result(WAIT) == 6
        assert session.map(module.times, range(3)).results(WAIT) == [0, 3, 6]
    assert asked == [asked[0]] * 2


async def test_on_a_cluster_it_lies_below_the_prefix_of_its_session_unless_all_have_it() -> None:
    stored: dict[str, bytes] = {}

    class Link:
        async def size(self, key: str) -> int | None:
            return len(stored[key]) if key in stored else None

        async def put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> None:
            stored[key] = b"".join([piece async for piece in pieces])

    async def link() -> Link:
        return Link()

    handle = SimpleNamespace(name="s", uid="u-1", namespace="team")
    session = ClusterSession(
        cast("Any", SimpleNamespace(link=link)), cast("Any", handle), SessionSpec(partitions=["python"])
    )
    key = await session.put_environment(b"zip", "a" * 64)
    assert stored == {key: b"zip"}
    assert misplaced(key, "team", "u-1") == ""
    assert await session.put_environment(b"zip", "a" * 64) != key, "a key is never used twice"
    kept = f"team/env/{'a' * 64}"
    stored[kept] = b"zi"
    assert await session.put_environment(b"zip", "a" * 64) != kept, "it is not whole"
    before = len(stored)
    stored[kept] = b"zip"
    assert await session.put_environment(b"zip", "a" * 64) == kept, "the namespace keeps it for all"
    assert len(stored) == before
