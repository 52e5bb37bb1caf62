"""What all handles of a client share: the apiserver, and the data plane once something needs it."""

import asyncio

from armonik_sdk.client.kube import Kube
from armonik_sdk.client.link import Link


class Connection:
    """The data plane is opened at first use: its credentials exist once the namespace has a Session."""

    def __init__(self, kube: Kube, namespace: str, kubeconfig: str | None, context: str | None) -> None:
        self.kube = kube
        self.namespace = namespace
        self._source = (kubeconfig, context)
        self._link: Link | None = None
        self._opening = asyncio.Lock()

    async def link(self) -> Link:
        """The open data plane.

        Raises:
            NotConnected: no credentials, or no way to NATS.
        """
        async with self._opening:
            if self._link is None:
                self._link = await Link.open(self.kube, self.namespace, *self._source)
            return self._link

    async def close(self) -> None:
        """Close everything."""
        if self._link is not None:
            await self._link.close()
        await self.kube.close()
