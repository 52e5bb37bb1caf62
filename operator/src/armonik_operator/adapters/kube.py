"""The apiserver as a transport of plain dicts: time-outs, retries and typed errors in one place.

Models of the official client are by-passed on purpose: they cost ten times the JSON parsing they wrap.
"""

import asyncio
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
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

log = logging.getLogger(__name__)

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

REQUEST_TIMEOUT = 30.0
"""Seconds for one request."""
ATTEMPTS = 5
"""Requests until KubeUnavailable is raised; with back-off about 4 seconds beside the requests' own time."""
_RETRIED = frozenset({429, 500, 502, 503, 504})

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


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
LEASES = Kind("leases", "coordination.k8s.io")
DEPLOYMENTS = Kind("deployments", "apps")
CRDS = Kind("customresourcedefinitions", "apiextensions.k8s.io", namespaced=False)


class Kube:
    """Requests to the apiserver. Safe to call from many coroutines."""

    def __init__(self, configuration: client.Configuration) -> None:
        self._api = client.ApiClient(configuration)

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
        await self._api.close()

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
        what = f"{method} {path}"
        last = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(min(2.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            try:
                status, answer = await self._once(method, path, body, query or {}, content_type)
            except (TimeoutError, aiohttp.ClientError) as error:
                last = f"{type(error).__name__}: {error}"
                continue
            if status < 300:
                return answer
            if status not in _RETRIED:
                raise _refusal(status, answer, method, what)
            last = f"{status}: {answer.get('message', '')}"
        raise KubeUnavailable(f"{what}: no usable answer in {ATTEMPTS} attempts; the last: {last}")

    async def _once(
        self, method: str, path: str, body: Object | None, query: Mapping[str, str], content_type: str
    ) -> tuple[int, Object]:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            response = await self._api.call_api(
                method, url, header_params=headers, body=body, _request_timeout=REQUEST_TIMEOUT
            )
            status, raw = response.status, await response.read()
        except client.ApiException as refusal:
            status, raw = refusal.status or 0, refusal.body or b""
        return status, _parse(raw)


def _parse(raw: bytes | str) -> Object:
    try:
        answer = json.loads(raw) if raw else {}
    except ValueError:  # a proxy in between answers in prose
        return {"message": raw.decode(errors="replace") if isinstance(raw, bytes) else raw}
    return answer if isinstance(answer, dict) else {"message": str(answer)}


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
