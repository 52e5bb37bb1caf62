"""A Task as the source of its results: what reading them needs."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import TaskStatus, find_condition, is_true
from armonik_sdk.api.names import result_id
from armonik_sdk.client.errors import NotFound, ResultAborted
from armonik_sdk.client.transport.connection import Connection

FRESH_SECONDS: Final = 0.25
"""How long after its submission the results of a Task can hardly exist: nobody reads RESULTS before."""


@dataclass(frozen=True)
class TaskSource:
    """A Task as the source of its results; its handle builds it."""

    connection: Connection
    namespace: str
    task: str
    """UID."""
    total: int
    """Number of elements."""
    submitted: float
    """When this process submitted it, by the monotonic clock; minus infinity if it did not."""
    session_uid: Callable[[], Awaitable[str]]
    """UID of the Session that admitted the Task; waits for the admission."""
    status: Callable[[], Awaitable[TaskStatus]]
    """What the operator last observed."""

    @property
    def fresh(self) -> bool:
        """Whether this process submitted it a moment ago, so that its results can hardly exist."""
        return time.monotonic() - self.submitted < FRESH_SECONDS

    def id(self, index: int, output: str) -> str:
        """Id of the result of an element."""
        return result_id(self.task, index, output)

    async def runs_prefix(self) -> str:
        """Prefix of the keys of its runs in RESULTS; the index of a run's first element follows."""
        return f"{self.namespace}.{await self.session_uid()}.{self.task}."

    async def finished(self) -> bool:
        """Whether every element has ended."""
        return is_true((await self.status()).conditions, ConditionType.FINISHED)

    async def over(self) -> bool:
        """Whether no further result will come: it has finished, or was deleted, whose results stay."""
        try:
            return await self.finished()
        except NotFound:
            return True

    async def aborted(self, result: str) -> ResultAborted:
        """Why the finished Task has no such result.

        Raises:
            NotFound: it was deleted.
        """
        finished = find_condition((await self.status()).conditions, ConditionType.FINISHED)
        reason, message = (finished.reason, finished.message) if finished else ("Aborted", "")
        return ResultAborted(result, reason, message or f"the task ended as {reason} without it")
