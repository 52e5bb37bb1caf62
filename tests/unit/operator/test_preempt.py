"""Room between Partitions: who gives way to whom, with how many pods, and what each keeps."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.planning.preemption import Footprint, Preemption, concessions, kept
from armonik_sdk.api.kinds import Partition


@pytest.mark.parametrize(
    ("want", "reserved", "percentage", "keeps"),
    [(10, 0, 0, 10), (10, 0, 30, 7), (10, 0, 100, 0), (10, 4, 100, 4), (3, 0, 50, 2), (0, 2, 100, 2)],
)
def test_floor_and_percentage_say_what_is_kept(want: int, reserved: int, percentage: int, keeps: int) -> None:
    spec = {"podMax": 10, "podReserved": reserved, "preemptionPercentage": percentage}
    made = Partition.from_object(
        {"metadata": {"name": "p"}, "spec": spec | {"template": {"spec": {"worker": {"image": "w"}}}}}
    )
    assert kept(made.spec, want) == keeps


def test_the_lowest_gives_first_and_no_more_than_is_asked_for() -> None:
    shares = {
        "low": Footprint(1, keeps=1, pods=3),
        "middle": Footprint(5, keeps=0, pods=3),
        "high": Footprint(50, keeps=2, pods=2, asks=3),
    }
    assert concessions(shares) == {"low": Preemption("high", 2), "middle": Preemption("high", 1)}


def test_what_is_on_its_way_out_is_not_given_twice() -> None:
    shares = {"low": Footprint(1, keeps=0, pods=3, leaving=2), "high": Footprint(9, keeps=0, asks=2)}
    assert concessions(shares) == {"low": Preemption("high", 0)}


def test_equals_and_lower_ones_give_up_nothing() -> None:
    shares = {
        "a": Footprint(5, keeps=0, pods=3, asks=2),
        "b": Footprint(5, keeps=0, pods=3),
        "c": Footprint(7, 0, 3),
    }
    assert concessions(shares) == {}


SHARES = st.dictionaries(
    st.sampled_from("abcde"),
    st.builds(
        Footprint,
        priority=st.integers(1, 4),
        keeps=st.integers(0, 5),
        pods=st.integers(0, 8),
        leaving=st.integers(0, 3),
        asks=st.integers(0, 4),
    ),
)


@given(SHARES)
def test_nobody_gives_what_it_keeps_or_to_one_that_is_not_above(shares: Mapping[str, Footprint]) -> None:
    made = concessions(shares)
    for name, concession in made.items():
        share = shares[name]
        assert 0 <= concession.pods <= max(0, share.pods - share.keeps)
        assert shares[concession.to].asks > 0
        assert shares[concession.to].priority > share.priority
    assert sum(c.pods for c in made.values()) <= sum(share.asks for share in shares.values())


@given(SHARES)
def test_who_asks_gets_all_that_can_be_given(shares: Mapping[str, Footprint]) -> None:
    made = concessions(shares)
    top = max((s.priority for s in shares.values() if s.asks), default=0)
    below = {name: share for name, share in shares.items() if share.priority < top}
    asks = sum(s.asks for s in shares.values() if s.priority == top)
    possible = sum(max(0, s.pods - s.keeps) + s.leaving for s in below.values())
    given_ = sum(made[name].pods + share.leaving for name, share in below.items())
    assert given_ >= min(asks, possible)
