"""Checks of the cluster: its apiserver, our kinds, the user's rights, the operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from armonik_sdk.cli.doctor.findings import Finding, failure, ok, skipped
from armonik_sdk.cli.views import pods
from armonik_sdk.cli.views.reading import Object, condition, is_true, moment, span, text

KINDS: Final = ("sessions", "tasks", "partitions")
INSTALL: Final = "Install the chart: helm install armonik … --namespace armonik-system --create-namespace"


@dataclass(frozen=True)
class Connection:
    """How the apiserver was asked, and what it said."""

    server: str
    context: str
    kubeconfig: str
    namespace: str
    version: str = ""
    """Empty: no answer."""
    milliseconds: float = 0.0
    user: str = ""
    error: str = ""


def apiserver(seen: Connection) -> Finding:
    """Whether it answers."""
    where = f"context {seen.context}" if seen.context else "as a pod of the cluster"
    if not seen.version:
        file = f" in {seen.kubeconfig}" if seen.kubeconfig else ""
        mend = "Is the cluster up? kubectl config get-contexts · armonikctl --context NAME doctor"
        return failure(
            "apiserver",
            f"{seen.server or 'the API server'} does not answer ({where}{file}): {seen.error}",
            mend,
        )
    user = f"as {seen.user} " if seen.user else ""
    answer = f"{seen.version} answers in {seen.milliseconds:.0f} ms"
    return ok("apiserver", f"{answer}, {user}in namespace {seen.namespace} ({where})")


def kinds(served: Sequence[str] | None, version: str) -> Finding:
    """Whether the cluster knows our kinds; None: not in this version."""
    missing = [kind for kind in KINDS if served is None or kind not in served]
    if missing:
        return failure("kinds", f"the cluster does not know {missing[0]}.armonik.io", INSTALL)
    return ok("kinds", f"{', '.join(KINDS)}: {version}, as this client knows them")


RIGHTS: Final = {
    "create sessions": ("create", "sessions"),
    "create tasks": ("create", "tasks"),
    "read results": ("get", "secrets"),
    "change partitions": ("patch", "partitions"),
}
"""What users do, and the right that it needs. Of Secrets, the one with the keys of clients."""
_NEEDED: Final = ("create sessions", "create tasks", "read results")


def rights(allowed: Mapping[str, bool], user: str, namespace: str) -> Finding:
    """Whether the user may do what users do."""
    for what in _NEEDED:
        if not allowed[what]:
            verb, resource = RIGHTS[what]
            of = "secret armonik-client" if resource == "secrets" else f"{resource}.armonik.io"
            name = user.rpartition(":")[2] or "USER"
            bind = f"create rolebinding {name}-edit --clusterrole edit --user {user or 'USER'}"
            return failure(
                "rights",
                f"you may not {verb} {of} in namespace {namespace} (user {user or 'unknown'})",
                f"An administrator: kubectl -n {namespace} {bind}",
            )
    more = "and change partitions" if allowed["change partitions"] else "not change partitions"
    return ok("rights", f"you may create sessions and tasks, read results, {more}")


def operator(
    found: Sequence[Object] | None, namespace: str, version: str, now: datetime, unread: int | None = None
) -> Finding:
    """Whether it runs.

    Args:
        found: its pods; None: they cannot be read.
        namespace: where it is; empty: not known.
        version: as its Deployment says.
        now: the time.
        unread: records of the journal that it has not read yet; None: not known.
    """
    if not namespace:
        return skipped(
            "operator", "where it runs is not known before the namespace has a Session or Partition"
        )
    if found is None:
        return skipped("operator", f"you may not read its pods in namespace {namespace}")
    deployment = "armonik-operator"
    ready = [pod for pod in found if is_true(pod, "Ready")]
    if not ready:
        state = "there is none"
        if found:
            restarts = pods.restarts(found[0])
            state = pods.state(found[0]) + (f", {restarts} restarts" if restarts else "")
        return failure(
            "operator",
            f"no pod of deployment {deployment} in {namespace} is ready: {state}",
            f"kubectl -n {namespace} logs deploy/{deployment} --previous",
            "What runs continues; statuses do not change until it is back.",
        )
    times = (moment(text(condition(pod, "Ready"), "lastTransitionTime")) for pod in ready)
    since = min((time for time in times if time is not None), default=None)
    lasting = f", ready for {span(now - since)}" if since is not None else ", ready"
    behind = "" if unread is None else f", {unread:,} records behind the journal"
    return ok("operator", f"{version or 'of unknown version'}{lasting}{behind}")
