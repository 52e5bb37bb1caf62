"""Many Tasks in the apiserver.

The first one of a kind is created through the apiserver, as is its status; the others are put into etcd as
copies of what the apiserver stored. That saves 100,000 requests, and a reader sees no difference.
"""

import asyncio
import json
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

from armonik_operator.clients.kube import TASKS, Kube
from armonik_operator.planning.task import TaskView
from armonik_operator.status.task import StatusInputs, task_status
from armonik_sdk.api.const import API_GROUP, TASK_PLURAL
from armonik_sdk.api.kinds import Task, TaskOptions
from bench.restart.stored import NOW, PARTITION, Made

AT_ONCE: Final = 100
"""Objects in one transaction of etcd, which takes 128 operations."""
_OPTIONS: Final = TaskOptions(partition=PARTITION, priority=1, max_retries=3, max_duration_seconds=86_400)


class Objects:
    """Puts Tasks."""

    def __init__(self, kube: Kube, etcd: str, namespace: str, session: str, epoch: int) -> None:
        """`session`: its UID; `epoch`: of the journal."""
        self._kube = kube
        self._etcd = etcd
        self._namespace = namespace
        self._session = session
        self._epoch = epoch

    async def put(self, tasks: Sequence[Made], spec: dict[str, Any]) -> None:
        """All of one kind: equal specs, and as many elements ended of each."""
        pattern = await self._pattern(tasks[0], spec)
        for at in range(0, len(tasks), AT_ONCE):
            puts = [self._entry(pattern, task, spec) for task in tasks[at : at + AT_ONCE]]
            await asyncio.to_thread(self._ask, "txn", {"success": [{"requestPut": put} for put in puts]})

    async def _pattern(self, task: Made, spec: dict[str, Any]) -> dict[str, Any]:
        """What the apiserver stores of one of them."""
        body = {"apiVersion": f"{API_GROUP}/{TASKS.version}", "kind": "Task", "spec": spec}
        body["metadata"] = {"name": task.name, "labels": {"app": "bench"}}
        made = await self._kube.create(TASKS, body, self._namespace)
        status = self._status(made, task)
        await self._kube.patch(TASKS, task.name, {"status": status}, self._namespace, status=True)
        key = _encoded(self._key(task.name))
        found = await asyncio.to_thread(self._ask, "range", {"key": key})
        await asyncio.to_thread(self._ask, "deleterange", {"key": key})
        pattern: dict[str, Any] = json.loads(b64decode(found["kvs"][0]["value"]))
        return pattern

    def _entry(self, pattern: dict[str, Any], task: Made, spec: dict[str, Any]) -> dict[str, str]:
        meta = {**pattern["metadata"], "name": task.name, "uid": task.uid}
        obj = {**pattern, "metadata": meta, "spec": {**pattern["spec"], **spec}}
        obj["status"] = self._status(obj, task)
        return {"key": _encoded(self._key(task.name)), "value": _encoded(json.dumps(obj))}

    def _status(self, obj: dict[str, Any], task: Made) -> dict[str, Any]:
        """As the operator writes it."""
        status = task_status(
            TaskView(Task.from_object(obj), None, None, _OPTIONS, task.fold),
            StatusInputs(),
            session_uid=self._session,
            journal_epoch=self._epoch,
            now=NOW,
        )
        said: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return said

    def _key(self, name: str) -> str:
        return f"/registry/{API_GROUP}/{TASK_PLURAL}/{self._namespace}/{name}"

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._etcd}/v3/kv/{what}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            said: dict[str, Any] = json.loads(answer.read())
        return said


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
