"""Events that agents publish about their own pods over core NATS: hints, which may be lost or come twice.

Namespaces take turns: each has a few events that are looked into at a time, and a bound of what waits. So a
flood from one namespace delays only what is said of pods of that namespace.
"""

import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PODS, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.planning.pod_facts import owned
from armonik_operator.util.work_queue import WorkQueue
from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import (
    DRAINED,
    WORKER_ABOUT,
    WORKER_DOWN,
    WORKER_SILENT,
    NamespacedName,
    event_subject,
)
from armonik_sdk.dataplane.errors import Unreadable
from armonik_sdk.dataplane.nats.requests import received

log = logging.getLogger(__name__)

LAST_SECONDS = 5
"""Grace of a pod whose agent holds nothing more. (A kubelet that is stopping a pod already keeps the
grace that it began with.)"""


_NAME = re.compile(r"[a-z0-9][-.a-z0-9]{0,252}")
MOST_WAITING = 1_000
"""Messages that wait to be answered; above that they are dropped, and come again."""
MOST_OF_NAMESPACE = 100
"""The same of one namespace: one of each kind for each pod."""
AT_A_TIME = 2
"""Events of one namespace that are looked into at a time: each asks the apiserver."""


class _About(NamedTuple):
    """What a message is about; of several the last one counts."""

    namespace: str
    kind: str
    pod: str


class PodEvents:
    """Answers `worker-down`, `worker-silent`, `worker-about` and `drained`.

    Whoever may publish on these subjects may write anything, so a message only says which pod to look at: it
    must be one that the apiserver lists, in a namespace that is served, made by a living Partition.
    """

    def __init__(
        self,
        kube: Kube,
        state: ClusterState,
        worker_down: Callable[[str, PodEvent], Awaitable[None]],
        worker_silent: Callable[[str, PodEvent], Awaitable[None]],
        worker_about: Callable[[str, PodEvent], Awaitable[None]],
    ) -> None:
        self._kube = kube
        self._state = state
        self._answers = {
            WORKER_DOWN: worker_down,
            WORKER_SILENT: worker_silent,
            WORKER_ABOUT: worker_about,
            DRAINED: self._drained,
        }
        self._waiting: dict[_About, PodEvent] = {}
        self._of_namespace: Counter[str] = Counter()
        self._queue: WorkQueue[_About] = WorkQueue(self._answer, AT_A_TIME, lambda about: about.namespace)

    async def serve(self, client: Client) -> None:
        """Subscribe. What comes waits for `run`."""
        for what in self._answers:
            await client.subscribe(
                event_subject("*", what),
                cb=self.take,
                pending_msgs_limit=MOST_WAITING,
                pending_bytes_limit=MOST_WAITING * PodEvent.most_bytes,
            )
        await client.flush()

    @property
    def waiting(self) -> int:
        """Messages that wait to be answered."""
        return len(self._waiting)

    async def run(self) -> None:
        """Answer what has come, until cancelled."""
        await self._queue.run()

    async def take(self, message: Msg) -> None:
        """Have a message wait for its turn; asks nobody, so that the next one is taken at once."""
        namespace, kind = message.subject.split(".")[2:4]
        try:
            event = received(f"an event on {message.subject}", PodEvent, message.data)
        except Unreadable as error:
            log.warning("event dropped: %s", error)
            return
        about = _About(namespace, kind, event.pod)
        if about not in self._waiting:
            if self._of_namespace[namespace] >= MOST_OF_NAMESPACE or len(self._waiting) >= MOST_WAITING:
                log.debug("event on %s dropped: too many wait", message.subject)
                return
            self._of_namespace[namespace] += 1
        self._waiting[about] = event
        self._queue.add(about)

    async def _answer(self, about: _About) -> None:
        event = self._waiting.pop(about, None)
        if event is None:
            return
        self._of_namespace[about.namespace] -= 1
        if not self._of_namespace[about.namespace]:
            del self._of_namespace[about.namespace]
        try:
            if await self.is_worker(about.namespace, event):
                await self._answers[about.kind](about.namespace, event)
            else:
                subject = event_subject(about.namespace, about.kind)
                log.warning("event on %s is ignored: it names no pod of a Partition", subject)
        except (KubeError, KubeUnavailable) as error:
            log.warning("event about a pod was not handled, it is sent again: %s: %s", about, error)

    async def is_worker(self, namespace: str, event: PodEvent) -> bool:
        """Whether the event is about a pod that a living Partition of the namespace made."""
        if not event.pod or not _NAME.fullmatch(event.name) or not self._state.settings.serves(namespace):
            return False
        if not any(name.namespace == namespace for name in self._state.partitions):
            return False
        fields = f"metadata.name={event.name}"
        async for meta in self._kube.metadata(PODS, namespace, labels=PARTITION_LABEL, fields=fields):
            partition = self._state.partitions.get(NamespacedName(namespace, meta["labels"][PARTITION_LABEL]))
            if meta["uid"] == event.pod and partition is not None and owned({"metadata": meta}, partition):
                return True
        return False

    async def _drained(self, namespace: str, event: PodEvent) -> None:
        """Delete a drained pod: it holds no work any more."""
        log.info("pod %s/%s is drained: %s", namespace, event.name, event.reason)
        await self._kube.delete(PODS, event.name, namespace, uid=event.pod, grace=LAST_SECONDS)
