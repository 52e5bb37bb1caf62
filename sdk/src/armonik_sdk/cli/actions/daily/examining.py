"""Looks at an installation, one check after the other, and writes what each found."""

import base64
import importlib.metadata
import platform
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from armonik_sdk.api.const import (
    API_GROUP,
    API_VERSION,
    CLIENT_SECRET,
    GROUP_VERSION,
    PARTITION_LABEL,
    SERVICE_CONFIGURATION,
)
from armonik_sdk.apiserver import CONFIG_MAPS, PARTITIONS, PODS, SECRETS, SESSIONS, Kind
from armonik_sdk.cli.actions.daily.sending import send_one
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.cluster.operator import OPERATOR, operator_version
from armonik_sdk.cli.doctor import cluster as of_cluster
from armonik_sdk.cli.doctor import findings, work
from armonik_sdk.cli.doctor import space as of_space
from armonik_sdk.cli.doctor.findings import CHECKS, Finding
from armonik_sdk.cli.exit_codes import ExitCode
from armonik_sdk.cli.forms.installation import CheckResult, Diagnosis
from armonik_sdk.cli.output.remarks import write_form
from armonik_sdk.cli.views.reading import Object, text
from armonik_sdk.client.errors import ClientError, NotConnected, NotFound, Refused, Unavailable
from armonik_sdk.client.transport.monitor import streams_of
from armonik_sdk.dataplane.nats.streams import SHARES

MOST: Final = 500
"""Objects of a kind that are looked at."""
QUOTAS: Final = Kind("ResourceQuota", "resourcequotas")

Check = Callable[[], Awaitable[list[Finding]]]


async def examine(cluster: Cluster, only: Sequence[str], *, run: bool) -> int:
    """Do the checks, or these; each line is written when its check is done.

    Returns:
        The exit code: 1 if there is a problem.
    """
    people = cluster.settings.form not in ("json", "jsonl", "yaml")
    found: list[Finding] = []
    async for finding in _findings(cluster, only or CHECKS, run=run):
        found.append(finding)
        if people:
            sys.stdout.write("\n".join(finding.lines()) + "\n")
            sys.stdout.flush()
    diagnosis = Diagnosis(
        problems=findings.problems(found),
        warnings=findings.warnings(found),
        checks=[CheckResult.model_validate(finding.as_json()) for finding in found],
    )
    if not write_form(cluster.settings, diagnosis):
        sys.stdout.write(f"{findings.summary(found)}\n")
    return ExitCode.FAILED if diagnosis.problems else ExitCode.DONE


async def _findings(cluster: Cluster, names: Sequence[str], *, run: bool) -> AsyncIterator[Finding]:
    """In the order of the checks. Without an apiserver there is nothing else to look at."""
    doctor = _Doctor(cluster)
    checks: dict[str, Check] = {
        "kinds": doctor.kinds,
        "rights": doctor.rights,
        "operator": doctor.operator,
        "nats": doctor.nats,
        "store": doctor.store,
        "partitions": doctor.partitions,
        "versions": doctor.versions,
        "space": doctor.space,
        "quotas": doctor.quotas,
        "leftovers": doctor.leftovers,
    }
    reached = await doctor.apiserver()
    if "apiserver" in names or reached.level is findings.Level.FAIL:
        yield reached
    if reached.level is findings.Level.FAIL:
        return
    for name, check in checks.items():
        if name not in names:
            continue
        try:
            for finding in await check():
                yield finding
        except ClientError as error:  # what a check needs cannot be read: the others are done
            yield findings.failure(name, f"cannot be looked at: {error}")
    if run:
        async for finding in send_one(cluster, await doctor.all(PARTITIONS)):
            yield finding


class _Doctor:
    """Asks what the checks need; what several need is asked once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._user = ""
        self._known: of_space.Stored | str = ""
        self._lists: dict[str, list[Object]] = {}

    async def all(self, kind: Kind) -> list[Object]:
        """The objects of the namespace, at most 500."""
        if kind.plural not in self._lists:
            async for page in self._cluster.pages(kind):
                self._lists[kind.plural] = list(page.get("items", ()))[:MOST]
                break
        return self._lists[kind.plural]

    async def apiserver(self) -> Finding:
        """Whether it answers, and who the user is."""
        cluster, given = self._cluster, self._cluster.settings
        about = of_cluster.Connection(
            server=cluster.kube.server,
            context="" if cluster.kube.in_cluster else (given.context or cluster.kube.context),
            kubeconfig=given.kubeconfig or "",
            namespace=cluster.namespace,
        )
        begun = time.monotonic()
        try:
            version = text(await cluster.bounded(cluster.kube.ask("GET", "/version")), "gitVersion")
        except (Unavailable, NotConnected, Refused) as error:
            return of_cluster.apiserver(of_cluster.Connection(**{**vars(about), "error": str(error)}))
        milliseconds = 1000 * (time.monotonic() - begun)
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            answer = await cluster.bounded(cluster.kube.ask("POST", path, review))
            self._user = text(answer, "status", "userInfo", "username")
        except (NotFound, Refused):
            self._user = ""  # clusters before 1.28 do not say it
        seen = {
            **vars(about),
            "version": version.removeprefix("v"),
            "milliseconds": milliseconds,
            "user": self._user,
        }
        return of_cluster.apiserver(of_cluster.Connection(**seen))

    async def kinds(self) -> list[Finding]:
        """Which kinds of ours are served."""
        path = f"/apis/{API_GROUP}/{API_VERSION}"
        try:
            answer = await self._cluster.bounded(self._cluster.kube.ask("GET", path))
        except NotFound:
            return [of_cluster.kinds(None, API_VERSION)]
        served = [text(resource, "name") for resource in answer.get("resources", ())]
        return [of_cluster.kinds(served, GROUP_VERSION.rpartition("/")[2])]

    async def rights(self) -> list[Finding]:
        """What the user may do."""
        namespace = self._cluster.namespace
        allowed = {what: await self._may(*right) for what, right in of_cluster.RIGHTS.items()}
        return [of_cluster.rights(allowed, self._user, namespace)]

    async def _may(self, verb: str, resource: str) -> bool:
        attributes = {"namespace": self._cluster.namespace, "verb": verb, "resource": resource}
        attributes |= {"name": CLIENT_SECRET} if resource == "secrets" else {"group": API_GROUP}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self._cluster.bounded(self._cluster.kube.ask("POST", path, review))
        return bool(answer.get("status", {}).get("allowed"))

    async def operator(self) -> list[Finding]:
        """Whether its pods are ready."""
        now, kube = datetime.now(UTC), self._cluster.kube
        try:
            configuration = await self._cluster.get(CONFIG_MAPS, SERVICE_CONFIGURATION)
        except NotFound:
            return [of_cluster.operator(None, "", "", now)]
        namespace = text(configuration, "data", "operator-namespace")
        try:
            page = await self._cluster.bounded(anext(kube.pages(PODS, namespace, labels=OPERATOR)))
        except Refused:
            return [of_cluster.operator(None, namespace, "", now)]
        version = await operator_version(self._cluster)
        known = await self._stored()
        unread = None if isinstance(known, str) else known.unread
        return [of_cluster.operator(page.get("items", []), namespace, version, now, unread)]

    async def nats(self) -> list[Finding]:
        """Whether it can be reached with the namespace's credentials."""
        if not await self._has_credentials():
            why = "the namespace gets its credentials with its first Session or Partition"
            return [findings.skipped("nats", why)]
        begun = time.monotonic()
        try:
            link = await self._cluster.client.connection.link()
            await link.run_keys(f"{self._cluster.namespace}.none.none.0")
        except ClientError as error:
            return [work.nats(0.0, False, str(error))]
        return [work.nats(time.monotonic() - begun, link.forwarded)]

    async def store(self) -> list[Finding]:
        """Whether a probe can be written and read."""
        if not await self._has_credentials():
            why = "the namespace gets its credentials with its first Session or Partition"
            return [findings.skipped("store", why)]
        begun = time.monotonic()
        try:
            link = await self._cluster.client.connection.link()
            await link.probe_store(self._cluster.namespace, secrets.token_bytes(1024))
        except NotConnected:
            return [findings.skipped("store", "it is reached after NATS: see nats")]
        except ClientError as error:
            return [work.store(0.0, str(error), datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"))]
        return [work.store(1000 * (time.monotonic() - begun))]

    async def partitions(self) -> list[Finding]:
        """Whether there are pods, or will be."""
        return [work.partitions(await self.all(PARTITIONS), self._cluster.namespace)]

    async def versions(self) -> list[Finding]:
        """Whether client, operator and workers fit."""
        client = importlib.metadata.version("armonik-k8s-sdk")
        python = ".".join(platform.python_version_tuple()[:2])
        operator = await operator_version(self._cluster)
        try:
            pods = [
                pod
                async for page in self._cluster.pages(PODS, labels=PARTITION_LABEL)
                for pod in page["items"]
            ]
        except Refused:
            pods = []
        return work.versions(client, python, operator, await self.all(PARTITIONS), pods)

    async def space(self) -> list[Finding]:
        """Whether NATS has room for new work."""
        return of_space.space(await self._stored(), await self.all(SESSIONS))

    async def _stored(self) -> of_space.Stored | str:
        """What NATS stores, or why that is not known; asked once."""
        if not self._known:
            self._known = await self._ask_nats()
        return self._known

    async def _ask_nats(self) -> of_space.Stored | str:
        given, kube = self._cluster.settings, self._cluster.kube
        try:
            secret = await self._cluster.get(SECRETS, CLIENT_SECRET)
            url = base64.b64decode(text(secret, "data", "nats-url")).decode(errors="replace").strip()
            said = await streams_of(
                url, in_cluster=kube.in_cluster, kubeconfig=given.kubeconfig, context=given.context
            )
        except NotFound:
            return "the namespace gets its credentials with its first Session or Partition"
        except (NotConnected, Refused) as error:
            return f"what NATS stores is not known: {error}"
        return of_space.stored(said, sum(SHARES.values()))

    async def quotas(self) -> list[Finding]:
        """Whether quotas of the namespace are nearly used up."""
        try:
            return work.quotas(await self.all(QUOTAS))
        except Refused:
            return work.quotas(None)

    async def leftovers(self) -> list[Finding]:
        """What does not go away."""
        return work.leftovers(await self.all(SESSIONS), datetime.now(UTC))

    async def _has_credentials(self) -> bool:
        try:
            await self._cluster.get(SECRETS, CLIENT_SECRET)
        except NotFound:
            return False
        return True
