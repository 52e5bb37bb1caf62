"""Holding a run: renewing its message, answering whether it is held, asking an owner before a takeover."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from armonik_agent.stopping import stop
from armonik_agent.transitions import Cause
from armonik_sdk.api.messages import Answer, Ask
from armonik_sdk.api.names import RunId, ask_subject, pod_key
from armonik_sdk.api.records import Control, DesiredState, Owner
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.topology import ACK_WAIT

log = logging.getLogger(__name__)

ASK_TRIES = 3
ASK_TIMEOUT = 1.0


class Renewal:
    """Renews one message until it is left, also while the connection is down and comes back."""

    def __init__(self, message: Msg, interval: float = ACK_WAIT / 3) -> None:
        self._message = message
        self._interval = interval
        self._renewed = time.monotonic()
        self._gap = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Renewal":
        self._task = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await stop(self._task)

    @property
    def lapsed(self) -> bool:
        """No renewal was sent for so long that the message may have gone to another agent."""
        return self._gap or time.monotonic() - self._renewed > ACK_WAIT

    def settled(self) -> None:
        """The head was read, and the run is still ours."""
        self._gap, self._renewed = False, time.monotonic()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._message.in_progress()
            except (nats.errors.Error, OSError) as error:
                log.warning("renewal of %s not sent: %s", self._message.subject, error)
            else:
                self._gap = self.lapsed
                self._renewed = time.monotonic()


class Holds:
    """What this process holds, and the answers to those who ask."""

    def __init__(self, me: Owner) -> None:
        self._me = me
        self._epochs: dict[str, int] = {}

    def held(self, run: RunId) -> bool:
        """Whether this process holds the run, at whatever epoch."""
        return run.journal in self._epochs

    @contextlib.contextmanager
    def hold(self, run: RunId, epoch: int) -> Iterator[None]:
        """Hold a run at an epoch, from before its `Dispatched` is sent: an unanswered append counts."""
        self._epochs[run.journal] = epoch
        try:
            yield
        finally:
            # The same run may have come to this process again, at a later epoch, before this hold ends.
            if self._epochs.get(run.journal) == epoch:
                del self._epochs[run.journal]

    async def serve(self, client: Client) -> Subscription:
        """Answer whoever asks this pod."""

        async def answer(message: Msg) -> None:
            try:
                ask = Ask.model_validate_json(message.data)
            except ValueError as error:
                log.warning("question not understood: %s", error)
                return
            holds = self._epochs.get(ask.journal) == ask.epoch
            await message.respond(Answer(holds=holds, process=self._me.process).encode())

        return await client.subscribe(ask_subject(self._me.pod), cb=answer)


async def ask_owner(
    client: Client, control: Bucket[Control], run: RunId, owner: Owner, epoch: int, interval: float = 3.0
) -> Cause | None:
    """Ask an owner whether it holds a run (protocol rule 1).

    Returns:
        None when it does; otherwise how a takeover is to be accounted for.

    Raises:
        QueueUnavailable: CONTROL could not be read.
    """
    question = Ask(journal=run.journal, epoch=epoch).encode()
    answered = False
    for attempt in range(ASK_TRIES):
        try:
            reply = await client.request(ask_subject(owner.pod), question, timeout=ASK_TIMEOUT)
            answer = Answer.model_validate_json(reply.data)
        except (nats.errors.Error, OSError, ValueError) as error:
            log.info("no answer from %s (%s)", owner.name or owner.pod, type(error).__name__)
        else:
            if answer.process != owner.process:
                return Cause.OWNER_GONE
            if answer.holds:
                return None
            answered = True
        known = await control.get(pod_key(run.namespace, owner.pod))
        if known is not None and known[0].state is DesiredState.GONE:
            return Cause.OWNER_GONE
        if answered:
            break
        if attempt < ASK_TRIES - 1:
            await asyncio.sleep(interval)
    return Cause.UNEXPLAINED
