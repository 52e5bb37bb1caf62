"""What agents tell about their own pods over core NATS: hints, which may be lost or come twice."""

import logging
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from armonik_operator.adapters.kube import PODS, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import DRAINED, WORKER_DOWN, event_subject

log = logging.getLogger(__name__)

LAST_SECONDS = 5
"""Grace of a pod whose agent holds nothing more. (A kubelet that is stopping a pod already goes on with the
grace it began with.)"""


class PodEvents:
    """Answers `worker-down` and `drained`."""

    def __init__(self, kube: Kube, worker_down: Callable[[str, PodEvent], Awaitable[None]]) -> None:
        self._kube = kube
        self._worker_down = worker_down

    async def serve(self, client: Client) -> None:
        """Listen from now on."""
        await client.subscribe(event_subject("*", WORKER_DOWN), cb=self._told(self._worker_down))
        await client.subscribe(event_subject("*", DRAINED), cb=self._told(self._drained))
        await client.flush()

    def _told(self, answer: Callable[[str, PodEvent], Awaitable[None]]) -> Callable[[Msg], Awaitable[None]]:
        async def told(message: Msg) -> None:
            try:
                event = PodEvent.model_validate_json(message.data)
                await answer(message.subject.split(".")[2], event)
            except ValidationError as error:
                log.warning("an event on %s is not understood: %s", message.subject, error)
            except (KubeError, KubeUnavailable) as error:
                log.warning("an event on %s was not answered; it comes again: %s", message.subject, error)

        return told

    async def _drained(self, namespace: str, event: PodEvent) -> None:
        """Nothing in the pod is worth waiting for any more."""
        log.info("pod %s/%s is drained: %s", namespace, event.name, event.reason)
        await self._kube.delete(PODS, event.name, namespace, uid=event.pod, grace=LAST_SECONDS)
