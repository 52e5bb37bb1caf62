"""Moves of results: whatever is said in whatever order, a state is left once and is final."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.results import transitions
from armonik_sdk.api.records import DataRef
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState

Move = Callable[[ResultEntry | None], ResultEntry | None]
RECORD = ResultRecord(record_id="r", kind=ResultRecordKind.CREATED, name="model", manual_deletion=True)
LEGAL = {
    (None, ResultState.CREATED),
    (None, ResultState.COMPLETED),
    (None, ResultState.ABORTED),
    (ResultState.CREATED, ResultState.CREATED),
    (ResultState.CREATED, ResultState.COMPLETED),
    (ResultState.CREATED, ResultState.ABORTED),
    (ResultState.CREATED, ResultState.DELETED),
    (ResultState.COMPLETED, ResultState.DELETED),
}


def ref(key: str) -> DataRef:
    return DataRef(key=key, offset=0, length=3)


def upload(key: str) -> ResultRecord:
    return RECORD.model_copy(update={"kind": ResultRecordKind.UPLOADED, "ref": ref(key)})


keys = st.sampled_from(["one", "two"])
tasks = st.sampled_from(["", "parent", "child"])
times = st.floats(min_value=1, max_value=9)
moves: st.SearchStrategy[Move] = st.one_of(
    st.builds(lambda at: lambda now: transitions.created(now, RECORD, at), times),
    st.builds(lambda key, at: lambda now: transitions.uploaded(now, upload(key), at), keys, times),
    st.builds(lambda at: lambda now: transitions.given_up(now, RECORD, "no", at), times),
    st.builds(lambda at: lambda now: transitions.deleted(now, at), times),
    st.builds(lambda task, former: lambda now: transitions.owned(now, task, 0, former), tasks, tasks),
    st.builds(
        lambda task, key, at: lambda now: transitions.completed(now, task, 0, ref(key), at),
        tasks,
        keys,
        times,
    ),
    st.builds(lambda task: lambda now: transitions.aborted(now, task, 0, "no"), tasks),
)


@given(st.lists(moves, max_size=12))
def test_a_state_is_left_once_and_bytes_never_change(said: list[Move]) -> None:
    now: ResultEntry | None = None
    for move in said:
        following = move(now)
        if following is None:
            continue
        assert (now.state if now else None, following.state) in LEGAL
        assert (following.ref is not None) == (following.state is ResultState.COMPLETED)
        if now is not None:
            assert (now.name, now.manual_deletion, now.created) == (
                following.name,
                following.manual_deletion,
                following.created,
            )
        now = following


@given(st.lists(moves, max_size=8), moves)
def test_what_is_said_twice_is_done_once(said: list[Move], move: Move) -> None:
    now: ResultEntry | None = None
    for each in (*said, move):
        now = each(now) or now
    if now is not None and now.state is not ResultState.CREATED:
        again = move(now)
        assert again is None or again.state is ResultState.DELETED


def test_a_client_cannot_upload_or_give_up_what_a_task_shall_make() -> None:
    owed = transitions.owned(transitions.created(None, RECORD, 1.0), "child", 3, "")
    assert owed is not None
    assert transitions.uploaded(owed, upload("one"), 2.0) is None
    assert transitions.given_up(owed, RECORD, "no", 2.0) is None
    assert transitions.deleted(owed, 2.0) is None
    made = transitions.completed(owed, "child", 3, ref("two"), 2.0)
    assert made is not None
    assert (made.name, made.manual_deletion, made.ref) == ("model", True, ref("two"))


def test_an_upload_that_comes_before_its_creation_was_seen_says_it_all() -> None:
    entry = transitions.uploaded(None, upload("one"), 2.0)
    assert entry is not None
    assert (entry.state, entry.name, entry.manual_deletion, entry.ref) == (
        ResultState.COMPLETED,
        "model",
        True,
        ref("one"),
    )
    assert transitions.created(entry, RECORD, 3.0) is None
