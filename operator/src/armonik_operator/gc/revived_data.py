"""Removes data again that a crash of NATS restored.

A purge is not durable when NATS is killed: messages that were purged by their subject may exist again after
its restart. So the data is compared with the existing objects, at the start and after each reconnect.
"""

import logging
from collections.abc import Iterable, Set

from armonik_operator.cache.keys import DeletedTask, WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.gc.session_data import remove_data
from armonik_operator.util.concurrency import in_turns
from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import Session, SessionState, find_condition
from armonik_sdk.api.names import (
    ALL_QUEUED,
    ALL_RECORDS,
    JOURNAL,
    QUEUE,
    RunId,
    control_key,
    split_result_journal,
)
from armonik_sdk.api.records import DesiredState
from armonik_sdk.dataplane.nats.subjects import pages

log = logging.getLogger(__name__)

Owner = tuple[str, str]
"""Namespace, and UID of a Session."""


class Traces:
    """Owners of the messages in NATS: a few for any number of messages."""

    def __init__(self) -> None:
        self._sessions: dict[Owner, Owner] = {}
        self.worked: set[Owner] = set()
        """Sessions with messages of runs; not only results of their own, which a purge may leave."""
        self.tasks: dict[str, Owner] = {}
        """By UID; those with records or queued messages, which go with the Task. Results stay."""

    @property
    def sessions(self) -> Set[Owner]:
        """All of them."""
        return self._sessions.keys()

    def journal(self, subjects: Iterable[str]) -> None:
        """Take in subjects of JOURNAL."""
        for subject in subjects:
            if (name := split_result_journal(subject)) is not None:
                self._session(name[:2])
                continue
            try:
                self._run(RunId.from_journal(subject))
            except ValueError:
                log.debug("subject %s has no owner", subject)

    def queued(self, subjects: Iterable[str]) -> None:
        """Take in subjects of QUEUE."""
        for subject in subjects:
            try:
                self._run(RunId.from_queue(subject)[0])
            except ValueError:
                log.debug("subject %s has no owner", subject)

    def results(self, keys: Iterable[str]) -> None:
        """Take in keys of RESULTS."""
        for key in keys:
            namespace, *rest = key.split(".")
            if len(rest) < 2:
                log.debug("key %s has no owner", key)
                continue
            owner = self._session((namespace, rest[0]))
            if rest[1] != "result":
                self.worked.add(owner)

    def _run(self, run: RunId) -> None:
        owner = self._session((run.namespace, run.session))
        self.worked.add(owner)
        self.tasks.setdefault(run.task, owner)

    def _session(self, owner: Owner) -> Owner:
        return self._sessions.setdefault(owner, owner)


async def read_traces(servers: Clients) -> Traces:
    """Read the owners of all messages in NATS, a part of a page at a time.

    Raises:
        QueueUnavailable: no usable answer.
    """
    found, client = Traces(), servers.client
    for take, left in (
        (found.journal, pages(client, JOURNAL, ALL_RECORDS)),
        (found.queued, pages(client, QUEUE, ALL_QUEUED)),
        (found.results, servers.results.key_pages()),
    ):
        while page := await left.next():
            take(page)
    return found


async def remove(
    servers: Clients, state: ClusterState, found: Traces, sessions: set[str], tasks: set[str]
) -> list[WorkKey]:
    """Remove data of deleted or purged Sessions; mark deleted Tasks.

    Args:
        servers: to remove from.
        state: whose Tasks are marked.
        found: read before the lists below.
        sessions: UIDs of all existing Sessions.
        tasks: UIDs of all existing Tasks.

    Returns:
        The keys to be worked on.

    Raises:
        one of SERVER_ERRORS: a server did not answer.
    """
    keys: list[WorkKey] = []
    async for owner in in_turns(sorted(found.sessions)):
        if state.settings.serves(owner[0]):
            await _remove_session(servers, state, found, owner, sessions)
    async for uid, (namespace, session) in in_turns(found.tasks.items()):
        if uid in tasks or uid in state.tasks or uid in state.deleted or not state.settings.serves(namespace):
            continue
        if session in sessions:
            log.info("deleted task %s/%s has data left; removing it", namespace, uid)
            state.deleted[uid] = DeletedTask(namespace, session)
            keys.append(WorkKey("task", namespace, uid))
    return keys


async def _remove_session(
    servers: Clients, state: ClusterState, found: Traces, owner: Owner, living: set[str]
) -> None:
    """Only if CONTROL calls the Session deleted: NATS may be shared. `OrphanCollector` removes the rest."""
    if owner[1] not in living:
        entry = await servers.control.get(control_key(*owner))
        if entry is not None and entry[0].state is DesiredState.DELETED:
            log.warning("data of deleted session %s/%s exists again; removing it", *owner)
            await remove_data(servers, *owner)
    elif owner in found.worked and _is_purged(state.session_with(owner[1])):
        log.warning("data of purged session %s/%s exists again; removing it", *owner)
        await remove_data(servers, *owner, purging=True)


def _is_purged(session: Session | None) -> bool:
    if session is None or session.status is None or session.spec.desired_state is not SessionState.PURGED:
        return False
    finished = find_condition(session.status.conditions, ConditionType.FINISHED)
    return finished is not None and finished.reason == Reason.PURGED
