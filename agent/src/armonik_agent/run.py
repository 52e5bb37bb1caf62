"""One run, element by element, as ArmoniK's own workers take it."""

import asyncio
import secrets
import time

import grpc
import grpc.aio

from armonik_agent.elements import Element
from armonik_agent.errors import InputUnavailable
from armonik_agent.outputs import Ended, by_name, collect, group_children
from armonik_agent.slots import Pace
from armonik_agent.transitions import Change, asked_to_cancel, executions_of, progressed
from armonik_agent.verdict import Ending, Verdict, of_failure, of_reply
from armonik_agent.work import Stop, Work
from armonik_agent.worker import Call
from armonik_agent.worker_api import Execution
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind


class RunWork(Work):
    """One `Process` call an element."""

    _current: int | None = None
    _call: Call | None = None

    async def _some(self, pace: Pace) -> None:
        pace.begin(len(self._left))
        index = self._left.popleft()
        started = time.monotonic()
        await self._element(self._elements.of(index))
        pace.end(time.monotonic() - started)

    def _give_up(self) -> None:
        if self._call is not None:
            self._current = None
            self._call.cancel()

    async def _element(self, element: Element) -> None:
        try:
            await self._inputs.lay(element)
        except InputUnavailable as error:
            reason = FailureReason.INPUT_MISSING
            self._end(element, Verdict(Ending.FINAL, str(error), reason=reason), 0.0)
            return
        if self._careful:
            self._buffer.add(Change(running=element.index))
            await self._buffer.commit()
        execution = Execution(secrets.token_hex(16), self._run, element, self._folder)
        started = time.monotonic()
        with self._site.service.serving(execution):
            verdict = await self._call_worker(execution, started)
        seconds = time.monotonic() - started
        self._site.metrics.seconds.observe(seconds)
        if verdict is None:
            return
        if verdict.ending is Ending.COMPLETED:
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

    async def _call_worker(self, execution: Execution, started: float) -> Verdict | None:
        """The verdict; None when the call was given up, because the run stops or the element is cancelled."""
        element = execution.element
        self._current = element.index
        self._call = self._site.worker.process(element, self._run.session, execution.token, self._folder.path)
        try:
            reply = await self._call
        except grpc.aio.AioRpcError as error:
            seconds = time.monotonic() - started
            return of_failure(error.code(), error.details(), seconds, element.max_duration)
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
        message, children = self._elements.message, execution.children
        try:
            data = await site.patiently(lambda: collect(site.store, prefix, execution))
        except InputUnavailable as error:
            return Verdict(Ending.FINAL, str(error), reason=FailureReason.OUTPUT_MISSING)
        groups = await site.patiently(
            lambda: group_children(site.store, prefix, message, element.index, children)
        )
        outputs, made = by_name(element, data)
        outcome = Outcome(
            index=element.index,
            kind=OutcomeKind.COMPLETED,
            attempts=executions_of(self._committer.head, element.index) + 1,
            seconds=round(seconds, 6),
            delegated=tuple(sorted(execution.delegated.intersection(element.expected))),
        )
        self._keep(element, Ended(outcome, outputs, made, groups))
        return Verdict(Ending.COMPLETED)
