"""Which elements `task retry` submits again."""

import pytest

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.cli.actions.tasks.again import Chosen
from armonik_sdk.client.handles.task import Unsuccessful

ENDED = Unsuccessful(Ranges.parse("1-3"), Ranges.parse("5"), Ranges.parse("7-8"))


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (Chosen(), "1-3,5"),
        (Chosen(failed=True), "1-3"),
        (Chosen(timed_out=True, cancelled=True), "5,7-8"),
        (Chosen(indexes=Ranges.parse("0,7")), "0,7"),
        (Chosen(failed=True, indexes=Ranges.parse("3-6")), "3"),
        (Chosen(cancelled=True, indexes=Ranges.parse("0-1")), ""),
    ],
)
def test_elements_are_chosen_by_how_they_ended_and_by_index(chosen: Chosen, found: str) -> None:
    assert str(chosen.of(ENDED)) == found
