"""Keeps the certificates of the chart's servers: made here and renewed, or as somebody else issues them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from armonik_operator.clients.kube import SECRETS, Kube
from armonik_operator.errors import KubeError, KubeUnavailable, NotFound
from armonik_operator.manifests import secrets as build
from armonik_operator.manifests.certificates import (
    BUNDLE,
    authority_values,
    server_values,
)
from armonik_operator.settings import Settings
from armonik_sdk.api.const import CA_SECRET, TLS_SECRETS
from armonik_sdk.api.errors import explain

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds between looks at a Secret that is missing or unusable."""
LOOK = 600.0
"""Seconds between two looks at what is there."""


class Certificates:
    """The certificates of one installation's servers."""

    def __init__(
        self, kube: Kube, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._now = now
        self._known = ""
        """The authorities that `prepare` or the last look has found."""

    async def prepare(self) -> str:
        """The authorities to trust, in PEM, once the certificates are there; empty without TLS."""
        while self._settings.tls_servers:
            try:
                self._known = await self.renew()
            except (ValueError, KubeError, KubeUnavailable) as error:
                log.warning("certificates are not ready: %s", explain(error))
            else:
                return self._known
            await asyncio.sleep(AGAIN)
        return self._settings.tls_ca

    async def run(self, changed: Callable[[str], None]) -> None:
        """Renew what is due, until cancelled; `changed` is called with other authorities to trust.

        Servers take a new certificate in by themselves: they watch the mounted Secret.
        """
        while self._settings.tls_servers:
            await asyncio.sleep(LOOK)
            try:
                found = await self.renew()
            except (ValueError, KubeError, KubeUnavailable) as error:
                log.warning("certificates are not renewed: %s", explain(error))
                continue
            if found != self._known:
                self._known = found
                changed(found)
                log.warning(
                    "the CA of the servers is being replaced; see docs/install.md, TLS, for what to restart"
                )

    async def renew(self) -> str:
        """Make or renew what is due; returns the authorities to trust, in PEM.

        Raises:
            ValueError: a Secret is unusable; the message names it.
            KubeError, KubeUnavailable: it is not read or written.
        """
        if self._settings.tls_issued:
            return await self._issued()
        authority = await self._keep(CA_SECRET, lambda known: authority_values(known, self._now()))
        names = {"nats": self._settings.tls_nats_names, "s3": self._settings.tls_s3_names}
        for server in self._settings.tls_servers:
            wanted = names[server]
            await self._keep(
                TLS_SECRETS[server],
                lambda known, wanted=wanted: server_values(known, authority, wanted, self._now()),  # type: ignore[misc]
            )
        return authority[BUNDLE]

    async def _issued(self) -> str:
        found: dict[str, None] = {}
        for server in self._settings.tls_servers:
            name = TLS_SECRETS[server]
            try:
                values = build.decode(await self._kube.get(SECRETS, name, self._settings.namespace))
            except NotFound:
                where = f"{self._settings.namespace}/{name}"
                raise ValueError(
                    f"secret {where} is missing: does the issuer of tls.issuerRef work?"
                ) from None
            found[values.get(BUNDLE, "").strip()] = None
        return "\n".join(filter(None, found))

    async def _keep(
        self, name: str, wanted_of: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        """Create a Secret, or change what is due in it; returns its values."""
        namespace = self._settings.namespace
        try:
            known = build.decode(await self._kube.get(SECRETS, name, namespace))
        except NotFound:
            known = {}
        try:
            wanted = wanted_of(known)
        except ValueError as error:
            raise ValueError(f"secret {namespace}/{name}: {explain(error)}; correct or delete it") from None
        if wanted.items() - known.items():
            await self._kube.apply(SECRETS, build.opaque(name, wanted), namespace)
            log.info("secret %s/%s has a new certificate", namespace, name)
        return wanted
