"""Leases of runs: renews messages, answers whether a run is held, asks an owner before a takeover."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from armonik_agent.context import Connection
from armonik_agent.journal.transitions import Cause, Loss
from armonik_agent.util.tasks import stop
from armonik_sdk.api.messages import Answer, Ask
from armonik_sdk.api.names import RunId, ask_subject, pod_key
from armonik_sdk.api.records import Control, DesiredState, Owner, Record
from armonik_sdk.dataplane.errors import Unreadable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.requests import bounded, received
from armonik_sdk.dataplane.nats.streams import ACK_WAIT

log = logging.getLogger(__name__)

RENEW = b"+WPI"
"""The word by which an acknowledgement renews a message; the server answers when it is sent as a request."""
MOST_QUESTIONS = 1_000
"""Questions that wait to be answered; above that they are dropped, and asked again."""
ASK_TRIES = 3
ASK_TIMEOUT = 1.0
PROCESS_ENDED = "the agent's process ended"


class MessageLease:
    """Renews one message until it is left, also while the connection is down and comes back.

    A renewal counts only once the server has answered it: what is written to a connection whose peer has
    vanished seems to be sent for as long as the kernel's buffers have room (protocol rule 17).
    """

    def __init__(
        self, message: Msg, client: Client, connection: Connection, interval: float = ACK_WAIT / 3
    ) -> None:
        self._message = message
        self._client = client
        self._connection = connection
        self._interval = interval
        self._renewed = time.monotonic()
        self._gap = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "MessageLease":
        self._task = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await stop(self._task)

    @property
    def lapsed(self) -> bool:
        """The last renewal is so old that the message may have gone to another agent."""
        return self._gap or time.monotonic() - self._renewed > ACK_WAIT

    def settled(self) -> None:
        """The head was read, and the run is still ours."""
        self._gap, self._renewed = False, time.monotonic()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            begun = time.monotonic()
            try:
                await self._client.request(self._message.reply, RENEW, timeout=self._interval)
            except (nats.errors.TimeoutError, TimeoutError):
                log.warning("renewal of %s not answered in %g s", self._message.subject, self._interval)
                self._connection.silent(begun)
            except (nats.errors.Error, OSError) as error:
                log.warning("renewal of %s not sent: %s", self._message.subject, error)
            else:
                self._connection.answered()
                self._gap = self.lapsed
                self._renewed = begun


class HeldRuns:
    """The runs that this process holds, and the answers to agents that ask for one."""

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
                ask = received("a question about a run", Ask, message.data)
            except Unreadable as error:
                log.warning("question about a run not answered: %s", error)
                return
            holds = self._epochs.get(ask.journal) == ask.epoch
            await message.respond(bounded("the answer", Answer(holds=holds, process=self._me.process)))

        room = MOST_QUESTIONS * Ask.most_bytes
        return await client.subscribe(
            ask_subject(self._me.pod), cb=answer, pending_msgs_limit=MOST_QUESTIONS, pending_bytes_limit=room
        )


async def probe_owner(
    client: Client, control: Bucket[Control], run: RunId, owner: Owner, epoch: int, interval: float = 3.0
) -> Loss | None:
    """Ask an owner whether it holds a run (protocol rule 1).

    Returns:
        None when it does; otherwise how a takeover is to be accounted for.

    Raises:
        QueueUnavailable: CONTROL could not be read.
    """
    question = bounded("the question", Ask(journal=run.journal, epoch=epoch))
    answered = False
    for attempt in range(ASK_TRIES):
        try:
            reply = await client.request(ask_subject(owner.pod), question, timeout=ASK_TIMEOUT)
            answer = received("the answer", Answer, reply.data)
        except (nats.errors.Error, OSError, Unreadable) as error:
            log.info("no answer from owner %s (%s)", owner.name or owner.pod, type(error).__name__)
        else:
            if answer.process != owner.process:
                return Loss(Cause.OWNER_GONE, PROCESS_ENDED)
            if answer.holds:
                return None
            answered = True
        known = await control.get(pod_key(run.namespace, owner.pod))
        if known is not None and known[0].state is DesiredState.GONE:
            return Loss(Cause.OWNER_GONE, known[0].reason or PROCESS_ENDED)
        if answered:
            break
        if attempt < ASK_TRIES - 1:
            await asyncio.sleep(interval)
    why = "does not hold it any more" if answered else "does not answer"
    return Loss(Cause.UNEXPLAINED, f"its owner {owner.name or owner.pod} {why}")


async def account(control: Bucket[Control], run: RunId, head: Record) -> Loss:
    """What is known of a run that nobody holds: whether executions were lost with whom held it before.

    Raises:
        QueueUnavailable: CONTROL could not be read.
    """
    if head.lost is None:
        return Loss()
    known = await control.get(pod_key(run.namespace, head.lost.pod)) if head.lost.pod else None
    if known is not None and known[0].state is DesiredState.GONE and known[0].reason:
        return Loss(Cause.EVICTED, known[0].reason)
    return Loss(Cause.BROKEN_OFF, head.lost.why)
