"""A Session of a cluster."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import Session, SessionSpec, SessionState, Task
from armonik_sdk.api.names import client_object_key, environment_key
from armonik_sdk.client.errors import Refused, Unavailable
from armonik_sdk.client.facts import explain_model
from armonik_sdk.client.handles.session import SessionHandle
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.client.results.base import Content, pieces
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.data_plane import DataPlane
from armonik_sdk.client.transport.kube import TASKS
from armonik_sdk.explain.wording import gist
from armonik_sdk.grid.cluster.task import ClusterTask, task_info
from armonik_sdk.grid.protocol import LogLine, Place, SessionInfo, Submission, TaskInfo, Why

log = logging.getLogger("armonik_sdk")


class ClusterSession:
    """A Session of a cluster."""

    def __init__(self, connection: Connection, handle: SessionHandle, spec: SessionSpec) -> None:
        self._connection, self._handle, self._spec = connection, handle, spec
        self.name, self.uid = handle.name, handle.uid
        self._submitted = 0
        """Elements that were submitted here."""

    @property
    def partitions(self) -> Sequence[str]:
        """Where its Tasks may run."""
        return self._spec.partitions

    @property
    def partition(self) -> str:
        """Where Tasks run that name no partition."""
        default = self._spec.task_defaults.partition if self._spec.task_defaults else None
        return default or self._spec.partitions[0]

    async def submit(self, made: Submission) -> ClusterTask:
        """Make a Task.

        Raises:
            Refused: the session had been closed or cancelled when it was attached to.
        """
        state = self._spec.desired_state
        if state not in (SessionState.RUNNING, SessionState.PAUSED):
            raise Refused(f"session {self.name} is {state}: it takes no more tasks")
        handle = await self._handle.submit(
            name=made.name,
            items=made.items,
            depends_on=made.depends_on,
            options=made.options,
            labels=made.labels,
        )
        self._submitted += len(made.items)
        return ClusterTask(self._connection, self._handle, handle)

    async def task(self, name: str) -> ClusterTask:
        """The Task of this name.

        Raises:
            NotFound: the session has none.
        """
        found = Task.from_object(await self._connection.kube.get(TASKS, self._handle.namespace, name))
        if found.spec.session != self.name:
            raise Refused(f"task {name} is of session {found.spec.session}, not of {self.name}")
        return ClusterTask(self._connection, self._handle, TaskHandle(self._connection, found))

    async def tasks(self) -> AsyncIterator[TaskInfo]:
        """All Tasks of the session."""
        async for found in self._connection.kube.list(TASKS, self._handle.namespace):
            task = Task.from_object(found)
            if task.spec.session == self.name:
                yield task_info(task)

    async def put(self, content: Content, name: str) -> tuple[str, int]:
        """Keep bytes as a result; its id and its size."""
        (made,) = await self._handle.create_results([name])
        info = await made.upload(content)
        return made.id, info.size or 0

    async def put_environment(self, archive: bytes | Path, sha256: str) -> str:
        """The key of an archive that workers import from: what `armonikctl env build --push` keeps for all.

        Else it is uploaded, and goes with the session.
        """
        link = await self._connection.link()
        if await kept_environment(link, self._handle.namespace, archive, sha256):
            return environment_key(self._handle.namespace, sha256)
        nonce = f"{secrets.token_hex(8)}-environment-{sha256[:16]}"
        key = client_object_key(self._handle.namespace, self.uid, nonce)
        await link.put_stream(key, pieces(archive))
        return key

    async def get(self, result: str, timeout: float | None = None) -> bytes:
        """The bytes of a result; waits for them."""
        return await self._handle.result(result).result(timeout)

    async def download(self, result: str, path: Path, timeout: float | None = None) -> None:
        """Write the bytes of a result into a file."""
        await self._handle.result(result).download(path, timeout)

    async def delete(self, result: str) -> None:
        """Remove the bytes of a result."""
        await self._handle.result(result).delete()

    async def read(self, place: Place) -> bytes:
        """The bytes at a place."""
        if isinstance(place, bytes):
            return place
        return await (await self._connection.link()).get(place)

    async def set_state(self, state: SessionState) -> None:
        """Pause, resume, close or cancel it."""
        await self._handle.set_state(state)

    async def info(self) -> SessionInfo:
        """Its state now."""
        return session_info(await self._handle.read())

    async def why(self) -> Why:
        """Why work waits, by the Tasks that have not ended; empty when none waits."""
        found = await explain_model(self._connection.kube, await self._handle.read())
        if found.reason == Reason.ACCEPTED and not found.chain:
            return Why()
        # Of Tasks that wait, the first one's reason says more than how many they are.
        return Why(found.text, gist(found.chain[0].why) if found.reason == Reason.ACCEPTED else found.gist)

    async def wait(self, timeout: float | None = None) -> SessionInfo:
        """Until it is finished: closed or cancelled, with all work ended."""
        await self._handle.wait(timeout)
        return await self.info()

    async def idle(self, timeout: float | None = None) -> SessionInfo:
        """Until all work that was submitted here, and what it submitted, has ended.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """

        def ended(session: Session) -> bool:
            info = session_info(session)
            return info.ended >= max(info.total, self._submitted) or _finished(session)

        return session_info(await self._handle.until(ended, timeout, "idle"))

    async def logs(
        self, task: str | None = None, *, index: int | None = None, follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What its functions printed, of elements that have ended; it was kept with their outcomes.

        Raises:
            Refused: it cannot be followed in this way.
        """
        if follow:
            raise Refused(f"session {self.name}: what elements print is followed by `armonikctl logs -f`")
        names = [info.name async for info in self.tasks()] if task is None else [task]
        for name in names:
            async for line in (await self.task(name)).logs(index):
                yield line


async def kept_environment(link: DataPlane, namespace: str, archive: bytes | Path, sha256: str) -> bool:
    """Whether the namespace keeps this archive for all its Sessions."""
    length = len(archive) if isinstance(archive, bytes) else (await asyncio.to_thread(archive.stat)).st_size
    try:
        return await link.size(environment_key(namespace, sha256)) == length
    except Unavailable as error:  # a store refuses it to who may not list
        log.info("it is not known whether an environment is kept: %s", error)
        return False


def session_info(session: Session) -> SessionInfo:
    """What a Session says of itself."""
    status = session.status
    elements = status.elements if status is not None else None
    return SessionInfo(
        name=session.metadata.name,
        phase=status.phase if status is not None else "Pending",
        partitions=tuple(session.spec.partitions),
        total=elements.total if elements else 0,
        ended=elements.ended if elements else 0,
        failed=elements.failed + elements.timed_out if elements else 0,
    )


def _finished(session: Session) -> bool:
    conditions = session.status.conditions if session.status is not None else ()
    return any(said.type == ConditionType.FINISHED and str(said.status) == "True" for said in conditions)
