"""Manages the Secrets of the chart's servers, and the objects that every namespace in use gets.

The operator makes the servers' Secrets if they are absent, and renders the files in them anew at each start,
so that an upgrade's permissions reach the servers. Those read their file once, and the kubelet brings a
changed Secret into a pod only after a minute or two, a missing one with a growing back-off; so pods that were
started with another content, or hang in that back-off, are deleted, and their StatefulSet creates them again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from armonik_operator.clients.kube import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS, Kube
from armonik_operator.errors import BucketRefused, InvalidKey, KubeError, KubeUnavailable, NotFound
from armonik_operator.manifests import secrets as build
from armonik_operator.manifests.accounts.trust import SYSTEM_USER, Signing, Trust
from armonik_operator.manifests.certificates import BUNDLE
from armonik_operator.manifests.nats_trust import refuse_trust, trust_values, values_of
from armonik_operator.provisioning.buckets.choice import Buckets, choose, root_of
from armonik_operator.provisioning.certificates import Certificates
from armonik_operator.provisioning.nats_namespaces import NatsNamespaces
from armonik_operator.settings import Settings
from armonik_sdk.api.const import ROTATE_ANNOTATION, SERVED_ANNOTATION
from armonik_sdk.api.errors import explain
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import InvalidCredentials

log = logging.getLogger(__name__)

Values = dict[str, str]
AGAIN = 5.0
"""Seconds between looks at a Secret that is missing or unusable."""
PATIENCE = 6.0
"""Seconds in which the kubelet tries often enough again to mount a Secret that was missing."""
_SHARED_NATS = (
    "all namespaces share the users of NATS, so each can read and forge the records of the others; "
    "nats.accounts.enabled gives each namespace accounts of its own"
)
_KINDS = {"serviceaccounts": SERVICE_ACCOUNTS, "secrets": SECRETS, "configmaps": CONFIG_MAPS}


_Make = Callable[[Settings, Mapping[str, str], Mapping[str, str]], list[tuple[str, build.Object]]]
RENEW = 600.0
"""Seconds after which a namespace's objects are applied again."""
_OWNERS = 1_000
"""Sessions and Partitions of a namespace that are remembered; one more costs a request."""


@dataclass
class _Share:
    """The objects that a namespace was given."""

    at: float
    first: str
    """UID of the first object: another namespace of the same name has another one."""
    owners: dict[str, None]
    """UIDs of Sessions and Partitions that found all there, the oldest first."""

    def note(self, owner: str) -> None:
        self.owners[owner] = None
        if len(self.owners) > _OWNERS:
            del self.owners[next(iter(self.owners))]


class Provision:
    """Keeps the servers' Secrets, and creates the objects of each namespace."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self._kube = kube
        self._settings = settings
        self._nats: Values = {}
        self._s3: Values = {}
        self._furnished: dict[tuple[str, str], _Share] = {}
        self.certificates = Certificates(kube, settings)
        self.root: Credentials
        """The operator's own for the object store; there once `prepare` has returned, as is the next."""
        self.buckets: Buckets
        """What namespaces have on the object store."""
        self.namespaces: NatsNamespaces | None = None
        """Accounts of namespaces, where each has its own; there once `prepare` has returned."""

    async def prepare(self) -> None:
        """Create or update the servers' Secrets."""
        settings, ca = self._settings, await self.certificates.prepare()

        def nats(present: Mapping[str, str]) -> build.Object:
            if settings.nats_accounts:
                return build.opaque(settings.nats_secret, trust_values(settings.nats_accounts_dir, present))
            refuse_trust(present)
            return build.nats_secret(settings.nats_secret, present)

        def s3(present: Mapping[str, str]) -> build.Object:
            return build.s3_secret(settings.s3_secret, present)

        self._nats, self._s3 = await asyncio.gather(
            self._read_external_secret(settings.nats_secret)
            if settings.nats_external
            else self._ensure_managed_secret(settings.nats_secret, nats, build.NATS_FILE, "nats"),
            self._read_external_secret(settings.s3_secret)
            if settings.s3_external
            else self._ensure_managed_secret(settings.s3_secret, s3, build.S3_ROOT, "s3"),
        )
        self.trust(ca)
        settings = self._settings
        self.root = root_of(settings, self._s3)
        self.buckets = choose(self._kube, settings, self.root, self._s3, self._reread_s3)
        if settings.nats_accounts:
            self.namespaces = await self._make_namespaces()

    def trust(self, ca: str) -> None:
        """Give everybody these authorities from now on, and those of servers that are the user's."""
        settings = self._settings
        given = ((settings.nats_external, self._nats), (settings.s3_external, self._s3))
        found = [ca, *(values.get(BUNDLE, "") for external, values in given if external)]
        together = "\n".join(dict.fromkeys(filter(None, (each.strip() for each in found))))
        self._settings = settings.model_copy(update={"tls_ca": together})
        self._furnished.clear()

    async def credentials(self, settings: Settings) -> Credentials:
        """The operator's credentials for a tenant.

        Args:
            settings: those of the tenant, which name its namespaces.
        """
        nats = await self._nats_of(settings.watch_namespaces[0] if self.namespaces else "")
        settings = settings.model_copy(update={"tls_ca": self._settings.tls_ca})
        return Credentials.from_mapping(build.credentials("operator", settings, nats, self._s3))

    def isolation(self, namespace: str) -> str:
        """Why other namespaces can reach the data of this one; empty when they cannot."""
        alone = len(self._settings.watch_namespaces) == 1
        nats = "" if alone or self.namespaces is not None else _SHARED_NATS
        return "; ".join(filter(None, (nats, self.buckets.isolation(namespace))))

    async def _nats_of(self, namespace: str) -> Mapping[str, str]:
        """What the roles of a namespace connect to NATS with."""
        return self._nats if self.namespaces is None else await self.namespaces.values(namespace)

    async def _make_namespaces(self) -> NatsNamespaces:
        """Waits while the Secret of a NATS of somebody else is not usable."""
        while True:
            try:
                return self._namespaces_of(self._nats)
            except (InvalidKey, InvalidCredentials) as error:
                where = f"{self._settings.namespace}/{self._settings.nats_secret}"
                log.warning("secret %s is not usable, correct it: %s", where, error)
            await asyncio.sleep(AGAIN)
            self._nats = await self._read_external_secret(self._settings.nats_secret)

    def _namespaces_of(self, nats: Mapping[str, str]) -> NatsNamespaces:
        settings = self._settings
        if settings.nats_external:
            signing, system = Signing.of_owner(nats), nats.get("system-creds", "")
        else:
            trust = signing = Trust.from_mapping(nats)
            system = trust.system_credentials(0.0)
        if not system:
            raise InvalidCredentials("it has no key system-creds, a file of the system account's user")
        values = build.credentials("operator", settings, {"operator-creds": system}, self._s3)
        values["nats-user"] = SYSTEM_USER
        return NatsNamespaces(self._kube, settings, signing, Credentials.from_mapping(values), self._hand_out)

    async def ensure_namespace(self, namespace: str, owner: str) -> None:
        """Create the objects for agents and clients in a namespace with a Partition.

        `owner` is the UID of the Partition or Session that needs it. With one that was not there before, the
        namespace may be another of the same name; and somebody may have deleted one of the objects.
        """
        await self.ensure_clients(namespace, owner)
        await self._keep_share("agents", namespace, owner)

    async def ensure_clients(self, namespace: str, owner: str) -> None:
        """Create the Secret and ConfigMap for clients in a namespace with a Session."""
        await self._keep_share("clients", namespace, owner)

    async def _keep_share(self, whose: str, namespace: str, owner: str) -> None:
        share, now = self._furnished.get((whose, namespace)), time.monotonic()
        fresh = share is not None and now - share.at < RENEW
        if share is not None and fresh and owner in share.owners:
            return
        s3 = await self.buckets.values(namespace)
        first, *others = _builder(whose)(self._settings, await self._nats_of(namespace), s3)
        uid = await self._apply(first, namespace)
        if share is not None and fresh and uid == share.first:
            share.note(owner)
            return
        for each in others:
            await self._apply(each, namespace)
        self._furnished[whose, namespace] = _Share(now, uid, {owner: None})

    async def _hand_out(self, namespace: str, nats: Mapping[str, str]) -> None:
        """Give agents and clients new credentials; what fails is done again when they are needed next."""
        for whose in ("agents", "clients"):
            if self._furnished.pop((whose, namespace), None) is None:
                continue
            try:
                s3 = await self.buckets.values(namespace)
                for manifest in _builder(whose)(self._settings, nats, s3):
                    await self._apply(manifest, namespace)
            except (KubeError, KubeUnavailable, BucketRefused) as error:
                log.warning("namespace %s: new credentials are not handed out yet: %s", namespace, error)

    async def _apply(self, manifest: tuple[str, build.Object], namespace: str) -> str:
        """Apply an object; returns its UID."""
        plural, obj = manifest
        return str((await self._kube.apply(_KINDS[plural], obj, namespace))["metadata"]["uid"])

    async def _read_external_secret(self, name: str) -> Values:
        while True:
            try:
                return build.decode(await self._kube.get(SECRETS, name, self._settings.namespace))
            except NotFound:
                log.warning("secret %s/%s is missing; create it", self._settings.namespace, name)
            except KubeUnavailable as error:
                log.warning("secret %s not read: %s", name, error)
            await asyncio.sleep(AGAIN)

    async def _reread_s3(self) -> Values:
        """The object store's Secret as it is now; as it was when it is gone."""
        try:
            secret = await self._kube.get(SECRETS, self._settings.s3_secret, self._settings.namespace)
        except NotFound:
            log.warning("secret %s/%s is missing", self._settings.namespace, self._settings.s3_secret)
            return self._s3
        return build.decode(secret)

    async def _ensure_managed_secret(
        self, name: str, build_secret: Callable[[Mapping[str, str]], build.Object], file: str, component: str
    ) -> Values:
        while True:
            try:
                return await self._update_secret(name, build_secret, file, component)
            except (ValueError, InvalidKey) as error:
                where = f"{self._settings.namespace}/{name}"
                log.warning("secret %s is not usable, correct it: %s", where, explain(error))
            except KubeUnavailable as error:
                log.warning("secret %s not updated: %s", name, error)
            await asyncio.sleep(AGAIN)

    async def _update_secret(
        self, name: str, build_secret: Callable[[Mapping[str, str]], build.Object], file: str, component: str
    ) -> Values:
        """Update a Secret. Steps may be repeated: pods are replaced until the annotation names it."""
        namespace = self._settings.namespace
        try:
            secret = await self._kube.get(SECRETS, name, namespace)
        except NotFound:
            secret = await self._kube.apply(SECRETS, build_secret({}), namespace)
            log.info("created secret %s/%s", namespace, name)
        if ROTATE_ANNOTATION in (secret["metadata"].get("annotations") or {}) and component == "nats":
            secret = await self._rotate(secret)
        present = build.decode(secret)
        wanted = build.decode(build_secret(present))
        if wanted.items() - present.items():
            await self._kube.patch(SECRETS, name, {"data": build_secret(wanted)["data"]}, namespace)
            log.info("secret %s/%s has a new %s", namespace, name, file)
        await self._serve_file(secret, wanted[file], component)
        return present | wanted

    async def _serve_file(self, secret: build.Object, content: str, component: str) -> None:
        """Replace the server's pods, unless they were started with this content."""
        served = build.digest(content)
        if (secret["metadata"].get("annotations") or {}).get(SERVED_ANNOTATION) != served:
            await self._restart_pods(component)
            body = {"metadata": {"annotations": {SERVED_ANNOTATION: served}}}
            await self._kube.patch(SECRETS, secret["metadata"]["name"], body, self._settings.namespace)

    async def _rotate(self, secret: build.Object) -> build.Object:
        """Have a new key sign accounts; the one before is trusted until all are signed anew."""
        trust = Trust.from_mapping(build.decode(secret))
        if trust.former is not None:
            log.warning("the signing key of NATS is being rotated already: accounts are still signed anew")
            return secret
        log.info("rotating the signing key of NATS")
        return await self._put_trust(trust.rotated())

    async def _put_trust(self, trust: Trust) -> build.Object:
        name, namespace = self._settings.nats_secret, self._settings.namespace
        body = build.opaque(name, values_of(trust, self._settings.nats_accounts_dir))
        body["metadata"]["annotations"] = {ROTATE_ANNOTATION: None}
        return await self._kube.patch(SECRETS, name, body, namespace)

    async def forget(self, namespace: str) -> None:
        """Remove what a namespace that is gone had on NATS.

        Raises:
            AccountError: NATS refuses, or gives no answer; to be called again.
        """
        for known in [known for known in self._furnished if known[1] == namespace]:
            del self._furnished[known]
        if self.namespaces is not None:
            await self.namespaces.forget(namespace)

    async def settle(self) -> None:
        """End a rotation, once all accounts are signed by the new key: the one before is trusted no more.

        Raises:
            KubeError, KubeUnavailable: to be called again.
        """
        if self.namespaces is None or self._settings.nats_external:
            return
        trust = Trust.from_mapping(self._nats)
        if trust.former is None:
            return
        log.info("all accounts are signed by the new key; NATS no longer trusts the former one")
        secret = await self._put_trust(trust.settled())
        self._nats = build.decode(secret)
        await self._serve_file(secret, self._nats[build.NATS_FILE], "nats")

    async def _restart_pods(self, component: str) -> None:
        """Delete the server's pods, except those that will mount the Secret shortly."""
        release = self._settings.release
        labels = f"app.kubernetes.io/component={component},app.kubernetes.io/instance={release}"
        for pod in await self._kube.list(PODS, self._settings.namespace, labels=labels):
            if not _about_to_start(pod, datetime.now(UTC)):
                meta = pod["metadata"]
                log.info("restarting pod %s with the new content of its secret", meta["name"])
                await self._kube.delete(PODS, meta["name"], self._settings.namespace, uid=meta["uid"])


def _builder(whose: str) -> _Make:
    return build.agent_objects if whose == "agents" else build.namespace_objects


def _about_to_start(pod: dict[str, Any], now: datetime) -> bool:
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return bool(
        pod.get("status", {}).get("phase") == "Pending" and (now - created).total_seconds() < PATIENCE
    )
