"""The users of NATS and what each may do, rendered into the file that nats-server includes.

The protocol rests on roles: the operator owns streams, consumers and buckets; agents pull, acknowledge and
append to the journal; clients read, and say what becomes of results they make. The lists keep mistakes small,
and clients from reading or deleting what is not theirs. They do not make an agent's password harmless (the
server does not check the reply subject of a request), which is why only the agent container sees it.
"""

from collections.abc import Mapping

from armonik_sdk.api.names import CONTROL, JOURNAL, QUEUE, RESULT_RECORDS, RESULTS

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

CLIENT_PUBLISH = (
    f"$JS.API.STREAM.INFO.{JOURNAL}",
    *_leader_and_direct_get(JOURNAL),
    *_read_bucket(CONTROL),
    *_read_bucket(RESULTS),
    RESULT_RECORDS,
)
"""Subjects a client may publish to: reads, and records of results, which no run is decided by."""

CLIENT_SUBSCRIBE = ("_INBOX.client.>", f"$KV.{RESULTS}.>", f"$KV.{CONTROL}.>", "armonik.journal.>")
"""Subjects a client may subscribe to: its own replies, and changes as hints."""


def render_auth_conf(passwords: Mapping[str, str]) -> str:
    """The content of `auth.conf` for these passwords (keys: operator, agent, client).

    Raises:
        ValueError: a password has characters other than ASCII letters and digits, which would need quoting.
        KeyError: a user has no password.
    """
    for user in USERS:
        password = passwords[user]
        if not (password.isascii() and password.isalnum()):
            raise ValueError(f"the password of NATS user {user} must be ASCII letters and digits only")
    return f"""authorization {{
  timeout: 5
  users: [
    {{ user: "operator", password: "{passwords["operator"]}" }}
    {{ user: "agent", password: "{passwords["agent"]}", permissions: {{
        publish: {{ allow: [{_quoted(AGENT_PUBLISH)}] }}
        subscribe: {{ allow: [{_quoted(AGENT_SUBSCRIBE)}] }}
        allow_responses: {{ max: 1, expires: "5s" }} }} }}
    {{ user: "client", password: "{passwords["client"]}", permissions: {{
        publish: {{ allow: [{_quoted(CLIENT_PUBLISH)}] }}
        subscribe: {{ allow: [{_quoted(CLIENT_SUBSCRIBE)}] }} }} }}
  ]
}}
"""


def _quoted(subjects: tuple[str, ...]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)
