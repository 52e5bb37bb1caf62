"""Which inputs are fetched together."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.data.elements import Elements
from armonik_agent.data.inputs import PARALLEL, Room, RunInputs, plan_batches
from armonik_agent.data.shared_folder import Folder
from armonik_agent.errors import InputTooLarge
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import ElementSpec, RunMessage

MOST = 100
names = st.sampled_from("abcdefgh")
lengths = st.one_of(st.none(), st.integers(0, 150))


@given(st.dictionaries(names, lengths), st.lists(st.sets(names), max_size=12))
def test_every_input_is_fetched_once_and_not_after_its_first_reader(
    sizes: dict[str, int | None], elements: list[set[str]]
) -> None:
    refs = {name: ObjectRef(key=name, length=length) for name, length in sizes.items()}
    needs = [(i, {name: refs[name] for name in wanted & refs.keys()}) for i, wanted in enumerate(elements)]
    batches = plan_batches(needs, MOST)
    assert [index for batch in batches for index in batch.indexes] == list(range(len(elements)))
    fetched = [name for batch in batches for name in batch.fetch]
    assert len(fetched) == len(set(fetched))
    there: set[str] = set()
    for batch in batches:
        there |= batch.fetch.keys()
        for index in batch.indexes:
            assert needs[index][1].keys() <= there


@given(st.lists(st.lists(st.integers(0, 150), max_size=3), max_size=12))
def test_a_batch_is_bounded_unless_one_element_alone_needs_more(elements: list[list[int]]) -> None:
    needs = [
        (i, {f"{i}.{n}": ObjectRef(key="o", length=length) for n, length in enumerate(wanted)})
        for i, wanted in enumerate(elements)
    ]
    for batch in plan_batches(needs, MOST):
        size = sum(ref.length or 0 for ref in batch.fetch.values())
        assert size <= MOST or len(batch.indexes) == 1


async def test_inputs_are_fetched_several_at_once_and_lie_there_before_the_element_begins(
    tmp_path: Path,
) -> None:
    together, asked = asyncio.Event(), list[str]()

    class Store:
        async def get(self, ref: ObjectRef) -> bytes:
            asked.append(ref.key)
            if len(asked) == PARALLEL:
                together.set()
            async with asyncio.timeout(30):
                await together.wait()
            return ref.key.encode()[: ref.length]

    names = [f"dep-{n}" for n in range(2 * PARALLEL)]
    fields: dict[str, Any] = {"namespace": "n", "session": "s", "task": "t", "partition": "p"}
    message = RunMessage(
        start=0,
        end=1,
        n=1,
        dependencies=tuple(names),
        locators={name: ObjectRef(key=f"at-{name}", length=len(name) + 3) for name in names},
        **fields,
    )
    element = Elements(message).of(0)
    store: Any = Store()
    async with (
        Folder(tmp_path / "run") as folder,
        RunInputs(store, [element], folder, tmp_path, Room(MOST, MOST)) as inputs,
    ):
        await inputs.lay(element)
        assert {name: (folder.path / name).read_bytes() for name in names} == {
            name: f"at-{name}".encode() for name in names
        }
        assert (folder.path / element.payload_id).read_bytes() == b""  # none: there, and empty


MIB = 1024 * 1024
LARGE = 20 * MIB
"""More than a batch."""


class Sizes:
    """A store whose objects are all of one size, streamed as holes; what was asked of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fetched: list[str] = []
        self.full = 0
        """Downloads that the disk refuses."""

    async def get(self, ref: ObjectRef) -> bytes:
        if ref.length:
            self.fetched.append(ref.key)
        return bytes(ref.length or 0)

    async def download(self, ref: ObjectRef, path: Path) -> None:
        self.fetched.append(ref.key)
        if self.full:
            self.full -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        with path.open("wb") as file:
            file.truncate(ref.length or self.size)

    async def stat(self, key: str) -> int:
        return self.size


def run_of(wanted: list[list[str]], length: int | None) -> Elements:
    """A run whose elements depend on these results."""
    names = sorted({name for each in wanted for name in each})
    fields: dict[str, Any] = {"namespace": "n", "session": "s", "task": "t", "partition": "p"}
    return Elements(
        RunMessage(
            start=0,
            end=len(wanted),
            n=1,
            elements={i: ElementSpec(dependencies=tuple(each)) for i, each in enumerate(wanted)},
            locators={name: ObjectRef(key=name, length=length) for name in names},
            **fields,
        )
    )


@asynccontextmanager
async def laid_in(
    tmp_path: Path, store: Any, elements: Elements, room: Room
) -> AsyncIterator[tuple[RunInputs, Folder]]:
    wanted = [elements.of(index) for index in range(elements.message.end)]
    async with (
        Folder(tmp_path / "run") as folder,
        RunInputs(store, wanted, folder, tmp_path, room) as inputs,
    ):
        yield inputs, folder


@pytest.mark.parametrize("length", [LARGE, None])
async def test_inputs_beyond_the_room_are_refused_before_any_of_them_is_fetched(
    tmp_path: Path, length: int | None
) -> None:
    store, elements = Sizes(LARGE), run_of([["a", "b"], ["c"], ["b"]], length)
    async with laid_in(tmp_path, store, elements, Room(2 * LARGE - 1, LARGE)) as (inputs, folder):
        inputs.begin()
        await inputs.first()
        with pytest.raises(InputTooLarge, match=f"{2 * LARGE} bytes in all.*at most {2 * LARGE - 1}"):
            await inputs.lay(elements.of(0))
        assert {"a", "b"}.isdisjoint(store.fetched)
        inputs.done(elements.of(0))
        for index, name in ((1, "c"), (2, "b")):  # its neighbours read what they need, also what it shares
            await inputs.lay(elements.of(index))
            assert folder.size(name) == LARGE
            inputs.done(elements.of(index))
            assert folder.size(name) is None


async def test_what_is_large_is_not_fetched_ahead(tmp_path: Path) -> None:
    store, elements = Sizes(LARGE), run_of([["a"], ["b"]], LARGE)
    async with laid_in(tmp_path, store, elements, Room(10 * LARGE, LARGE - 1)) as (inputs, _):
        inputs.begin()
        await inputs.first()
        assert store.fetched == []
        assert inputs.heavy(elements.of(0))
        await inputs.lay(elements.of(0))
        assert store.fetched == ["a"]
        assert not inputs.heavy(elements.of(0))
        assert inputs.heavy(elements.of(1))
        assert not inputs.ready(elements.of(1))


async def test_what_later_elements_read_makes_room_and_is_fetched_again(tmp_path: Path) -> None:
    store, elements = Sizes(LARGE), run_of([["a", "b"], ["c", "d"], ["a", "d"]], LARGE)
    async with laid_in(tmp_path, store, elements, Room(2 * LARGE, LARGE)) as (inputs, folder):
        for index, names in enumerate((("a", "b"), ("c", "d"), ("a", "d"))):
            await inputs.lay(elements.of(index))
            there = [path for path in folder.path.iterdir() if path.stat().st_size]
            assert {path.name for path in there} >= set(names)
            assert sum(path.stat().st_size for path in there) <= 2 * LARGE
            inputs.done(elements.of(index))
        assert sorted(store.fetched) == ["a", "a", "b", "c", "d"]


async def test_a_disk_that_is_full_is_an_error_of_the_elements_that_read_it(tmp_path: Path) -> None:
    store, elements = Sizes(LARGE), run_of([["a"], ["b"]], LARGE)
    store.full = 1
    async with laid_in(tmp_path, store, elements, Room(2 * LARGE, LARGE)) as (inputs, folder):
        inputs.begin()
        await inputs.first()
        with pytest.raises(OSError, match="No space left"):
            await inputs.lay(elements.of(0))
        await inputs.lay(elements.of(1))
        assert folder.size("b") == LARGE
