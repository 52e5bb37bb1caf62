"""A real nats-server that trusts an operator's keys: accounts are pushed to it while it runs."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
from nats.aio.client import Client, RawCredentials
from servers import NatsServer

from armonik_operator.manifests.accounts.namespace import Limits, NamespaceAccounts
from armonik_operator.manifests.accounts.trust import SYSTEM_USER, Trust
from armonik_operator.provisioning.nats_accounts import NatsAccounts


class AccountsServer(NatsServer):
    """As the chart's, with the full resolver in its folder."""

    def __init__(self, folder: Path, trust: Trust | None = None) -> None:
        self.trust = trust or Trust.make()
        super().__init__(folder)
        self.keep(charts_store())

    def keep(self, store: str) -> None:
        """Say what it may keep on disk in all, before it is started."""
        config = self.folder / "nats.conf"
        old = re.sub("max_file_store: [^,]+, ", "", config.read_text())
        config.write_text(old.replace("sync_interval", f"max_file_store: {store}, sync_interval"))

    def auth_conf(self, _: str) -> str:
        """The trusted operator, the system account and the folder of accounts."""
        return self.trust.server_conf(str(self.folder / "jwt"), time.time())

    def restart(self, trust: Trust) -> None:
        """Stop it, and start it with other keys to trust."""
        self.stop()
        self.trust = trust
        self._write_auth("")
        self.start()

    async def user(self, file: str, role: str) -> Client:
        """A connection by a credentials file; it must be accepted at the first attempt."""
        options = {"allow_reconnect": False, "connect_timeout": 5}
        inbox = f"_INBOX.{role}".encode()
        client = Client()
        try:
            await client.connect(
                self.url,
                user_credentials=RawCredentials(file),
                inbox_prefix=inbox,
                error_cb=_ignore,
                **options,
            )
        except nats.errors.Error:
            await client.close()
            raise
        return client

    @asynccontextmanager
    async def accounts(self) -> AsyncIterator[NatsAccounts]:
        """The accounts, by the system account's user."""
        client = await self.user(self.trust.system_credentials(time.time()), SYSTEM_USER)
        try:
            yield NatsAccounts(client)
        finally:
            await client.close()

    async def serve(
        self, namespace: str, uid: str = "uid", limits: Limits | None = None
    ) -> NamespaceAccounts:
        """Push the accounts of a namespace."""
        made = NamespaceAccounts.of(self.trust, namespace, uid)
        async with self.accounts() as accounts:
            for token in made.tokens(self.trust, limits or Limits(), time.time()):
                await accounts.push(token)
        return made


def charts_store() -> str:
    """What the chart's NATS may keep where namespaces have accounts."""
    template = Path(__file__).parents[2] / "charts/armonik/templates/nats/configmap.yaml"
    found = re.search(r"natsAccounts.*?max_file_store: (\w+)\n", template.read_text(), re.DOTALL)
    assert found
    return found[1]


async def _ignore(_: Exception) -> None:
    """What is wrong is raised by the call itself."""
