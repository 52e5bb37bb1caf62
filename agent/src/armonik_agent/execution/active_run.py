"""What all those share who execute a run: its parts, and why it stops."""

import asyncio
from enum import Enum

from armonik_agent.context import AgentContext
from armonik_agent.execution.backlog import Backlog
from armonik_agent.execution.owned_run import OwnedRun
from armonik_agent.executors.executor import Executor
from armonik_agent.journal.commit_buffer import CommitBuffer
from armonik_agent.journal.run_writer import RunWriter
from armonik_sdk.api.names import WORKER_DOWN
from armonik_sdk.dataplane.nats.streams import ACK_WAIT

FAILURES_HERE = 2
"""Failed executions on this pod after which the rest is left to others."""
AWAY_SECONDS = 3 * ACK_WAIT
"""Without NATS for so long, no further element begins."""


class Stop(Enum):
    """Why a run ends here before all its elements have."""

    DRAIN = "the agent drains"
    CANCEL = "the run was cancelled"
    FAILURES = "too many executions failed here"
    WORKER = "the worker is gone"
    STORE = "the object store is down"
    FENCED = "the run is no longer this agent's"
    LOCAL = "an error of the agent's own"
    URGENT = "something more urgent waits"


class ActiveRun:
    """An owned run while it is executed."""

    def __init__(self, site: AgentContext, owned: OwnedRun, committer: RunWriter, executor: Executor) -> None:
        self.site, self.owned, self.committer, self.executor = site, owned, committer, executor
        self.backlog = Backlog(committer.head)
        self.buffer = CommitBuffer(site, committer, owned.elements.message.single)
        self.careful = owned.careful
        """Each element is named in the head before it begins, and the worker has one at a time."""
        self.gives_way = False
        """Something more urgent waits: no further element begins, unless somebody else has taken it."""
        self.failures = 0
        """Executions that failed on this pod."""
        self.uncharged: set[int] = set()
        """Elements whose executions were broken off, and that have neither ended nor been charged since."""
        self.stop: Stop | None = None
        self.stopped = asyncio.Event()

    @property
    def behind(self) -> list[int]:
        """What the worker has beside the element that it executes."""
        return list(self.executor.in_flight[1:])

    @property
    def may_begin(self) -> bool:
        """Whether another element may begin now, as `RunExecution` says it."""
        stop = self.stop is not None or self.site.drain.begun.is_set() or self.gives_way
        failed = self.failures >= FAILURES_HERE
        return not (stop or failed or self.head_is_due or self.cut_off)

    @property
    def cut_off(self) -> bool:
        """Whether nothing more may begin before NATS is back (protocol rule 17)."""
        return self.site.connection.away > AWAY_SECONDS

    @property
    def head_is_due(self) -> bool:
        """Whether the head has to be read before anything more begins, and can be."""
        return self.owned.lease.lapsed and self.site.connection.present.is_set()

    async def condemn(self, why: str) -> None:
        """Have the worker replaced; the run stops."""
        self.site.worker.condemn()
        await self.site.publish_event(WORKER_DOWN, why)
        self.stop = self.stop or Stop.WORKER

    def interrupt(self, why: Stop) -> None:
        """Stop the run, and break off what is executed."""
        self.stop = self.stop or why
        self.stopped.set()
        self.executor.interrupt()
