"""The connections that all handles of a client share: the apiserver, and the data plane when needed."""

import asyncio

from armonik_sdk.client.transport.data_plane import DataPlane
from armonik_sdk.client.transport.kube import Kube


class Connection:
    """The data plane is opened at first use: its credentials exist once the namespace has a Session."""

    def __init__(self, kube: Kube, namespace: str, kubeconfig: str | None, context: str | None) -> None:
        self.kube = kube
        self.namespace = namespace
        self._source = (kubeconfig, context)
        self._link: DataPlane | None = None
        self._opening = asyncio.Lock()

    async def link(self) -> DataPlane:
        """The open data plane.

        Raises:
            NotConnected: no credentials, or no way to NATS.
        """
        async with self._opening:
            if self._link is None:
                self._link = await DataPlane.open(self.kube, self.namespace, *self._source)
            return self._link

    async def close(self) -> None:
        """Close everything."""
        if self._link is not None:
            await self._link.close()
        await self.kube.close()
