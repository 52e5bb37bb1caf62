"""Client of the apiserver: plain dicts in and out, refusals as typed errors."""

import logging
from collections.abc import AsyncIterator, Iterable
from typing import Self

from kubernetes.aio import client, config

from armonik_operator.errors import (
    AlreadyExists,
    Conflicted,
    KubeError,
    KubeUnavailable,
    NotFound,
    Refused,
)
from armonik_sdk.api.const import FIELD_MANAGER
from armonik_sdk.apiserver import (
    APPLY_PATCH,
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    MERGE_PATCH,
    NAMESPACES,
    PARTITIONS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SESSIONS,
    TASKS,
    Answer,
    Kind,
    NoAnswer,
    Object,
    Request,
    Transport,
)
from armonik_sdk.circuit import Circuit

__all__ = [
    "CONFIG_MAPS",
    "CRDS",
    "DEPLOYMENTS",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "PARTITIONS",
    "PODS",
    "SECRETS",
    "SERVICE_ACCOUNTS",
    "SESSIONS",
    "TASKS",
    "Kind",
    "Kube",
    "Object",
]
"""The client, and the kinds that its callers hand to it."""

log = logging.getLogger(__name__)

PAGE = 500
"""Objects in one answer to a list."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Kube:
    """Requests to the apiserver. Safe to call from many coroutines."""

    def __init__(self, configuration: client.Configuration, circuit: Circuit | None = None) -> None:
        self._transport = Transport(configuration, circuit)

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, circuit: Circuit | None = None) -> Self:
        """Use the pod's service account, else the kubeconfig (the user's, unless a file is named).

        With a circuit requests fail at once while the apiserver is known to be down.
        """
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = 64
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        return cls(configuration, circuit)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def probe(self) -> None:
        """Ask once whether the apiserver answers, also while the circuit says that it does not.

        Raises:
            KubeUnavailable: it does not.
        """
        try:
            await self._transport.probe()
        except NoAnswer as error:
            raise KubeUnavailable(str(error)) from error

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read one object.

        Raises:
            NotFound: there is none of this name.
        """
        return await self._request(Request("GET", kind.one(namespace, name)))

    async def unserved(self, kinds: Iterable[Kind]) -> list[str]:
        """Full names of those of these kinds that the apiserver does not serve (yet)."""
        served: dict[str, set[str]] = {}
        missing: list[str] = []
        for kind in kinds:
            group = kind.path().rpartition("/")[0]
            if group not in served:
                served[group] = await self._plurals(group)
            if kind.plural not in served[group]:
                missing.append(f"{kind.plural}.{kind.group}")
        return missing

    async def _plurals(self, group: str) -> set[str]:
        """What is served below the path of a group and version."""
        try:
            answer = await self._request(Request("GET", group))
        except NotFound:
            return set()
        return {resource["name"] for resource in answer.get("resources") or ()}

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "", most: int = 0
    ) -> list[Object]:
        """All objects of a kind that match the selectors, whole; at most `most` of them."""
        found: list[Object] = []
        async for obj in self._paged(kind, namespace, labels, fields, most=most):
            found.append(obj)
            if most and len(found) >= most:
                break
        return found

    async def each(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """One object after the other; no more than a page is held. All are of one moment, that of the call.

        Raises:
            KubeError: 410 when the reading takes longer than the apiserver remembers that moment.
        """
        async for obj in self._paged(kind, namespace, labels, fields):
            yield obj

    async def metadata(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """The metadata of one object after the other, as in `each`; specs and statuses are not sent."""
        async for obj in self._paged(kind, namespace, labels, fields, accept=_METADATA_ONLY):
            yield obj["metadata"]

    async def _paged(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str,
        fields: str,
        *,
        accept: str = "application/json",
        most: int = 0,
    ) -> AsyncIterator[Object]:
        query = {"limit": str(min(most or PAGE, PAGE))} | ({"labelSelector": labels} if labels else {})
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            page = await self._request(Request("GET", kind.path(namespace), query=query, accept=accept))
            for obj in page.get("items") or ():  # of no objects, metadata comes as null
                yield obj
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(
        self, kind: Kind, body: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """Create an object.

        Raises:
            AlreadyExists: there is one of this name.
            Refused: it breaks a rule; the message names the field.
        """
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return await self._request(Request("POST", kind.path(namespace), body=body, query=query))

    async def apply(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """Server-side apply, taking over fields of other managers."""
        return await self._request(
            Request(
                "PATCH",
                kind.one(namespace, body["metadata"]["name"]),
                body=body,
                query={"fieldManager": FIELD_MANAGER, "force": "true"},
                content_type=APPLY_PATCH,
            )
        )

    async def patch(
        self, kind: Kind, name: str, body: Object, namespace: str | None = None, *, status: bool = False
    ) -> Object:
        """Merge-patch an object, or its status alone.

        Raises:
            Refused: a rule forbids it, such as a status that would go back.
        """
        path = kind.one(namespace, name) + ("/status" if status else "")
        return await self._request(
            Request("PATCH", path, body=body, query={"fieldManager": FIELD_MANAGER}, content_type=MERGE_PATCH)
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
            await self._request(Request("DELETE", kind.one(namespace, name), body=body))
        except NotFound:
            log.debug("%s %s/%s was gone already", kind.plural, namespace, name)

    async def delete_collection(
        self, kind: Kind, namespace: str, *, labels: str = "", fields: str = ""
    ) -> None:
        """Delete all objects that match the selectors; at least one selector must be given."""
        if not labels and not fields:
            raise ValueError("delete_collection needs a selector")
        query = ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})
        await self._request(Request("DELETE", kind.path(namespace), query=query))

    async def _request(self, request: Request) -> Object:
        try:
            answer = await self._transport.request(request)
        except NoAnswer as error:
            raise KubeUnavailable(str(error)) from error
        if answer.ok:
            return answer.body
        raise _refusal(answer, request)


def _refusal(refused: Answer, request: Request) -> KubeError:
    status, answer, what = refused.status, refused.body, str(request)
    match status:
        case 404:
            return NotFound(status, answer, what)
        case 409 if request.method == "POST":
            return AlreadyExists(status, answer, what)
        case 409:
            return Conflicted(status, answer, what)
        case 400 | 422:
            return Refused(status, answer, what)
        case _:
            return KubeError(status, answer, what)
