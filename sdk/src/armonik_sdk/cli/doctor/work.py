"""Checks of what work needs: NATS, the object store, partitions, versions, quotas; and leftovers."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from armonik_sdk.api.const import AGENT_CONTAINER
from armonik_sdk.cli.doctor.findings import Finding, failure, ok, skipped, warning
from armonik_sdk.cli.views.reading import (
    Object,
    condition,
    is_true,
    moment,
    name_of,
    number,
    part,
    span,
    text,
)

LONG: Final = timedelta(minutes=15)
"""A deletion that takes longer is stuck: the operator gives data up after ten minutes."""
FULL: Final = 0.9
"""Share of a quota from which on it is worth a warning."""


def nats(seconds: float, forwarded: bool, error: str = "") -> Finding:
    """Whether results can be waited for."""
    if error:
        mend = "Is its pod ready? kubectl -n armonik-system get pods"
        if "forbidden" in error.lower() or "port-forward" in error:
            mend = (
                "Ask for role armonik-connect (chart: userRoles.connect.subjects), or let the installation"
                " name an outside address: nats.outside.url"
            )
        return failure("nats", error, mend)
    how = "through kubectl port-forward" if forwarded else "directly"
    return ok("nats", f"reached {how} in {seconds:.1f} s; JetStream answers")


def store(milliseconds: float, error: str = "", server_time: str = "") -> Finding:
    """Whether payloads and results can be written and read."""
    if not error:
        return ok("store", f"a probe of 1 KiB was written and read in {milliseconds:.0f} ms")
    if "skew" in error.lower():
        when = f" (The apiserver's is {server_time}.)" if server_time else ""
        return failure("store", error, f"Set this machine's clock.{when}")
    return failure("store", error, "Is it up, and are its keys right? kubectl -n armonik-system get pods")


def partitions(found: Sequence[Object], namespace: str) -> Finding:
    """Whether there are pods, or will be when there is work."""
    if not found:
        return warning(
            "partitions",
            f"namespace {namespace} has none: nothing can be computed there",
            "Apply a Partition, or use --namespace",
        )
    for partition in found:
        ready = condition(partition, "Ready")
        if ready is None or (text(ready, "status") != "True" and text(ready, "reason") not in _RESTING):
            said = (
                f"{text(ready, 'reason')}, {text(ready, 'message')}"
                if ready
                else "the operator has not seen it"
            )
            return failure(
                "partitions",
                f"{name_of(partition)}: no ready pod: {said}",
                f"armonikctl explain partition/{name_of(partition)}",
            )
    return ok("partitions", " · ".join(_pods(partition) for partition in found))


_RESTING: Final = ("ScaledToZero", "Starting", "Serving")
"""Reasons for which it is no problem that no pod is ready."""


def _pods(partition: Object) -> str:
    python = text(partition, "status", "worker", "python")
    name = name_of(partition) + (f" (Python {python})" if python else "")
    most, ready = number(partition, "spec", "podMax"), number(partition, "status", "readyReplicas")
    reason = text(condition(partition, "Ready"), "reason")
    if is_true(partition, "Ready"):
        return f"{name}: {ready} of {most} pods ready"
    resting = {"ScaledToZero": "scaled to zero", "Starting": "starting"}.get(reason, "not ready")
    return f"{name}: {ready} of {most}, {resting}"


def versions(
    client: str, python: str, operator: str, workers: Sequence[Object], agents: Sequence[Object] = ()
) -> list[Finding]:
    """Whether client, operator, agents and workers fit.

    Args:
        client: version of this SDK.
        python: this Python, `3.12`.
        operator: its version; empty if it is not known.
        workers: Partitions, which say what their workers are.
        agents: pods of Partitions, whose images say what their agents are.
    """
    found: list[Finding] = []
    if operator and _series(operator) != _series(client):
        found.append(
            warning(
                "versions",
                f"this client is {client}, the operator {operator}: fields that only one of them knows are"
                " ignored",
                f"Upgrade the chart, or: pip install 'armonik-k8s-sdk=={_series(operator)}.*'",
            )
        )
    for partition in workers:
        worker = part(partition, "status", "worker") or {}
        if text(worker, "kind") == "functions" and text(worker, "python") not in ("", python):
            found.append(
                warning(
                    "versions",
                    f"this Python is {python}, the workers of partition {name_of(partition)} run"
                    f" {text(worker, 'python')}: lambdas and functions of __main__ cannot be sent there",
                    f"Use Python {text(worker, 'python')}, put functions into modules, or set"
                    " functions.pythonVersion in the chart",
                )
            )
    tags = [tag for pod in agents if (tag := agent_version(pod))]
    old = [tag for tag in tags if _series(tag) != _series(operator or client)]
    if old:
        found.append(
            warning(
                "versions",
                f"{len(old)} of {len(tags)} agents are {', '.join(sorted(set(old)))}, the operator is"
                f" {operator or 'not known'}",
                "Their pods are replaced once they have ended their elements: armonikctl partition pods NAME",
            )
        )
    if found:
        return found
    same = ["client", *(["operator"] if operator == client else [])]
    if tags and set(tags) == {client}:
        same.append(f"{len(tags)} agent{'s' if len(tags) > 1 else ''}")
    said = (
        f"{', '.join(same[:-1])} and {same[-1]} are {client}" if len(same) > 1 else f"the client is {client}"
    )
    if operator not in ("", client):
        said += f", the operator {operator}"
    others = sorted({text(p, "status", "worker", "sdk") for p in workers} - {"", client})
    return [ok("versions", said + (f"; workers have {', '.join(others)}" if others else ""))]


def agent_version(pod: Object) -> str:
    """The version of a pod's agent, as the tag of its image; empty where that is none."""
    for kind in ("initContainers", "containers"):
        for container in part(pod, "spec", kind) or ():
            if text(container, "name") == AGENT_CONTAINER and (tag := _TAG.search(text(container, "image"))):
                return tag[1]
    return ""


_TAG: Final = re.compile(r":v?(\d+\.\d+\.\d+[0-9A-Za-z.-]*)(?:@|$)", re.ASCII)


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def quotas(found: Sequence[Object] | None) -> list[Finding]:
    """Quotas of the namespace that are nearly used up; None: they cannot be read."""
    if found is None:
        return [skipped("quotas", "you may not read the ResourceQuotas of the namespace")]
    findings = []
    for quota in found:
        hard, used = part(quota, "status", "hard") or {}, part(quota, "status", "used") or {}
        for resource, most in hard.items():
            share = _quantity(used.get(resource, "0")) / _quantity(most) if _quantity(most) else 0.0
            if share >= FULL:
                text_ = f"ResourceQuota {name_of(quota)}: {used[resource]} of {most} {resource} are used"
                findings.append(
                    warning("quotas", text_, "Pods that do not fit are not made: raise it, or lower podMax")
                )
    return findings


_SUFFIXES: Final[Mapping[str, float]] = {
    "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def _quantity(said: str) -> float:
    """Kubernetes' way to write a number; 0 for what is none."""
    digits = said.rstrip("mkMGTPEi")
    try:
        return float(digits) * _SUFFIXES.get(said[len(digits) :], 1.0)
    except ValueError:
        return 0.0


def leftovers(sessions: Sequence[Object], now: datetime) -> list[Finding]:
    """Sessions whose deletion does not come to its end."""
    findings = []
    for session in sessions:
        since = moment(text(session, "metadata", "deletionTimestamp"))
        if since is not None and now - since > LONG:
            step = text(condition(session, "Deleting"), "message")
            findings.append(
                warning(
                    "leftovers",
                    f"session {name_of(session)} is being deleted for {span(now - since)}"
                    + (f": {step}" if step else ""),
                    f"Does the operator run? armonikctl explain session/{name_of(session)}",
                )
            )
    return findings
