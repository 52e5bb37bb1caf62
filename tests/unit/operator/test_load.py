"""The load of Partitions, kept as runs change, is what a look through all folds would find."""

from collections import defaultdict
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.fold import RunHead
from armonik_operator.load import Load, Loads, Place
from armonik_sdk.api.records import RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def head(start: int, kind: RecordKind, partition: str, pod: str, remaining: int) -> RunHead:
    return RunHead(
        start=start,
        end=start + 10,
        n=1,
        epoch=1,
        kind=kind,
        sequence=1,
        time=NOW,
        partition=partition,
        owner_pod=pod if kind.owned else "",
        remaining=0 if kind.terminal else remaining,
    )


HEADS = st.builds(
    head,
    st.sampled_from([0, 10]),
    st.sampled_from(RecordKind),
    st.sampled_from(["p", "q"]),
    st.sampled_from(["pod-1", "pod-2"]),
    st.integers(1, 10),
)


@given(st.lists(st.tuples(st.sampled_from(["t", "u"]), st.one_of(st.none(), HEADS))))
def test_the_sums_are_those_of_the_last_heads(steps: list[tuple[str, RunHead | None]]) -> None:
    loads = Loads(lambda: 0.0, lambda _: None)
    last: dict[tuple[str, int], RunHead] = {}
    for task, run in steps:
        if run is None:
            loads.drop(task)
            last = {key: value for key, value in last.items() if key[0] != task}
        else:
            loads.note("n", task, run)
            last[task, run.start] = run
    expected: dict[str, Load] = defaultdict(Load)
    for run in last.values():
        load = expected[run.partition]
        if run.kind.terminal:
            continue
        if run.owner_pod:
            load.owners[run.owner_pod] = load.owners.get(run.owner_pod, 0) + 1
        load.elements += run.remaining - (1 if run.owner_pod else 0)
        load.runs += run.kind in (RecordKind.SUBMITTED, RecordKind.RELEASED)
    for partition in ("p", "q"):
        assert loads.of(Place("n", partition)) == expected[partition]
    assert set(loads.places()) == {Place("n", p) for p, load in expected.items() if not load.empty}


def test_a_pod_is_idle_since_its_last_run() -> None:
    now = 100.0
    changed: list[Place] = []
    loads = Loads(lambda: now, changed.append)
    now = 130.0
    assert loads.idle("pod-1") == 30.0
    loads.note("n", "t", head(0, RecordKind.DISPATCHED, "p", "pod-1", 3))
    now = 140.0
    loads.note("n", "t", head(0, RecordKind.DONE, "p", "", 0))
    assert loads.idle("pod-1") == 0.0
    now = 145.0
    assert loads.idle("pod-1") == 5.0
    loads.forget_pod("pod-1")
    assert loads.idle("pod-1") == 45.0
    assert set(changed) == {Place("n", "p")}
