"""Requests to the apiserver for operator and client: kinds and paths, authentication, time-outs, retries.

Plain JSON in and out. Models of the official client are by-passed on purpose: they cost ten times the parsing
they wrap. The caller decides what an answer means: which error it is, and whether a conflict is one.
"""

import asyncio
import json
import logging
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio import client

from armonik_sdk.api.const import (
    API_GROUP,
    API_VERSION,
    PARTITION_KIND,
    PARTITION_PLURAL,
    SESSION_KIND,
    SESSION_PLURAL,
    TASK_KIND,
    TASK_PLURAL,
)
from armonik_sdk.backoff import doubled
from armonik_sdk.circuit import Circuit

log = logging.getLogger(__name__)

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

REQUEST_TIMEOUT: Final = 10.0
"""Seconds for one request about one object, and for which a page of a list may bring no byte."""
CALL_TIMEOUT: Final = 30.0
"""Seconds for all attempts of one call and the pauses between them; a page of a list may take as long."""
CONNECT_TIMEOUT: Final = 5.0
PROBE_TIMEOUT: Final = 5.0
ATTEMPTS: Final = 5
"""Requests until NoAnswer is raised; with back-off about 4 seconds beside the requests' own time."""
RETRY_AFTER_MOST: Final = 10.0
"""Seconds that a call waits at most because the apiserver's `Retry-After` says so."""
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
_PROBES: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
"""Options of a socket: seconds until the first probe and between two, and how many may be unanswered."""
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})


class NoName(ValueError):  # noqa: N818 - reads as what is the case
    """A request about one object has a name that no object can have."""


@dataclass(frozen=True)
class Kind:
    """A kind of objects, and where they are in the API."""

    name: str
    """As in manifests."""
    plural: str
    group: str = ""
    """Empty: the core group."""
    version: str = "v1"
    namespaced: bool = True

    def one(self, namespace: str | None, name: str) -> str:
        """The URL's path of one object.

        Raises:
            NoName: the path would not be that of one object, but of the collection or of what is above it.
        """
        if name in ("", ".", ".."):
            where = f" in {namespace}" if namespace else ""
            raise NoName(f"a request about one of {self.plural}{where} needs its name, and {name!r} is none")
        return f"{self.path(namespace)}/{quote(name, safe='')}"

    def path(self, namespace: str | None = None) -> str:
        """The URL's path of the collection; of all namespaces if none is given."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/" + "/".join(quote(part, safe="") for part in (*parts, self.plural))


SESSIONS: Final = Kind(SESSION_KIND, SESSION_PLURAL, API_GROUP, API_VERSION)
TASKS: Final = Kind(TASK_KIND, TASK_PLURAL, API_GROUP, API_VERSION)
PARTITIONS: Final = Kind(PARTITION_KIND, PARTITION_PLURAL, API_GROUP, API_VERSION)
PODS: Final = Kind("Pod", "pods")
SECRETS: Final = Kind("Secret", "secrets")
CONFIG_MAPS: Final = Kind("ConfigMap", "configmaps")
SERVICE_ACCOUNTS: Final = Kind("ServiceAccount", "serviceaccounts")
EVENTS: Final = Kind("Event", "events")
NAMESPACES: Final = Kind("Namespace", "namespaces", namespaced=False)
LEASES: Final = Kind("Lease", "leases", "coordination.k8s.io")
DEPLOYMENTS: Final = Kind("Deployment", "deployments", "apps")
CRDS: Final = Kind(
    "CustomResourceDefinition", "customresourcedefinitions", "apiextensions.k8s.io", namespaced=False
)


class NoAnswer(Exception):  # noqa: N818 - reads as what happened
    """No usable answer within the retries; the same request may work later."""


@dataclass(frozen=True)
class Request:
    """What is asked of an apiserver."""

    method: str
    path: str
    body: Object | None = None
    query: Mapping[str, str] | None = None
    content_type: str = "application/json"
    accept: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """A final answer: success, or a refusal that no retry would change."""

    status: int
    """HTTP status."""
    body: Object
    """The object, or the Status that says why not."""
    unclear: bool = False
    """An earlier attempt of this request may have been carried out: its answer was lost."""
    raw: bytes | str = b""
    """The answer as it came, of what is no JSON: the log of a pod."""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < 300


class Transport:
    """Connections to one apiserver. Safe to call from many coroutines of one event loop."""

    def __init__(self, configuration: client.Configuration, circuit: Circuit | None = None) -> None:
        # Else aiohttp reads the environment and ~/.netrc at every request: a tenth of the operator's time.
        self._options: dict[str, Any] = {"trust_env": bool(getproxies())}
        configuration.client_session_kwargs = self._options
        self._api = client.ApiClient(configuration)
        self._guarded = circuit is not None
        self._circuit = circuit or Circuit("the apiserver")

    async def close(self) -> None:
        """Give the connections back."""
        await self._api.close()
        if "connector" in self._options:
            await self._options["connector"].close()

    async def request(self, request: Request) -> Answer:
        """One request, again with back-off while the answer is none or passing.

        Raises:
            NoAnswer: the attempts or the call's time are used up, or the circuit says that there is no answer
                now.
        """
        end = asyncio.get_running_loop().time() + CALL_TIMEOUT
        last, unclear, asked = "", False, ""
        for attempt in range(ATTEMPTS):
            wait = pause(attempt, asked) if attempt else 0.0
            left = end - asyncio.get_running_loop().time() - wait
            if left < CALL_TIMEOUT / 10:  # a failure in so little time would say nothing of the apiserver
                raise NoAnswer(f"{request}: no usable answer in {CALL_TIMEOUT:.0f} s; the last: {last}")
            if attempt:
                await asyncio.sleep(wait)
            if self._guarded and not self._circuit.up:
                raise NoAnswer(f"{request}: {last or self._circuit.error}")
            begun, asked = self._circuit.now(), ""
            try:
                response = await self.send(request, _attempt(request, left))
                status, raw = response.status, await response.read()
                asked = response.headers.get("Retry-After", "")
            except client.ApiException as refusal:
                status, raw = refusal.status or 0, refusal.body or b""
            except (TimeoutError, aiohttp.ClientError) as error:
                last, unclear = f"{type(error).__name__}: {error}", True
                self._circuit.failed(begun, last)
                continue
            self._circuit.answered()
            parsed = parse_body(raw)
            if status not in _RETRIED:
                return Answer(status, parsed, unclear, raw)
            last, unclear = f"{status}: {parsed.get('message', '')}", unclear or status != 429
        raise NoAnswer(f"{request}: no usable answer in {ATTEMPTS} attempts; the last: {last}")

    async def probe(self) -> None:
        """Ask once for the apiserver's version, whatever the circuit says.

        Raises:
            NoAnswer: there was none.
        """
        begun = self._circuit.now()
        try:
            response = await self.send(Request("GET", "/version"), PROBE_TIMEOUT)
            await response.read()
        except client.ApiException as refusal:  # an answer, too
            log.debug("GET /version: %s", refusal.status)
        except (TimeoutError, aiohttp.ClientError) as error:
            self._circuit.failed(begun, error)
            raise NoAnswer(f"GET /version: {type(error).__name__}: {error}") from error
        self._circuit.answered()

    async def send(self, request: Request, timeout: float | aiohttp.ClientTimeout) -> Any:
        """One request, sent once; returns the response, whose body is still to be read."""
        if "connector" not in self._options:  # it needs a running loop
            rest = self._api.rest_client
            self._options["connector"] = aiohttp.TCPConnector(
                limit=rest.maxsize, ssl=rest.ssl_context, socket_factory=_probed_socket
            )
        method, path, query = request.method, request.path, request.query
        headers = {"Accept": request.accept, "Content-Type": request.content_type}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, request.body)
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        return await self._api.call_api(
            method, url, header_params=headers, body=request.body, _request_timeout=timeout
        )


def _probed_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket whose other side the kernel probes while nothing comes; 15 s without an answer break it.

    An answer may be silent for as long as it likes, such as a log that is followed. Over a connection that
    the other side does not know any more it would be waited for without end.
    """
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):  # else the system's own numbers are used
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def pause(attempt: int, asked: str) -> float:
    """Seconds before an attempt (1 is the second one), with jitter: who is refused together comes apart.

    Args:
        attempt: its number.
        asked: `Retry-After` of the answer before, as the apiserver writes it: seconds. Anything else says
            nothing.
    """
    jitter = random.random()  # noqa: S311 - no secret
    try:
        seconds = min(int(asked), RETRY_AFTER_MOST)
    except ValueError:
        seconds = 0.0
    usual = doubled(0.4, 2.0, attempt) * (1.0 + jitter) / 2
    return max(usual, seconds * (1.0 + jitter / 4)) if seconds > 0 else usual


def _attempt(request: Request, left: float) -> aiohttp.ClientTimeout:
    """Bounds of one attempt in what is left of its call. A list may take long as long as it advances."""
    listing = bool(request.query and "limit" in request.query)
    return aiohttp.ClientTimeout(
        total=left if listing else min(REQUEST_TIMEOUT, left),
        sock_connect=CONNECT_TIMEOUT,
        sock_read=REQUEST_TIMEOUT,
    )


def parse_body(raw: bytes | str) -> Object:
    """An answer as an object; text that is no JSON as its `message`."""
    try:
        answer = json.loads(raw) if raw else {}
    except ValueError:  # a proxy in between answers in prose
        return {"message": raw.decode(errors="replace") if isinstance(raw, bytes) else raw}
    return answer if isinstance(answer, dict) else {"message": str(answer)}
