"""Pages that shift between two reads still list everything that exists throughout."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.subjects import Page, Pages, collect

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

    found = asyncio.run(collect(Pages(read)))
    assert {f"{number:02}" for number in lasting} <= found
    everything = lasting.union(passing, *changes)
    assert found <= {f"{number:02}" for number in everything}


async def test_a_page_that_could_not_be_read_is_read_again() -> None:
    there = [f"{number:02}" for number in range(20)]
    failures = iter([False, True, False, True, True, False])

    async def read(offset: int) -> Page:
        if next(failures, False):
            raise QueueUnavailable("no answer")
        return Page(there[offset : offset + 6], len(there))

    pages, found, longest = Pages(read), list[str](), 0
    while True:
        try:
            page = await pages.next()
        except QueueUnavailable:
            continue
        if not page:
            break
        longest = max(longest, len(page))
        found += page
    assert found == there
    assert longest == 6, "only one page is in memory"
