"""The apiserver as the client needs it: get, create, patch, delete, and waiting by watch."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from kubernetes.aio import client, config

from armonik_sdk.api.const import (
    API_GROUP,
    API_VERSION,
    PARTITION_PLURAL,
    SESSION_PLURAL,
    TASK_PLURAL,
)
from armonik_sdk.apiserver import MERGE_PATCH, NoAnswer, Object, Transport
from armonik_sdk.client.errors import (
    AlreadyExists,
    ClientError,
    NotConnected,
    NotFound,
    Refused,
    Unavailable,
)
from armonik_sdk.client.watching import Expired, SharedWatch

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 60
"""How long one watch lasts until the next goes on where it ended."""
_IN_CLUSTER_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind live in the API."""

    name: str
    plural: str
    prefix: str = f"/apis/{API_GROUP}/{API_VERSION}"

    def path(self, namespace: str, name: str = "") -> str:
        """The URL's path of one object, or of the collection."""
        return f"{self.prefix}/namespaces/{quote(namespace)}/{self.plural}" + (
            f"/{quote(name)}" if name else ""
        )


SESSIONS = Kind("Session", SESSION_PLURAL)
TASKS = Kind("Task", TASK_PLURAL)
PARTITIONS = Kind("Partition", PARTITION_PLURAL)
SECRETS = Kind("Secret", "secrets", "/api/v1")
CONFIG_MAPS = Kind("ConfigMap", "configmaps", "/api/v1")


class Kube:
    """Requests to the apiserver. Safe to call from many coroutines of one event loop."""

    def __init__(self, configuration: client.Configuration, namespace: str, *, in_cluster: bool) -> None:
        self._transport = Transport(configuration)
        self._watches: dict[tuple[Kind, str], SharedWatch] = {}
        self.namespace = namespace
        """The namespace to use when the caller names none."""
        self.in_cluster = in_cluster

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """Use the pod's service account, unless a kubeconfig is given or there is none of the former.

        Raises:
            NotConnected: neither can be used.
        """
        configuration = client.Configuration()
        if kubeconfig is None and context is None and _IN_CLUSTER_NAMESPACE.is_file():
            config.load_incluster_config(client_configuration=configuration)
            return cls(configuration, _IN_CLUSTER_NAMESPACE.read_text().strip(), in_cluster=True)
        try:
            await config.load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=configuration
            )
            contexts, active = config.list_kube_config_contexts(config_file=kubeconfig)
        except (config.ConfigException, OSError) as error:
            raise NotConnected(f"no usable kubeconfig ({error}); set KUBECONFIG or pass one") from error
        chosen = next((entry for entry in contexts if entry["name"] == context), active)
        return cls(configuration, chosen["context"].get("namespace") or "default", in_cluster=False)

    async def close(self) -> None:
        """Give the connections back."""
        for watch in self._watches.values():
            await watch.close()
        await self._transport.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Read one object.

        Raises:
            NotFound: there is none of this name.
        """
        return await self._request("GET", kind.path(namespace, name))

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object. A lost answer is recognised: the object of this name with this spec is ours.

        Raises:
            AlreadyExists: another one has this name.
            Refused: it breaks a rule; the message names the field.
        """
        try:
            return await self._request("POST", kind.path(namespace), body=body)
        except _LostAnswer as lost:
            standing = await self.get(kind, namespace, body["metadata"]["name"])
            if _covers(standing.get("spec"), body.get("spec")):
                return standing
            raise AlreadyExists(str(lost)) from lost

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge-patch an object."""
        return await self._request("PATCH", kind.path(namespace, name), body=body, content_type=MERGE_PATCH)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete this very object; one that is gone is fine."""
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", kind.path(namespace, name), body=body)
        except (NotFound, AlreadyExists) as gone:  # the conflict says that another object has the name now
            log.debug("%s %s/%s was gone already: %s", kind.name, namespace, name, gone)

    async def until(
        self, kind: Kind, namespace: str, name: str, uid: str, done: Callable[[Object], bool]
    ) -> Object:
        """The object once `done` says so of it. Waits for ever: bound it with `asyncio.timeout`.

        Raises:
            NotFound: it was deleted, or replaced by another one of the same name.
        """
        found = await self._read(kind, namespace, name, uid)
        if done(found):  # the most frequent case needs no watch
            return found
        async with self._shared(kind, namespace).seat(name) as seat:
            found = await self._read(kind, namespace, name, uid)
            while not done(found):
                told = await seat.next()
                if told is None or told[1]["metadata"]["uid"] != uid:
                    found = await self._read(kind, namespace, name, uid)
                elif told[0] == "DELETED":
                    raise NotFound(f"{kind.name} {namespace}/{name} was deleted")
                else:
                    found = told[1]
        return found

    async def _read(self, kind: Kind, namespace: str, name: str, uid: str) -> Object:
        found = await self.get(kind, namespace, name)
        if found["metadata"]["uid"] != uid:
            raise NotFound(f"{kind.name} {namespace}/{name} was deleted and made again")
        return found

    def _shared(self, kind: Kind, namespace: str) -> SharedWatch:
        """The watch of this kind and namespace, made when there is none."""

        async def version() -> str:
            listed = await self._request("GET", kind.path(namespace), query={"limit": "1"})
            return str(listed["metadata"]["resourceVersion"])

        def stream(version: str) -> AsyncIterator[tuple[str, Object]]:
            return self._watch(kind, namespace, version)

        key = (kind, namespace)
        if key not in self._watches:
            self._watches[key] = SharedWatch(version, stream)
        return self._watches[key]

    async def _watch(self, kind: Kind, namespace: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        answer = await self._transport.send(
            "GET", kind.path(namespace), query=query, timeout=WATCH_SECONDS + 15
        )
        stream = answer.response
        try:
            rest = b""
            async for chunk in stream.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # most likely 410: the version is too old
                        raise Expired(str(event["object"].get("message")))
                    yield event["type"], event["object"]
        finally:
            stream.close()

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
            raise Unavailable(str(error)) from error
        if answer.ok:
            return answer.body
        if answer.status == 409 and method == "POST" and answer.unclear:
            raise _LostAnswer(str(answer.body.get("message", "")))
        raise _refusal(answer.status, answer.body, f"{method} {path}")


class _LostAnswer(AlreadyExists):
    """The name is taken, perhaps by our own earlier request whose answer was lost."""


def _covers(standing: Any, wanted: Any) -> bool:
    """Whether everything wanted stands; the apiserver may have added defaults."""
    if isinstance(standing, dict) and isinstance(wanted, dict):
        return all(key in standing and _covers(standing[key], value) for key, value in wanted.items())
    return bool(standing == wanted)


def _refusal(status: int, answer: Object, what: str) -> ClientError:
    message = f"{answer.get('message') or f'status {status}'} ({what})"
    match status:
        case 404:
            return NotFound(message)
        case 409:
            return AlreadyExists(message)
        case 401:
            return NotConnected(f"the apiserver does not know the user: {message}")
        case _:
            return Refused(message)
