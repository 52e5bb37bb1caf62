"""The apiserver as the operator needs it: plain dicts in and out, refusals as typed errors."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from kubernetes.aio import client, config

from armonik_operator.errors import (
    AlreadyExists,
    Conflicted,
    KubeError,
    KubeUnavailable,
    NotFound,
    Refused,
)
from armonik_sdk.api.const import (
    API_GROUP,
    API_VERSION,
    FIELD_MANAGER,
    PARTITION_PLURAL,
    SESSION_PLURAL,
    TASK_PLURAL,
)
from armonik_sdk.apiserver import APPLY_PATCH, MERGE_PATCH, NoAnswer, Object, Transport

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind live in the API."""

    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL's path of one object, or of the collection."""
        parts = ["api", self.version] if not self.group else ["apis", self.group, self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/" + "/".join(quote(part, safe="") for part in parts)


SESSIONS = Kind(SESSION_PLURAL, API_GROUP, API_VERSION)
TASKS = Kind(TASK_PLURAL, API_GROUP, API_VERSION)
PARTITIONS = Kind(PARTITION_PLURAL, API_GROUP, API_VERSION)
PODS = Kind("pods")
SECRETS = Kind("secrets")
CONFIG_MAPS = Kind("configmaps")
SERVICE_ACCOUNTS = Kind("serviceaccounts")
EVENTS = Kind("events")
NAMESPACES = Kind("namespaces", namespaced=False)
LEASES = Kind("leases", "coordination.k8s.io")
DEPLOYMENTS = Kind("deployments", "apps")
CRDS = Kind("customresourcedefinitions", "apiextensions.k8s.io", namespaced=False)


class Kube:
    """Requests to the apiserver. Safe to call from many coroutines."""

    def __init__(self, configuration: client.Configuration) -> None:
        self._transport = Transport(configuration)

    @classmethod
    async def connect(cls, kubeconfig: str | None = None) -> Self:
        """Use the pod's service account, else the kubeconfig (the user's, unless a file is named)."""
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = 64
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        return cls(configuration)

    async def close(self) -> None:
        """Give the connections back."""
        await self._transport.close()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read one object.

        Raises:
            NotFound: there is none of this name.
        """
        return await self._request("GET", kind.path(namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects of a kind that match the selectors, read in pages of 500."""
        items: list[Object] = []
        query = {"limit": "500"} | ({"labelSelector": labels} if labels else {})
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            page = await self._request("GET", kind.path(namespace), query=query)
            items += page.get("items", [])
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    async def create(
        self, kind: Kind, body: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """Create an object.

        Raises:
            AlreadyExists: one of this name stands.
            Refused: it breaks a rule; the message names the field.
        """
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return await self._request("POST", kind.path(namespace), body=body, query=query)

    async def apply(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """Server-side apply, taking over fields of other managers."""
        return await self._request(
            "PATCH",
            kind.path(namespace, body["metadata"]["name"]),
            body=body,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type=APPLY_PATCH,
        )

    async def patch(
        self, kind: Kind, name: str, body: Object, namespace: str | None = None, *, status: bool = False
    ) -> Object:
        """Merge-patch an object, or its status alone.

        Raises:
            Refused: a rule forbids it, such as a status that would go back.
        """
        path = kind.path(namespace, name) + ("/status" if status else "")
        return await self._request(
            "PATCH", path, body=body, query={"fieldManager": FIELD_MANAGER}, content_type=MERGE_PATCH
        )

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, uid: str = "", grace: int | None = None
    ) -> None:
        """Delete an object; with `uid` only that very one. An absent one is fine."""
        body: Object = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            await self._request("DELETE", kind.path(namespace, name), body=body)
        except NotFound:
            log.debug("%s %s/%s was gone already", kind.plural, namespace, name)

    async def delete_collection(
        self, kind: Kind, namespace: str, *, labels: str = "", fields: str = ""
    ) -> None:
        """Delete all objects that match the selectors; at least one selector must be given."""
        if not labels and not fields:
            raise ValueError("delete_collection needs a selector")
        query = ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})
        await self._request("DELETE", kind.path(namespace), query=query)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        try:
            answer = await self._transport.request(
                method, path, body=body, query=query, content_type=content_type
            )
        except NoAnswer as error:
            raise KubeUnavailable(str(error)) from error
        if answer.ok:
            return answer.body
        raise _refusal(answer.status, answer.body, method, f"{method} {path}")


def _refusal(status: int, answer: Object, method: str, what: str) -> KubeError:
    match status:
        case 404:
            return NotFound(status, answer, what)
        case 409 if method == "POST":
            return AlreadyExists(status, answer, what)
        case 409:
            return Conflicted(status, answer, what)
        case 400 | 422:
            return Refused(status, answer, what)
        case _:
            return KubeError(status, answer, what)
