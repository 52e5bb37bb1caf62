"""Renders one user of NATS for each role, with a password, into the file that nats-server includes."""

from collections.abc import Iterable, Mapping

from armonik_operator.manifests.accounts.permissions import (
    AGENT_PUBLISH,
    AGENT_SUBSCRIBE,
    CLIENT_NEWS,
    CLIENT_PUBLISH,
    CLIENT_SERVICES,
    CLIENT_SUBSCRIBE,
    USERS,
)

MAIN_ACCOUNT, CLIENT_ACCOUNT = "ARMONIK", "ARMONIK_CLIENTS"


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
    return f"""authorization {{ timeout: 5 }}
accounts {{
  {MAIN_ACCOUNT} {{
    jetstream: enabled
    users: [
      {{ user: "operator", password: "{passwords["operator"]}" }}
      {{ user: "agent", password: "{passwords["agent"]}", permissions: {{
          publish: {{ allow: [{_quoted(AGENT_PUBLISH)}] }}
          subscribe: {{ allow: [{_quoted(AGENT_SUBSCRIBE)}] }}
          allow_responses: {{ max: 1, expires: "5s" }} }} }}
    ]
    exports: [
{_lines(_export("service", subject) for subject in CLIENT_SERVICES.values())}
{_lines(_export("stream", subject) for subject in CLIENT_NEWS)}
    ]
  }}
  {CLIENT_ACCOUNT} {{
    users: [
      {{ user: "client", password: "{passwords["client"]}", permissions: {{
          publish: {{ allow: [{_quoted(CLIENT_PUBLISH)}] }}
          subscribe: {{ allow: [{_quoted(CLIENT_SUBSCRIBE)}] }} }} }}
    ]
    imports: [
{_lines(_import("service", there, here) for here, there in CLIENT_SERVICES.items())}
{_lines(_import("stream", subject, subject) for subject in CLIENT_NEWS)}
    ]
  }}
}}
"""


def _export(kind: str, subject: str) -> str:
    return f'{{ {kind}: "{subject}", accounts: [{CLIENT_ACCOUNT}] }}'


def _import(kind: str, there: str, here: str) -> str:
    to = f', to: "{here}"' if here != there else ""
    return f'{{ {kind}: {{ account: {MAIN_ACCOUNT}, subject: "{there}" }}{to} }}'


def _lines(entries: Iterable[str]) -> str:
    return "\n".join(f"      {entry}" for entry in entries)


def _quoted(subjects: tuple[str, ...]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)
