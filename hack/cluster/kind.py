"""A cluster of one node in a container of Docker: https://kind.sigs.k8s.io."""

from __future__ import annotations

import shutil
from pathlib import Path

from .prerequisites import ensure_go
from .progress import BOARD
from .settings import Cache, Instance
from .shell import ClusterError, run, run_logged, say, succeeds, wait_until
from .tools import kubectl, write_secret

VERSION = "v0.30.0"
_PREFIX = "armonik-"
_START_SECONDS = 180.0


def cluster_name(instance: Instance) -> str:
    """Name of the kind cluster."""
    return f"{_PREFIX}{instance.name}"


def kubeconfig(instance: Instance) -> Path:
    """Our kubeconfig for it."""
    return _kubeconfig(instance.cache, cluster_name(instance))


def up(instance: Instance) -> None:
    """Create the cluster unless it is there; start its node if that is stopped, as after a restart.

    Raises:
        ClusterError: kind is neither installed nor buildable, or it failed.
    """
    kind, name, path = _kind(instance.cache), cluster_name(instance), kubeconfig(instance)
    if name not in run(kind, "get", "clusters").split():
        say(f"creating the kind cluster {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        config = ("--config", Path(__file__).parent / "kind.yaml", "--kubeconfig", path, "--wait", "120s")
        with BOARD.job(f"kind cluster {name}") as job:
            log = instance.cache.logs / f"kind-{name}.log"
            create = (kind, "create", "cluster", "--name", name, *config)
            run_logged(*create, log=log, timeout=900, follow=job.read)
    elif stopped := [node for node in _nodes(kind, name) if not _runs(node)]:
        say(f"starting the stopped kind cluster {name}")
        run("docker", "start", *stopped)
    write_secret(path, run(kind, "get", "kubeconfig", "--name", name))
    _await_ready(path)
    say(f"kind cluster {name} is up, KUBECONFIG={path}")


def down(instance: Instance) -> None:
    """Delete the cluster and what we keep about it; nothing to do is no error."""
    _delete(instance.cache, cluster_name(instance))


def kubeconfigs(cache: Cache) -> list[Path]:
    """Our kubeconfigs of all kind clusters that were made from this cache."""
    return sorted((cache.root / "cluster").glob(f"kind-{_PREFIX}*.kubeconfig"))


def delete_all(cache: Cache) -> None:
    """Delete every kind cluster that was made from this cache, whatever its name."""
    for path in kubeconfigs(cache):
        _delete(cache, path.name.removeprefix("kind-").removesuffix(".kubeconfig"))


def load(instance: Instance, images: dict[str, str]) -> list[str]:
    """Give the node images of the Docker engine, each under a second name too (image → second name).

    Returns:
        The images that it did not have.
    """
    kind, name = _kind(instance.cache), cluster_name(instance)
    fresh: list[str] = []
    for node in _nodes(kind, name):
        ctr = ("docker", "exec", node, "ctr", "--namespace", "k8s.io", "images")
        there = set(run(*ctr, "list", "--quiet").split())
        missing = [image for image in images if image not in there]
        if missing:
            with BOARD.job(f"loading {len(missing)} images into {node}") as job:
                log = instance.cache.logs / "kind-load.log"
                where = ("--name", name, "--nodes", node)
                command = (kind, "load", "docker-image", *missing, *where)
                run_logged(*command, log=log, timeout=1_800, follow=job.read)
        for image, alias in images.items():
            run(*ctr, "tag", "--force", image, alias)
        fresh += [image for image in missing if image not in fresh]
    return fresh


def _kubeconfig(cache: Cache, name: str) -> Path:
    return cache.root / "cluster" / f"kind-{name}.kubeconfig"


def _delete(cache: Cache, name: str) -> None:
    path = _kubeconfig(cache, name)
    # Without this option kind looks for the cluster in the user's own kubeconfig, and locks it.
    run(_kind(cache), "delete", "cluster", "--name", name, "--kubeconfig", path, timeout=300)
    path.unlink(missing_ok=True)
    shutil.rmtree(f"{path}.cache", ignore_errors=True)


def _nodes(kind: str, name: str) -> list[str]:
    return run(kind, "get", "nodes", "--name", name).split()


def _runs(node: str) -> bool:
    return run("docker", "inspect", "--format", "{{.State.Running}}", node).strip() == "true"


def _await_ready(path: Path) -> None:
    ask = [*kubectl(), "--kubeconfig", str(path), "--request-timeout=10s"]
    ready = (*ask, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=10s")
    wait_until("the kind cluster's node is Ready", lambda: succeeds(*ready), _START_SECONDS, every=1)


def _kind(cache: Cache) -> str:
    """Kind's path: the machine's, else the one in the cache, which is built if need be."""
    found = shutil.which("kind")
    if found:
        return found
    folder = cache.root / "go" / "bin"
    if not (folder / "kind").exists():
        ensure_go("to build kind, unless you install it (https://kind.sigs.k8s.io)")
        say(f"building kind {VERSION}")
        with BOARD.job("kind") as job:
            # GOBIN, which a user may have set, says where a program is installed.
            environment = cache.go_environment | {"GOBIN": str(folder)}
            command = ("go", "install", f"sigs.k8s.io/kind@{VERSION}")
            run_logged(*command, log=cache.logs / "kind.log", env=environment, timeout=900, follow=job.read)
    if not (folder / "kind").exists():
        raise ClusterError(f"`go install` left no kind in {folder}: install it (https://kind.sigs.k8s.io)")
    return str(folder / "kind")
