"""What a Kubernetes user has without us: an Indexed Job on the same cluster, a pod for each element."""

import asyncio
import secrets
from typing import Any, Final

from armonik_sdk.client.transport.kube import Kind, Kube
from bench.systems.armonik import IMAGE, NAMESPACE, TIMEOUT
from bench.workloads import Work

JOBS: Final = Kind("Job", "jobs", "batch")
_BURN: Final = (
    "import sys, time\n"
    "end = time.thread_time() + float(sys.argv[1]) / 1000\n"
    "while time.thread_time() < end: pass\n"
)


class IndexedJob:
    """As many pods at once as the others have workers. There are no results: done is when the Job says so."""

    name = "Indexed Job"
    slow = True

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._kube: Kube

    async def start(self) -> None:
        """Connect; workers are made by each Job."""
        self._kube = await Kube.connect()

    async def stop(self) -> None:
        """Delete what an interrupted repetition left."""
        await kubectl("delete", "jobs", "--selector", "bench=indexed-job", "--wait=false")
        await self._kube.close()

    async def one(self, work: Work) -> None:
        """A Job of one completion."""
        await self.many(1, work)

    async def urgent(self, work: Work) -> None:
        """It has no queue in which anything could go first."""
        raise TypeError(f"{self.name} has no queue")

    async def many(self, count: int, work: Work) -> None:
        """A Job of `count` completions."""
        made = await self._kube.create(JOBS, NAMESPACE, manifest(count, self.workers, work.milliseconds))
        name, uid = made["metadata"]["name"], made["metadata"]["uid"]
        async with asyncio.timeout(TIMEOUT):
            found = await self._kube.until(JOBS, NAMESPACE, name, uid, lambda job: bool(_end(job)))
        if _end(found) != "Complete":
            raise AssertionError(f"Job {name} of {count} completions ended as {_end(found)}")

    async def tree(self, levels: int, width: int) -> int:
        """Jobs submit no Jobs."""
        raise TypeError(f"{self.name} has no sub-tasks")

    async def fill(self, count: int, work: Work) -> None:
        """Jobs keep no results."""
        raise TypeError(f"{self.name} keeps no results")

    async def collect(self) -> None:
        """Jobs keep no results."""
        raise TypeError(f"{self.name} keeps no results")

    async def settle(self) -> None:
        """Delete the Jobs that are done, with their pods; not part of any time."""
        await kubectl("delete", "jobs", "--selector", "bench=indexed-job", "--cascade=foreground")


def manifest(count: int, workers: int, milliseconds: float) -> dict[str, Any]:
    """A Job of the worker's image, whose interpreter starts with as little as it can."""
    container = {
        "name": "element",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-I", "-S", "-c", _BURN, f"{milliseconds:g}"],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"bench-{secrets.token_hex(4)}", "labels": {"bench": "indexed-job"}},
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": min(count, workers),
            "template": {
                "metadata": {"labels": {"bench": "indexed-job"}},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container],
                },
            },
        },
    }


def _end(job: dict[str, Any]) -> str:
    conditions = (job.get("status") or {}).get("conditions") or []
    ends = [c["type"] for c in conditions if c["status"] == "True" and c["type"] in ("Complete", "Failed")]
    return str(ends[0]) if ends else ""


async def kubectl(*words: str) -> None:
    """Run it in the benchmarks' namespace; what is not there need not be deleted."""
    process = await asyncio.create_subprocess_exec(
        *("kubectl", "--namespace", NAMESPACE, *words, "--ignore-not-found"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise AssertionError(f"kubectl {' '.join(words)} failed")
