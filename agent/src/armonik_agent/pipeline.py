"""The agent from pull to acknowledgement; one loop a slot."""

import asyncio
import logging
import uuid

import nats.errors
from nats.aio.msg import Msg

from armonik_agent.commit import Committer
from armonik_agent.elements import element_of
from armonik_agent.errors import Fenced
from armonik_agent.lease import Holds, Renewal, ask_owner
from armonik_agent.pull import Action, decide
from armonik_agent.run import RunWork, Site, until_healthy
from armonik_agent.transitions import Cause, cancelled, dispatched, paused
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId, control_key
from armonik_sdk.api.records import Record, RecordKind
from armonik_sdk.dataplane.errors import DataPlaneError, QueueUnavailable
from armonik_sdk.dataplane.journal import Head
from armonik_sdk.dataplane.objects import expand
from armonik_sdk.dataplane.queue import Puller
from armonik_sdk.dataplane.topology import ACK_WAIT

log = logging.getLogger(__name__)

PULL_SECONDS = 2.0


class Pipeline:
    """Feeds the worker until the agent drains."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._holds = Holds(site.me)
        self._reconnects = 0
        self.ready = False
        """The worker has answered once."""

    async def reconnected(self) -> None:
        """NATS is back, perhaps restored from an older state: heads are read before the next append."""
        self._reconnects += 1

    async def work(self) -> None:
        """Pull and run until the agent drains; what runs then ends or is released."""
        site = self._site
        await self._holds.serve(site.client)
        if not await until_healthy(site):
            return
        self.ready = True
        async with asyncio.TaskGroup() as slots:
            for _ in range(site.settings.slots):
                slots.create_task(self._slot())

    async def _slot(self) -> None:
        site = self._site
        puller = Puller(site.client, site.settings.namespace, site.settings.partition)
        while not site.draining.is_set():
            if not site.service.executions and not await until_healthy(site):
                return
            try:
                message = await puller.next(PULL_SECONDS)
                if message is not None:
                    await self.handle(message)
            except DataPlaneError as error:
                # Nothing was acknowledged: the message comes back, here or elsewhere.
                log.warning("pulling again: %s", error)
                await asyncio.sleep(1.0)

    async def handle(self, message: Msg) -> None:
        """One message: judge it, run it, answer for it.

        Raises:
            DataPlaneError: a read failed; the message is left to come back.
        """
        run, _ = RunId.from_queue(message.subject)
        async with Renewal(message) as renewal:
            spec = await self._spec(message)
            head, action, delay, cause = await self._judge(run, spec)
            if action is Action.DROP:
                await self._ack(message)
            elif action is Action.LATER:
                await self._nak(message, delay)
            elif head is not None and action is not Action.KEEP:
                try:
                    await self._own(message, run, spec, head, action, cause, renewal)
                except Fenced as error:
                    self._site.metrics.fenced.inc()
                    log.info("%s", error)

    async def _spec(self, message: Msg) -> RunMessage:
        spec = RunMessage.model_validate_json(message.data)
        if spec.spill is None:
            return spec
        return RunMessage.model_validate_json(await self._site.store.get(spec.spill))

    async def _judge(self, run: RunId, spec: RunMessage) -> tuple[Head | None, Action, float, Cause]:
        site = self._site
        cause, lost_epoch = Cause.FRESH, -1
        while True:
            head = await site.journal.head(run)  # before CONTROL, or a revived run would start (rule 14)
            if head is not None:
                head = Head(await expand(site.store, head.record), head.sequence, head.time)
            session, task = [
                await site.control.get(control_key(run.namespace, uid)) for uid in (run.session, run.task)
            ]
            lost = head is not None and head.record.epoch == lost_epoch
            decision = decide(
                head.record if head else None,
                spec,
                session[0] if session else None,
                task[0] if task else None,
                site.me,
                self._holds.held(run),
                site.clock.now(),
                owner_lost=lost,
            )
            log.debug("%s: %s (%s)", run.journal, decision.action.name, decision.why)
            if decision.action is not Action.ASK or head is None or head.record.owner is None:
                return head, decision.action, decision.delay, cause if lost else Cause.FRESH
            answer = await ask_owner(site.client, site.control, run, head.record.owner, head.record.epoch)
            if answer is None:
                return head, Action.LATER, ACK_WAIT, Cause.FRESH
            cause, lost_epoch = answer, head.record.epoch

    async def _own(
        self,
        message: Msg,
        run: RunId,
        spec: RunMessage,
        head: Head,
        action: Action,
        cause: Cause,
        renewal: Renewal,
    ) -> None:
        site = self._site
        prefix = run.objects(head.record.epoch + 1, uuid.uuid4().hex[:12])
        committer = Committer(
            site.journal, site.store, run, site.me, head, prefix=prefix, reconnects=lambda: self._reconnects
        )
        if action is Action.CANCEL:
            await committer.append(cancelled)
            await self._ack(message)
            return
        if action is Action.PAUSE:
            await committer.append(paused)
            await self._ack(message)
            return

        def dispatch(record: Record) -> Record:
            return dispatched(
                record, site.me, cause, lambda i: element_of(spec, i).max_retries, site.clock.now()
            )

        with self._holds.hold(run, committer.epoch), site.metrics.running.track_inprogress():
            record = await committer.append(dispatch)
            if not record.kind.terminal:
                careful = cause is Cause.OWNER_GONE and len(head.record.remaining) > 1
                record = await RunWork(site, run, spec, committer, renewal, careful).work()
            await self._answer(message, record)

    async def _answer(self, message: Msg, record: Record) -> None:
        if record.kind is RecordKind.RELEASED:
            await self._nak(message, max(0.0, record.not_before - self._site.clock.now()))
        else:
            await self._ack(message)

    async def _ack(self, message: Msg) -> None:
        """Acknowledge; a lost one only costs another delivery, which the head answers (protocol rule 4)."""
        try:
            await message.ack_sync()
        except (nats.errors.Error, OSError) as error:
            log.info("acknowledgement of %s not confirmed: %s", message.subject, error)

    async def _nak(self, message: Msg, delay: float) -> None:
        try:
            await message.nak(delay=delay or None)
        except (nats.errors.Error, OSError) as error:
            log.info("nak of %s not sent: %s", message.subject, error)


async def calibrate(site: Site) -> None:
    """Take the server's time; without an answer the last one stands."""
    try:
        await site.clock.calibrate(site.client)
    except QueueUnavailable as error:
        log.warning("%s", error)
