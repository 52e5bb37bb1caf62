"""Turns results of executions into changes for the journal: kept, charged, or refused."""

import logging
from functools import partial

from armonik_agent.data.elements import Element
from armonik_agent.errors import InputTooLarge, InputUnavailable
from armonik_agent.execution.active_run import ActiveRun
from armonik_agent.executors.executor import Produced
from armonik_agent.executors.verdict import Disposition, ExecutionResult
from armonik_agent.journal.packing import FinishedElement, Kept, by_name, group_children, store_output
from armonik_agent.journal.transitions import begun_of, charge
from armonik_agent.util.text import shorten
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import ChildGroup, OutcomeKind

log = logging.getLogger(__name__)


class Settlement:
    """Settles the elements of one run, during one ownership."""

    def __init__(self, active: ActiveRun) -> None:
        self._active, self._site, self._committer = active, active.site, active.committer
        self._inputs = active.owned.inputs
        self.current: Element | None = None
        """Whose turn it is: an error of the agent's own is this one's."""

    def refuse(self, element: Element, error: InputUnavailable) -> None:
        """An element that cannot be given to the worker."""
        large = isinstance(error, InputTooLarge)
        reason = FailureReason.INPUT_TOO_LARGE if large else FailureReason.INPUT_MISSING
        self.end(element, ExecutionResult(Disposition.FINAL, str(error), reason=reason), 0.0)

    def fail(self, element: Element, text: str, detail: bytes = b"", printed: bytes = b"") -> None:
        """Charge an attempt; if another is left it is made at the run's end, else all of it is kept."""
        log.info("execution of %s failed: %s", element.task_id, text)
        self._active.failures += 1
        self._settled(element)
        self._site.metrics.failures.inc()
        now = self._site.clock.now()
        change = charge(self._committer.head, element.index, text, element.max_retries, now)
        if change.attempts:
            self._active.buffer.add(change)
            self._active.backlog.retries.append(element.index)
            return
        (last,) = change.outcomes
        if not detail and not printed:
            self._active.buffer.add(change)
            self._inputs.done(element)
            self._site.metrics.ended(last.kind)
            return
        ended = FinishedElement(
            index=element.index,
            kind=last.kind,
            attempts=last.attempts,
            seconds=0.0,
            reason=last.reason,
            message=last.message,
            error=detail,
            printed=printed,
        )
        self._keep(element, ended)

    async def succeed(
        self, element: Element, produced: Produced, seconds: float, printed: bytes = b""
    ) -> ExecutionResult:
        """Keep what an element produced; its result, should a file have gone meanwhile.

        Raises:
            StoreUnavailable: the object store stayed down.
        """
        site, prefix, message = self._site, self._committer.prefix, self._active.owned.elements.message
        try:
            data = await self._store(produced)
        except InputUnavailable as error:
            return ExecutionResult(Disposition.FINAL, str(error), reason=FailureReason.OUTPUT_MISSING)
        children: tuple[ChildGroup, ...] = ()
        if items := produced.subtasks:
            children = await site.patiently(
                lambda: group_children(site.store, prefix, message, element.index, items)
            )
        outputs, made = by_name(element, data)
        ended = FinishedElement(
            index=element.index,
            kind=OutcomeKind.COMPLETED,
            attempts=begun_of(self._committer.head, element.index) + 1,
            seconds=round(seconds, 6),
            outputs=outputs,
            made=made,
            delegated=tuple(sorted(produced.delegated)),
            children=children,
            printed=printed,
        )
        self._keep(element, ended)
        return ExecutionResult(Disposition.COMPLETED)

    async def _store(self, produced: Produced) -> dict[str, bytes | ObjectRef]:
        """What was produced, by result id: in memory while it is little, else in the object store."""
        site, prefix, folder = self._site, self._committer.prefix, self._active.owned.folder
        kept = Kept(site.store, prefix)
        for result, blob in produced.blobs.items():
            await site.patiently(partial(kept.add, result, blob))
        for result, file in produced.files.items():
            data = await site.patiently(partial(store_output, site.store, prefix, folder, file))
            await site.patiently(partial(kept.add, result, data))
        return kept.data

    def end(self, element: Element, verdict: ExecutionResult, seconds: float, printed: bytes = b"") -> None:
        """An element has ended without outputs."""
        ended = FinishedElement(
            index=element.index,
            kind=verdict.kind,
            attempts=begun_of(self._committer.head, element.index) + 1,
            reason=verdict.reason,
            message=shorten(verdict.text),
            seconds=round(seconds, 6),
            error=verdict.detail,
            printed=printed,
        )
        self._keep(element, ended)

    def _keep(self, element: Element, ended: FinishedElement) -> None:
        self._settled(element)
        self._active.buffer.keep(ended)
        self._inputs.done(element)
        self._site.metrics.ended(ended.kind)

    def _settled(self, element: Element) -> None:
        """Whatever was lost of it before, it has ended or is charged now."""
        self._active.uncharged.discard(element.index)
        if self.current is element:
            self.current = None
