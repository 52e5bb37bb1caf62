"""The runs of a Task behave as a dict of their heads, whatever comes in whatever order."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.journal.run_heads import RunHead, RunHeads
from armonik_sdk.api.records import RecordKind

WIDTH = 4
TIME = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def heads(draw: st.DrawFn) -> RunHead:
    start = WIDTH * draw(st.integers(0, 9))
    kind = draw(
        st.sampled_from([RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.DONE, RecordKind.CANCELLED])
    )
    end = start + draw(st.integers(1, WIDTH))
    sequence, n, epoch = draw(st.tuples(*[st.integers(0, 2**40)] * 3))
    if kind.terminal:
        return RunHead(start, end, n, epoch, kind, sequence)
    return RunHead(start, end, n, epoch, kind, sequence, TIME, "default", "pod", end - start)


@given(st.lists(st.one_of(heads(), st.integers(0, 9)), max_size=40), st.integers(0, 45), st.integers(0, 45))
def test_heads_are_kept_as_in_a_dict(steps: list[RunHead | int], low: int, high: int) -> None:
    kept, expected = RunHeads(), {}
    for step in steps:
        if isinstance(step, RunHead):
            kept.put(step)
            expected[step.start] = step
        else:
            kept.drop(WIDTH * step)
            expected.pop(WIDTH * step, None)
    assert kept == expected
    assert len(kept) == len(expected)
    assert sorted(kept.open, key=lambda h: h.start) == [
        expected[start] for start in sorted(expected) if not expected[start].kind.terminal
    ]
    spans = sorted((head.start, head.end) for head in expected.values())
    assert sorted(kept.spans()) == spans
    assert sorted(kept.between(low, high)) == [span for span in spans if low < span[0] < high]
    earlier = [start for start in expected if start <= low]
    assert kept.before(low) == (expected[max(earlier)] if earlier else None)
