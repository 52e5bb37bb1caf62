"""What this machine lacks, in one line, before anything takes minutes: `make check-demo` and `check-test`."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

from . import docker
from .build import NODE_PROGRAMS, is_built
from .prerequisites import can_run_locally, ensure_go
from .settings import REPOSITORY, Cache
from .shell import ClusterError


def check(driver: str, cache: Cache, *, tests: bool) -> None:
    """Look for all programs that `make demo`, or with `tests` `make test`, needs with a cluster of this kind.

    Raises:
        ClusterError: names everything that is missing, each with its remedy.
    """
    found = [lacks for look in _looks(driver, cache, tests=tests) if (lacks := _problem(look))]
    if found:
        raise ClusterError("; ".join(dict.fromkeys(found)))


def _looks(driver: str, cache: Cache, *, tests: bool) -> list[Callable[[], None]]:
    if driver == "local":  # root on Debian: all but Go is installed on the way
        missing = not all(is_built(cache, name) for name in (*NODE_PROGRAMS, "versitygw"))
        return [lambda: ensure_go("to build the local control plane and the object store")] if missing else []
    looks: list[Callable[[], None]] = [lambda: _venv(cache)]
    if driver == "context":
        looks += [_registry, _engine]
    if driver == "kind":
        looks.append(docker.check_builder)
        if not (shutil.which("kind") or (cache.root / "go/bin/kind").exists()):
            looks.append(lambda: ensure_go("to build kind, unless you install it (https://kind.sigs.k8s.io)"))
    if not (shutil.which("helm") or is_built(cache, "helm")):
        mend = "to build Helm, unless you install it (https://helm.sh/docs/intro/install)"
        looks.append(lambda: ensure_go(mend))
    if not is_built(cache, "versitygw"):
        looks.append(lambda: ensure_go("to build the object store versitygw"))
    if tests:
        looks.append(_openssl)
    if tests and not is_built(cache, "localkube"):
        looks.append(lambda: ensure_go("to build the kube-apiserver and etcd of the integration tests"))
    return looks


def _problem(look: Callable[[], None]) -> str:
    try:
        look()
    except ClusterError as error:
        return str(error)
    return ""


def _openssl() -> None:
    if shutil.which("openssl") is None:
        raise ClusterError("openssl is not installed: the integration tests make a key with it")


def _venv(cache: Cache) -> None:
    """What hack/venv.sh needs. Debian has `ensurepip` in a package of its own."""
    if (REPOSITORY / ".venv/bin/python").exists() or shutil.which("uv"):
        return
    if not (cache.root / "uv-tool/bin/uv").exists() and importlib.util.find_spec("ensurepip") is None:
        raise ClusterError("Python's venv module is missing: install python3-venv, or uv")


def _registry() -> None:
    """The way of images into a cluster that is not ours; without it they would be built and then refused."""
    if not os.environ.get("ARMONIK_IMAGE_REGISTRY"):
        raise ClusterError(
            "ARMONIK_IMAGE_REGISTRY is not set: name a registry that this machine pushes to and the cluster "
            "of KUBECONTEXT pulls from"
        )


def _engine() -> None:
    """What builds images for a cluster that is not ours."""
    problem = docker.problem()
    if not problem:
        docker.check_builder()
    elif not can_run_locally():
        raise ClusterError(f"images are built with Docker, or as root on Debian with buildah: {problem}")
