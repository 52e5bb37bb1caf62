"""The blocking twin has what the asynchronous one has, name by name, and is made from it."""

import inspect
import subprocess
import sys
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hack.generate.sync import blocking, stale

import armonik_sdk
import armonik_sdk.aio as aio
import armonik_sdk.sync as sync

CLASSES = ["Client", "MapResult", "Ref", "Session", "Submitter", "TaskFunction"]
RENAMED = {"__aiter__": "__iter__", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def members(kind: type) -> dict[str, Any]:
    shown = {
        name: value for name, value in vars(kind).items() if callable(value) or isinstance(value, property)
    }
    return {
        RENAMED.get(name, name): value for name, value in shown.items() if not name.startswith("__armonik")
    }


def plain(signature: inspect.Signature) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def test_the_files_are_what_the_generator_writes() -> None:
    assert stale() == []


def test_both_have_the_same_names() -> None:
    assert sorted(aio.__all__) == sorted(sync.__all__)
    for name in sync.__all__:
        assert getattr(armonik_sdk, name) is getattr(sync, name)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_the_same_members_and_parameters(name: str) -> None:
    ours, theirs = members(getattr(aio, name)), members(getattr(sync, name))
    assert ours.keys() == theirs.keys()
    for member, value in ours.items():
        other = theirs[member]
        assert value.__doc__ == other.__doc__, member
        if callable(value):
            assert plain(inspect.signature(value)) == plain(inspect.signature(other)), member


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_blocking_is_a_coroutine(name: str) -> None:
    for member, value in members(getattr(sync, name)).items():
        assert not inspect.iscoroutinefunction(value), member
        assert not inspect.isasyncgenfunction(value), member


@pytest.mark.parametrize("name", ["connect", "gather", "as_completed", "task"])
def test_functions_have_the_same_parameters(name: str) -> None:
    ours, theirs = getattr(aio, name), getattr(sync, name)
    assert plain(inspect.signature(ours)) == plain(inspect.signature(theirs))
    assert ours.__doc__ == theirs.__doc__


def test_coroutines_become_functions_that_run_on_the_loop() -> None:
    made = blocking(
        "class Client:\n"
        "    async def close(self) -> None:\n"
        "        await self._core.close()\n"
        "    async def __aiter__(self) -> AsyncIterator[int]:\n"
        "        async for x in self._core.numbers():\n"
        "            yield await helper(x)\n"
        "    async def info(self) -> int:\n"
        "        return await self._core.info()\n"
    )
    assert "end(self._core)" in made
    assert "for x in iterate(self._core, self._core.numbers()):" in made
    assert "yield helper(x)" in made
    assert "return run(self._core, self._core.info())" in made
    assert "async" not in made.replace("armonik_sdk.aio", "")
    assert "def __iter__(self) -> Iterator[int]" in made


def test_iterators_are_typed_as_such() -> None:
    hints = typing.get_type_hints(sync.MapResult.as_completed)
    assert typing.get_origin(hints["return"]) is Iterator
    assert typing.get_origin(typing.get_type_hints(aio.MapResult.as_completed)["return"]) is AsyncIterator


def test_parts_that_need_no_functions_import_nothing_of_them() -> None:
    code = "import sys, armonik_sdk.worker, armonik_sdk.dataplane; print('anyio' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        armonik_sdk.nothing  # noqa: B018 - the access is what is tried
    assert "connect" in dir(armonik_sdk)
