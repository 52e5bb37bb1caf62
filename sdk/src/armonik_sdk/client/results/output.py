"""Outputs of Tasks."""

import asyncio

from armonik_sdk.api.names import result_key, split_result_id
from armonik_sdk.api.results import ResultState
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import ResultAborted, ResultDeleted
from armonik_sdk.client.results.base import (
    BaseResult,
)
from armonik_sdk.client.results.location import Found, Undecided, resolve
from armonik_sdk.client.results.stream import PollBackoff
from armonik_sdk.client.results.task_source import TaskSource
from armonik_sdk.dataplane.result_lookup import find_run


class ResultHandle(BaseResult):
    """An output of a task."""

    def __init__(self, source: TaskSource, result: str) -> None:
        super().__init__(source.connection, source.namespace, result)
        self._source = source

    async def status(self) -> ResultState:
        """Created while it is awaited, then Completed or Aborted; Deleted when its data was removed."""
        try:
            return ResultState.COMPLETED if isinstance(await self._look(), Found) else ResultState.CREATED
        except ResultAborted:
            return ResultState.ABORTED
        except ResultDeleted:
            return ResultState.DELETED

    async def found(self) -> Found | None:
        """Where its bytes are; None while it is awaited. The task's end counts as well.

        Raises:
            ResultAborted: it will never be; the message is the owner's error.
            ResultDeleted: its data was removed.
        """
        over = await self._source.over()  # first: what ends meanwhile is found then
        found = await self._look()
        if over and found is Undecided.AWAITED:
            raise await self._source.aborted(self.id)
        return found if isinstance(found, Found) else None

    async def wait(self, timeout: float | None = None) -> Found:
        """Until it is complete; where its bytes are.

        Raises:
            ResultAborted: it will never be; the message is the owner's error.
            ResultDeleted: its data was removed.
            WaitTimeout: the time, in seconds, is over.
        """
        deadline = Deadline(timeout)
        source = self._source
        link = await self._connection.link()
        prefix, own = await self._keys()
        fresh = source.fresh
        patience, finished = PollBackoff.of(fresh=fresh), False
        async with link.news(f"{prefix}*", own) as news:
            found = Undecided.AWAITED if fresh else await self._look()
            while not isinstance(found, Found):
                if finished and found is Undecided.AWAITED:
                    raise await source.aborted(self.id)
                changed = await news.next(deadline.left(patience.seconds, repr(self)))
                changes = {key: content for key, content in changed.items() if content and key != own}
                heard = resolve(self.id, None, (await link.runs(changes)).values())
                if isinstance(heard, Found):
                    return heard
                if changed and len(changes) == len(changed):
                    continue  # it was about other results
                if not changed and patience.asks:
                    finished = await source.over()
                patience = PollBackoff() if changed else patience.longer()
                found = await self._look()
            return found

    async def _session_uid(self) -> str:
        return await self._source.session_uid()

    async def _look(self) -> Found | Undecided:
        link = await self._connection.link()
        prefix, own = await self._keys()
        key = f"{prefix}0"
        if self._source.total > 1:
            task, index, _ = split_result_id(self.id) or (self._source.task, 0, "")
            run = await find_run(link.run_keys, self._namespace, await self._session_uid(), task, index)
            key = run.results if run is not None else key
        runs, entry = await asyncio.gather(link.runs({key: None}), link.entry(own))
        return resolve(self.id, entry, runs.values())

    async def _keys(self) -> tuple[str, str]:
        own = result_key(self._namespace, await self._session_uid(), self.id)
        return await self._source.runs_prefix(), own
