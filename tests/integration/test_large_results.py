"""Entries of runs that are longer than a message of NATS, on a real nats-server and object store."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import cast

import pytest
from nats.aio.client import Client
from stores import each_store

from armonik_agent.worker.result_lookup import Results
from armonik_operator.cache.keys import JournalEntry
from armonik_operator.clients.kube import Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.results.store import ResultStore
from armonik_sdk.api.names import RESULTS, RunId, bucket_stream, bucket_subject, result_id
from armonik_sdk.api.records import MAX_ERROR_BYTES, Outcome, OutcomeKind, Piece, Record, RecordKind
from armonik_sdk.api.results import ResultState, RunResults
from armonik_sdk.client.transport.data_plane import DataPlane
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = [pytest.mark.integration, each_store]

RUN = RunId("ns", "session-uid", "task-uid", 0)
KEY = "ns/session-uid/task-uid/0/1-aa/pack-1"
SHA = hashlib.sha256(b"x").hexdigest()


def piece(number: int) -> Piece:
    return Piece(object=0, offset=number, length=1, sha256=SHA)


def inline(data: bytes) -> Piece:
    return Piece(
        length=len(data), sha256=hashlib.sha256(data).hexdigest(), inline=base64.b64encode(data).decode()
    )


def created(count: int) -> tuple[Outcome, ...]:
    """One element that created results, as an unchanged worker does for the payload of each sub-task."""
    made = {f"{number:08x}-1111-4111-8111-111111111111": piece(number) for number in range(count)}
    return (Outcome(index=0, kind=OutcomeKind.COMPLETED, outputs={"result": inline(b"x")}, made=made),)


def errors(count: int) -> tuple[Outcome, ...]:
    text = "e" * MAX_ERROR_BYTES
    return tuple(
        Outcome(index=i, kind=OutcomeKind.ERROR, reason="Failed", message=text) for i in range(count)
    )


def outputs(count: int, each: int) -> tuple[Outcome, ...]:
    names = [f"output-with-a-long-name-{number:02}" for number in range(each)]
    return tuple(
        Outcome(index=i, kind=OutcomeKind.COMPLETED, outputs={name: piece(i) for name in names})
        for i in range(count)
    )


@pytest.fixture
async def servers(nats_client: Client, credentials: Credentials) -> Clients:
    store = S3Store(credentials)
    await store.ensure_bucket()
    return Clients(cast("Kube", None), nats_client, store)


def received(outcomes: tuple[Outcome, ...], end: int, sequence: int = 7) -> JournalEntry:
    record = Record(
        record_id="a", kind=RecordKind.DONE, start=0, end=end, n=1, epoch=1, outcomes=outcomes, objects=(KEY,)
    )
    return JournalEntry(RUN, record, sequence, datetime.now(UTC))


@pytest.mark.parametrize(
    ("outcomes", "end"),
    [
        pytest.param(created(10_000), 1, id="10,000 results of one element"),
        pytest.param(errors(500), 500, id="500 errors of 4 KiB"),
        pytest.param(outputs(500, 16), 500, id="500 elements with 16 outputs"),
    ],
)
async def test_an_entry_of_any_size_is_kept_and_read_by_all(
    servers: Clients, nats_client: Client, credentials: Credentials, outcomes: tuple[Outcome, ...], end: int
) -> None:
    await ResultStore(servers, lambda _: None).put_run(received(outcomes, end))

    stored = await nats_client.jetstream().get_last_msg(
        bucket_stream(RESULTS), bucket_subject(RESULTS, RUN.results)
    )
    assert len(stored.data or b"") < 256 * 1024
    operator = await ResultStore(servers, lambda _: None).run(RUN)
    assert operator is not None
    assert (operator.outcomes, operator.objects, operator.done, operator.end) == (outcomes, (KEY,), True, end)

    link = DataPlane(nats_client, S3Store(credentials), [])
    read = await link.runs({RUN.results: None})
    told = await link.runs({RUN.results: stored.data})
    assert read[RUN.results].outcomes == told[RUN.results].outcomes == outcomes

    first = outcomes[0]
    name = next(iter(first.outputs), "result")
    state, place = await Results(nats_client, S3Store(credentials)).find(RUN, result_id(RUN.task, 0, name))
    completed = first.kind is OutcomeKind.COMPLETED
    assert state is (ResultState.COMPLETED if completed else ResultState.ABORTED)
    assert (place is not None) is completed


async def test_a_later_record_of_a_long_run_is_merged(servers: Clients) -> None:
    book = ResultStore(servers, lambda _: None)
    part = received(errors(300), 500)
    record = part.record.model_copy(update={"kind": RecordKind.PROGRESS})
    await book.put_run(JournalEntry(RUN, record, 6, part.time))
    afresh = ResultStore(servers, lambda _: None)
    stands = await afresh.put_run(received(errors(500), 500))
    assert stands.done
    assert len(stands.outcomes) == 500
    assert await ResultStore(servers, lambda _: None).run(RUN) == stands


async def test_an_entry_that_fits_needs_no_object(servers: Clients, nats_client: Client) -> None:
    await ResultStore(servers, lambda _: None).put_run(received(errors(20), 20))
    stored = await nats_client.jetstream().get_last_msg(
        bucket_stream(RESULTS), bucket_subject(RESULTS, RUN.results)
    )
    entry = RunResults.model_validate_json(stored.data or b"")
    assert (len(entry.outcomes), entry.manifest) == (20, None)
