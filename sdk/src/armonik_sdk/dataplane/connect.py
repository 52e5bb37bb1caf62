"""Credentials of one role, and the connection to NATS that is never given up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import nats.errors
from nats.aio.client import Client

from armonik_sdk.dataplane.errors import InvalidCredentials

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5
"""Seconds for one attempt to connect."""
RECONNECT_WAIT = 1
"""Seconds between attempts to reconnect."""

Callback = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Credentials:
    """How one role reaches NATS and the object store."""

    nats_url: str
    nats_user: str
    nats_password: str = field(repr=False)
    s3_endpoint: str
    """host:port"""
    s3_secure: bool
    s3_region: str
    s3_bucket: str
    s3_access_key: str
    s3_secret_key: str = field(repr=False)

    @classmethod
    def from_mapping(cls, data: Mapping[str, str], *, outside: bool = False) -> Self:
        """From the keys of the Secrets `armonik-agent` and `armonik-client`, decoded.

        Args:
            data: the values by key.
            outside: this is not a pod of the cluster: a key `outside-…` counts before the one it stands for.

        Raises:
            InvalidCredentials: a key is missing or unusable; the message names it.
        """
        values: dict[str, str | bool] = {}
        for name in cls.__dataclass_fields__:
            key = name.replace("_", "-")
            if key not in data:
                raise InvalidCredentials(f"the credentials have no key {key}")
            elsewhere = data.get(f"outside-{key}") if outside else None
            values[name] = (elsewhere or data[key]).strip()
        if values["s3_secure"] not in ("true", "false"):
            raise InvalidCredentials(f"s3-secure is {values['s3_secure']!r}, must be true or false")
        values["s3_secure"] = values["s3_secure"] == "true"
        return cls(**values)  # type: ignore[arg-type]  # the fields' types were made right above

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """From a folder with one file a key, as a Secret is mounted.

        Raises:
            InvalidCredentials: a file is missing or its content unusable.
        """
        names = (name.replace("_", "-") for name in cls.__dataclass_fields__)
        files = {name: folder / name for name in names}
        return cls.from_mapping({name: file.read_text() for name, file in files.items() if file.is_file()})


async def connect_nats(
    credentials: Credentials,
    name: str,
    *,
    on_closed: Callback | None = None,
    on_disconnected: Callback | None = None,
    on_reconnected: Callback | None = None,
) -> Client:
    """Connect, trying for ever, and reconnect for ever.

    Replies arrive below the user's own prefix, so no role reads another's. Nothing is buffered while the
    connection is down (`pending_size=0`): a journal append replayed blindly after a reconnect could land on
    somebody else's record (protocol rule 12).
    """

    async def told(error: Exception) -> None:
        log.warning("NATS: %s: %s", type(error).__name__, error)

    delay = 0.2
    while True:
        client = Client()
        try:
            await client.connect(
                credentials.nats_url,
                name=name,
                user=credentials.nats_user,
                password=credentials.nats_password,
                inbox_prefix=f"_INBOX.{credentials.nats_user}".encode(),
                connect_timeout=CONNECT_TIMEOUT,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT,
                pending_size=0,
                error_cb=told,
                closed_cb=on_closed,
                disconnected_cb=on_disconnected,
                reconnected_cb=on_reconnected,
            )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            log.warning("NATS at %s does not answer (%s); trying again", credentials.nats_url, error)
            await close_nats(client)
            await asyncio.sleep(delay)
            delay = min(5.0, delay * 2)
        else:
            return client


async def close_nats(client: Client) -> None:
    """Close the connection, whatever state it is in."""
    try:
        await client.close()
    except OSError as error:
        log.info("the connection to NATS broke as it was closed: %s", error)
