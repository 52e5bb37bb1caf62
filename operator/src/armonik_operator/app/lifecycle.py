"""Lifetime of the operator: Lease, Secrets, kinds, then its tenants until the end."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from armonik_operator.app.health import Health, TenantHealth
from armonik_operator.app.tenant import Common, Tenant
from armonik_operator.app.tenants import Tenants
from armonik_operator.clients import leader_election
from armonik_operator.clients.availability import Availability, probe_until_up
from armonik_operator.clients.events import EventRecorder
from armonik_operator.clients.kube import Kube
from armonik_operator.clients.store_usage import TotalUse
from armonik_operator.errors import ConnectionEnded
from armonik_operator.provisioning.crds import apply_crds
from armonik_operator.provisioning.credentials import Provision
from armonik_operator.provisioning.nats_namespaces import NatsNamespaces
from armonik_operator.settings import Settings
from armonik_operator.sources import watches
from armonik_operator.util.commons import Commons
from armonik_sdk.circuit import Circuit
from armonik_sdk.dataplane.s3.by_namespace import NamespaceStore

log = logging.getLogger(__name__)


class Operator:
    """Takes in events at any time; its tenants work on them once the Lease is held."""

    def __init__(self, settings: Settings, holder: str) -> None:
        self._settings = settings
        self._holder = holder
        self.dependencies = Availability()
        self.health = Health(self.dependencies)
        self.kinds_served = asyncio.Event()
        """Watches may begin."""
        self._commons = Commons()
        self._tenants = Tenants(settings, self._make_tenant, self._drop_tenant)

    def _make_tenant(self, settings: Settings) -> Tenant:
        nats = self.dependencies.nats
        if settings.nats_accounts:  # one that cannot connect is no outage of NATS
            nats = Circuit(f"NATS for {settings.watch_namespaces[0]}")
            nats.down("not connected yet")
        health = TenantHealth(nats)
        self.health.tenants.append(health)
        return Tenant(settings, self.dependencies, health, self._commons)

    def _drop_tenant(self, tenant: Tenant) -> None:
        self.health.tenants.remove(tenant.health)

    def on_event(self, plural: str, type_: str | None, obj: dict[str, Any]) -> None:
        """Take in an event of the apiserver."""
        tenant = self._tenants.of(obj["metadata"].get("namespace") or "")
        tenant.on_event(plural, type_, obj)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            LeaseLost: another operator took over; the process must end.
            WatchEnded: a watch delivers nothing; the process must end.
        """
        kube = await Kube.connect(circuit=self.dependencies.apiserver)
        settings = self._settings
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(probe_until_up(self.dependencies.apiserver, kube.probe))
                group.create_task(self._let_watch(kube))
                await leader_election.acquire(kube, settings.namespace, settings.lease, self._holder)
                self.health.leader = True
                group.create_task(
                    leader_election.keep(kube, settings.namespace, settings.lease, self._holder)
                )
                group.create_task(self._serve(kube))
        finally:
            await leader_election.release(kube, settings.namespace, settings.lease, self._holder)
            await kube.close()

    async def _let_watch(self, kube: Kube) -> None:
        await watches.until_served(kube, self.health.note_kinds)
        self.kinds_served.set()

    async def _serve(self, kube: Kube) -> None:
        provision = Provision(kube, self._settings)
        await provision.prepare()  # before all else: the servers' pods wait for it
        if self._settings.manage_crds:
            await apply_crds(kube, Path(self._settings.crds_dir))
        events, buckets, deps = EventRecorder(kube), provision.buckets, self.dependencies
        store = NamespaceStore(provision.root, buckets, circuit=deps.store, admit=deps.door.admit)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(events.run())
                if provision.namespaces is not None:
                    group.create_task(self._connect_accounts(provision.namespaces))
                group.create_task(buckets.run(self._tenants.used))
                group.create_task(provision.certificates.run(provision.trust))
                total = TotalUse(self._settings.nats_store_bytes)
                group.create_task(self._tenants.run(Common(kube, events, provision, store, total)))
        finally:
            await buckets.close()

    async def _connect_accounts(self, namespaces: NatsNamespaces) -> None:
        """Connect as the user who may push accounts, until cancelled."""
        nats, ended = self.dependencies.nats, asyncio.Event()
        try:
            await namespaces.connect(nats.answered, nats.down, ended.set)
            await ended.wait()
            raise ConnectionEnded("the connection to NATS' system account has ended")
        finally:
            await namespaces.close()
