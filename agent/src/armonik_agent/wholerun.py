"""One run in one call, for workers that take it so (ADR 0007).

Elements are sent ahead, in order, and come back as they end, in groups; who executes them says of each how it
ended, its own time-outs and deaths included. What is rare (a note, a drain, a worker that breaks) follows the
same rules as element by element.
"""

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import Any

import grpc
import grpc.aio

from armonik_agent import subtasks
from armonik_agent.elements import Element
from armonik_agent.errors import InputUnavailable
from armonik_agent.outputs import keep
from armonik_agent.runcalls import RunCall
from armonik_agent.sharing import LEAST_AHEAD, ahead
from armonik_agent.slots import Pace
from armonik_agent.transitions import Change, asked_to_cancel, progressed
from armonik_agent.verdict import Ending, Verdict
from armonik_agent.work import FAILURES_HERE, Stop, Work
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import OutcomeKind

log = logging.getLogger(__name__)

AHEAD = 256
"""Most elements that the worker has and that have not ended."""
AHEAD_BYTES = 4 * 1024 * 1024
"""Of their inputs that travel in messages, in one frame."""
SILENCE_SECONDS = 30.0
"""How much longer than the longest limit of what it has a worker may say nothing."""


class WholeRun(Work):
    """One `ProcessRun` call, and another one only if that breaks."""

    _call: RunCall | None = None
    _given_up = False
    _asked_back: frozenset[int] = frozenset()
    """What the worker was asked to give back. Then the mean tells nothing of what is left."""

    async def _some(self, pace: Pace) -> None:
        self._flying: dict[int, Element] = {}
        self._call = call = self._site.worker.runs.begin()
        self._pace = pace
        pace.begin(len(self._left))
        since = time.monotonic()
        try:
            await self._feed(call)
            while self._flying:
                silence = max(element.max_duration for element in self._flying.values()) + SILENCE_SECONDS
                count = await self._take(*await call.said(silence))
                now = time.monotonic()
                pace.end(now - since, count)
                since = now
                await self._buffer.go_on()
                self._look_at_head()
                await self._feed(call)
            await call.close()
            self._site.worker.answered()
        except asyncio.CancelledError:
            if not self._given_up:
                raise  # this very task is being cancelled
        except grpc.aio.AioRpcError as error:
            await self._broken(f"{error.code().name}: {error.details() or 'no details'}", error.code())
        except (ValueError, TimeoutError) as error:
            call.cancel()
            await self._broken(str(error) or "the worker says nothing any more")
        finally:
            call.cancel()
            self._call = None

    def _give_up(self) -> None:
        if self._call is not None:
            self._given_up = True
            self._call.cancel()

    @property
    def _may_feed(self) -> bool:
        """Whether another element may begin, as `_goes_on` says it."""
        stop = self._stop is not None or self._site.drain.begun.is_set() or self._failed_here >= FAILURES_HERE
        return not stop and not self._head_is_due and not self._cut_off

    async def _feed(self, call: RunCall) -> None:
        """Send what the worker may have ahead."""
        if not self._left or not self._may_feed:
            return
        most = 1 if self._careful else ahead(self._pace.mean, LEAST_AHEAD if self._asked_back else AHEAD)
        if len(self._flying) > most // 2:
            return
        frames: list[_Frame] = []
        while self._left and len(self._flying) < most:
            element = self._elements.of(self._left[0])
            if self._flying and not self._inputs.ready(element):
                break
            self._left.popleft()
            try:
                await self._inputs.lay(element)
            except InputUnavailable as error:
                reason = FailureReason.INPUT_MISSING
                self._end(element, Verdict(Ending.FINAL, str(error), reason=reason), 0.0)
                continue
            if self._careful:
                self._buffer.add(Change(running=element.index))
                await self._buffer.commit()
            if not frames or not frames[-1].takes(element):
                frames.append(_Frame(element))
            frames[-1].add(element, self._inputs.held)
            self._flying[element.index] = element
        for made in frames:
            head = made.head | {"folder": str(self._folder.path), "session": self._run.session}
            await call.give(head, made.blobs)
        if self._site.drain.begun.is_set():
            await call.give({"skip": list(self._flying)}, [])

    @property
    def _recallable(self) -> bool:
        behind = self._behind
        return len(behind) >= LEAST_AHEAD and not self._asked_back.issuperset(behind)

    @property
    def _behind(self) -> list[int]:
        """What the worker has beside the element that it executes."""
        return list(self._flying)[1:] if self._call is not None else []

    async def _recall(self) -> None:
        if not self._recallable:
            return
        self._asked_back = frozenset(self._behind)
        await self._tell({"skip": sorted(self._asked_back)})

    async def _tell(self, head: dict[str, Any]) -> None:
        """Say something beside the task that reads; that one hears of it when the call breaks."""
        if self._call is not None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._call.give(head, [])

    async def _take(self, head: dict[str, Any], blobs: list[memoryview]) -> int:
        """What has ended or comes back; how many have ended.

        Raises:
            ValueError: the worker does not keep to what was agreed.
        """
        before = self._failed_here
        entries = head.get("ended")
        if not isinstance(entries, list):
            raise ValueError("the worker's frame says nothing of elements")  # noqa: TRY004 - one kind of error
        for entry in entries:
            index = entry.get("index") if isinstance(entry, dict) else None
            element = self._flying.get(index) if isinstance(index, int) else None
            if element is None:
                raise ValueError("the worker tells of an element that it was not given")
            await self._ended(element, entry, blobs)
            del self._flying[element.index]  # not before: what breaks the run here is this element's
        if self._failed_here >= FAILURES_HERE > before and self._flying and self._call is not None:
            await self._call.give({"skip": list(self._flying)}, [])
        return sum(not entry.get("skipped") for entry in entries)

    async def _ended(self, element: Element, entry: dict[str, Any], blobs: list[memoryview]) -> None:
        """One element: what the worker says of it, judged."""
        if entry.get("skipped"):
            head = self._committer.head
            if element.index not in head.ended and element.index not in asked_to_cancel(head):
                self._left.append(element.index)
            return
        seconds = entry.get("seconds", 0.0)
        if not isinstance(seconds, int | float):
            raise ValueError("seconds are a number")  # noqa: TRY004 - as above
        self._site.metrics.seconds.observe(seconds)
        outputs = entry.get("outputs")
        if isinstance(outputs, dict):
            verdict = await self._complete(element, entry, blobs, seconds)
        elif "error" in entry:
            verdict = Verdict(Ending.FINAL, str(entry["error"]) or "the worker gave no details")
        elif entry.get("timeout"):
            text = f"longer than {element.max_duration:g} s"
            reason = FailureReason.MAX_DURATION_EXCEEDED
            verdict = Verdict(Ending.FINAL, text, OutcomeKind.TIMEOUT, reason)
        else:
            verdict = Verdict(Ending.FAILED, str(entry.get("failed", "")) or "the worker gave no details")
        if verdict.ending is Ending.FAILED:
            self._fail(element, verdict.text)
        elif verdict.ending is Ending.FINAL:
            self._end(element, verdict, seconds)

    async def _complete(
        self, element: Element, entry: dict[str, Any], blobs: list[memoryview], seconds: float
    ) -> Verdict:
        """Keep what the element produced; the verdict, should something be missing."""
        outputs, ids = entry["outputs"], output_ids(element)
        try:
            told = subtasks.read(entry.get("children", []), element, ids, blobs)
        except ValueError as error:  # what the function asked for cannot be: its element pays, and no other
            return Verdict(Ending.FINAL, f"sub-tasks refused: {error}")
        ids = {name: result for name, result in ids.items() if result not in told.handed_over}
        missing = ", ".join(result for name, result in ids.items() if name not in outputs)
        if missing:
            return Verdict(Ending.FINAL, f"never written: {missing}", reason=FailureReason.OUTPUT_MISSING)
        site, prefix, folder = self._site, self._committer.prefix, self._folder
        data: dict[str, bytes | ObjectRef] = {**told.made}
        files = told.files
        for name, result in ids.items():
            number = outputs[name]
            if number is None:
                files[result] = result
            elif type(number) is not int or not 0 <= number < len(blobs):
                raise ValueError("an output is no blob of the worker's frame")
            else:
                data[result] = bytes(blobs[number])
        for result, file in files.items():
            try:
                data[result] = await site.patiently(partial(keep, site.store, prefix, folder, file))
            except InputUnavailable as error:
                return Verdict(Ending.FINAL, str(error), reason=FailureReason.OUTPUT_MISSING)
            folder.remove(file)
        return await self._succeed(element, data, told.items, told.handed_over, seconds)

    async def _broken(self, text: str, code: grpc.StatusCode | None = None) -> None:
        """The call has failed: the worker is gone, or does not keep to what was agreed.

        Nobody knows which element it was, so nobody is charged, and the rest is executed with care: then it
        is known and charged (protocol rules 5 and 16), and a worker that is still there is replaced.
        """
        log.warning("the worker broke run %s: %s", self._run.journal, text)
        self._site.worker.doubt()
        flying, self._flying = list(self._flying.values()), {}
        if self._stop is not None:
            return
        if code is grpc.StatusCode.UNIMPLEMENTED:
            self._stop = Stop.WORKER  # another worker, which takes elements: it is given the run anew
        elif self._careful and flying:
            self._fail(flying[0], text)
            if code is None:
                await self._buffer.commit()
                await self._condemn(text)
        else:
            self._left.extendleft(reversed([element.index for element in flying]))
            self._careful = True

    async def _heed_note(self) -> None:
        named = asked_to_cancel(self._committer.head)
        if not named:
            return
        if self._call is not None and (stop := [index for index in named if index in self._flying]):
            await self._tell({"stop": stop})
        await self._committer.append(lambda head: progressed(head, Change(running=head.running)))

    async def _watch_drain(self) -> None:
        await self._site.drain.begun.wait()
        if self._call is not None and self._flying:
            await self._tell({"skip": list(self._flying)})
        await super()._watch_drain()


class _Frame:
    """Elements that have options and limit in common."""

    def __init__(self, first: Element) -> None:
        self._options, self._bytes = first.options, 0
        self._places: dict[str, int] = {}
        self._entries: list[dict[str, Any]] = []
        self.blobs: list[bytes] = []
        self.head: dict[str, Any] = {
            "elements": self._entries,
            "options": first.options.options or {},
            "limit": first.max_duration,
        }

    def takes(self, element: Element) -> bool:
        """Whether another one fits."""
        return element.options is self._options and self._bytes < AHEAD_BYTES

    def add(self, element: Element, held: dict[str, bytes]) -> None:
        """Put one in, with those of its inputs that are held in memory."""
        entry: dict[str, Any] = {"index": element.index, "id": element.task_id}
        payload = self._place(element.payload_id, held)
        entry["payload"] = element.payload_id if payload is None else payload
        if element.dependencies:
            entry["dependencies"] = {name: self._place(name, held) for name in element.dependencies}
        entry["outputs"] = output_ids(element)
        self._entries.append(entry)

    def _place(self, name: str, held: dict[str, bytes]) -> int | None:
        if name not in held:
            return None
        if name not in self._places:
            self._places[name] = len(self.blobs)
            self.blobs.append(held[name])
            self._bytes += len(held[name])
        return self._places[name]


def output_ids(element: Element) -> dict[str, str]:
    """Ids of what an element must produce, by the names that its worker knows."""
    return {element.outputs.get(result, result): result for result in element.expected}
