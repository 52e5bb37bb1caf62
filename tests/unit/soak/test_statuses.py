"""The checker of the soak sees what it is there for."""

import pytest
from tests.soak.plan import session
from tests.soak.statuses import wrong

HALF = {
    "phase": "Processing",
    "journalEpoch": 1,
    "succeededIndexes": "0-4",
    "elements": {"total": 10, "succeeded": 5, "running": 5},
}
WHOLE = {
    "phase": "Completed",
    "journalEpoch": 1,
    "succeededIndexes": "0-9",
    "elements": {"total": 10, "succeeded": 10},
}


def test_a_status_that_advances_is_right() -> None:
    assert wrong({}, HALF) == []
    assert wrong(HALF, WHOLE) == []


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (WHOLE, WHOLE | {"phase": "Processing"}, "phase went from Completed"),
        (HALF, HALF | {"journalEpoch": 0}, "journalEpoch went back"),
        (HALF, HALF | {"succeededIndexes": "0-3,5"}, "succeededIndexes lost some"),
        (HALF, HALF | {"succeededIndexes": "0-5"}, "elements.succeeded is 5"),
        (HALF, HALF | {"elements": {"total": 10, "succeeded": 5, "running": 4}}, "add up to 9"),
    ],
)
def test_what_goes_back_or_does_not_add_up_is_seen(
    before: dict[str, object], now: dict[str, object], said: str
) -> None:
    assert any(said in each for each in wrong(before, now))


def test_the_same_seed_makes_the_same_sessions() -> None:
    assert session(7, 1, 3) == session(7, 1, 3)
    assert session(7, 1, 3) != session(8, 1, 3)


def test_every_element_of_a_plan_has_an_expectation() -> None:
    for number in range(50):
        for job in session(1, 0, number).jobs:
            assert set(job.expected) == set(range(len(job.payloads)))
