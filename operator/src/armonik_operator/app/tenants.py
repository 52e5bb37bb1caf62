"""Which tenant a namespace belongs to: one for all where they share the users of NATS, else its own."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from armonik_operator.app.tenant import Common, Tenant
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kube
from armonik_operator.errors import AccountError, KubeError, KubeUnavailable
from armonik_operator.provisioning.nats_namespaces import NatsNamespaces
from armonik_operator.settings import Settings

log = logging.getLogger(__name__)


class Tenants:
    """Makes a tenant when the first object of its namespace is seen, and runs it."""

    def __init__(
        self, settings: Settings, make: Callable[[Settings], Tenant], drop: Callable[[Tenant], None]
    ) -> None:
        """Nothing runs yet.

        Args:
            settings: of the operator.
            make: called with the settings of a tenant, which serve its namespaces alone.
            drop: called with a tenant that has ended.
        """
        self._settings = settings
        self._make = make
        self._drop = drop
        self._shared = None if settings.nats_accounts else make(settings)
        self._own: dict[str, Tenant] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._start: Callable[[str, Tenant], None] = _not_yet

    def of(self, namespace: str) -> Tenant:
        """The tenant of a namespace; made, and started, if there is none."""
        if self._shared is not None:
            return self._shared
        found = self._own.get(namespace)
        if found is None:
            found = self._own[namespace] = self._make_own(namespace)
            self._start(namespace, found)
        return found

    def used(self) -> set[str]:
        """Namespaces with Sessions or Partitions."""
        tenants = [self._shared] if self._shared is not None else list(self._own.values())
        return {namespace for tenant in tenants for namespace in tenant.used()}

    def _make_own(self, namespace: str) -> Tenant:
        # Streams have no shares of the server's store: the limit of the account bounds all of them together.
        own = {"watch_namespaces": (namespace,), "nats_store": ""}
        return self._make(self._settings.model_copy(update=own))

    async def run(self, common: Common) -> None:
        """Run all tenants until cancelled, also those that are made meanwhile.

        What ends one of them unexpectedly ends all, and with them the process, which is started again.
        """
        async with asyncio.TaskGroup() as group:

            def start(namespace: str, tenant: Tenant) -> None:
                log.info("serving namespace %s by accounts of its own", namespace)
                self._running[namespace] = group.create_task(tenant.run(common))

            if self._shared is not None:
                group.create_task(self._shared.run(common))
            for namespace, tenant in self._own.items():
                start(namespace, tenant)
            self._start = start
            try:
                await self._tidy(common)
            finally:
                self._start = _not_yet

    async def _tidy(self, common: Common) -> None:
        """End tenants whose namespace is gone, and remove their accounts, until cancelled."""
        namespaces = common.provision.namespaces
        if namespaces is None:
            await asyncio.Event().wait()
            return
        while True:
            namespaces.changed.clear()
            for namespace in tuple(self._own):
                await _or_later(self._replace(common, namespaces, namespace))
            await _or_later(self._collect(common, namespaces))
            # Not wait_for: on Python 3.11 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.sweep_seconds):
                    await namespaces.changed.wait()

    async def _replace(self, common: Common, namespaces: NatsNamespaces, namespace: str) -> None:
        """Begin anew where a namespace is gone, or another one of its name has come."""
        if await namespaces.replaced(namespace):
            await self._end(namespace)
            await common.provision.forget(namespace)
            await self._refill(common.kube, namespace)

    async def _collect(self, common: Common, namespaces: NatsNamespaces) -> None:
        await namespaces.collect()
        await common.provision.settle()

    async def _end(self, namespace: str) -> None:
        running = self._running.pop(namespace, None)
        if running is not None:
            running.cancel()
            await asyncio.wait({running})
        self._drop(self._own.pop(namespace))

    async def _refill(self, kube: Kube, namespace: str) -> None:
        """Give the objects of a namespace that was made again to a new tenant."""
        for kind in (SESSIONS, PARTITIONS, TASKS):
            async for obj in kube.each(kind, namespace):
                self.of(namespace).on_event(kind.plural, None, obj)


async def _or_later(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (AccountError, KubeError, KubeUnavailable) as error:
        log.warning("the accounts of namespaces are compared later: %s", error)


def _not_yet(_: str, __: Tenant) -> None:
    """It is started with the others."""
