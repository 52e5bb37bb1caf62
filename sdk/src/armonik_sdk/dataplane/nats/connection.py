"""A connection to NATS that reconnects without limit."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import nats.errors
import nkeys
from nats.aio.client import Client
from nats.js import JetStreamContext

from armonik_sdk.api.bounds import MAX_SUBJECT_BYTES
from armonik_sdk.backoff import Backoff
from armonik_sdk.dataplane.credentials import JETSTREAM_API, Credentials
from armonik_sdk.dataplane.errors import InvalidCredentials
from armonik_sdk.dataplane.tls import distrust, trusting

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5
"""Seconds for one attempt to connect."""
RECONNECT_WAIT = 1
"""Seconds between attempts to reconnect."""
PING_INTERVAL = 5
"""Seconds between two questions whether the server still answers."""
MAX_PINGS = 2
"""Questions that may be unanswered. The next one, `PING_INTERVAL` later, makes the client connect again."""
CLOSE_TIMEOUT = 3.0
"""Seconds for an orderly end of the connection; then its socket is closed whatever is unsent."""

_REFUSED = ("authorization", "authentication")
"""Words by which the server refuses a user, or says that it was revoked."""

Callback = Callable[[], Awaitable[None]]


async def _wait() -> None:
    """Somebody else renews them."""


@dataclass(frozen=True)
class Renewal:
    """Where a user's credentials come from once those that it connected with are revoked."""

    now: Callable[[], Credentials]
    """As they are now, for each attempt to connect. It may raise `InvalidCredentials` or `OSError` while they
    are written; then the ones before are used."""
    refused: Callback = _wait
    """Called after each attempt that the server refused."""


class PersistentClient(Client):
    """nats-py's client, but it reconnects after every error and drops what an ended connection has not sent.

    nats-py closes permanently on any `-ERR` but two, such as the one that a reload of the server's users
    sends. It also waits, before it connects again, until the bytes for a silent peer are sent, which takes
    minutes.
    """

    api = JETSTREAM_API
    """Prefix of JetStream's API for this connection's user."""
    wanted = False
    """It was connected and nobody has asked for its end."""

    async def _process_err(self, err_msg: str) -> None:
        if "permissions violation" in err_msg.lower():  # of one subject; the connection stays
            await super()._process_err(err_msg)
        else:
            await self._process_op_err(nats.errors.Error(f"the server ended the connection: {err_msg}"))

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """As nats-py's, which would send everything in the clear where no TLS is offered."""
        server = self._current_server
        if initial_connection and server is not None and server.uri.scheme == "tls":
            if not (info.get("tls_required") or info.get("tls_available")):
                raise nats.errors.Error("the address says tls://, but the server offers no TLS")
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    async def _process_connect_init(self) -> None:
        """As nats-py's, which tries no more after an answer that it did not expect."""
        try:
            await super()._process_connect_init()
        except (OSError, nats.errors.Error):
            raise
        except Exception as error:  # whatever is behind the address now, NATS may be there again later
            raise nats.errors.Error(f"what answers is no NATS: {type(error).__name__}: {error}") from error

    async def _attempt_reconnect(self) -> None:
        self.abandon()
        await super()._attempt_reconnect()

    async def _select_next_server(self) -> None:
        self.abandon()  # nats-py leaves the socket of an attempt that the server refused
        await super()._select_next_server()

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """As nats-py's. For what it takes no more the server would end the connection, which all share.

        Raises:
            BadSubjectError: the subject is longer than one may be; nothing was sent.
            MaxPayloadError: the payload with its headers, which nats-py does not count, is.
        """
        if len(subject.encode()) > MAX_SUBJECT_BYTES:
            raise nats.errors.BadSubjectError
        if headers and len(payload) + _header_bytes(headers) > self.max_payload:
            raise nats.errors.MaxPayloadError
        await super().publish(subject, payload, reply, headers)

    def jetstream(self, **opts: Any) -> JetStreamContext:
        """As nats-py's, by this user's prefix."""
        return super().jetstream(**{"prefix": self.api} | opts)

    def abandon(self) -> None:
        """Close the socket at once; unsent bytes are dropped and never sent on another connection."""
        self._pending, self._pending_data_size = [], 0
        writer = getattr(self._transport, "_io_writer", None)  # none before the first connection
        if writer is not None:
            writer.transport.abort()


def _header_bytes(headers: dict[str, str]) -> int:
    """The bytes of headers as they are sent, at most."""
    lines = sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())
    return len(b"NATS/1.0\r\n\r\n") + lines


def api_prefix(client: Client) -> str:
    """Prefix of JetStream's API for a connection."""
    return client.api if isinstance(client, PersistentClient) else JETSTREAM_API


async def connect_nats(
    credentials: Credentials,
    name: str,
    *,
    on_closed: Callback | None = None,
    on_disconnected: Callback | None = None,
    on_reconnected: Callback | None = None,
    on_error: Callable[[str], None] | None = None,
    renewal: Renewal | None = None,
) -> Client:
    """Connect and reconnect without limit.

    A server that vanishes without closing the connection is noticed within `PING_INTERVAL * (MAX_PINGS + 1)`
    seconds. Replies arrive below the user's own prefix, so no role reads another's. Nothing is buffered while
    the connection is down (`pending_size=0`, `PersistentClient.abandon`): a journal append sent again after a
    reconnect could land on another owner's record (protocol rule 12).

    Args:
        credentials: address, and a password or the text of a credentials file.
        name: of the connection, as the server lists it.
        on_closed: called when the connection has ended permanently and not by `close_nats`, which no known
            fault does; the process must end then.
        on_disconnected: called when the connection is lost.
        on_reconnected: called when it is back.
        on_error: called with what each failed attempt, and each error of the server, says.
        renewal: where other credentials come from when these are revoked.

    Raises:
        InvalidCredentials: `tls_ca` is no PEM.
    """
    proof = _Proof(credentials, renewal)
    backoff = Backoff(0.2, 5.0)
    while True:
        client = PersistentClient()
        client.api = credentials.nats_api

        async def closed(client: PersistentClient = client) -> None:
            if client.wanted and on_closed is not None:
                await on_closed()

        try:
            await client.connect(
                credentials.nats_url,
                name=name,
                **proof.options(),
                tls=trusting(credentials.tls_ca),
                inbox_prefix=f"_INBOX.{credentials.nats_user}".encode(),
                connect_timeout=CONNECT_TIMEOUT,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT,
                ping_interval=PING_INTERVAL,
                max_outstanding_pings=MAX_PINGS,
                pending_size=0,
                error_cb=_reporter(on_error, renewal),
                closed_cb=closed,
                disconnected_cb=on_disconnected,
                reconnected_cb=on_reconnected,
            )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            log.warning("NATS at %s does not answer (%s); trying again", credentials.nats_url, error)
            await close_nats(client)
            await asyncio.sleep(backoff.failed())
        else:
            client.wanted = True
            return client


def _reporter(
    on_error: Callable[[str], None] | None, renewal: Renewal | None
) -> Callable[[Exception], Awaitable[None]]:
    async def report(error: Exception) -> None:
        words = distrust(error) or f"{type(error).__name__}: {error}"
        log.warning("NATS: %s", words)
        if on_error is not None:
            on_error(words)
        if renewal is not None and any(word in words.lower() for word in _REFUSED):
            await renewal.refused()

    return report


class _Proof:
    """Shows the server who connects, by the credentials as they are at each attempt."""

    def __init__(self, credentials: Credentials, renewal: Renewal | None) -> None:
        self._now = credentials
        self._renewal = renewal

    def options(self) -> dict[str, Any]:
        """Of nats-py's `connect`."""
        if self._now.nats_creds:
            return {
                "signature_cb": self._sign,
                "user_jwt_cb": lambda: bytearray(self._now.user_token.encode()),
            }
        return {"user": self._now.nats_user, "password": self._password}

    def _sign(self, nonce: str) -> bytes:
        """nats-py asks for it first, then for the token that goes with it."""
        self._renew()
        return base64.b64encode(nkeys.from_seed(self._now.user_seed.encode()).sign(nonce.encode()))

    def _password(self) -> str:
        self._renew()
        return self._now.nats_password

    def _renew(self) -> None:
        if self._renewal is None:
            return
        try:
            found = self._renewal.now()
        except (InvalidCredentials, OSError) as error:
            log.warning("credentials are not read again: %s", error)
            return
        if bool(found.nats_creds) == bool(self._now.nats_creds):
            self._now = found


async def close_nats(client: Client) -> None:
    """Close the connection, whatever state it is in, within `CLOSE_TIMEOUT`."""
    if isinstance(client, PersistentClient):
        client.wanted = False
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await client.close()
    except TimeoutError:
        log.info("the connection to NATS was not closed in %g s; closing its socket", CLOSE_TIMEOUT)
        if isinstance(client, PersistentClient):
            client.abandon()
    except OSError as error:
        log.info("the connection to NATS broke as it was closed: %s", error)
