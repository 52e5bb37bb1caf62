"""Credentials: the Secrets of the chart's own servers, and what every namespace in use gets.

The operator makes the servers' Secrets if they are absent, and renders the files in them anew at each start,
so that an upgrade's permissions reach the servers. Those read their file once, and the kubelet brings a
changed Secret into a pod only after a minute or two, a missing one with a growing back-off; so pods that were
started with another content, or hang in that back-off, are deleted, and their StatefulSet starts them afresh.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from armonik_operator.adapters.kube import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS, Kube
from armonik_operator.errors import KubeUnavailable, NotFound
from armonik_operator.resources import secrets as build
from armonik_operator.settings import Settings
from armonik_sdk.api.const import SERVED_ANNOTATION
from armonik_sdk.dataplane.connect import Credentials

log = logging.getLogger(__name__)

Values = dict[str, str]
AGAIN = 5.0
"""Seconds between looks at a Secret that is missing or unusable."""
PATIENCE = 6.0
"""Seconds in which the kubelet tries often enough again to mount a Secret that was missing."""
_KINDS = {"serviceaccounts": SERVICE_ACCOUNTS, "secrets": SECRETS, "configmaps": CONFIG_MAPS}


class Provision:
    """Keeps the servers' Secrets, and hands each namespace its share."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self._kube = kube
        self._settings = settings
        self._nats: Values = {}
        self._s3: Values = {}
        self._furnished: set[str] = set()

    async def prepare(self) -> Credentials:
        """See to the servers' Secrets; the operator's own credentials."""
        settings = self._settings

        def nats(known: Mapping[str, str]) -> build.Object:
            return build.nats_secret(settings.nats_secret, known)

        def s3(known: Mapping[str, str]) -> build.Object:
            return build.s3_secret(settings.s3_secret, settings.s3_bucket, known)

        self._nats, self._s3 = await asyncio.gather(
            self._external(settings.nats_secret)
            if settings.nats_external
            else self._own(settings.nats_secret, nats, build.NATS_FILE, "nats"),
            self._external(settings.s3_secret)
            if settings.s3_external
            else self._own(settings.s3_secret, s3, build.S3_FILE, "s3"),
        )
        return Credentials.from_mapping(build.credentials("operator", settings, self._nats, self._s3))

    async def furnish(self, namespace: str) -> None:
        """Give a namespace the ServiceAccount, Secrets and ConfigMap that agents and clients need."""
        if namespace in self._furnished:
            return
        for plural, obj in build.namespace_objects(self._settings, self._nats, self._s3):
            await self._kube.apply(_KINDS[plural], obj, namespace)
        self._furnished.add(namespace)

    async def _external(self, name: str) -> Values:
        while True:
            try:
                return build.decode(await self._kube.get(SECRETS, name, self._settings.namespace))
            except NotFound:
                log.warning("secret %s/%s is missing; create it", self._settings.namespace, name)
            except KubeUnavailable as error:
                log.warning("secret %s not read: %s", name, error)
            await asyncio.sleep(AGAIN)

    async def _own(
        self, name: str, made: Callable[[Mapping[str, str]], build.Object], file: str, component: str
    ) -> Values:
        while True:
            try:
                return await self._keep(name, made, file, component)
            except ValueError as error:
                log.warning("secret %s/%s is not usable: %s; mend it", self._settings.namespace, name, error)
            except KubeUnavailable as error:
                log.warning("secret %s not kept: %s", name, error)
            await asyncio.sleep(AGAIN)

    async def _keep(
        self, name: str, made: Callable[[Mapping[str, str]], build.Object], file: str, component: str
    ) -> Values:
        """Each step may be repeated: until the annotation names the content, pods are replaced again."""
        namespace = self._settings.namespace
        try:
            standing = await self._kube.get(SECRETS, name, namespace)
        except NotFound:
            standing = await self._kube.apply(SECRETS, made({}), namespace)
            log.info("made secret %s/%s", namespace, name)
        known = build.decode(standing)
        wanted = build.decode(made(known))
        if wanted.items() - known.items():
            await self._kube.patch(SECRETS, name, {"data": made(wanted)["data"]}, namespace)
            log.info("secret %s/%s has a new %s", namespace, name, file)
        served = build.digest(wanted[file])
        if (standing["metadata"].get("annotations") or {}).get(SERVED_ANNOTATION) != served:
            await self._start_afresh(component)
            body = {"metadata": {"annotations": {SERVED_ANNOTATION: served}}}
            await self._kube.patch(SECRETS, name, body, namespace)
        return known | wanted

    async def _start_afresh(self, component: str) -> None:
        """Delete the server's pods, but for those that will mount the Secret in a moment."""
        release = self._settings.release
        labels = f"app.kubernetes.io/component={component},app.kubernetes.io/instance={release}"
        for pod in await self._kube.list(PODS, self._settings.namespace, labels=labels):
            if not _about_to_start(pod, datetime.now(UTC)):
                meta = pod["metadata"]
                log.info("starting %s afresh, with the new content of its secret", meta["name"])
                await self._kube.delete(PODS, meta["name"], self._settings.namespace, uid=meta["uid"])


def _about_to_start(pod: dict[str, Any], now: datetime) -> bool:
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return bool(
        pod.get("status", {}).get("phase") == "Pending" and (now - created).total_seconds() < PATIENCE
    )
