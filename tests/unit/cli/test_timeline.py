"""Times of tasks as events of the Chrome trace format."""

from datetime import UTC, datetime
from typing import Any

from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.cli.overview.timeline import MOST_SECONDS, Run, of_runs, run_of, whole

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CREATED = datetime(2026, 11, 30, 11, tzinfo=UTC)


def spans(events: Any) -> list[tuple[str, int, int, int]]:
    return [(e["name"], e["tid"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]


def task(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "t", "creationTimestamp": "2026-11-30T11:00:00Z"}, "status": status}


def test_a_task_of_one_element_shows_its_steps() -> None:
    times = {
        "created": "2026-11-30T11:00:00.000000Z",
        "submitted": "2026-11-30T11:00:01.000000Z",
        "started": "2026-11-30T11:00:03.500000Z",
        "ended": "2026-11-30T11:00:04.000000Z",
    }
    over = {"type": "Finished", "status": "True", "lastTransitionTime": "2026-11-30T11:00:05Z"}
    assert spans(whole(task(times=times, conditions=[over]), NOW)) == [
        ("t", 0, 0, 5_000_000),
        ("admitted", 1, 0, 1_000_000),
        ("in the queue, with an agent", 1, 1_000_000, 2_500_000),
        ("computed", 1, 3_500_000, 500_000),
    ]


def test_a_task_that_has_not_finished_lasts_until_now() -> None:
    assert spans(whole(task(), NOW)) == [("t", 0, 0, 3_600_000_000)]


def test_a_task_ends_no_earlier_than_its_last_run() -> None:
    over = {
        "type": "Finished",
        "status": "True",
        "reason": "Completed",
        "lastTransitionTime": "2026-11-30T11:00:00Z",
    }
    (span,) = spans(whole(task(conditions=[over]), NOW, CREATED.timestamp() + 0.75))
    assert span == ("t", 0, 0, 750_000)


def test_a_run_ends_with_its_last_outcome_and_begins_as_its_elements_take() -> None:
    outcomes = (
        Outcome(index=64, kind=OutcomeKind.COMPLETED, seconds=1.0),
        Outcome(index=65, kind=OutcomeKind.ERROR, seconds=0.5, attempts=2),
        Outcome(index=66, kind=OutcomeKind.CANCELLED, attempts=0),
    )
    entry = RunResults(sequence=1, end=67, time=CREATED.timestamp() + 10, outcomes=outcomes)
    run = run_of(64, entry, each=True)
    assert run is not None
    assert spans(of_runs([run], CREATED.timestamp())) == [
        ("run 64", 1, 8_500_000, 1_500_000),
        ("element 64", 1, 8_500_000, 1_000_000),
        ("element 65", 1, 9_500_000, 500_000),
    ]
    brief = run_of(64, entry, each=False)
    assert brief is not None
    (event,) = (event for event in of_runs([brief], 0.0) if event["ph"] == "X")
    assert (event["name"], event["args"]["elements"], event["args"]["failed"]) == ("run 64", 2, 1)


def test_an_impossible_duration_is_drawn_as_the_longest() -> None:
    outcome = Outcome(index=0, kind=OutcomeKind.COMPLETED, seconds=1.7e308)
    run = run_of(0, RunResults(sequence=1, end=1, time=CREATED.timestamp(), outcomes=(outcome,)), each=True)
    assert run is not None
    assert [span[3] for span in spans(of_runs([run], 0.0))] == [round(1e6 * MOST_SECONDS)] * 2


def test_what_nobody_executed_is_not_shown() -> None:
    cancelled = Outcome(index=0, kind=OutcomeKind.CANCELLED, attempts=0)
    assert run_of(0, RunResults(sequence=1, end=1, time=1.0, outcomes=(cancelled,)), each=True) is None


def test_runs_share_a_track_unless_they_overlap() -> None:
    runs = [Run(start, end, 1.0, 1, 0) for start, end in ((0, 2.0), (1, 2.5), (2, 3.0))]
    assert [(name, track) for name, track, *_ in spans(of_runs(runs, 0.0))] == [
        ("run 0", 1),
        ("run 1", 2),
        ("run 2", 1),
    ]
