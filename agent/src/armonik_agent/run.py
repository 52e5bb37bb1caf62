"""One run, element by element: fetch, execute, buffer, commit; failures are retried at the run's end."""

import asyncio
import contextlib
import logging
import time
import uuid
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import grpc
import grpc.aio
from nats.aio.client import Client

from armonik_agent.clock import ServerClock
from armonik_agent.commit import Committer, Ended, pack
from armonik_agent.elements import Element, element_of
from armonik_agent.errors import InputUnavailable
from armonik_agent.http import Metrics
from armonik_agent.inputs import data_folder, fetch_inputs
from armonik_agent.lease import Renewal
from armonik_agent.settings import Settings
from armonik_agent.transitions import Change, cancelled, charge, executions_of, progressed, released, shorten
from armonik_agent.worker import Worker
from armonik_agent.worker_api import AgentService, Execution
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import ManifestItem, PodEvent, RunMessage
from armonik_sdk.api.names import WORKER_DOWN, RunId, child_name, control_key, event_subject
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import (
    ChildGroup,
    Control,
    DesiredState,
    Outcome,
    OutcomeKind,
    Owner,
    Record,
)
from armonik_sdk.dataplane.errors import QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.journal import UNREACHABLE, Journal
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import ObjectStore

log = logging.getLogger(__name__)

COMMIT_SECONDS = 1.0
COMMIT_BYTES = 64 * 1024
FAILURES_HERE = 2
"""Failed executions on this pod after which the rest is left to others."""
CONTROL_SECONDS = 5.0
"""Between two looks at the desired state while an element runs."""
STORE_DELAY = 5.0
_STOPPED = (DesiredState.CANCELLED, DesiredState.PURGED, DesiredState.DELETED)


@dataclass
class Site:
    """What all runs of this process share."""

    settings: Settings
    me: Owner
    client: Client
    journal: Journal
    control: Bucket[Control]
    store: ObjectStore
    worker: Worker
    service: AgentService
    clock: ServerClock
    metrics: Metrics
    draining: asyncio.Event

    async def tell(self, kind: str, reason: str) -> None:
        """Tell the operator something about this pod; a hint, so a lost one is only logged."""
        event = PodEvent(pod=self.me.pod, name=self.me.name, reason=reason)
        try:
            await self.client.publish(event_subject(self.settings.namespace, kind), event.encode())
        except UNREACHABLE as error:
            log.warning("event %s not sent: %s", kind, error)


class _Interrupt(Enum):
    DRAIN = "drain"
    CANCEL_RUN = "cancel the run"
    CANCEL_ELEMENT = "cancel the element"


class RunWork:
    """A run from its `Dispatched` to `Done`, `Released` or `Cancelled`."""

    def __init__(
        self,
        site: Site,
        run: RunId,
        message: RunMessage,
        committer: Committer,
        renewal: Renewal,
        careful: bool,
    ) -> None:
        self._site, self._run, self._message = site, run, message
        self._committer, self._renewal = committer, renewal
        self._careful = careful
        self._buffer: dict[int, Ended] = {}
        self._buffered_since = 0.0
        self._failed_here = 0
        self._packs = 0

    async def work(self) -> Record:
        """Execute what remains and return the last record.

        Raises:
            Fenced: the run is no longer this process's; nothing more may be done for it.
        """
        try:
            while (last := await self._step()) is None:
                pass
        except StoreUnavailable as error:
            log.warning("run %s is released: %s", self._run.journal, error)
            until = self._site.clock.now() + STORE_DELAY
            return await self._committer.append(lambda head: released(head, Change(), until))
        return last

    async def _step(self) -> Record | None:
        head = self._committer.head
        if not head.remaining:
            return head
        left = [index for index in head.remaining if index not in self._buffer]
        if not left:
            return await self._flush()
        if self._site.draining.is_set():
            return await self._release()
        if self._failed_here >= FAILURES_HERE:
            return await self._release(min(_not_before(head, index) for index in left))
        if self._renewal.lapsed:
            await self._committer.refresh()
        index = min(left, key=lambda i: (_not_before(head, i), i))
        wait = _not_before(head, index) - self._site.clock.now()
        if wait > 0:
            await self._flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._site.draining.wait(), wait)
            return None
        if self._careful:
            await self._append(Change(running=index))
        last = await self._execute(element_of(self._message, index))
        if self._buffer and self._due():
            await self._flush()
        return last

    async def _execute(self, element: Element) -> Record | None:
        token = uuid.uuid4().hex
        async with data_folder(self._site.settings.cache, token) as folder:
            try:
                await fetch_inputs(self._site.store, element, folder)
            except InputUnavailable as error:
                self._end(element, OutcomeKind.ERROR, FailureReason.INPUT_MISSING, str(error))
                return None
            execution = Execution(token, self._message.session, element, folder)
            if not await self._worker_ready():
                return None
            self._site.service.executions[token] = execution
            started = time.monotonic()
            try:
                return await self._judge(execution, await self._process(execution), started)
            finally:
                del self._site.service.executions[token]

    async def _worker_ready(self) -> bool:
        """Wait for the worker; False when the agent drains meanwhile. A busy one is not asked."""
        if self._site.service.executions:
            return True
        return await until_healthy(self._site)

    async def _process(self, execution: Execution) -> object:
        """The worker's reply, the error of the call, or why it was interrupted."""
        call = asyncio.create_task(
            self._site.worker.process(
                execution.element, self._message.session, execution.token, execution.folder
            )
        )
        watch = asyncio.create_task(self._interrupted(execution.element.index))
        try:
            done, _ = await asyncio.wait({call, watch}, return_when=asyncio.FIRST_COMPLETED)
            if call not in done:
                return watch.result()
            error = call.exception()
            if error is not None and not isinstance(error, grpc.aio.AioRpcError):
                raise error
            return error or call.result()
        finally:
            call.cancel()
            watch.cancel()
            await asyncio.gather(call, watch, return_exceptions=True)

    async def _interrupted(self, index: int) -> _Interrupt:
        site = self._site
        keys = [control_key(self._run.namespace, uid) for uid in (self._run.session, self._run.task)]
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(site.draining.wait(), CONTROL_SECONDS)
            if site.draining.is_set():
                await asyncio.sleep(site.settings.drain_seconds)
                return _Interrupt.DRAIN
            try:
                states = [await site.control.get(key) for key in keys]
            except QueueUnavailable as error:
                log.info("desired state not read: %s", error)
                continue
            if any(entry is not None and entry[0].state in _STOPPED for entry in states):
                return _Interrupt.CANCEL_RUN
            await self._committer.refresh()
            if index in Ranges.parse(self._committer.head.cancel):
                return _Interrupt.CANCEL_ELEMENT

    async def _judge(self, execution: Execution, answer: object, started: float) -> Record | None:
        element, seconds = execution.element, time.monotonic() - started
        self._site.metrics.seconds.observe(seconds)
        if isinstance(answer, _Interrupt):
            return await self._stop(answer)
        if isinstance(answer, grpc.aio.AioRpcError):
            if answer.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                text = f"longer than {element.max_duration:g} s"
                self._end(element, OutcomeKind.TIMEOUT, FailureReason.MAX_DURATION_EXCEEDED, text, seconds)
                await self._flush()
                await self._site.tell(WORKER_DOWN, "an execution timed out")
            else:
                await self._fail(element, f"{answer.code().name}: {answer.details()}")
            return None
        output = answer.output  # type: ignore[attr-defined]  # a ProcessReply, generated without types
        if output.HasField("error"):
            details = output.error.details
            self._end(element, OutcomeKind.ERROR, FailureReason.WORKER_ERROR, details, seconds)
        elif not output.HasField("ok"):
            await self._fail(element, "the worker's reply is neither a success nor an error")
        elif missing := execution.missing:
            text = f"never written: {', '.join(missing)}"
            self._end(element, OutcomeKind.ERROR, FailureReason.OUTPUT_MISSING, text, seconds)
        else:
            await self._complete(execution, seconds)
        return None

    async def _stop(self, why: _Interrupt) -> Record | None:
        if why is _Interrupt.DRAIN:
            last: Record | None = await self._release()
        elif why is _Interrupt.CANCEL_RUN:
            change = await self._pack()
            last = await self._committer.append(lambda head: cancelled(head, change))
        else:
            last = None
            await self._append(await self._pack())
        if why is not _Interrupt.DRAIN:
            await self._site.tell(WORKER_DOWN, "an execution was cancelled")
        return last

    async def _complete(self, execution: Execution, seconds: float) -> None:
        element = execution.element
        data = {name: await self._keep(name, path) for name, path in execution.written.items()}
        outputs = {element.outputs[name]: data[name] for name in data if name in element.outputs}
        made = {name: data[name] for name in data if name not in element.outputs}
        outcome = Outcome(
            index=element.index,
            kind=OutcomeKind.COMPLETED,
            attempts=executions_of(self._committer.head, element.index) + 1,
            seconds=round(seconds, 6),
            delegated=tuple(sorted(execution.delegated & set(element.expected) - set(data))),
        )
        children = await self._children(element.index, execution.children)
        self._keep_ended(Ended(outcome, outputs, made, children))

    async def _keep(self, name: str, path: Path) -> bytes | ObjectRef:
        """Small results wait for the pack, large ones go up at once."""
        if path.stat().st_size <= COMMIT_BYTES:  # noqa: ASYNC240 - one look at a local file
            return await asyncio.to_thread(path.read_bytes)
        return await self._site.store.put(f"{self._committer.prefix}/{uuid.uuid4().hex}", path)

    async def _children(self, index: int, items: list[ManifestItem]) -> tuple[ChildGroup, ...]:
        grouped: dict[tuple[str, int], list[ManifestItem]] = {}
        for item in items:
            options = item.options
            key = (options.partition or "", options.priority or 0) if options else ("", 0)
            grouped.setdefault(key, []).append(item)
        message, groups = self._message, []
        for number, ((partition, priority), members) in enumerate(sorted(grouped.items())):
            lines = "\n".join(m.model_dump_json(by_alias=True, exclude_unset=True) for m in members)
            key_ = f"{self._committer.prefix}/items-{index}-{number}-{uuid.uuid4().hex[:8]}"
            await self._site.store.put(key_, lines.encode())
            name = child_name(message.task_name or message.task, message.task, self._run.start, index, number)
            groups.append(
                ChildGroup(
                    name=name,
                    element=index,
                    group=number,
                    count=len(members),
                    items=key_,
                    partition=partition,
                    priority=priority,
                )
            )
        return tuple(groups)

    async def _fail(self, element: Element, text: str) -> None:
        log.info("execution of %s failed: %s", element.task_id, text)
        self._failed_here += 1
        self._site.metrics.failures.inc()
        pending = await self._pack()
        now = self._site.clock.now()

        def make(head: Record) -> Record:
            change = charge(head, element.index, text, element.max_retries, now)
            return progressed(progressed(head, pending), change)

        await self._committer.append(make)
        self._committed(pending)

    def _end(
        self, element: Element, kind: OutcomeKind, reason: FailureReason, text: str, seconds: float = 0.0
    ) -> None:
        attempts = executions_of(self._committer.head, element.index) + 1
        outcome = Outcome(
            index=element.index,
            kind=kind,
            attempts=attempts,
            reason=reason,
            message=shorten(text),
            seconds=round(seconds, 6),
        )
        self._keep_ended(Ended(outcome))

    def _keep_ended(self, ended: Ended) -> None:
        self._buffered_since = self._buffered_since or time.monotonic()
        self._buffer[ended.outcome.index] = ended
        self._site.metrics.elements.labels(ended.outcome.kind).inc()

    def _due(self) -> bool:
        size = sum(
            len(data)
            for ended in self._buffer.values()
            for data in (*ended.outputs.values(), *ended.made.values())
            if isinstance(data, bytes)
        )
        return size >= COMMIT_BYTES or time.monotonic() - self._buffered_since >= COMMIT_SECONDS

    async def _pack(self) -> Change:
        self._packs += 1
        key = f"{self._committer.prefix}/pack-{self._packs}"
        return await pack(self._site.store, key, list(self._buffer.values()), self._message.single)

    async def _flush(self) -> Record | None:
        """Commit what is buffered; the record when it is the run's last."""
        if not self._buffer:
            return None
        record = await self._append(await self._pack())
        return None if record.remaining else record

    async def _append(self, change: Change) -> Record:
        record = await self._committer.append(lambda head: progressed(head, change))
        self._committed(change)
        return record

    def _committed(self, change: Change) -> None:
        for outcome in change.outcomes:
            self._buffer.pop(outcome.index, None)
        self._buffered_since = 0.0

    async def _release(self, not_before: float = 0.0) -> Record:
        change = await self._pack()
        return await self._committer.append(lambda head: released(head, change, not_before))


async def until_healthy(site: Site) -> bool:
    """Wait for the worker; False when the agent drains meanwhile."""
    healthy = asyncio.create_task(site.worker.until_healthy())
    drain = asyncio.create_task(site.draining.wait())
    try:
        await asyncio.wait({healthy, drain}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        healthy.cancel()
        drain.cancel()
        await asyncio.gather(healthy, drain, return_exceptions=True)
    return not site.draining.is_set()


def _not_before(head: Record, index: int) -> float:
    return next((a.not_before for a in head.attempts if a.index == index), 0.0)
