"""Events of Kubernetes, which `kubectl describe` shows: each thing is told once."""

import hashlib
import logging
from datetime import UTC, datetime

from armonik_operator.adapters.kube import EVENTS, Kube
from armonik_operator.errors import AlreadyExists, KubeError, KubeUnavailable
from armonik_sdk.api.const import FIELD_MANAGER, GROUP_VERSION
from armonik_sdk.api.kinds import Resource

log = logging.getLogger(__name__)


class Events:
    """Writes Events about our objects. One that cannot be written is logged: it is a courtesy."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def warn(self, about: Resource, reason: str, message: str) -> None:
        """Tell that something has to be mended; the name makes it one Event over restarts as well."""
        meta, now = about.metadata, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha256(f"{meta.uid}/{reason}/{message}".encode()).hexdigest()[:16]
        event = {
            "metadata": {"name": f"{meta.name}.{digest}"},
            "involvedObject": {
                "apiVersion": GROUP_VERSION,
                "kind": about.kind,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
        }
        try:
            await self._kube.create(EVENTS, event, meta.namespace)
        except AlreadyExists:
            log.debug("told already: %s %s", meta.name, reason)
        except (KubeError, KubeUnavailable) as error:
            log.warning("no event about %s %s/%s: %s", about.kind, meta.namespace, meta.name, error)
