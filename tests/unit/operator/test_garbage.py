"""Which objects of a Task nothing names, nor ever will."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.gc.unnamed_objects import OLD, RunNames, TaskNames, garbage, leaves_garbage, starts
from armonik_operator.journal.fold import TaskFold
from armonik_sdk.dataplane.s3.listing import Stored

P = "ns/s/task/"
NAMED = {f"{P}0/2-bb/pack-1", f"{P}0/2-bb/manifest-9", f"{P}0/results-now", f"{P}0/2-cc/items-0-0-ff"}
RUN = RunNames(3, frozenset(NAMED), frozenset({f"{P}0/2-cc/items-0-0-ff"}))
GOING_ON = TaskNames(details=frozenset({f"{P}detail-7"}), runs={0: RUN})
OVER = TaskNames(over=True, details=GOING_ON.details, runs={0: RunNames(math.inf, RUN.named, RUN.items)})
COMMON = {
    f"{P}detail-6": True,
    f"{P}detail-7": False,
    f"{P}0/results-now": False,
    f"{P}0/results-before": True,
    f"{P}0/1-aa/pack-1": True,
    f"{P}0/1-aa/manifest-3": True,
    f"{P}0/1-aa/0123abcd": True,
    f"{P}0/2-bb/pack-1": False,
    f"{P}0/2-bb/pack-2": True,
    f"{P}0/2-bb/manifest-8": True,
    f"{P}0/2-bb/manifest-9": False,
    f"{P}0/2-cc/items-0-0-ff": False,
    f"{P}0/2-cc/payload-of-a-child": False,
    f"{P}0/2-cc/manifest-4": True,
    f"{P}9/1-aa/pack-1": False,
    f"{P}strange": False,
    f"{P}0/strange": False,
    f"{P}0/strange/strange": False,
}
"""What goes, whether the Task continues or not."""


STRANGE = ["²", "٣", "9" * 300, "-1", "1e3", " 1", ""]
"""Names that clients may give to folders: digits of other scripts, and what is no number."""


def removed(task: TaskNames, age: float, old: float = OLD) -> set[str]:
    more = [f"{P}0/3-dd/pack-1", f"{P}payloads-abc", f"{P}0/message-1"]
    return set(garbage(P, [Stored(key, age) for key in (*COMMON, *more)], task, old))


def test_what_nothing_names_goes_and_what_an_owner_may_still_commit_stays() -> None:
    assert removed(GOING_ON, OLD) == {key for key, goes in COMMON.items() if goes}


def test_of_a_task_that_is_over_inputs_and_the_last_owners_go_too() -> None:
    more = {f"{P}0/3-dd/pack-1", f"{P}payloads-abc", f"{P}0/message-1"}
    assert removed(OVER, OLD) == {key for key, goes in COMMON.items() if goes} | more


def test_what_is_young_stays_but_for_what_owners_left_when_the_task_ends() -> None:
    assert removed(OVER, OLD - 1) == set()
    owners = {key for key, goes in COMMON.items() if goes and key.count("/") == 5}
    assert removed(OVER, 0.0, old=0.0) == owners | {f"{P}0/3-dd/pack-1"}


@given(
    age=st.floats(0, 2 * OLD),
    old=st.sampled_from([0.0, OLD]),
    over=st.booleans(),
    closed=st.sampled_from([0, 1, 2, 3, math.inf]),
    named=st.sets(st.sampled_from(sorted(COMMON))),
)
def test_what_is_named_never_goes(age: float, old: float, over: bool, closed: float, named: set[str]) -> None:
    items = frozenset(key for key in named if "/items-" in key)
    runs = {0: RunNames(closed, frozenset(named), items), 9: RunNames(closed, frozenset(named))}
    task = TaskNames(over=over, details=frozenset(named), runs=runs)
    assert not removed(task, age, old) & named


def test_runs_are_found_by_their_objects() -> None:
    assert starts(P, [Stored(key, 0.0) for key in COMMON]) == {0, 9}
    assert not leaves_garbage(TaskFold())


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("below", ["x", "1-aa/x", "message-1", "results-x"])
def test_folders_that_are_named_strangely_belong_to_no_run(name: str, below: str) -> None:
    stored = [Stored(f"{P}{name}/{below}", OLD)]
    assert starts(P, stored) == set()
    assert garbage(P, stored, OVER) == []
