"""In which band of priority a run is queued."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.queueing.priority_bands import band_of_run
from armonik_sdk.api.const import MAX_PRIORITY, MIN_PRIORITY
from armonik_sdk.api.kinds import Item, TaskOptions
from armonik_sdk.api.names import BANDS, band_of

priorities = st.none() | st.integers(MIN_PRIORITY, MAX_PRIORITY)


@given(st.integers(MIN_PRIORITY, MAX_PRIORITY), st.integers(MIN_PRIORITY, MAX_PRIORITY))
def test_a_higher_priority_is_never_in_a_lower_band(one: int, other: int) -> None:
    assert 0 <= band_of(one) < BANDS
    assert one < other or band_of(one) >= band_of(other)
    assert abs(one - other) < BANDS or band_of(one) != band_of(other)


@given(own=priorities, items=st.lists(priorities, min_size=1), data=st.data())
def test_a_run_goes_where_its_most_urgent_element_belongs(
    own: int | None, items: list[int | None], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(items) - 1))
    end = data.draw(st.integers(start + 1, len(items)))
    whole = [Item(options=TaskOptions(priority=p)) if p else Item() for p in items]
    band = band_of_run(TaskOptions(priority=own), dict(enumerate(whole)), (start, end))
    assert band == max(band_of(own), *map(band_of, items[start:end]))
    assert band_of_run(TaskOptions(priority=own), None, (start, end)) == band_of(own)
