"""What functions import from: unpacked once, one for each executor, the oldest removed."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from armonik_sdk.functions import (
    BadEnvironment,
    archive,
    decode_error,
    decode_value,
    encode_call,
    named_sources,
    prepare_function,
    read,
)
from armonik_sdk.functions.messages import Function
from armonik_sdk.worker import Abort, Element
from armonik_sdk.worker.element import Environment, read_elements
from armonik_sdk.worker.executor.pool import ENVIRONMENTS, Children
from armonik_sdk.worker.functions import environments, run


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As a fresh executor."""
    monkeypatch.setenv(environments.FOLDER, str(tmp_path / "environments"))
    monkeypatch.setattr(environments, "_active", [])
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    importlib.invalidate_caches()


def environment(tmp_path: Path, name: str, text: str) -> Environment:
    (tmp_path / name).mkdir()
    (tmp_path / name / f"{name}.py").write_text(text)
    made = archive(named_sources([tmp_path / name / f"{name}.py"]), tmp_path / "zips")
    return Environment(made.file_sha256, made.path)


def element(folder: Path, ref: str, given: Environment | None) -> Element:
    sent = bytes(encode_call(Function(ref, ref, None, None, None), (4,)))
    return Element(0, "t.0", sent, {}, ("result",), {}, "uid", folder=folder, environment=given)


def test_a_function_of_a_module_that_was_sent_is_executed(tmp_path: Path) -> None:
    given = environment(tmp_path, "sent_along", "def square(x):\n    return x * x\n")
    returned = run(element(tmp_path, "sent_along:square", given))
    assert isinstance(returned, bytes)
    assert decode_value(read(returned)) == 16


def test_a_small_archive_may_come_in_memory(tmp_path: Path) -> None:
    given = environment(tmp_path, "in_memory", "x = 1\n")
    assert isinstance(given.source, Path)
    environments.activate(given._replace(source=memoryview(given.source.read_bytes())))
    assert importlib.import_module("in_memory").x == 1


def test_it_is_unpacked_once(tmp_path: Path) -> None:
    given = environment(tmp_path, "only_once", "x = 1\n")
    environments.activate(given)
    environments._active.clear()
    environments.activate(given._replace(source=tmp_path / "not read again"))


def test_an_executor_imports_from_one_alone(tmp_path: Path) -> None:
    one, other = environment(tmp_path, "first", "x = 1\n"), environment(tmp_path, "second", "x = 2\n")
    environments.activate(one)
    environments.activate(one)
    with pytest.raises(BadEnvironment, match="different environments"):
        environments.activate(other)


def test_what_is_no_archive_is_final_and_says_so(tmp_path: Path) -> None:
    bad = Environment("0" * 64, memoryview(b"no archive"))
    with pytest.raises(Abort) as caught:
        run(element(tmp_path, "builtins:abs", bad))
    got = decode_error(read(caught.value.detail))
    assert isinstance(got, BadEnvironment)
    assert "no ZIP file" in str(got)


def test_few_are_kept_those_that_were_used_last(tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    for number in range(environments.KEPT + 2):
        environments._active.clear()
        given = environment(tmp_path, f"numbered{number}", "x = 1\n")
        environments.activate(given)
        os.utime(folder / given.sha256, (number, number))
    assert len(list(folder.iterdir())) == environments.KEPT
    assert (folder / given.sha256).is_dir()


def test_what_is_kept_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "MAX_BYTES", 1000)
    made = []
    for number in range(3):
        environments._active.clear()
        made.append(environment(tmp_path, f"large{number}", "#" * 900))
        environments.activate(made[-1])
        os.utime(tmp_path / "environments" / made[-1].sha256, (number, number))
    kept = {path.name for path in (tmp_path / "environments").iterdir()}
    assert kept == {made[1].sha256, made[2].sha256}
    environments._active.clear()
    with pytest.raises(BadEnvironment, match="1,001 bytes unpacked"):
        environments.activate(environment(tmp_path, "too_large", "#" * 1001))


def test_a_frame_says_where_it_is() -> None:
    entry = {"index": 0, "id": "t.0", "payload": 0, "outputs": {"result": "r"}}
    head = {"elements": [entry], "folder": "/f", "environment": {"sha256": "aa", "place": "file"}}
    ((made, _),) = read_elements(head, [memoryview(b"")])
    assert made.environment == Environment("aa", Path("/f/file"))
    ((made, _),) = read_elements(head | {"environment": {"sha256": "aa", "place": 0}}, [memoryview(b"z")])
    assert made.environment == Environment("aa", memoryview(b"z"))


async def test_an_executor_is_used_again_for_its_own_environment_alone() -> None:
    children: Any = Children.__new__(Children)
    killed: list[str] = []

    def child(name: str) -> Any:
        return SimpleNamespace(
            environment=name, dead=False, on_ended=None, on_death=None, kill=lambda: killed.append(name)
        )

    children._idle = []
    for name in ("", "a", "b", "c", "d"):
        children.give_back(child(name))
    assert [one.environment for one in children._idle] == ["a", "b", "c", "d"]
    assert killed == [""]
    assert ENVIRONMENTS == 4
    assert (await children.take("b")).environment == "b"
    assert [one.environment for one in children._idle] == ["a", "c", "d"]


def test_a_prepared_function_of_a_module_goes_by_reference() -> None:
    assert prepare_function(importlib.import_module).ref == "importlib:import_module"
