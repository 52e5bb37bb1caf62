"""Carries messages from pull to acknowledgement: pull → judge → prefetch → run → commit, several at a time.

One message is fetched for each free slot, and one more shortly before a slot is expected to become free. Each
is carried by a task of its own; `Slots` says whose turn at the worker it is. A run leaves its slot before its
last commit, so that the worker has the next run meanwhile.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from dataclasses import dataclass, replace

import nats.errors
from nats.aio.msg import Msg

from armonik_agent.context import AgentContext
from armonik_agent.data.elements import Elements
from armonik_agent.data.inputs import Room, RunInputs
from armonik_agent.data.shared_folder import Folder
from armonik_agent.desired_state import changed
from armonik_agent.errors import Fenced
from armonik_agent.execution.owned_run import OwnedRun
from armonik_agent.execution.run_execution import STORE_DELAY, RunExecution
from armonik_agent.executors.executor import Executor
from armonik_agent.executors.per_element import PerElementExecutor
from armonik_agent.executors.whole_run import WholeRunExecutor
from armonik_agent.journal.run_writer import RunWriter
from armonik_agent.journal.transitions import Cause, Loss, cancelled, dispatched, paused
from armonik_agent.queue.admission import UNKNOWN_DELAY, Action, Me, RunView, decide
from armonik_agent.queue.message_lease import HeldRuns, MessageLease, account, probe_owner
from armonik_agent.queue.slots import START_SECONDS, SlotClaim, Slots, wait_any
from armonik_agent.util.supervision import supervised
from armonik_agent.util.tasks import stop
from armonik_agent.worker.client import READY_INTERVAL, WORKER_SECONDS
from armonik_sdk.api.bounds import MAX_BLOB_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.keys import confined_message
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import (
    CONTROL,
    WORKER_DOWN,
    WORKER_SILENT,
    RunId,
    bands_key,
    control_key,
)
from armonik_sdk.api.records import BandsInUse, Record, RecordKind
from armonik_sdk.dataplane.errors import (
    ChecksumMismatch,
    DataPlaneError,
    ObjectMissing,
    QueueUnavailable,
    StoreUnavailable,
)
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.queue import Puller
from armonik_sdk.dataplane.nats.streams import ACK_WAIT
from armonik_sdk.dataplane.record_overflow import salvaged

log = logging.getLogger(__name__)

PULL_SECONDS = 2.0
BACKLOG_SECONDS = 0.2
"""Between two looks for a message that no idle agent wants."""
SILENCE_SECONDS = 15.0
"""Between two events that say the same of a worker that is waited for."""
STALE_SECONDS = 0.25
"""A judgement that is older is made again before the run is dispatched."""
DOWN_SECONDS = 5.0
"""Between two events that ask for another worker."""
NOT_UNDERSTOOD_DELAY = 30.0


@dataclass(frozen=True)
class Judged:
    """A run as it was found, and what to do with it."""

    head: Head | None
    action: Action
    delay: float
    loss: Loss
    at: float


class Pipeline:
    """Pulls runs and executes them until the agent drains."""

    def __init__(self, site: AgentContext) -> None:
        self._site = site
        self._holds = HeldRuns(site.me)
        self._slots = Slots(site.settings.slots)
        self._committing = asyncio.Semaphore(site.settings.slots)
        """Runs that leave their slot before they are committed: no more of them, or they would pile up."""
        self._open = False
        self._silence = (0.0, "")
        """When the operator was last sent why the worker is waited for, and that reason."""
        self._bands = Bucket(site.client, CONTROL, BandsInUse)

    @property
    def open(self) -> bool:
        """The worker has answered, and the agent takes work."""
        return self._open

    async def work(self) -> None:
        """Pull and run until the agent drains; what runs then ends or is released."""
        site = self._site
        await self._holds.serve(site.client)
        while not site.drain.begun.is_set() and not await site.worker.usable(WORKER_SECONDS):
            log.info("waiting for the worker at %s: %s", site.settings.worker_socket, site.worker.silence)
            await self._report_silence()
        self._open = True
        puller = Puller(site.client, site.settings.namespace, site.settings.partition)
        with site.watch.of(bands_key(site.settings.namespace, site.settings.partition)) as news:
            await self._look_at_bands(puller)
            watching = asyncio.create_task(supervised("bands", lambda: self._watch_bands(puller, news)))
            try:
                async with asyncio.TaskGroup() as messages:
                    while not site.drain.begun.is_set():
                        message = await self._pull(puller)
                        if message is not None:
                            messages.create_task(self._handle(message, self._slots.fetched()))
                    self._open = False
                    await puller.close()
            finally:
                await stop(watching)

    async def _watch_bands(self, puller: Puller, news: asyncio.Event) -> None:
        while True:
            await changed(news)
            await self._look_at_bands(puller)

    async def _look_at_bands(self, puller: Puller) -> None:
        """Which bands of priority there is work in; until it is known, the lowest."""
        place = (self._site.settings.namespace, self._site.settings.partition)
        try:
            entry = await self._bands.get(bands_key(*place))
        except (QueueUnavailable, ValueError) as error:  # an entry of a newer version may not be understood
            log.warning("bands of priority not read: %s", explain(error))
            return
        self._site.bands = entry[0].bands if entry is not None else ()
        puller.use(self._site.bands)

    async def _pull(self, puller: Puller) -> Msg | None:
        """The next message, when there is room for one; None after a time-out, and when the agent drains."""
        slots, drain = self._slots, self._site.drain.begun
        try:
            condemned = bool(
                self._site.worker.condemned
            )  # what it is given only comes back, in another order
            if slots.idle or condemned:
                asked = condemned or not self._site.service.executions
                if asked and not await self._worker_usable():
                    return None
                return await puller.next(PULL_SECONDS)
            if slots.due > 0:
                await slots.until_due(drain)
                return None
            message = await puller.backlog()
            if message is None:
                await slots.changed(BACKLOG_SECONDS, drain)
        except DataPlaneError as error:
            log.warning("pull failed, trying again: %s", error)
            await wait_any(drain, seconds=1.0)
            return None
        return message

    async def _worker_usable(self) -> bool:
        """Wait, unready, for a worker that may be given work; the operator gets an event meanwhile."""
        site = self._site
        if await site.worker.usable(WORKER_SECONDS):
            self._open = True
            return True
        self._open = False
        await site.publish_event(
            WORKER_DOWN, f"no usable answer for {WORKER_SECONDS:g} s; {site.worker.silence}"
        )
        await wait_any(site.drain.begun, seconds=DOWN_SECONDS if site.worker.condemned else READY_INTERVAL)
        return False

    async def _report_silence(self) -> None:
        """Report why the worker is still waited for, when that is news, and again every `SILENCE_SECONDS`."""
        now, why = time.monotonic(), self._site.worker.silence
        if why and (why != self._silence[1] or now - self._silence[0] >= SILENCE_SECONDS):
            self._silence = (now, why)
            await self._site.publish_event(WORKER_SILENT, why)

    async def _handle(self, message: Msg, place: SlotClaim) -> None:
        """One message, from its arrival until it was answered."""
        async with MessageLease(message, self._site.client, self._site.connection) as renewal:
            try:
                run, n = RunId.from_queue(message.subject)
                await self._carry(message, run, n, place, renewal)
            except Fenced as error:
                self._site.metrics.fenced.inc()
                log.info("%s", error)
            except ValueError as error:
                log.warning(
                    "message %s is not understood, returned to the queue: %s", message.subject, explain(error)
                )
                await self._nak(message, NOT_UNDERSTOOD_DELAY)
            except (DataPlaneError, OSError) as error:
                log.warning("message %s is returned to the queue: %s", message.subject, error)
                await self._nak(message, UNKNOWN_DELAY)
            finally:
                place.leave()

    async def _carry(self, message: Msg, run: RunId, n: int, place: SlotClaim, renewal: MessageLease) -> None:
        """Judge a message; make its run ready, and execute it."""
        site = self._site
        keys = [control_key(run.namespace, uid) for uid in (run.session, run.task)]
        with site.watch.of(*keys) as news:
            judged = await self._judge(run, n, place, message.metadata.num_delivered)
            if judged.head is None or judged.action is not Action.DISPATCH:
                await self._settle(message, run, judged)
                return
            elements = Elements(await self._spec(message, run))
            left = [elements.of(index) for index in judged.head.record.remaining]
            whole = await site.worker.runs.served()
            held = MAX_BLOB_BYTES if whole else -1
            room = Room(site.settings.room, site.settings.room_ahead)
            async with (
                Folder(site.settings.runs / uuid.uuid4().hex) as folder,
                RunInputs(site.store, left, folder, site.settings.spool, room, held, site.objects) as inputs,
            ):
                owned = OwnedRun(
                    message=message,
                    run=run,
                    head=judged.head,
                    loss=judged.loss,
                    elements=elements,
                    inputs=inputs,
                    folder=folder,
                    slot=place,
                    lease=renewal,
                    news=news,
                    whole=whole,
                )
                if not await self._starts(owned):
                    return
                if news.is_set() or time.monotonic() - judged.at > STALE_SECONDS:
                    again = await self._judge_again(run, n, judged)
                    if again.head is None or again.action is not Action.DISPATCH:
                        await self._settle(message, run, again)
                        return
                    owned = replace(owned, head=again.head, loss=again.loss)
                await self._run(owned)

    async def _starts(self, owned: OwnedRun) -> bool:
        """Whether the run has a slot and its first inputs; if not, its message is given back."""
        site, message = self._site, owned.message
        owned.inputs.begin()
        starts = await owned.slot.start(START_SECONDS, site.drain.begun) and not site.worker.condemned
        if not starts or await site.outranked(owned.band):
            site.metrics.given_back.inc()
            await self._nak(message, 0.0)
            return False
        try:
            await self._store_answers(owned.head.record)
            await owned.inputs.first()
        except StoreUnavailable as error:
            log.warning("run %s is given back unstarted: %s", owned.run.journal, error)
            site.metrics.given_back.inc()
            await self._nak(message, STORE_DELAY)
            return False
        return True

    async def _run(self, owned: OwnedRun) -> None:
        """Own the run, execute it, commit it."""
        site, run = self._site, owned.run
        committer = self._committer(run, owned.head)

        def dispatch(record: Record) -> Record:
            now = site.clock.now()
            return dispatched(record, site.me, owned.loss, lambda i: owned.elements.of(i).max_retries, now)

        with self._holds.hold(run, committer.epoch), site.metrics.running.track_inprogress():
            record = await committer.append(dispatch)
            if not record.kind.terminal:
                work = RunExecution(site, owned, committer, self._executor(owned, committer))
                await work.execute()
                async with self._committing:
                    owned.slot.leave()
                    record = await work.finish()
            if record.kind is RecordKind.RELEASED:
                await self._nak(owned.message, max(0.0, record.not_before - site.clock.now()))
            else:
                await self._ack(owned.message)

    def _executor(self, owned: OwnedRun, committer: RunWriter) -> Executor:
        """Gives the run's elements to the worker: all in one call if it takes that, else one by one."""
        worker, run, folder = self._site.worker, owned.run, owned.folder
        if owned.whole:
            message, printed = owned.elements.message, self._site.settings.printed_bytes
            return WholeRunExecutor(worker, run, folder, message, committer.attempt, printed)
        return PerElementExecutor(worker, self._site.service, run, folder)

    async def _store_answers(self, head: Record) -> None:
        """A run whose outputs the object store did not take is executed again only when it answers.

        Raises:
            StoreUnavailable: it does not.
        """
        if head.lost is not None and head.lost.store:
            with contextlib.suppress(ObjectMissing):
                await self._site.store.stat("none")

    async def _settle(self, message: Msg, run: RunId, judged: Judged) -> None:
        """Answer a message whose run is not executed."""
        if judged.action is Action.DROP:
            await self._ack(message)
        elif judged.action is Action.LATER:
            await self._nak(message, judged.delay)
        elif judged.head is not None and judged.action in (Action.CANCEL, Action.PAUSE):
            make = cancelled if judged.action is Action.CANCEL else paused
            await self._committer(run, judged.head).append(make)
            await self._ack(message)

    def _committer(self, run: RunId, head: Head) -> RunWriter:
        prefix = run.objects(head.record.epoch + 1, uuid.uuid4().hex[:12])
        return RunWriter(self._site, run, head, prefix=prefix)

    async def _spec(self, message: Msg, run: RunId) -> RunMessage:
        spec = confined_message(RunMessage.model_validate_json(message.data), run.namespace, run.session)
        if spec.spill is None:
            return spec
        try:
            whole = RunMessage.model_validate_json(await self._site.store.get(spec.spill))
            return confined_message(whole, run.namespace, run.session)
        except (ObjectMissing, ChecksumMismatch):
            await self._ack(message)  # the sweep queues it again, with an object of its own
            raise

    async def _judge(self, run: RunId, n: int, place: SlotClaim, times: int) -> Judged:
        """Look at a run, and ask its owner if it has one (protocol rule 1)."""
        judged = await self._look(run, n, times)
        while judged.action is Action.ASK and judged.head is not None:
            owner, epoch = judged.head.record.owner, judged.head.record.epoch
            assert owner is not None  # or decide would not ask
            with place.aside():
                loss = await probe_owner(self._site.client, self._site.control, run, owner, epoch)
            if loss is None:
                return replace(judged, action=Action.LATER, delay=ACK_WAIT)
            judged = await self._look(run, n, times, (epoch, loss))
        return judged

    async def _judge_again(self, run: RunId, n: int, before: Judged) -> Judged:
        """The same when the slot is free; whom it belongs to now, if to another, is asked another time."""
        epoch = before.head.record.epoch if before.head is not None else -1
        judged = await self._look(run, n, 1, (epoch, before.loss))
        return replace(judged, action=Action.LATER) if judged.action is Action.ASK else judged

    async def _look(self, run: RunId, n: int, times: int, lost: tuple[int, Loss] = (-1, Loss())) -> Judged:
        """Read what decides; `times`: deliveries, `lost`: epoch of a lost owner, and what that means."""
        site, at = self._site, time.monotonic()
        head = await site.journal.head(run)  # before CONTROL, or a revived run would start (rule 14)
        if head is not None:
            record, _ = await salvaged(site.store, head.record, run)
            head = Head(record, head.sequence, head.time)
        session, task = await asyncio.gather(
            *(site.control.get(control_key(run.namespace, uid)) for uid in (run.session, run.task))
        )
        is_lost = head is not None and head.record.epoch == lost[0]
        states = [entry[0] if entry else None for entry in (session, task)]
        view = RunView(head.record if head else None, n, states[0], states[1], times)
        me = Me(site.me, self._holds.held(run), site.clock.now())
        decision = decide(view, me, owner_lost=is_lost)
        log.debug("%s: %s (%s)", run.journal, decision.action.name, decision.why)
        return Judged(
            head, decision.action, decision.delay, lost[1] if is_lost else await self._loss(run, head), at
        )

    async def _loss(self, run: RunId, head: Head | None) -> Loss:
        """What a dispatch has to account for, of a run whose owner need not be asked."""
        if head is None:
            return Loss()
        if head.record.kind.owned:  # by this process, which does not hold it: it gave it up after an error
            return Loss(
                Cause.UNEXPLAINED, f"given up by {self._site.me.name or self._site.me.pod} on an error"
            )
        return await account(self._site.control, run, head.record)

    async def _ack(self, message: Msg) -> None:
        """Acknowledge, unconfirmed: a lost one costs another delivery, which the head answers (rule 4)."""
        try:
            await message.ack()
        except (nats.errors.Error, OSError) as error:
            log.info("acknowledgement of %s not sent: %s", message.subject, error)

    async def _nak(self, message: Msg, delay: float) -> None:
        with contextlib.suppress(nats.errors.MsgAlreadyAckdError):
            try:
                await message.nak(delay=delay or None)
            except (nats.errors.Error, OSError) as error:
                log.info("nak of %s not sent: %s", message.subject, error)
