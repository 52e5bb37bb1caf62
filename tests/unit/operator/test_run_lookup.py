"""Elements of a Task whose runs nobody knows any more are found in few listings."""

from types import SimpleNamespace
from typing import Any, cast

from armonik_operator.clients.servers import Clients
from armonik_operator.results.store import ResultStore
from armonik_sdk.api.names import TaskRef
from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.result_lookup import outcome_of

TASK = TaskRef("n", "s", "t")
RUN = 20
RUNS = 200


class Entries:
    """Runs of a finished Task in RESULTS, and how often they were listed."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.listings = 0

    def key_pages(self, pattern: str) -> Any:
        self.listings += 1
        left = [[f"n.s.t.{number * RUN}" for number in range(self.runs)], []]

        async def following() -> list[str]:
            return left.pop(0)

        return SimpleNamespace(next=following)

    async def get(self, key: str) -> tuple[RunResults, int] | None:
        start = int(key.rsplit(".", 1)[1])
        if start >= self.runs * RUN:
            return None
        done = tuple(Outcome(index=i, kind=OutcomeKind.COMPLETED) for i in range(start, start + RUN))
        return RunResults(sequence=1, end=start + RUN, outcomes=done, done=True), 1


def store(entries: Entries) -> ResultStore:
    return ResultStore(cast("Clients", SimpleNamespace(run_results=entries)), lambda _: None)


async def test_each_element_of_a_finished_task_is_found_in_one_listing() -> None:
    """The next stage of a computation needs each of them, one by one; it was a listing of all for each."""
    entries = Entries(RUNS)
    results = store(entries)
    for index in range(RUN * RUNS):
        assert outcome_of(await results.run_with(TASK, index), index) is not None
    assert entries.listings == 1


async def test_runs_that_came_since_the_last_listing_are_found() -> None:
    entries = Entries(1)
    results = store(entries)
    assert outcome_of(await results.run_with(TASK, RUN), RUN) is None
    entries.runs = 3
    assert outcome_of(await results.run_with(TASK, RUN), RUN) is not None
    assert outcome_of(await results.run_with(TASK, 2 * RUN), 2 * RUN) is not None
    assert entries.listings == 2
