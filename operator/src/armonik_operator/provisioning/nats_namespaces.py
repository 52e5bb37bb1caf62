"""Accounts of namespaces on NATS: made when a namespace is first served, and removed with their data."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from armonik_operator.clients.kube import NAMESPACES, Kube
from armonik_operator.clients.store_usage import PartBounds
from armonik_operator.errors import AccountError, AccountsUnavailable, KubeError, KubeUnavailable, NotFound
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.namespace import (
    MAX_GENERATION,
    Limits,
    NamespaceAccounts,
    generation_of,
)
from armonik_operator.manifests.accounts.permissions import USERS
from armonik_operator.manifests.accounts.trust import UNLIMITED, Signing
from armonik_operator.provisioning.nats_accounts import NatsAccounts
from armonik_operator.settings import Settings, size_of
from armonik_sdk.api.const import NATS_CREDENTIALS_ANNOTATION, NATS_STORE_ANNOTATION
from armonik_sdk.api.errors import explain
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import close_nats, connect_nats

log = logging.getLogger(__name__)

FRESH = 300.0
"""Seconds after which a namespace's limits are read again, and its accounts compared."""
REMOVAL_SECONDS = 60.0
"""Time that the removal of an account's streams may take; then it is tried again later."""
FORBIDDEN = 403
SUFFIXES = ("streams", "clients")


@dataclass(frozen=True)
class Served:
    """A namespace that has accounts."""

    uid: str
    """Of the Namespace."""
    values: Mapping[str, str]
    """Credentials files, by role."""
    at: float
    bounds: PartBounds
    """Of its journal, queue and results."""


class NatsNamespaces:
    """Makes and removes the accounts of namespaces."""

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        signing: Signing,
        system: Credentials,
        hand_out: Callable[[str, Mapping[str, str]], Awaitable[None]],
    ) -> None:
        """Nothing is connected yet.

        Args:
            kube: where namespaces are read.
            settings: the operator's.
            signing: what accounts are made with.
            system: of the user who may push accounts.
            hand_out: called with a namespace and its new credentials files, before the former are refused.
        """
        self._hand_out = hand_out
        self._kube = kube
        self._settings = settings
        self._signing = signing
        self._system = system
        self._served: dict[str, Served] = {}
        self._accounts: NatsAccounts | None = None
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._hidden: set[str] = set()
        """Namespaces that may not be read; each was logged once."""
        self.changed = asyncio.Event()
        """Compare now: NATS is back, or a namespace with accounts was made again under the same name."""

    async def connect(
        self, answered: Callable[[], None], down: Callable[[str], None], ended: Callable[[], None]
    ) -> None:
        """Connect as the system user, at some time."""

        async def reconnected() -> None:
            answered()
            self.changed.set()  # a server whose volume was lost has none of the accounts

        async def disconnected() -> None:
            down("the connection is lost")

        async def closed() -> None:
            ended()

        self._client = await connect_nats(
            self._system,
            "operator-accounts",
            on_closed=closed,
            on_disconnected=disconnected,
            on_reconnected=reconnected,
        )
        self._accounts = NatsAccounts(self._client)
        answered()
        self._connected.set()

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await close_nats(self._client)

    async def values(self, namespace: str) -> Mapping[str, str]:
        """Credentials files of the roles in a namespace, `<role>-creds`; its accounts are there then.

        Raises:
            NotFound: there is no such namespace.
            KubeError, KubeUnavailable: it is not read.
            AccountError: NATS refuses the account, or gives no answer.
        """
        known = self._served.get(namespace)
        if known is not None and time.monotonic() - known.at < FRESH:
            return known.values
        await self._connected.wait()
        return (await self._serve(namespace)).values

    def uid(self, namespace: str) -> str:
        """UID of the namespace whose accounts are used; empty when it has none yet."""
        known = self._served.get(namespace)
        return known.uid if known is not None else ""

    def bounds(self, namespace: str) -> PartBounds:
        """What the journal, queue and results of a namespace may hold before its new work waits."""
        known = self._served.get(namespace)
        return known.bounds if known is not None else PartBounds()

    async def replaced(self, namespace: str) -> bool:
        """Whether the namespace is gone, or another one of its name has come.

        Raises:
            KubeError, KubeUnavailable: it is not read.
        """
        known = self._served.get(namespace)
        return known is not None and await self._uid_now(namespace) not in (known.uid, None)

    async def _uid_now(self, namespace: str) -> str | None:
        """UID of the namespace; empty if there is none, None if the operator may not know.

        With `watchNamespaces` its right to read the namespace goes with the namespace.
        """
        if not self._settings.serves(namespace):
            return None
        try:
            found = await self._kube.get(NAMESPACES, namespace)
        except NotFound:
            return ""
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            if namespace not in self._hidden:
                self._hidden.add(namespace)
                log.warning("what namespace %s has on NATS is kept: %s", namespace, error)
            return None
        self._hidden.discard(namespace)
        return str(found["metadata"]["uid"])

    async def _serve(self, namespace: str) -> Served:
        meta = (await self._kube.get(NAMESPACES, namespace))["metadata"]
        known = self._served.get(namespace)
        if known is not None and known.uid != meta["uid"]:
            self.changed.set()
            raise AccountError(f"namespace {namespace} was made again; it is given accounts of its own")
        made = await self._generation(NamespaceAccounts.of(self._signing, namespace, meta["uid"]), meta)
        # The same each time, so that no Secret changes without need.
        issued = datetime.fromisoformat(meta["creationTimestamp"]).timestamp()
        values = {f"{role}-creds": made.credentials(self._signing, role, issued) for role in USERS}
        if known is not None and known.values != values:
            log.warning("namespace %s: its agents and clients get new credentials", namespace)
            # First, or a Session or Partition of this moment would be given the former ones.
            self._served[namespace] = replace(known, values=values)
            await self._hand_out(namespace, values)
        for token in made.tokens(self._signing, self._limits(meta), time.time()):
            if await self._known.ensure(token):
                log.info("pushed account %s to NATS", claims.read(token)["name"])
        self._served[namespace] = Served(meta["uid"], values, time.monotonic(), self._bounds(meta))
        return self._served[namespace]

    async def _generation(self, made: NamespaceAccounts, meta: Mapping[str, Any]) -> NamespaceAccounts:
        """With the generation of keys that the namespace asks for; never a lower one than NATS has."""
        text = str((meta.get("annotations") or {}).get(NATS_CREDENTIALS_ANNOTATION, "")).strip()
        asked = int(text) if text.isdecimal() and len(text) <= len(str(MAX_GENERATION)) else -1
        if text and not 0 <= asked <= MAX_GENERATION:
            what = f"annotation {NATS_CREDENTIALS_ANNOTATION} is {text!r}"
            log.warning("namespace %s: %s, write a number from 0 to %d", made.namespace, what, MAX_GENERATION)
            asked = 0
        present = await self._known.lookup(made.streams.public)
        return replace(made, generation=max(asked, generation_of(present) if present else 0))

    def _bounds(self, meta: Mapping[str, Any]) -> PartBounds:
        of = self._settings
        defaults = {
            "journal": of.nats_namespace_journal,
            "queue": of.nats_namespace_queue,
            "results": of.nats_namespace_results,
        }
        return PartBounds.of(str(meta["name"]), meta.get("annotations") or {}, defaults)

    def _limits(self, meta: Mapping[str, Any]) -> Limits:
        text = str((meta.get("annotations") or {}).get(NATS_STORE_ANNOTATION, "")).strip()
        store = self._settings.nats_namespace_store
        try:
            size = size_of(text or store)
        except ValueError as error:
            log.warning(
                "namespace %s: annotation %s: %s", meta["name"], NATS_STORE_ANNOTATION, explain(error)
            )
            size = size_of(store)
        connections = self._settings.nats_namespace_connections
        return Limits(disk_bytes=size or UNLIMITED, connections=connections)

    @property
    def _known(self) -> NatsAccounts:
        assert self._accounts is not None, "connected"
        return self._accounts

    async def forget(self, namespace: str) -> None:
        """Remove the accounts of a namespace that is gone, and their streams.

        Raises:
            AccountError: NATS refuses, or gives no answer; to be called again.
        """
        known = self._served.get(namespace)
        if known is not None:
            await self._remove(namespace, known.uid)
            self._served.pop(namespace, None)

    async def collect(self) -> None:
        """Compare all accounts, and remove those of namespaces that went while no operator was there.

        Accounts of namespaces that the operator may not read are kept.

        Raises:
            AccountError, KubeError, KubeUnavailable: of one of them, all others were compared; to be called
                again.
        """
        await self._connected.wait()
        failed: AccountError | KubeError | KubeUnavailable | None = None
        known = {(namespace, served.uid) for namespace, served in self._served.items()}
        for namespace, uid in known | await self._owned():
            try:
                await self._compare(namespace, uid)
            except (AccountError, KubeError, KubeUnavailable) as error:
                failed = error
        if failed is not None:
            raise failed

    async def _compare(self, namespace: str, uid: str) -> None:
        found = await self._uid_now(namespace)
        if found == uid:
            await self._serve(namespace)
        elif found is not None and self.uid(namespace) != uid:  # else its tenant has to end first
            await self._remove(namespace, uid)

    async def _owned(self) -> set[tuple[str, str]]:
        """Namespace and UID of the accounts that this operator has made."""
        found = set()
        for public in await self._known.list():
            token = await self._known.lookup(public)
            name = str(claims.read(token).get("name", "")) if token else ""
            namespace, uid, part = (*name.split("/"), "", "", "")[:3]
            if part not in SUFFIXES:
                continue
            made = NamespaceAccounts.of(self._signing, namespace, uid)
            if public in (made.streams.public, made.clients.public):
                found.add((namespace, uid))
        return found

    async def _remove(self, namespace: str, uid: str) -> None:
        made = NamespaceAccounts.of(self._signing, namespace, uid)
        log.info("namespace %s (%s) is gone: removing its accounts and streams from NATS", namespace, uid)
        # It may be half removed; only an account that is there can be connected to.
        if await self._known.lookup(made.streams.public) is not None:
            await self._delete_streams(made)
        keys = (made.streams.public, made.clients.public)
        await self._known.delete(self._signing.deletion(keys, time.time()))

    async def _delete_streams(self, made: NamespaceAccounts) -> None:
        file = made.credentials(self._signing, "operator", time.time())
        credentials = replace(self._system, nats_user="operator", nats_creds=file)
        try:
            async with asyncio.timeout(REMOVAL_SECONDS):
                client = await connect_nats(credentials, "operator-removal")
                try:
                    js = client.jetstream(timeout=10)
                    while streams := await js.streams_info():
                        for info in streams:
                            await js.delete_stream(str(info.config.name))
                finally:
                    await close_nats(client)
        except (TimeoutError, OSError, nats.errors.Error, nats.js.errors.Error) as error:
            what = f"the streams of namespace {made.namespace} are not deleted yet"
            raise AccountsUnavailable(f"{what}: {type(error).__name__}: {error}") from error
