"""`python -m bench.namespaces`: what many namespaces cost operator and NATS, and how soon a new one works.

Namespaces with a Partition without pods and a Session each are made, the operator is started again, and a
Task of the benchmarks' own worker is sent through a namespace made for it. Memory comes from bench/cpu.py.
Each is done once; all namespaces are deleted in the end.
"""

import argparse
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from bench.cpu import ClusterCpu
from bench.systems.armonik import OWN_IMAGE, WORKER_CPU

RELEASE_NAMESPACE: Final = os.environ.get("ARMONIK_E2E_NAMESPACE", "armonik-system")
OPERATOR: Final = "app.kubernetes.io/component=operator"
LABEL: Final = "armonik-bench"
PATIENCE: Final = 900.0
"""Seconds that anything may take."""
BATCH: Final = 20
"""Namespaces whose objects are applied at once."""
MEASURED: Final = ("operator", "nats")

Object = dict[str, Any]
T = TypeVar("T")


def main(count: int) -> None:
    """Print a table of it."""
    run = secrets.token_hex(3)
    names = [f"bench-{run}-{number}" for number in range(count)]
    with _deleted(run):
        before = _memory()
        print(f"memory in MiB, none of them: {_line(before)}", flush=True)
        started = time.monotonic()
        for first in range(0, count, BATCH):
            _apply(*(each for name in names[first : first + BATCH] for each in _tenant(name, run)))
        applied = time.monotonic() - started
        _until(lambda: _ready_sessions(run) == count)
        print(f"{count} namespaces: applied in {applied:.1f} s, all Sessions ready after "
              f"{time.monotonic() - started:.1f} s")  # fmt: skip
        after = _memory()
        print(f"memory in MiB, with them:    {_line(after)}")
        print(f"KiB a namespace:             {_line(_each(before, after, count))}", flush=True)
        print(f"first Task of a new namespace: {_first_task(f'bench-{run}-new', run, new=True):.1f} s")
        print(f"first Task of a new Partition in an old one: {_first_task(names[0], run, new=False):.1f} s")

        _restart(names[-1], run)
        print(f"memory in MiB, started anew: {_line(_memory())}", flush=True)


def _restart(name: str, run: str) -> None:
    """Print how long an operator needs from the start of its container until it has queued a new Task."""
    old = _operator()["metadata"]["uid"]
    _kubectl("delete", "pod", "--namespace", RELEASE_NAMESPACE, "--selector", OPERATOR, "--wait=false")
    _apply(_object("Task", name, "after", run, session="all", payload={"inline": "0 0"}))
    _until(lambda: _queued(name, "after"))
    queued = datetime.now(UTC)
    pod = _until(lambda: (new := _operator())["metadata"]["uid"] != old and new)
    state = pod["status"]["containerStatuses"][0]["state"]
    seconds = (queued - datetime.fromisoformat(state["running"]["startedAt"])).total_seconds()
    print(f"operator: queues a new Task {seconds:.0f} s after its container has started")


def _queued(namespace: str, task: str) -> bool:
    found = json.loads(_kubectl("get", "tasks.armonik.io", task, "--namespace", namespace, "--output=json"))
    return bool(found.get("status", {}).get("elements", {}).get("queued"))


def _first_task(name: str, run: str, *, new: bool) -> float:
    """Seconds from the creation of its Partition, with one pod, to the end of a Task."""
    started = time.monotonic()
    tenant = _tenant(name, run, "first", pods=1)
    _apply(*(tenant if new else tenant[1:]), _object("Task", name, "hello", run, session="first",
           payload={"inline": "0 0"}))  # fmt: skip
    words = ("--for=condition=Finished", f"--timeout={PATIENCE:.0f}s", "--namespace", name)
    _kubectl("wait", "tasks.armonik.io/hello", *words)
    return time.monotonic() - started


def _tenant(namespace: str, run: str, name: str = "all", pods: int = 0) -> list[Object]:
    worker = {"image": OWN_IMAGE, "resources": {"requests": {"cpu": WORKER_CPU}}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {LABEL: run}}}
    template = {"spec": {"worker": worker}}
    partition = _object("Partition", namespace, name, run, podReserved=pods, podMax=1, template=template)
    return [space, partition, _session(namespace, name, run)]


def _session(namespace: str, name: str, run: str) -> Object:
    return _object("Session", namespace, name, run, partitions=[name])


def _object(kind: str, namespace: str, name: str, run: str, **spec: Any) -> Object:
    meta = {"name": name, "namespace": namespace, "labels": {LABEL: run}}
    return {"apiVersion": "armonik.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def _memory() -> dict[str, float]:
    found = ClusterCpu("none").memory()
    return {name: found[name] for name in MEASURED}


def _each(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    return {name: 1024 * (after[name] - before[name]) / count for name in after}


def _line(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in row.items())


def _operator() -> Object:
    """Its newest pod."""
    pods = _get("pods", "--namespace", RELEASE_NAMESPACE, "--selector", OPERATOR)
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def _ready_sessions(run: str) -> int:
    found = _get("sessions.armonik.io", "--all-namespaces", "--selector", f"{LABEL}={run}")
    return sum(map(_is_ready, found))


def _is_ready(session: Object) -> bool:
    conditions = session.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _until(found: Callable[[], T]) -> T:
    """What it finds once that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:.0f} s")
        time.sleep(0.25)
    return value


@contextmanager
def _deleted(run: str) -> Iterator[None]:
    """The namespaces of a run are deleted after it."""
    try:
        yield
    finally:
        _kubectl("delete", "namespace", "--selector", f"{LABEL}={run}", f"--timeout={PATIENCE:.0f}s")


def _get(kind: str, *words: str) -> list[Object]:
    found: list[Object] = json.loads(_kubectl("get", kind, *words, "--output=json"))["items"]
    return found


def _apply(*objects: Object) -> None:
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    _kubectl("apply", "--server-side", "--filename", "-", stdin=body)


def _kubectl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=PATIENCE + 60, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.namespaces", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="namespaces")
    main(parser.parse_args().count)
