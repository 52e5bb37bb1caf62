"""The users of NATS and what each may do, whether they have a password or a signed credentials file.

The protocol rests on roles: the operator owns streams, consumers and buckets; agents pull, acknowledge and
append to the journal; clients read results, and append what becomes of results they make.

Permissions alone do not bind a user who may send requests: nats-server publishes the answer with rights of
its own, on whatever reply subject the request names, so each read could purge a stream or forge a record.
Clients therefore have an account of their own. It imports the few subjects they need, and answers stay in it.
Agents share the operator's account, so their password has the operator's power (ADR 0014).
"""

from armonik_sdk.api.names import CLIENT_API, CONTROL, JOURNAL, QUEUE, RESULT_RECORDS, RESULTS, bucket_stream

USERS = ("operator", "agent", "client")


def _leader_and_direct_get(stream: str) -> list[str]:
    return [
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
    ]


def _read_bucket(bucket: str) -> list[str]:
    return [f"$JS.API.STREAM.INFO.KV_{bucket}", *_leader_and_direct_get(f"KV_{bucket}")]


AGENT_PUBLISH = (
    f"$JS.API.STREAM.INFO.{QUEUE}",
    f"$JS.API.STREAM.INFO.{JOURNAL}",
    f"$JS.API.CONSUMER.INFO.{QUEUE}.*",
    f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.>",
    f"$JS.ACK.{QUEUE}.>",
    "armonik.journal.>",
    *_leader_and_direct_get(JOURNAL),
    *_read_bucket(CONTROL),
    *_read_bucket(RESULTS),
    "armonik.agent.>",
    "armonik.event.>",
)
"""Subjects an agent may publish to: pull and acknowledge, append and read heads, ask owners, report."""

AGENT_SUBSCRIBE = ("_INBOX.agent.>", "armonik.agent.>", f"$KV.{CONTROL}.>")
"""Subjects an agent may subscribe to: its own replies, questions, changes of desired state."""

_CLIENT_READS = (
    f"STREAM.MSG.GET.{JOURNAL}",
    f"STREAM.INFO.{bucket_stream(RESULTS)}",
    f"STREAM.MSG.GET.{bucket_stream(RESULTS)}",
)
CLIENT_SERVICES = {f"{CLIENT_API}.{read}": f"$JS.API.{read}" for read in _CLIENT_READS} | {
    RESULT_RECORDS: RESULT_RECORDS
}
"""What clients publish to, and the subject of the operator's account that it leads to. Below `$JS.API` in an
account without JetStream of its own nats-server itself answers that there is none."""

CLIENT_PUBLISH = tuple(CLIENT_SERVICES)
"""Subjects a client may publish to: reads, and records of results, which no run is decided by."""

CLIENT_NEWS = (f"$KV.{RESULTS}.>",)
"""Subjects that reach the clients' account as they are published."""

CLIENT_SUBSCRIBE = ("_INBOX.client.>", *CLIENT_NEWS)
"""Subjects a client may subscribe to: its own replies, and changes of RESULTS as hints."""
