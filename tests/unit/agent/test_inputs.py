"""Which inputs are fetched together."""

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.elements import Elements
from armonik_agent.folder import Folder
from armonik_agent.inputs import PARALLEL, RunInputs, plan_batches
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import RunMessage

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
    async with Folder(tmp_path / "run") as folder, RunInputs(store, [element], folder, tmp_path) as inputs:
        await inputs.lay(element)
        assert {name: (folder.path / name).read_bytes() for name in names} == {
            name: f"at-{name}".encode() for name in names
        }
        assert (folder.path / element.payload_id).read_bytes() == b""  # none: there, and empty
