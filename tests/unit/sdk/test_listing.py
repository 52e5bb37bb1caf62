"""Pages that shift between two reads still list everything that stands all the while."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.dataplane.listing import Page, collect

NAMES = st.sets(st.integers(0, 60), max_size=40)
CHANGES = st.lists(st.sets(st.integers(0, 60), max_size=8), max_size=12)


@given(lasting=NAMES, passing=NAMES, changes=CHANGES, size=st.integers(2, 7))
def test_everything_that_lasts_is_listed(
    lasting: set[int], passing: set[int], changes: list[set[int]], size: int
) -> None:
    standing = set(lasting | passing)
    coming = iter(changes)

    async def read(offset: int) -> Page:
        there = sorted(f"{number:02}" for number in standing)
        page = Page(there[offset : offset + size], len(there))
        for number in next(coming, set()) - lasting:
            standing.symmetric_difference_update({number})
        return page

    found = asyncio.run(collect(read))
    assert {f"{number:02}" for number in lasting} <= found
    everything = lasting.union(passing, *changes)
    assert found <= {f"{number:02}" for number in everything}
