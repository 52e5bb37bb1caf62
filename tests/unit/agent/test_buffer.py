"""A run's record has a bound: an element whose results would make it longer ends with an error."""

from types import SimpleNamespace
from typing import Any

import pytest

from armonik_agent.context import Connection, TextOutage
from armonik_agent.journal.commit_buffer import BUFFER_BYTES, CommitBuffer
from armonik_agent.journal.packing import FinishedElement
from armonik_agent.journal.run_writer import RunWriter
from armonik_agent.journal.transitions import Cause, Change, Loss, dispatched, progressed, released
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import OutcomeKind, Owner, Record, RecordKind
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.head import Head

ME = Owner(pod="u", process="p")
FAR: Any = None


class Site(SimpleNamespace):
    """Journal and store that take everything."""

    def __init__(self) -> None:
        super().__init__(me=ME, connection=Connection(), text_outage=TextOutage(), journal=self, store=self)
        self.records: list[Record] = []
        self.objects: list[str] = []

    async def append(self, _run: RunId, record: Record, expected: int, after: str | None = None) -> int:
        self.records.append(record)
        return expected + 1

    async def put(self, key: str, _: bytes) -> ObjectRef:
        self.objects.append(key)
        return ObjectRef(key=key)

    async def patiently(self, work: Any) -> Any:
        return await work()


def made(count: int) -> dict[str, bytes | ObjectRef]:
    return {
        f"{number:036}": ObjectRef(key="k", offset=number, length=1, sha256="0" * 64)
        for number in range(count)
    }


async def test_an_element_whose_results_are_too_long_to_describe_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("armonik_agent.journal.run_writer.MAX_RUN_BYTES", 400_000)
    site: Any = Site()
    head = Record(record_id="0", kind=RecordKind.DISPATCHED, start=0, end=3, n=1, epoch=1, owner=ME)
    committer = RunWriter(site, RunId("n", "s", "t", 0), Head(head, 1, FAR), prefix="x")
    buffer = CommitBuffer(site, committer, single=False)
    buffer.keep(FinishedElement(0, OutcomeKind.COMPLETED, 1, 0.1, made=made(1_000)))
    await buffer.commit()
    buffer.keep(FinishedElement(1, OutcomeKind.COMPLETED, 1, 0.1, made=made(2_000)))
    buffer.keep(FinishedElement(2, OutcomeKind.COMPLETED, 1, 0.1, outputs={"result": b"x"}))
    assert (await buffer._append(progressed)).kind is RecordKind.DONE
    outcomes = committer.head.outcomes
    assert [outcome.kind for outcome in outcomes] == [
        OutcomeKind.COMPLETED,
        OutcomeKind.ERROR,
        OutcomeKind.COMPLETED,
    ]
    assert outcomes[1].reason == "WorkerError"
    assert "2000 results" in outcomes[1].message
    assert "at most 400000" in outcomes[1].message
    assert not outcomes[1].made
    assert len(committer.head.encode()) <= 400_000


async def test_each_transition_of_a_run_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "armonik_agent.journal")
    site: Any = Site()
    owner = Owner(pod="other", process="p")
    head = Record(
        record_id="0", kind=RecordKind.DISPATCHED, start=0, end=2, n=1, epoch=1, owner=owner, task_name="sum"
    )
    run = RunId("n", "s", "t", 0)
    writer = RunWriter(site, run, Head(head, 1, FAR), prefix="x")
    await writer.append(lambda head: dispatched(head, ME, Loss(Cause.OWNER_GONE, "gone"), lambda _: 1, 0.0))
    await writer.append(lambda head: progressed(head, Change()))
    await writer.append(lambda head: released(head, Change()))
    given_up = Head(site.records[-1], 4, FAR)
    writer = RunWriter(site, run, given_up, prefix="y")
    await writer.append(lambda head: dispatched(head, ME, Loss(), lambda _: 1, 0.0))
    words = ["taken over (epoch 2", "committed (epoch 2", "released (epoch 2", "dispatched (epoch 3"]
    assert [record.getMessage() for record in caplog.records] == [
        f"task sum: run armonik.journal.n.s.t.0 is {word}, 2 elements left)" for word in words
    ]


async def test_what_elements_print_makes_no_commit_more_frequent_and_is_bounded_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("armonik_agent.journal.commit_buffer.COMMIT_SECONDS", 3_600.0)
    site: Any = Site()
    head = Record(record_id="0", kind=RecordKind.DISPATCHED, start=0, end=99, n=1, epoch=1, owner=ME)
    committer = RunWriter(site, RunId("n", "s", "t", 0), Head(head, 1, FAR), prefix="x")
    buffer = CommitBuffer(site, committer, single=False)
    text = bytes(BUFFER_BYTES // 4)
    for index in range(3):
        buffer.keep(FinishedElement(index, OutcomeKind.COMPLETED, 1, 0.1, printed=text))
        assert not buffer.begin()
    await buffer.go_on()
    assert site.objects == []
    buffer.keep(FinishedElement(3, OutcomeKind.COMPLETED, 1, 0.1, printed=text))
    await buffer.go_on()
    assert site.objects == ["x/pack-1"]
    assert site.records == []
    await buffer.commit()
    assert [outcome.printed is not None for outcome in committer.head.outcomes] == [True] * 4


async def test_elements_without_outputs_stay_ended_when_the_outputs_of_others_are_lost() -> None:
    """A failed element that is executed again has more executions than it may have (protocol rule 5)."""

    class Down(Site):
        async def put(self, key: str, _: bytes) -> ObjectRef:
            raise StoreUnavailable("down")

    site: Any = Down()
    head = Record(record_id="0", kind=RecordKind.DISPATCHED, start=0, end=3, n=1, epoch=1, owner=ME)
    committer = RunWriter(site, RunId("n", "s", "t", 0), Head(head, 1, FAR), prefix="x")
    buffer = CommitBuffer(site, committer, single=False)
    buffer.keep(FinishedElement(0, OutcomeKind.COMPLETED, 1, 0.1, outputs={"result": bytes(10_000)}))
    failed = FinishedElement(1, OutcomeKind.ERROR, 4, 0.1, "AttemptsExhausted", "died", printed=b"last words")
    buffer.keep(failed)
    buffer.keep(FinishedElement(2, OutcomeKind.COMPLETED, 1, 0.1, outputs={"result": b""}))
    with pytest.raises(StoreUnavailable):
        await buffer.commit()
    assert buffer.dropped == {0}
    after = await buffer.end(lambda head, change: released(head, change))
    assert after.remaining == (0,)
    assert [(one.index, one.kind, one.attempts) for one in after.outcomes] == [
        (1, OutcomeKind.ERROR, 4),
        (2, OutcomeKind.COMPLETED, 1),
    ]
    assert after.objects == ()
    assert after.outcomes[0].printed is None
