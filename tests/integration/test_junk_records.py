"""Records that no agent means, written by who has the agents' password: they harm their own Task alone."""

import json
import secrets
from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import FakeAgent, Process, Taken, finished, manifest

from armonik_operator.clients.kube import TASKS, Kube

pytestmark = pytest.mark.integration

JUNK: dict[str, dict[str, Any]] = {
    "far-end": {"kind": "Progress", "end": 10**12},
    "another-run": {"kind": "Progress", "start": 3, "end": 4},
    "large-number": {"kind": "Done", "n": 2**70, "outcomes": [{"index": 0, "kind": "Completed"}]},
    "no-moment": {"kind": "Released", "owner": None, "notBefore": 1e300},
    "long-pod": {"kind": "Progress", "owner": {"pod": "p" * 100_000, "process": "1"}},
    "no-partition": {"kind": "Progress", "partition": "no such/.. place"},
    "no-child": {
        "kind": "Done",
        "outcomes": [{"index": 0, "kind": "Completed"}],
        "children": [{"name": "A name/..", "element": 0, "group": 0, "count": 10**12, "items": "k"}],
    },
    "no-object": {
        "kind": "Done",
        "outcomes": [
            {
                "index": 0,
                "kind": "Completed",
                "outputs": {"result": {"object": 99, "length": 5, "sha256": "0" * 64}},
            }
        ],
    },
}


async def append(client: Client, taken: Taken, changes: dict[str, Any]) -> None:
    record = json.loads(taken.record.encode()) | changes | {"recordId": secrets.token_hex(8)}
    data = json.dumps({field: value for field, value in record.items() if value is not None})
    await client.jetstream().publish(taken.run.journal, data.encode())


async def test_junk_in_the_journal_harms_no_other_task(
    demo: None, operator: Process, kube: Kube, namespace: str, agent: FakeAgent, nats_client: Client
) -> None:
    for name in JUNK:
        await kube.create(TASKS, manifest("Task", name, session="demo"), namespace)
    taken = [await agent.take() for _ in JUNK]
    for one in taken:
        await append(nats_client, one, JUNK[one.message.task_name])
        await one.delivery.ack_sync()
    for name in JUNK:
        await kube.patch(TASKS, name, {"spec": {"desiredState": "Cancelled"}}, namespace)
    for name in JUNK:
        await finished(kube, name, namespace)
    await kube.create(TASKS, manifest("Task", "honest", session="demo"), namespace)
    await agent.compute()
    assert (await finished(kube, "honest", namespace))["status"]["phase"] == "Completed"
    for name in JUNK:
        await kube.delete(TASKS, name, namespace)
    assert "ConnectionResetError" not in operator.log.read_text()
