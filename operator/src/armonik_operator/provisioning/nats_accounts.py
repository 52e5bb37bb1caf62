"""Pushes, deletes and looks up accounts of a running nats-server, by its system account."""

import asyncio
import json
import logging
from typing import Any

import nats.errors
from nats.aio.client import Client

from armonik_operator.errors import AccountError, AccountsUnavailable
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.trust import CLAIMS_DELETE, CLAIMS_LIST, CLAIMS_LOOKUP, CLAIMS_UPDATE

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 3.0
"""Seconds that one request waits for its answer."""
ATTEMPTS = 5
DELAYS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between the attempts."""


class NatsAccounts:
    """The accounts of a server, by a connection of the system account's user."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def push(self, token: str) -> None:
        """Make an account or change it; in force when this returns.

        The server stores one whose signing key it does not trust as well, and then refuses its users.

        Raises:
            AccountError: the server refuses it, as one with the import of a subject that was not given to it.
            AccountsUnavailable: no usable answer within the retries. It may be in force nevertheless.
        """
        subject = str(claims.read(token)["sub"])
        await self._ask(CLAIMS_UPDATE, token.encode(), f"account {subject}")

    async def delete(self, request: str) -> None:
        """Delete accounts: their users are disconnected. Streams are to be deleted before.

        Args:
            request: made by `Trust.deletion`.

        Raises:
            AccountError: the server refuses it; the message has its words.
            AccountsUnavailable: no usable answer within the retries. They may be gone nevertheless.
        """
        names = claims.read(request)["nats"]["accounts"]
        await self._ask(CLAIMS_DELETE, request.encode(), f"deletion of accounts {', '.join(names)}")

    async def lookup(self, public: str) -> str | None:
        """The token of an account as the server has it; None: there is no such account.

        Raises:
            AccountsUnavailable: no usable answer within the retries.
        """
        answer = await self._request(CLAIMS_LOOKUP.format(public), b"", f"account {public}")
        return answer.decode().strip() or None

    async def list(self) -> set[str]:
        """Public keys of all accounts.

        Raises:
            AccountError: the server refuses to say.
            AccountsUnavailable: no usable answer within the retries.
        """
        found = await self._ask(CLAIMS_LIST, b"", "list of accounts")
        return {str(public) for public in found or ()}

    async def ensure(self, token: str) -> bool:
        """Push an account unless the server has one that says the same; whether it was pushed.

        Raises:
            AccountError, AccountsUnavailable: as for `push`.
        """
        present = await self.lookup(str(claims.read(token)["sub"]))
        if present is not None and claims.same(present, token):
            return False
        await self.push(token)
        return True

    async def _ask(self, subject: str, data: bytes, what: str) -> Any:
        """The `data` of an answer that is JSON."""
        answer = await self._request(subject, data, what)
        try:
            said = json.loads(answer)
            error = said.get("error")
        except (ValueError, AttributeError):
            raise AccountError(f"{what}: NATS answers {answer[:200]!r}, which is not understood") from None
        if error:
            words = error.get("description") or error.get("message") or error
            raise AccountError(f"{what}: NATS refuses: {words}")
        return said.get("data")

    async def _request(self, subject: str, data: bytes, what: str) -> bytes:
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._client.request(subject, data, timeout=REQUEST_TIMEOUT)
            except (TimeoutError, OSError, nats.errors.Error) as error:
                if attempt == ATTEMPTS - 1:
                    reason = f"{type(error).__name__}: {error}"
                    raise AccountsUnavailable(f"{what}: no answer of NATS ({reason}); is it up?") from error
                log.info("%s: no answer of NATS (%s); trying again", what, type(error).__name__)
                await asyncio.sleep(DELAYS[attempt])
            else:
                return bytes(answer.data)
        raise AssertionError("unreachable")
