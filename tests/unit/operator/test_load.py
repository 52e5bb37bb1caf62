"""The load of Partitions, kept as runs change, is what a look through all folds would find."""

from collections import defaultdict
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.cache.partition_load import SEEN_SECONDS, EndRates, PartitionLoad, PartitionLoads
from armonik_operator.journal.fold import RunHead
from armonik_sdk.api.names import NamespacedName
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
    loads = PartitionLoads(lambda: 0.0, lambda _: None)
    last: dict[tuple[str, int], RunHead] = {}
    for task, run in steps:
        if run is None:
            loads.drop(task)
            last = {key: value for key, value in last.items() if key[0] != task}
        else:
            loads.note("n", task, run)
            last[task, run.start] = run
    expected: dict[str, PartitionLoad] = defaultdict(PartitionLoad)
    for run in last.values():
        load = expected[run.partition]
        if run.kind.terminal:
            continue
        if run.owner_pod:
            load.owners[run.owner_pod] = load.owners.get(run.owner_pod, 0) + 1
        load.elements += run.remaining - (1 if run.owner_pod else 0)
        load.runs += run.kind in (RecordKind.SUBMITTED, RecordKind.RELEASED)
    for partition in ("p", "q"):
        assert loads.of(NamespacedName("n", partition)) == expected[partition]
    assert set(loads.places()) == {NamespacedName("n", p) for p, load in expected.items() if not load.empty}


def test_a_pod_is_idle_since_its_last_run() -> None:
    now = 100.0
    changed: list[NamespacedName] = []
    loads = PartitionLoads(lambda: now, changed.append)
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
    assert set(changed) == {NamespacedName("n", "p")}


PLACE = NamespacedName("n", "p")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_of_a_partition_is_that_of_the_last_five_minutes() -> None:
    clock = Clock()
    rates = EndRates(clock)
    assert rates.per_minute(PLACE) == 0
    rates.note(PLACE, 100, 0.0)
    assert rates.per_minute(PLACE) == 0, "too short a time was seen"
    clock.now += 20
    rates.note(PLACE, 590, 0.0)
    assert rates.per_minute(PLACE) == 2070
    clock.now += SEEN_SECONDS - 15
    assert rates.per_minute(PLACE) == 590 * 60 // 285
    clock.now += 16
    assert rates.per_minute(PLACE) == 0
    rates.note(PLACE, 5, 0.0)
    rates.forget(PLACE)
    clock.now += 20
    assert rates.per_minute(PLACE) == 0


def test_records_that_are_read_again_after_a_restart_are_of_their_time() -> None:
    clock = Clock()
    rates = EndRates(clock)
    rates.note(PLACE, 120, 120.0)
    rates.note(PLACE, 1_000, SEEN_SECONDS + 1)
    rates.note(PLACE, 1, -5.0)
    assert rates.per_minute(PLACE) == round(121 / 2)
    assert rates.per_minute(NamespacedName("n", "")) == 0


def test_what_is_kept_of_a_rate_is_bounded() -> None:
    clock = Clock()
    rates = EndRates(clock)
    for _ in range(10_000):
        clock.now += 0.5
        rates.note(PLACE, 1, 0.0)
    assert len(rates._ends[PLACE]) <= 31
    assert rates.per_minute(PLACE) == 120
