"""Caches of results are bounded by their bytes, not by how many results there are."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.results.sizes import entry_bytes, run_bytes
from armonik_operator.util.bounded_cache import BoundedCache
from armonik_sdk.api.records import DataRef, Outcome, OutcomeKind, Piece
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 60)), max_size=60))
def test_sizes_are_bounded_and_what_was_used_last_stays(uses: list[tuple[int, int | None]]) -> None:
    """A use with a size puts a value, one without reads it."""
    cache: BoundedCache[int, int] = BoundedCache(100)
    sizes: dict[int, int] = {}
    for number, (key, size) in enumerate(uses):
        if size is None:
            if cache.get(key) is not None:
                sizes[key] = sizes.pop(key)
            continue
        cache.put(key, number, size)
        sizes.pop(key, None)
        sizes[key] = size
        left = list(cache)
        assert left[-1] == key, "what was just put stays"
        assert cache.size == sum(sizes[each] for each in left)
        assert cache.size <= max(100, size)
        assert left == list(sizes)[len(sizes) - len(left) :], "those that were used last stay"
        assert len(left) == len(cache)
        sizes = {each: sizes[each] for each in left}


def test_a_value_that_is_taken_out_needs_no_room() -> None:
    cache: BoundedCache[str, str] = BoundedCache(3)
    cache.put("a", "x", 2)
    assert cache.pop("a") == "x"
    assert cache.pop("a") is None
    assert (cache.size, len(cache), cache.get("a")) == (0, 0, None)


def test_large_ones_count_for_more_than_small_ones() -> None:
    data = b"x" * 48_000
    small = ResultEntry(state=ResultState.CREATED)
    large = ResultEntry(state=ResultState.COMPLETED, ref=DataRef.of_bytes(data))
    assert entry_bytes(None) < entry_bytes(small) < entry_bytes(large)
    assert entry_bytes(large) > len(data)

    def run(count: int, inline: str) -> RunResults:
        pieces = {str(n): Piece(length=1, sha256="0" * 64, inline=inline or None) for n in range(count)}
        outcome = Outcome(index=0, kind=OutcomeKind.COMPLETED, made=pieces)
        return RunResults(sequence=1, end=1, outcomes=(outcome,))

    assert run_bytes(run(1_000, "")) > 900 * run_bytes(run(1, "")) / 3
    assert run_bytes(run(1, "eHh4" * 12_000)) > 48_000
