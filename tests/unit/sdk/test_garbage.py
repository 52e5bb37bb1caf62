"""Cycles of garbage are looked for seldom, and still found."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from armonik_sdk.gc_tuning import YOUNG, tune


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_existed_at_the_start_is_searched_no_more() -> None:
    tune()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == YOUNG


def test_cycles_are_freed_before_many_more_objects_are_made() -> None:
    tune()
    knots = [weakref.ref(Knot()) for _ in range(100)]
    kept = [[number] for number in range(2 * YOUNG)]
    assert len(kept) == 2 * YOUNG
    assert [knot for knot in knots if knot() is not None] == []
