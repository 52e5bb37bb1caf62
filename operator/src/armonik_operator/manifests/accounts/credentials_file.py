"""The text of a credentials file, by which a user of an account connects."""

from armonik_operator.manifests.accounts.keys import Key


def credentials_file(token: str, user: Key) -> str:
    """As NATS' own tools write it; every client library of NATS reads it."""
    return f"""-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{user.seed}
------END USER NKEY SEED------
"""
