"""One run, element by element, as ArmoniK's own workers take it.

The worker is given the next element as soon as it has answered; what it made is kept while it works on that.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field

import grpc
import grpc.aio

from armonik_agent.elements import Element
from armonik_agent.errors import InputUnavailable
from armonik_agent.outputs import collect
from armonik_agent.slots import Pace
from armonik_agent.transitions import Change, asked_to_cancel, progressed
from armonik_agent.verdict import Ending, Verdict, of_failure, of_reply
from armonik_agent.work import Stop, Work
from armonik_agent.worker import Call
from armonik_agent.worker_api import Execution
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Ranges


@dataclass
class Begun:
    """An execution that the worker was given."""

    execution: Execution
    call: Call
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    """When the worker answered, which may be long before anybody looks; 0 when nobody has noted it."""

    @property
    def seconds(self) -> float:
        """How long it took; or so far."""
        return (self.ended or time.monotonic()) - self.started


class RunWork(Work):
    """One `Process` call an element."""

    _current: int | None = None
    _call: Call | None = None
    _ahead: Begun | None = None
    """What the worker was given while the last element is still kept."""

    @property
    def _goes_ahead(self) -> bool:
        return self._ahead is not None

    async def _some(self, pace: Pace) -> None:
        pace.begin(len(self._left) + self._goes_ahead)
        started = time.monotonic()
        begun, self._ahead = self._ahead, None
        if begun is None:
            begun = await self._first(self._elements.of(self._left.popleft()))
        if begun is not None:
            await self._element(begun)
        pace.end(time.monotonic() - started)

    async def _end_ahead(self) -> None:
        """The run stops: wait for what the worker was given, unless it was given up."""
        begun, self._ahead = self._ahead, None
        if begun is not None:
            await self._element(begun)

    def _give_up(self) -> None:
        if self._call is not None:
            self._current = None
            self._call.cancel()

    async def _first(self, element: Element) -> Begun | None:
        """Begin an element; None when it has ended for want of an input."""
        try:
            await self._inputs.lay(element)
        except InputUnavailable as error:
            reason = FailureReason.INPUT_MISSING
            self._end(element, Verdict(Ending.FINAL, str(error), reason=reason), 0.0)
            return None
        if self._careful:
            self._buffer.add(Change(running=element.index))
            await self._buffer.commit()
        return self._begin(element)

    async def _go_ahead(self) -> None:
        """Begin the next element if nothing needs to be waited for, or heeded, before."""
        site = self._site
        heed = self._stop or self._careful or site.drain.begun.is_set() or self._renewal.lapsed
        if heed or not self._left or not site.connection.present.is_set():
            return
        element = self._elements.of(self._left[0])
        if self._committer.head is not self._head or not self._inputs.ready(element):
            return
        self._left.popleft()  # first of all: what stands there may be given away
        try:
            await self._inputs.lay(element)
        except InputUnavailable:
            self._left.appendleft(element.index)  # it ends when it is its turn
            return
        self._ahead = self._begin(element)

    def _begin(self, element: Element) -> Begun:
        execution = Execution(secrets.token_hex(16), self._run, element, self._folder)
        call = self._site.worker.process(element, self._run.session, execution.token, self._folder.path)
        self._site.service.begin(execution)
        self._current, self._call = element.index, call
        begun = Begun(execution, call)

        def note(_: object) -> None:
            begun.ended = time.monotonic()

        call.add_done_callback(note)
        return begun

    async def _element(self, begun: Begun) -> None:
        execution, element = begun.execution, begun.execution.element
        try:
            verdict = await self._answer(begun)
        finally:
            self._site.service.end(execution)
        seconds = begun.seconds
        self._site.metrics.seconds.observe(seconds)
        if verdict is None:
            return
        if verdict.ending is Ending.COMPLETED:
            await self._go_ahead()
            verdict = await self._complete(execution, seconds)
        for name in execution.files:
            self._folder.remove(name)
        if verdict.ending is Ending.FAILED:
            self._site.worker.doubt()
            self._fail(element, verdict.text)
        elif verdict.ending is Ending.FINAL:
            self._end(element, verdict, seconds)
        if verdict.worker_busy:
            await self._buffer.commit()
            await self._condemn(verdict.text)

    async def _answer(self, begun: Begun) -> Verdict | None:
        """The verdict; None when the call was given up, because the run stops or the element is cancelled."""
        execution = begun.execution
        try:
            reply = await begun.call
        except grpc.aio.AioRpcError as error:
            limit = execution.element.max_duration
            return of_failure(error.code(), error.details(), begun.seconds, limit)
        except asyncio.CancelledError:
            if self._current is not None:
                raise  # this very task is being cancelled
            await self._given_up()
            return None
        finally:
            self._current = self._call = None
        self._site.worker.answered()
        return of_reply(reply, execution.missing)

    async def _given_up(self) -> None:
        """The call was cancelled. The worker does not hear that: it is replaced, after the commit."""
        if self._stop is Stop.DRAIN:
            return
        if self._stop is None:
            self._buffer.add(Change())  # the head names what has ended; there is a commit to make of it
            await self._buffer.commit()
        elif self._stop is Stop.CANCEL:
            await self.finish()
        await self._condemn((self._stop or Stop.CANCEL).value)

    async def _heed_note(self) -> None:
        """End the elements that an operator's note names; the others go on."""
        head = self._committer.head
        if self._current is not None and self._current in Ranges.parse(head.cancel):
            self._give_up()
        elif asked_to_cancel(head):
            await self._committer.append(lambda head: progressed(head, Change(running=head.running)))

    async def _complete(self, execution: Execution, seconds: float) -> Verdict:
        """Keep what the element produced; the verdict, should its files have gone meanwhile."""
        element, prefix, site = execution.element, self._committer.prefix, self._site
        try:
            data = await site.patiently(lambda: collect(site.store, prefix, execution))
        except InputUnavailable as error:
            return Verdict(Ending.FINAL, str(error), reason=FailureReason.OUTPUT_MISSING)
        delegated = execution.delegated.intersection(element.expected)
        return await self._succeed(element, data, execution.children, delegated, round(seconds, 6))
