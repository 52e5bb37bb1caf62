"""Which cluster to use, and the variables by which others reach it.

`KUBECONTEXT` names an existing one; else kind where a Docker engine answers; else, for root on Debian, the
local control plane. `ARMONIK_CLUSTER_DRIVER` = kind | local overrules the second and third step.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import docker, kind
from .prerequisites import can_run_locally, nothing_to_use
from .settings import Instance
from .shell import ClusterError, run, say
from .tools import helm, kubectl, write_secret


def choose_driver() -> str:
    """The kind of cluster that is used here: `context`, `kind` or `local`.

    Raises:
        ClusterError: there is none; says what to install.
    """
    if os.environ.get("KUBECONTEXT"):
        return "context"
    forced = os.environ.get("ARMONIK_CLUSTER_DRIVER")
    if forced not in (None, "", "kind", "local"):
        raise ClusterError(f"ARMONIK_CLUSTER_DRIVER is {forced!r}, must be kind or local")
    if forced == "local":
        return "local"
    problem = docker.problem()
    if not problem:
        return "kind"
    if forced == "kind":
        raise ClusterError(f"ARMONIK_CLUSTER_DRIVER is kind, but {problem}")
    if can_run_locally():
        return "local"
    raise ClusterError(nothing_to_use(problem))


def kubeconfig(driver: str, instance: Instance) -> Path:
    """Our kubeconfig for that cluster; the user's own is never used by what we start."""
    if driver == "local":
        return instance.kubeconfig
    if driver == "kind":
        return kind.kubeconfig(instance)
    name = os.environ["KUBECONTEXT"].replace("/", "_")
    return instance.cache.root / "cluster" / f"context-{name}.kubeconfig"


def environment(driver: str, instance: Instance) -> dict[str, str]:
    """Variables for programs and tests that work with the cluster."""
    variables = {
        "KUBECONFIG": str(kubeconfig(driver, instance)),
        # What kubectl and Helm remember about a cluster must not outlive it: the next one has its address.
        "KUBECACHEDIR": f"{kubeconfig(driver, instance)}.cache",
        "ARMONIK_HELM": helm(instance.cache),
        "ARMONIK_CLUSTER_DRIVER": driver if driver != "context" else "",
    }
    if driver == "local":
        variables["ARMONIK_LOCAL_CLUSTER"] = "1"
        variables["ARMONIK_AUDIT_LOG"] = str(instance.audit_log)
        variables["ARMONIK_CTR"] = " ".join(instance.ctr)
    return variables


def use_context(instance: Instance) -> None:
    """Copy the one context the user named into a kubeconfig of ours, and see that it answers.

    Raises:
        ClusterError: there is no such context, or its cluster does not answer.
    """
    context = os.environ["KUBECONTEXT"]
    flat = run(*kubectl(), "config", "view", "--minify", "--flatten", "--context", context)
    ours = kubeconfig("context", instance)
    write_secret(ours, flat)
    run(*kubectl(), "--kubeconfig", ours, "--request-timeout=15s", "get", "--raw", "/version")
    say(f"using the existing cluster of context {context}")
