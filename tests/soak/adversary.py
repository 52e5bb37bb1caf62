"""What goes wrong during a soak, at random times: pods, the operator, NATS and the store end or hang."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable

from node import processes, stop
from release import NAMESPACE, RELEASE, attempt, objects, stopped, until

from .ledger import Ledger

LOCAL = bool(os.environ.get("ARMONIK_LOCAL_CLUSTER"))
"""Whether processes of pods can be reached from here."""


class Adversary:
    """One act after the other, each chosen by the seed."""

    def __init__(self, seed: int, namespaces: list[str], ledger: Ledger) -> None:
        self._chance = random.Random(f"{seed}/adversary")
        self._namespaces = namespaces
        self._ledger = ledger
        acts: dict[Callable[[], str], float] = {
            self._kill_worker_pod: 4,
            self._evict_worker_pod: 3,
            self._kill_operator: 2,
            self._stop_nats: 1,
            self._stop_store: 1,
            self._kill_nats: 1,
        }
        if LOCAL:
            acts |= {self._kill_worker_process: 4, self._freeze_agent: 2}
        self._acts = acts

    async def run(self, until_: float, pause: tuple[float, float]) -> None:
        """Act until that time of the monotonic clock, with pauses within these bounds, in seconds."""
        while True:
            left = until_ - time.monotonic()
            await asyncio.sleep(min(self._chance.uniform(*pause), max(left, 0.0)))
            if time.monotonic() >= until_:
                return
            (act,) = self._chance.choices(list(self._acts), weights=list(self._acts.values()))
            # kubectl may fail on a pod that has just gone: then nothing was done.
            try:
                self._ledger.acted(await asyncio.to_thread(act))
            except (AssertionError, OSError) as error:
                self._ledger.acted(f"missed ({act.__name__.strip('_')})")
                del error

    def _pod(self) -> dict[str, object]:
        found = [
            pod
            for namespace in self._namespaces
            for pod in objects("pods", "--namespace", namespace, "--field-selector", "status.phase=Running")
        ]
        assert found, "no pod runs"
        chosen: dict[str, object] = self._chance.choice(
            sorted(found, key=lambda pod: pod["metadata"]["name"])
        )
        return chosen

    def _delete(self, *words: str) -> str:
        meta: dict[str, str] = self._pod()["metadata"]  # type: ignore[assignment]
        attempt("kubectl", "delete", "pod", meta["name"], "--namespace", meta["namespace"], *words)
        return "deleted a worker pod" if "--force" not in words else "killed a worker pod"

    def _kill_worker_pod(self) -> str:
        return self._delete("--grace-period=0", "--force", "--wait=false")

    def _evict_worker_pod(self) -> str:
        return self._delete("--wait=false")

    def _kill_worker_process(self) -> str:
        pod = self._pod()
        container = self._chance.choice(("worker", "agent"))
        for process in processes(pod, container):
            os.kill(process, signal.SIGKILL)
        return f"killed a process of the {container}"

    def _freeze_agent(self) -> str:
        pod = self._pod()
        stop(pod, "agent")
        time.sleep(self._chance.uniform(5, 25))  # the act itself: for so long the agent hangs
        for process in processes(pod, "agent"):
            os.kill(process, signal.SIGCONT)
        return "froze an agent"

    def _kill_operator(self) -> str:
        self._end_component("operator")
        return "killed the operator"

    def _kill_nats(self) -> str:
        self._end_component("nats")
        return "killed NATS"

    def _end_component(self, component: str) -> None:
        selector = f"app.kubernetes.io/component={component},app.kubernetes.io/instance={RELEASE}"
        words = ("--namespace", NAMESPACE, "--selector", selector)
        attempt("kubectl", "delete", "pod", "--grace-period=0", "--force", *words)

        def ready() -> bool:
            pods = objects("pods", *words)
            return any(c["ready"] for pod in pods for c in pod["status"].get("containerStatuses", []))

        until(f"{component} is ready again", ready)

    def _stop_nats(self) -> str:
        return self._stop("nats")

    def _stop_store(self) -> str:
        return self._stop("s3")

    def _stop(self, component: str) -> str:
        with stopped(component):
            time.sleep(self._chance.uniform(2, 30))  # the act itself: for so long it is away
        return f"stopped {component}"
