"""A namespace of one test file: a Partition of the lab worker, a Session, and short words for the tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from observe import Entry, Observer, assert_each_element_ended_once, taken_by
from release import (
    PATIENCE,
    Object,
    apply,
    finished,
    fresh_namespace,
    kubectl,
    lab_partition,
    session,
    task,
    until,
)

from armonik_sdk.client import Client

T = TypeVar("T")

SESSION = "work"
PARTITION = "lab"


class Space:
    """Submits to one session and looks at what becomes of it."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.observe = Observer(namespace)

    def submit(self, name: str, mode: str = "echo", of: str = SESSION, **spec: Any) -> str:
        """Apply a Task of the lab worker; its UID. Words that are no field of a Task go to the mode."""
        words = {key: str(spec.pop(key)) for key in list(spec) if key not in _SPEC}
        options = spec.pop("options", {})
        options = options | {"options": {"mode": mode} | words | options.get("options", {})}
        apply(task(self.namespace, name, of, options=options, **spec))
        return str(self.get(name)["metadata"]["uid"])

    def session(self, name: str, partition: str = PARTITION) -> None:
        """Apply one more Session."""
        apply(session(self.namespace, name, partition))

    def partition(self, name: str, pods: int = 1) -> None:
        """Apply one more Partition of the lab worker."""
        apply(lab_partition(self.namespace, name, pods))

    def patch(self, name: str, spec: Object, kind: str = "tasks.armonik.io") -> None:
        """Change its spec."""
        words = ("--namespace", self.namespace, "--type=merge", "--patch", json.dumps({"spec": spec}))
        kubectl("patch", kind, name, *words)

    def get(self, name: str, kind: str = "tasks.armonik.io") -> Object:
        """An object as it is now."""
        found: Object = json.loads(
            kubectl("get", kind, name, "--namespace", self.namespace, "--output", "json")
        )
        return found

    def status(self, name: str, kind: str = "tasks.armonik.io") -> Object:
        """Its status."""
        found: Object = self.get(name, kind).get("status", {})
        return found

    def delete(self, name: str, kind: str = "tasks.armonik.io") -> None:
        """Delete it and wait until it is gone."""
        kubectl(
            "delete",
            kind,
            name,
            "--namespace",
            self.namespace,
            f"--timeout={PATIENCE}s",
            timeout=PATIENCE + 30,
        )

    def end(self, name: str, timeout: int = PATIENCE) -> tuple[Object, list[Entry]]:
        """The Task when it has ended, everything about its end checked; its records."""
        found = finished(self.namespace, name, timeout)
        return found, assert_each_element_ended_once(self.observe, found)

    def until(
        self, name: str, what: str, holds: Callable[[Object], bool], timeout: float = PATIENCE
    ) -> Object:
        """The Task's status, once it is as wanted."""
        until(f"{self.namespace}/{name} {what}", lambda: holds(self.status(name)), timeout)
        return self.status(name)

    def running(self, name: str, timeout: float = PATIENCE) -> Entry:
        """Wait until an agent has taken the only run of a Task; the record that says which one."""
        uid = self.get(name)["metadata"]["uid"]
        found: list[Entry] = []

        def taken() -> bool:
            found[:] = taken_by(self.observe.records(uid))
            return bool(found)

        until(f"{self.namespace}/{name} is taken by an agent", taken, timeout)
        return found[0]

    def ready(self, kind: str, name: str, timeout: int = PATIENCE) -> None:
        """Wait for condition Ready of a Session or Partition."""
        words = (f"{kind}.armonik.io/{name}", "--namespace", self.namespace)
        kubectl("wait", "--for=condition=Ready", f"--timeout={timeout}s", *words, timeout=timeout + 30)

    def serving(self, pods: int, partition: str = PARTITION) -> None:
        """Wait until that number of pods of a Partition takes work."""
        words = (
            f"partitions.armonik.io/{partition}",
            "--namespace",
            self.namespace,
            f"--timeout={PATIENCE}s",
        )
        ready = f"--for=jsonpath={{.status.readyReplicas}}={pods}"
        kubectl("wait", ready, *words, timeout=PATIENCE + 30)

    def sdk(self, use: Callable[[Client], Awaitable[T]]) -> T:
        """What a client of the SDK gets, connected as from a developer's machine."""

        async def used() -> T:
            async with await Client.connect(self.namespace) as client, asyncio.timeout(PATIENCE):
                return await use(client)

        return asyncio.run(used())


_SPEC = {
    "count",
    "dependsOn",
    "desiredState",
    "items",
    "itemsRef",
    "options",
    "outputs",
    "payload",
    "ttlSecondsAfterFinished",
}


@contextmanager
def space(prefix: str, *, pods: int = 1, memory: str = "") -> Iterator[Space]:
    """A fresh namespace whose pods serve. In the end its sessions must go; the rest goes by itself."""
    with fresh_namespace(prefix, wait=False) as namespace:
        here = Space(namespace)
        apply(
            lab_partition(namespace, PARTITION, pods, memory=memory), session(namespace, SESSION, PARTITION)
        )
        here.ready("session", SESSION)
        here.ready("partition", PARTITION)
        here.serving(pods)
        yield here
        words = ("--all", "--namespace", namespace, f"--timeout={PATIENCE}s")
        kubectl("delete", "sessions.armonik.io", *words, timeout=PATIENCE + 30)
