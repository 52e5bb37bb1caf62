"""The agent from pull to acknowledgement: pull → judge → prefetch → run → commit, several messages at a time.

One message is fetched for each free slot, and one more shortly before a slot is expected to become free. Each
is carried by a task of its own; `Slots` says whose turn at the worker it is. A run leaves its slot before its
last commit, so that the worker goes on meanwhile.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from dataclasses import dataclass, replace

import nats.errors
from nats.aio.msg import Msg

from armonik_agent.commit import Committer
from armonik_agent.control import changed
from armonik_agent.elements import Elements
from armonik_agent.errors import Fenced
from armonik_agent.folder import Folder
from armonik_agent.inputs import RunInputs
from armonik_agent.lease import Holds, Renewal, ask_owner
from armonik_agent.pull import UNKNOWN_DELAY, Action, decide
from armonik_agent.run import RunWork
from armonik_agent.site import Site
from armonik_agent.slots import START_SECONDS, Place, Slots, either
from armonik_agent.stopping import stop
from armonik_agent.transitions import Cause, cancelled, dispatched, paused
from armonik_agent.wholerun import WholeRun
from armonik_agent.work import STORE_DELAY, Work
from armonik_agent.worker import READY_INTERVAL, WORKER_SECONDS
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import CONTROL, WORKER_DOWN, RunId, bands_key, control_key
from armonik_sdk.api.records import BandsInUse, Record, RecordKind
from armonik_sdk.api.runcall import INLINE_BYTES
from armonik_sdk.dataplane.errors import DataPlaneError, QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.journal import Head
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import expand
from armonik_sdk.dataplane.queue import Puller
from armonik_sdk.dataplane.topology import ACK_WAIT

log = logging.getLogger(__name__)

PULL_SECONDS = 2.0
BACKLOG_SECONDS = 0.2
"""Between two looks for a message that nobody idle wants."""
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
    cause: Cause
    at: float


class Pipeline:
    """Feeds the worker until the agent drains."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._holds = Holds(site.me)
        self._slots = Slots(site.settings.slots)
        self._committing = asyncio.Semaphore(site.settings.slots)
        """Runs that leave their slot before they are committed: no more of them, or they would pile up."""
        self._open = False
        self._bands = Bucket(site.client, CONTROL, BandsInUse)

    @property
    def ready(self) -> bool:
        """The worker has answered, NATS is connected, and the agent takes work."""
        return self._open and self._site.client.is_connected

    async def work(self) -> None:
        """Pull and run until the agent drains; what runs then ends or is released."""
        site = self._site
        await self._holds.serve(site.client)
        while not site.drain.begun.is_set() and not await site.worker.usable(WORKER_SECONDS):
            log.info("waiting for the worker at %s", site.settings.worker_socket)
        self._open = True
        puller = Puller(site.client, site.settings.namespace, site.settings.partition)
        with site.watch.of(bands_key(site.settings.namespace, site.settings.partition)) as news:
            await self._look_at_bands(puller)
            watching = asyncio.create_task(self._watch_bands(puller, news))
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
        except QueueUnavailable as error:
            log.info("bands of priority not read: %s", error)
            return
        puller.use(entry[0].bands if entry is not None else ())

    async def _pull(self, puller: Puller) -> Msg | None:
        """The next message, when there is room for one; None now and then, and when the agent drains."""
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
            log.warning("pulling again: %s", error)
            await either(drain, seconds=1.0)
            return None
        return message

    async def _worker_usable(self) -> bool:
        """Wait, unready, for a worker that may be given work; the operator is told meanwhile."""
        site = self._site
        if await site.worker.usable(WORKER_SECONDS):
            self._open = True
            return True
        self._open = False
        await site.tell(WORKER_DOWN, f"no usable answer for {WORKER_SECONDS:g} s")
        await either(site.drain.begun, seconds=DOWN_SECONDS if site.worker.condemned else READY_INTERVAL)
        return False

    async def _handle(self, message: Msg, place: Place) -> None:
        """One message, from its arrival until it was answered."""
        async with Renewal(message) as renewal:
            try:
                run, n = RunId.from_queue(message.subject)
                await self._carry(message, run, n, place, renewal)
            except Fenced as error:
                self._site.metrics.fenced.inc()
                log.info("%s", error)
            except ValueError as error:
                log.warning("message %s is not understood: %s", message.subject, error)
                await self._nak(message, NOT_UNDERSTOOD_DELAY)
            except (DataPlaneError, OSError) as error:
                log.warning("%s is left for later: %s", message.subject, error)
                await self._nak(message, UNKNOWN_DELAY)
            finally:
                place.leave()

    async def _carry(self, message: Msg, run: RunId, n: int, place: Place, renewal: Renewal) -> None:
        site = self._site
        keys = [control_key(run.namespace, uid) for uid in (run.session, run.task)]
        with site.watch.of(*keys) as news:
            judged = await self._judge(run, n, place)
            if judged.head is None or judged.action is not Action.DISPATCH:
                await self._settle(message, run, judged)
                return
            elements = Elements(await self._spec(message))
            remaining = [elements.of(index) for index in judged.head.record.remaining]
            whole = await site.worker.runs.served()
            held = INLINE_BYTES if whole else -1
            async with (
                Folder(site.settings.runs / uuid.uuid4().hex) as folder,
                RunInputs(site.store, remaining, folder, site.settings.spool, held) as inputs,
            ):
                inputs.begin()
                if not await place.start(START_SECONDS, site.drain.begun) or site.worker.condemned:
                    site.metrics.given_back.inc()
                    await self._nak(message, 0.0)
                    return
                try:
                    await inputs.first()
                except StoreUnavailable as error:
                    log.warning("%s is given back: %s", run.journal, error)
                    site.metrics.given_back.inc()
                    await self._nak(message, STORE_DELAY)
                    return
                if news.is_set() or time.monotonic() - judged.at > STALE_SECONDS:
                    judged = await self._judge_again(run, n, judged)
                    if judged.head is None or judged.action is not Action.DISPATCH:
                        await self._settle(message, run, judged)
                        return
                await self._run(message, run, judged, elements, inputs, folder, place, renewal, news, whole)

    async def _run(
        self,
        message: Msg,
        run: RunId,
        judged: Judged,
        elements: Elements,
        inputs: RunInputs,
        folder: Folder,
        place: Place,
        renewal: Renewal,
        news: asyncio.Event,
        whole: bool,
    ) -> None:
        """Own the run, execute it, commit it."""
        site, head = self._site, judged.head
        assert head is not None
        committer = self._committer(run, head)

        def dispatch(record: Record) -> Record:
            now = site.clock.now()
            return dispatched(record, site.me, judged.cause, lambda i: elements.of(i).max_retries, now)

        with self._holds.hold(run, committer.epoch), site.metrics.running.track_inprogress():
            record = await committer.append(dispatch)
            if not record.kind.terminal:
                careful = judged.cause is Cause.OWNER_GONE and len(head.record.remaining) > 1
                way: type[Work] = WholeRun if whole else RunWork
                work = way(site, run, elements, inputs, folder, committer, renewal, news, careful)
                await work.execute(place.pace)
                async with self._committing:
                    place.leave()
                    record = await work.finish()
            if record.kind is RecordKind.RELEASED:
                await self._nak(message, max(0.0, record.not_before - site.clock.now()))
            else:
                await self._ack(message)

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

    def _committer(self, run: RunId, head: Head) -> Committer:
        prefix = run.objects(head.record.epoch + 1, uuid.uuid4().hex[:12])
        return Committer(self._site, run, head, prefix=prefix)

    async def _spec(self, message: Msg) -> RunMessage:
        spec = RunMessage.model_validate_json(message.data)
        if spec.spill is None:
            return spec
        return RunMessage.model_validate_json(await self._site.store.get(spec.spill))

    async def _judge(self, run: RunId, n: int, place: Place) -> Judged:
        """Look at a run, and ask its owner if it has one (protocol rule 1)."""
        judged = await self._look(run, n)
        while judged.action is Action.ASK and judged.head is not None:
            owner, epoch = judged.head.record.owner, judged.head.record.epoch
            assert owner is not None  # or decide would not ask
            with place.aside():
                cause = await ask_owner(self._site.client, self._site.control, run, owner, epoch)
            if cause is None:
                return replace(judged, action=Action.LATER, delay=ACK_WAIT)
            judged = await self._look(run, n, lost=(epoch, cause))
        return judged

    async def _judge_again(self, run: RunId, n: int, before: Judged) -> Judged:
        """The same when the slot is free; whom it belongs to now, if to another, is asked another time."""
        epoch = before.head.record.epoch if before.head is not None else -1
        judged = await self._look(run, n, lost=(epoch, before.cause))
        return replace(judged, action=Action.LATER) if judged.action is Action.ASK else judged

    async def _look(self, run: RunId, n: int, lost: tuple[int, Cause] = (-1, Cause.FRESH)) -> Judged:
        """Read what decides; `lost` is the epoch of an owner that was asked in vain, and what that means."""
        site, at = self._site, time.monotonic()
        head = await site.journal.head(run)  # before CONTROL, or a revived run would start (rule 14)
        if head is not None:
            head = Head(await expand(site.store, head.record), head.sequence, head.time)
        session, task = await asyncio.gather(
            *(site.control.get(control_key(run.namespace, uid)) for uid in (run.session, run.task))
        )
        is_lost = head is not None and head.record.epoch == lost[0]
        decision = decide(
            head.record if head else None,
            n,
            session[0] if session else None,
            task[0] if task else None,
            site.me,
            self._holds.held(run),
            site.clock.now(),
            owner_lost=is_lost,
        )
        log.debug("%s: %s (%s)", run.journal, decision.action.name, decision.why)
        return Judged(head, decision.action, decision.delay, lost[1] if is_lost else Cause.FRESH, at)

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
