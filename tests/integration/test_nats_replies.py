"""A request's reply subject is free to choose, and nats-server publishes the answer with its own rights.

So whoever may send any request decides to what subject an answer goes, and by what he wrote before often what
is in it. Here a client tries to have the server write, purge and delete for it.
"""

import json
from collections.abc import Iterator

import nats.errors
import pytest
from nats.js.errors import NotFoundError
from test_nats_permissions import (
    CONSUMER,
    JOURNAL_SUBJECT,
    QUEUE_SUBJECT,
    Role,
    roles,
    server,
)

from armonik_operator.manifests.accounts.permissions import CLIENT_PUBLISH

__all__ = ["roles", "server"]

pytestmark = pytest.mark.integration

OWN = "armonik.journal.mine.session.result"
"""Below it the client may write what it wants."""
BODIES = {
    "forged": b'{"forged":true}',
    "empty": b"",
    "braces": b"{}",
}
TARGETS = (
    "$JS.API.STREAM.PURGE.KV_CONTROL",
    "$JS.API.STREAM.PURGE.KV_RESULTS",
    "$JS.API.STREAM.PURGE.JOURNAL",
    "$JS.API.STREAM.DELETE.QUEUE",
    "$JS.API.STREAM.DELETE.KV_TASKS",
    f"$JS.API.CONSUMER.DELETE.QUEUE.{CONSUMER}",
    "$KV.CONTROL.ns.known",
    "$KV.RESULTS.ns.known",
    "$KV.TASKS.ns.known",
    JOURNAL_SUBJECT,
    QUEUE_SUBJECT.replace(".1", ".2"),
    "armonik.agent.pod-1",
    "armonik.event.ns.drained",
    "_INBOX.operator.x",
)


def requests(allowed: str, name: str) -> Iterator[tuple[str, bytes]]:
    """Requests on subjects that a permission allows, whose answers hold as much as possible of the client."""
    own = f"{OWN}.{name}"
    if ".STREAM.MSG.GET." in allowed or ".DIRECT.GET." in allowed:
        if allowed.endswith(".>"):
            yield allowed.removesuffix(">") + own, b""
            yield allowed.removesuffix(">") + f"{OWN}.absent", b""
        else:
            yield allowed, json.dumps({"last_by_subj": own}).encode()
            yield allowed, json.dumps({"last_by_subj": f"{OWN}.absent"}).encode()
    elif allowed == "armonik.journal.*.*.result.>":
        yield f"{own}.again", BODIES[name]
    else:
        assert not set("*>") & set(allowed), f"{allowed}: say here what it can be used for"
        yield allowed, b""


async def states(operator: Role) -> dict[str, tuple[int, int]]:
    """Of each stream the number of its messages and the last sequence, without what the client may write."""
    found: dict[str, tuple[int, int]] = {}
    for info in await operator.js.streams_info():
        name = str(info.config.name)
        found[name] = (info.state.messages, info.state.last_seq)
    return found


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("allowed", CLIENT_PUBLISH)
async def test_no_answer_to_a_client_acts_on_the_operators_streams(
    roles: dict[str, Role], allowed: str, target: str
) -> None:
    client, operator = roles["client"], roles["operator"]
    heard = await operator.nc.subscribe(target)
    await operator.settled()
    for name, body in BODIES.items():
        await client.js.publish(f"{OWN}.{name}", body)
    before = await states(operator)
    writes = 0
    for name in BODIES:
        for subject, body in requests(allowed, name):
            await client.nc.publish(subject, body, reply=target)
            writes += subject.startswith("armonik.journal.")
            # A request that is answered to the client shows that the one before it was worked on.
            answer = await client.nc.request(subject, body, timeout=5)
            assert b"not enabled" not in answer.data
            writes += subject.startswith("armonik.journal.")
    for _ in range(3):  # what the server does by itself follows its answers at once
        after = await states(operator)
    messages, last = before["JOURNAL"]
    expected = before | {"JOURNAL": (messages + writes, last + writes)}
    assert after == expected
    assert [c.name for c in await operator.js.consumers_info("QUEUE")] == [CONSUMER]
    assert (await (await operator.js.key_value("CONTROL")).get("ns.known")).value == b"CONTROL"
    assert (await operator.js.get_last_msg("JOURNAL", JOURNAL_SUBJECT)).data == b"submitted"
    with pytest.raises(NotFoundError):
        await operator.js.get_last_msg("QUEUE", QUEUE_SUBJECT.replace(".1", ".2"))
    with pytest.raises(nats.errors.TimeoutError):
        await heard.next_msg(timeout=0.1)
