"""The installed release as a person at a terminal handles it: `helm` and `kubectl`, nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "armonik"
RELEASE = os.environ.get("ARMONIK_E2E_RELEASE", "armonik")
NAMESPACE = os.environ.get("ARMONIK_E2E_NAMESPACE", "armonik-system")

Object = dict[str, Any]

WORKER_CPU = "20m"
"""What a worker of the tests requests: dozens fit beside each other on a node of two CPUs."""

PATIENCE = 180
"""Seconds to wait for what must come: generous, for a machine that does other things as well. Only a failing
test ever waits that long."""


def attempt(*words: str, stdin: str = "", timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """A command that may fail."""
    return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)


def run(*words: str, stdin: str = "", timeout: float = PATIENCE) -> str:
    """Standard output of a command that must succeed."""
    done = attempt(*words, stdin=stdin, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*words: str, stdin: str = "", timeout: float = PATIENCE) -> str:
    return run("kubectl", *words, stdin=stdin, timeout=timeout)


def allowed(*words: str, user: str, group: str = "system:authenticated") -> bool:
    """Whether `kubectl auth can-i` says yes to that user."""
    impersonation = (f"--as={user}", f"--as-group={group}")
    return attempt("kubectl", "auth", "can-i", *words, *impersonation).stdout.strip() == "yes"


def objects(kind: str, *words: str) -> list[Object]:
    found: list[Object] = json.loads(kubectl("get", kind, *words, "--output", "json"))["items"]
    return found


def attempt_helm(
    *words: str, stdin: str = "", timeout: float = 600, namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """`helm` that may fail."""
    program = os.environ.get("ARMONIK_HELM") or shutil.which("helm")
    assert program, 'helm is not there: eval "$(make -s kubeconfig)"'
    return attempt(program, *words, "--namespace", namespace, stdin=stdin, timeout=timeout)


def helm(*words: str, stdin: str = "", timeout: float = 600, namespace: str = NAMESPACE) -> str:
    """Standard output of `helm` that must succeed."""
    done = attempt_helm(*words, stdin=stdin, timeout=timeout, namespace=namespace)
    assert done.returncode == 0, f"helm {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def upgrade(*words: str) -> None:
    """Upgrade the release on top of the values it has, and wait until it is up again."""
    helm("upgrade", RELEASE, str(CHART), "--reuse-values", *words, "--wait", "--timeout", "5m")


def apply(*manifests: Object) -> None:
    kubectl(
        "apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    )


def session(namespace: str, name: str, partition: str) -> Object:
    return _object("Session", namespace, name, {"partitions": [partition]})


def task(namespace: str, name: str, of: str, **spec: Any) -> Object:
    return _object("Task", namespace, name, {"session": of, **spec})


def lab_partition(namespace: str, name: str, pods: int = 1, *, memory: str = "") -> Object:
    """A Partition of the tests' worker, from the same place as the release's own images."""
    values = json.loads(helm("get", "values", RELEASE, "--all", "--output", "json"))
    registry = values["global"]["imageRegistry"]
    worker: Object = {"image": f"{registry}/armonik-worker-lab:dev", "imagePullPolicy": "IfNotPresent"}
    worker["resources"] = {"requests": {"cpu": WORKER_CPU}} | (
        {"limits": {"memory": memory}} if memory else {}
    )
    template = {"spec": {"terminationGracePeriodSeconds": 10, "worker": worker}}
    return _object("Partition", namespace, name, {"podReserved": pods, "podMax": pods, "template": template})


def _object(kind: str, namespace: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def finished(namespace: str, name: str, timeout: int = PATIENCE) -> Object:
    """The Task, once its condition Finished is there."""
    words = ("--namespace", namespace, f"tasks.armonik.io/{name}")
    kubectl("wait", "--for=condition=Finished", f"--timeout={timeout}s", *words, timeout=timeout + 30)
    found: Object = json.loads(kubectl("get", *words, "--output", "json"))
    return found


def until(what: str, holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Return as soon as a condition that kubectl cannot wait for holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.5)


@contextmanager
def stopped(component: str) -> Iterator[None]:
    """The release without `operator`, `nats` or `s3`: no pod of it is left until the end of the block."""
    workload = f"{'deployment' if component == 'operator' else 'statefulset'}/{RELEASE}-{component}"
    words = ("--namespace", NAMESPACE)
    kubectl("scale", workload, "--replicas=0", *words)
    try:
        selector = f"app.kubernetes.io/component={component},app.kubernetes.io/instance={RELEASE}"
        kubectl(
            "wait",
            "pod",
            "--selector",
            selector,
            "--for=delete",
            f"--timeout={PATIENCE}s",
            *words,
            timeout=PATIENCE + 30,
        )
        yield
    finally:
        kubectl("scale", workload, "--replicas=1", *words)
        kubectl("rollout", "status", workload, f"--timeout={PATIENCE}s", *words, timeout=PATIENCE + 30)


def kill_operator(*, ready: bool = True) -> None:
    """End the operator's process without warning, and wait until the next one is ready, if it can be."""
    words = ("--namespace", NAMESPACE)
    selector = f"app.kubernetes.io/component=operator,app.kubernetes.io/instance={RELEASE}"
    kubectl("delete", "pod", "--selector", selector, "--grace-period=0", "--force", *words)
    if not ready:
        return
    kubectl(
        "rollout",
        "status",
        f"deployment/{RELEASE}-operator",
        f"--timeout={PATIENCE}s",
        *words,
        timeout=PATIENCE + 30,
    )


@contextmanager
def fresh_namespace(prefix: str, *, wait: bool = True) -> Iterator[str]:
    """A namespace of one test, which must go when it is deleted.

    With `wait` the test itself waits for its end, else `await_leaving` does after all tests.
    """
    name = f"{prefix}-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        if wait:
            delete_namespace(name)
        else:
            kubectl("delete", "namespace", name, "--wait=false")
            _leaving.append(f"namespace/{name}")


_leaving: list[str] = []
"""Namespaces whose end nobody has awaited yet."""


def await_leaving() -> None:
    """Wait until every namespace that was deleted is gone; fails when something keeps one from going."""
    if _leaving:
        kubectl("wait", "--for=delete", *_leaving, f"--timeout={PATIENCE}s", timeout=2 * PATIENCE)
        _leaving.clear()


def delete_namespace(name: str) -> None:
    """Delete a namespace and everything in it; fails when something keeps it from going."""
    kubectl(
        "delete", "namespace", name, "--ignore-not-found", f"--timeout={PATIENCE}s", timeout=PATIENCE + 30
    )
