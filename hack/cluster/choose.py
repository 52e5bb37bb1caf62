"""Which cluster to use, and what to tell others about it.

`KUBECONTEXT` names an existing one; else kind where a Docker engine answers; else, for root on Debian, the
local control plane. `ARMONIK_CLUSTER_DRIVER` = kind | local overrules the second and third step.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .prerequisites import INSTALL_SOMETHING, can_run_locally, ensure_go
from .settings import REPOSITORY, Cache, Instance
from .shell import ClusterError, run, say, succeeds

KIND_VERSION = "v0.30.0"


def choose_driver() -> str:
    """The way a cluster is had here: `context`, `kind` or `local`.

    Raises:
        ClusterError: there is none; says what to install.
    """
    if os.environ.get("KUBECONTEXT"):
        return "context"
    forced = os.environ.get("ARMONIK_CLUSTER_DRIVER")
    if forced in {"kind", "local"}:
        return forced
    if forced:
        raise ClusterError(f"ARMONIK_CLUSTER_DRIVER is {forced!r}, must be kind or local")
    if docker_answers():
        return "kind"
    if can_run_locally():
        return "local"
    raise ClusterError(INSTALL_SOMETHING)


def docker_answers() -> bool:
    """Whether there is a Docker engine to talk to, not only its command."""
    return shutil.which("docker") is not None and succeeds("docker", "info", timeout=10)


def kubeconfig(driver: str, instance: Instance) -> Path:
    """Our kubeconfig for that cluster; the user's own is never used by what we start."""
    if driver == "local":
        return instance.kubeconfig
    name = os.environ["KUBECONTEXT"] if driver == "context" else kind_name(instance)
    return instance.cache.root / "cluster" / f"{driver}-{name.replace('/', '_')}.kubeconfig"


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
    _write_kubeconfig(ours, flat)
    run(*kubectl(), "--kubeconfig", ours, "--request-timeout=15s", "get", "--raw", "/version")
    say(f"using the existing cluster of context {context}")


def kind_up(instance: Instance) -> None:
    """Create the kind cluster unless it stands.

    Raises:
        ClusterError: kind is not to be had, or it failed.
    """
    kind, name = _kind(instance.cache), kind_name(instance)
    if name not in run(kind, "get", "clusters").split():
        say(f"creating the kind cluster {name}")
        config = Path(__file__).parent / "kind.yaml"
        path = kubeconfig("kind", instance)
        path.parent.mkdir(parents=True, exist_ok=True)
        where = ("--config", config, "--kubeconfig", path, "--wait", "120s")
        run(kind, "create", "cluster", "--name", name, *where, timeout=900)
    _write_kubeconfig(kubeconfig("kind", instance), run(kind, "get", "kubeconfig", "--name", name))
    say(f"kind cluster {name} is up, KUBECONFIG={kubeconfig('kind', instance)}")


def kind_down(instance: Instance) -> None:
    """Delete the kind cluster; nothing to do is no error."""
    run(_kind(instance.cache), "delete", "cluster", "--name", kind_name(instance), timeout=300)
    kubeconfig("kind", instance).unlink(missing_ok=True)


def kind_load(instance: Instance, image: str) -> None:
    """Give the kind cluster's node an image of the Docker engine."""
    run(_kind(instance.cache), "load", "docker-image", image, "--name", kind_name(instance), timeout=600)


def kind_name(instance: Instance) -> str:
    """Name of the kind cluster."""
    return f"armonik-{instance.name}"


def kubectl() -> list[str]:
    """How to call kubectl: the one of our virtual environment, else the machine's.

    Raises:
        ClusterError: there is none.
    """
    return [_program(str(REPOSITORY / ".venv/bin/kubectl"), "kubectl", "run `make venv`, which installs it")]


def helm(cache: Cache) -> str:
    """Helm's path: the one built into the cache, else the machine's (empty when neither is there yet)."""
    ours = cache.bin / "helm"
    return str(ours) if ours.exists() else shutil.which("helm") or ""


def _kind(cache: Cache) -> str:
    found = shutil.which("kind")
    if found is None and not (cache.root / "go/bin/kind").exists():
        ensure_go()
        say(f"building kind {KIND_VERSION}")
        run("go", "install", f"sigs.k8s.io/kind@{KIND_VERSION}", env=cache.go_environment, timeout=900)
    return found or str(cache.root / "go/bin/kind")


def _program(ours: str, name: str, mend: str) -> str:
    if Path(ours).exists():
        return ours
    found = shutil.which(name)
    if found is None:
        raise ClusterError(f"{name} is not installed: {mend}")
    return found


def _write_kubeconfig(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
