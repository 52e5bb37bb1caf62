"""Requests of the client to the apiserver: get, create, patch, delete, and waiting by watch."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import client, config

from armonik_sdk.apiserver import (
    CONFIG_MAPS,
    CONNECT_TIMEOUT,
    MERGE_PATCH,
    PARTITIONS,
    PODS,
    SECRETS,
    SESSIONS,
    TASKS,
    Answer,
    Kind,
    NoAnswer,
    Object,
    Request,
    Transport,
    parse_body,
)
from armonik_sdk.client.errors import (
    AlreadyExists,
    ClientError,
    NotConnected,
    NotFound,
    Refused,
    Unavailable,
)
from armonik_sdk.client.transport.shared_watch import Expired, SharedWatch

__all__ = ["CONFIG_MAPS", "PARTITIONS", "SECRETS", "SESSIONS", "TASKS", "Kind", "Kube", "Object"]
"""The client, and the kinds that its callers hand to it."""

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 30
"""Seconds that one watch lasts; the next one continues where it ended."""
WATCH_MARGIN: Final = 5.0
"""Seconds after that during which its end may come. One that does not end is silent, and begun anew."""
_FOLLOWED: Final = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)
"""Of a log that is followed: it lasts as long as its reader wants, and may be silent."""
_READ: Final = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=60)
"""Of a log that is read to its end."""
MAX_LOG_LINE: Final = 64 * 1024
PAGE: Final = 500
"""Objects that are listed in one request."""
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_LOG_BYTES: Final = 16 * 1024
_LOG_GONE: Final = b"unable to retrieve container logs for "
"""With which a kubelet begins its answer, a success, where it has removed the container in the meantime."""
_IN_CLUSTER_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Kube:
    """Requests to the apiserver. Safe to call from many coroutines of one event loop."""

    def __init__(self, configuration: client.Configuration, namespace: str, *, in_cluster: bool) -> None:
        self._transport = Transport(configuration)
        self._watches: dict[tuple[Kind, str], SharedWatch] = {}
        self.namespace = namespace
        """The namespace to use when the caller names none."""
        self.in_cluster = in_cluster
        self.server = configuration.host
        """Address of the apiserver."""
        self.context = ""
        """Of the kubeconfig; empty in a pod."""

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
        kube = cls(configuration, chosen["context"].get("namespace") or "default", in_cluster=False)
        kube.context = chosen["name"]
        return kube

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
        return await self._request(Request("GET", kind.one(namespace, name)))

    async def list(self, kind: Kind, namespace: str) -> AsyncIterator[Object]:
        """All objects of a kind, a page at a time."""
        async for page in self.pages(kind, namespace):
            for found in page.get("items", ()):
                yield found

    async def pages(
        self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "", size: int = PAGE
    ) -> AsyncIterator[Object]:
        """The pages of a list as the apiserver sends them: `items`, and the version in `metadata`.

        Args:
            kind: of the objects.
            namespace: empty means all.
            labels: label selector; empty means all.
            fields: field selector; empty means all.
            size: most objects of a page.
        """
        more = ""
        while True:
            query = {"limit": str(size), **_selected(labels, fields), **({"continue": more} if more else {})}
            page = await self._request(Request("GET", kind.path(namespace), query=query))
            yield page
            more = page.get("metadata", {}).get("continue") or ""
            if not more:
                return

    async def first(
        self, kind: Kind, namespace: str, most: int, selector: Mapping[str, str], *, names_only: bool = False
    ) -> Sequence[Object]:
        """The first objects of a list, in one request.

        Args:
            kind: of the objects.
            namespace: where they are.
            most: how many, at most.
            selector: `labelSelector`, `fieldSelector`, or both.
            names_only: read their metadata alone.
        """
        accept = _METADATA if names_only else "application/json"
        query = {"limit": str(most), **selector}
        page = await self._request(Request("GET", kind.path(namespace), query=query, accept=accept))
        found: Sequence[Object] = page.get("items", ())
        return found[:most]

    async def log_end(self, namespace: str, pod: str, container: str, lines: int = 20) -> str:
        """The last lines that a container printed before it ended last; at most 16 KiB.

        Empty where it printed nothing, or is removed already.
        """
        query = {
            "container": container,
            "previous": "true",
            "tailLines": str(lines),
            "limitBytes": str(_LOG_BYTES),
        }
        answer = await self._answer(Request("GET", f"{PODS.one(namespace, pod)}/log", query=query))
        raw = answer.raw if isinstance(answer.raw, bytes) else answer.raw.encode()
        return "" if raw.startswith(_LOG_GONE) else raw.decode(errors="replace")

    async def log_lines(
        self, namespace: str, pod: str, query: Mapping[str, str], most: int = MAX_LOG_LINE
    ) -> AsyncIterator[bytes]:
        """The lines of a container's log, as `query` asks for it: `container`, `follow`, `tailLines`.

        A line longer than `most` bytes comes in parts.

        Raises:
            NotFound: there is no such pod, or its container is removed already.
            Refused: the user may not, or the container has not started.
            Unavailable: the connection broke.
        """
        request = Request("GET", f"{PODS.one(namespace, pod)}/log", query=query, accept="*/*")
        try:
            stream = await self._open(request, _FOLLOWED if query.get("follow") else _READ)
            try:
                begun = False
                async for line in _lines(stream, most):
                    if not begun and line.startswith(_LOG_GONE):
                        raise NotFound(f"the container of pod {pod} is removed, and its log with it")
                    begun = True
                    yield line
            finally:
                stream.close()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise Unavailable(f"the log of pod {pod} breaks off: {type(error).__name__}: {error}") from error

    async def ask(self, method: str, path: str, body: Object | None = None) -> Object:
        """What the apiserver answers to a request about no object, such as its version.

        Raises:
            NotFound, Refused, NotConnected, Unavailable: as of requests about objects.
        """
        return await self._request(Request(method, path, body=body))

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object. A lost answer is recognised: the object of this name with this spec is ours.

        Raises:
            AlreadyExists: another one has this name.
            Refused: it breaks a rule; the message names the field.
        """
        try:
            return await self._request(Request("POST", kind.path(namespace), body=body))
        except _LostAnswer as lost:
            standing = await self.get(kind, namespace, body["metadata"]["name"])
            if _covers(standing.get("spec"), body.get("spec")):
                return standing
            raise AlreadyExists(str(lost)) from lost

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge-patch an object."""
        return await self._request(
            Request("PATCH", kind.one(namespace, name), body=body, content_type=MERGE_PATCH)
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete this very object; one that is gone is fine."""
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._request(Request("DELETE", kind.one(namespace, name), body=body))
        except (NotFound, AlreadyExists) as gone:  # the conflict says that another object has the name now
            log.debug("%s %s/%s was gone already: %s", kind.name, namespace, name, gone)

    async def until(
        self, kind: Kind, namespace: str, name: str, uid: str, done: Callable[[Object], bool]
    ) -> Object:
        """The object once `done` accepts it. Waits without limit: bound it with `asyncio.timeout`.

        Raises:
            NotFound: it was deleted, or replaced by another one of the same name.
        """
        found = await self._read(kind, namespace, name, uid)
        if done(found):  # the most frequent case needs no watch
            return found
        async with self._shared(kind, namespace).subscribe(name) as subscription:
            found = await self._read(kind, namespace, name, uid)
            while not done(found):
                change = await subscription.next()
                if change is None or change[1]["metadata"]["uid"] != uid:
                    found = await self._read(kind, namespace, name, uid)
                elif change[0] == "DELETED":
                    raise NotFound(f"{kind.name} {namespace}/{name} was deleted")
                else:
                    found = change[1]
        return found

    async def _read(self, kind: Kind, namespace: str, name: str, uid: str) -> Object:
        found = await self.get(kind, namespace, name)
        if found["metadata"]["uid"] != uid:
            raise NotFound(f"{kind.name} {namespace}/{name} was deleted and made again")
        return found

    def _shared(self, kind: Kind, namespace: str) -> SharedWatch:
        """The watch of this kind and namespace, made when there is none."""

        async def version() -> str:
            listed = await self._request(Request("GET", kind.path(namespace), query={"limit": "1"}))
            return str(listed["metadata"]["resourceVersion"])

        def stream(version: str) -> AsyncIterator[tuple[str, Object]]:
            return self.watch(kind, namespace, version)

        key = (kind, namespace)
        if key not in self._watches:
            self._watches[key] = SharedWatch(version, stream)
        return self._watches[key]

    async def watch(
        self, kind: Kind, namespace: str, version: str, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events after a version of the collection, for half a minute; a `BOOKMARK` brings a version alone.

        Raises:
            Expired: the version is too old; list again.
            Refused, NotFound, NotConnected: the apiserver does not want to.
            Unavailable, aiohttp.ClientError, TimeoutError: try again later.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
            **_selected(labels, fields),
        }
        request = Request("GET", kind.path(namespace), query=query)
        bounds = aiohttp.ClientTimeout(total=WATCH_SECONDS + WATCH_MARGIN, sock_connect=CONNECT_TIMEOUT)
        stream = await self._open(request, bounds)
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

    async def _open(self, request: Request, timeout: float | aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """The response whose content is read as it comes.

        Raises:
            Expired: the version to watch from is too old.
            NotFound, Refused, NotConnected: it is no success.
            Unavailable: it is none now, and may be one later.
        """
        answer = await self._transport.send(request, timeout)
        stream: aiohttp.ClientResponse = answer.response
        if stream.status < 300:
            return stream
        body = parse_body(await stream.read())
        if stream.status == 410:
            raise Expired(str(body.get("message")))
        if stream.status == 429 or stream.status >= 500:
            raise Unavailable(f"{request}: {stream.status}: {body.get('message', '')}")
        raise _refusal(stream.status, body, str(request))

    async def _request(self, request: Request) -> Object:
        return (await self._answer(request)).body

    async def _answer(self, request: Request) -> Answer:
        try:
            answer = await self._transport.request(request)
        except NoAnswer as error:
            raise Unavailable(str(error)) from error
        if answer.ok:
            return answer
        if answer.status == 409 and request.method == "POST" and answer.unclear:
            raise _LostAnswer(str(answer.body.get("message", "")))
        raise _refusal(answer.status, answer.body, str(request))


async def _lines(stream: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
    """The lines of a response as they come; one longer than `most` bytes in parts."""
    rest = b""
    async for chunk in stream.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        while len(rest) > most:
            yield rest[:most]
            rest = rest[most:]
    if rest:
        yield rest


def _selected(labels: str, fields: str) -> dict[str, str]:
    """Selectors as a query."""
    return {**({"labelSelector": labels} if labels else {}), **({"fieldSelector": fields} if fields else {})}


class _LostAnswer(AlreadyExists):
    """The name is taken, perhaps by our own earlier request whose answer was lost."""


def _covers(standing: Any, wanted: Any) -> bool:
    """Whether the object has everything wanted; the apiserver may have added defaults."""
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
