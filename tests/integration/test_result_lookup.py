"""Where a result is, as an agent reads it from RESULTS on a real nats-server."""

from typing import cast

import pytest
from nats.aio.client import Client

from armonik_agent.worker.result_lookup import Results
from armonik_sdk.api.names import RESULTS, RunId, result_id, result_key
from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.run_entries import RunEntries
from armonik_sdk.dataplane.s3.store import ObjectStore

pytestmark = pytest.mark.integration

RUN = RunId("ns", "session-uid", "task-uid", 0)
RESULT = result_id(RUN.task, 0, "result")
UNUSED_STORE = cast("ObjectStore", None)


async def commit(client: Client, *outcomes: Outcome) -> None:
    entry = RunResults(sequence=1, end=2, outcomes=outcomes)
    await RunEntries(client, UNUSED_STORE).put(RUN.results, entry)


async def test_a_result_handed_to_a_sub_task_is_awaited_before_it_has_an_entry(nats_client: Client) -> None:
    await commit(nats_client, Outcome(index=0, kind=OutcomeKind.COMPLETED, delegated=(RESULT,)))
    results = Results(nats_client, UNUSED_STORE)
    assert await results.find(RUN, RESULT) == (ResultState.CREATED, None)

    entries = Bucket(nats_client, RESULTS, ResultEntry)
    key = result_key(RUN.namespace, RUN.session, RESULT)
    await entries.put(key, ResultEntry(state=ResultState.ABORTED, task="child", reason="Failed"))
    assert await results.find(RUN, RESULT) == (ResultState.ABORTED, None)


async def test_a_result_of_which_nothing_is_stored_has_no_state(nats_client: Client) -> None:
    results = Results(nats_client, UNUSED_STORE)
    assert await results.find(RUN, RESULT) == (None, None)
    assert await results.find(RUN, "an-id-of-its-own") == (None, None)
    await commit(nats_client)
    assert await results.find(RUN, RESULT) == (ResultState.CREATED, None)


async def test_an_output_that_the_element_did_not_make_is_aborted(nats_client: Client) -> None:
    await commit(nats_client, Outcome(index=0, kind=OutcomeKind.COMPLETED))
    assert await Results(nats_client, UNUSED_STORE).find(RUN, RESULT) == (ResultState.ABORTED, None)
