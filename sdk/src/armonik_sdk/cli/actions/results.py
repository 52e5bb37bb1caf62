"""Results of a session: listed, shown, deleted, aborted."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from armonik_sdk.api.names import result_key, split_result_id
from armonik_sdk.api.results import ResultState
from armonik_sdk.apiserver import SESSIONS, TASKS
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import Missing
from armonik_sdk.cli.forms.base import values_of
from armonik_sdk.cli.forms.installation import Result, ResultMetadata
from armonik_sdk.cli.output.remarks import confirm, remark, write_facts
from armonik_sdk.cli.output.writers import list_writer, write_object
from armonik_sdk.cli.views.results import RESULT, facts
from armonik_sdk.client.errors import NotFound, WaitTimeout
from armonik_sdk.client.handles.session import SessionHandle
from armonik_sdk.client.results.base import BaseResult, ResultInfo
from armonik_sdk.client.results.output import ResultHandle
from armonik_sdk.client.results.task_source import TaskSource

AT_ONCE: Final = 500
"""Results that are written together."""


async def session_of(cluster: Cluster, name: str) -> SessionHandle:
    """The session of this name.

    Raises:
        NotFound: there is none.
    """
    return await cluster.client.session(await cluster.name(SESSIONS, name))


async def show_all(cluster: Cluster, session: str, states: Sequence[str], *, named: bool) -> None:
    """Write all, or those that are chosen, as they come.

    Raises:
        NotFound: there is no such session.
    """
    handle = await session_of(cluster, session)
    writer = list_writer(RESULT, cluster.settings, namespaces=False)
    page: list[dict[str, Any]] = []
    async for info in handle.results():
        if (not states or info.state in states) and (not named or info.name):
            page.append(as_object(info, cluster.namespace))
        if len(page) >= AT_ONCE:
            writer.page(page)
            page = []
    writer.page(page)
    writer.end(nothing=f"No results found in session {handle.name}.")
    sys.stdout.flush()


async def show(cluster: Cluster, session: str, result: str) -> None:
    """Write one.

    Raises:
        NotFound: there is no such session.
        Missing: it has no such result, and no task that could make it.
    """
    handle = await session_of(cluster, session)
    found = as_object(await info_of(cluster, handle, result), cluster.namespace)
    if cluster.settings.form in ("table", "wide"):
        write_facts(facts(found))
    else:
        write_object(found, RESULT, cluster.settings)


async def delete(cluster: Cluster, session: str, ids: Sequence[str], *, yes: bool) -> None:
    """Remove the data of these.

    Raises:
        NotFound: there is no such result; those before it were deleted.
        Refused: a task may still make it.
    """
    handle = await session_of(cluster, session)
    confirm(f"Remove the data of {len(ids)} results of session {handle.name}?", yes=yes)
    for result in ids:
        await (await result_of(cluster, handle, result)).delete()
        remark(cluster.settings, f"result {result} was deleted")


async def abort(cluster: Cluster, session: str, ids: Sequence[str], reason: str, *, yes: bool) -> None:
    """Say of these that they will never be uploaded.

    Raises:
        NotFound: a client made no such result; those before it were aborted.
        Refused: it is complete.
    """
    handle = await session_of(cluster, session)
    confirm(f"Abort {len(ids)} results of session {handle.name}?", yes=yes)
    for result in ids:
        await handle.result(result).abort(reason)
        remark(cluster.settings, f"result {result} was aborted")


async def result_of(cluster: Cluster, session: SessionHandle, result: str) -> BaseResult:
    """The result of this id: one with an entry of its own, else an output of a task."""
    link = await cluster.client.connection.link()
    own = await link.entry(result_key(session.namespace, session.uid, result))
    named = split_result_id(result)
    if own is not None or named is None:
        return session.result(result)
    return ResultHandle(_source(cluster, session, named[0]), result)


async def info_of(cluster: Cluster, session: SessionHandle, result: str) -> ResultInfo:
    """What is known of it.

    Raises:
        NotFound: the session has no such result that a client made.
        Missing: no task has made it.
    """
    found = await result_of(cluster, session, result)
    if not isinstance(found, ResultHandle):
        return await session.result(result).info()
    task, index, _ = split_result_id(result) or ("", 0, "")
    state, size = await found.status(), None
    if state is ResultState.COMPLETED:
        size = (await found.wait()).length
    elif state is ResultState.CREATED and not await _is_there(cluster, task):
        raise Missing(f"session {session.name} has no result {result}")
    return ResultInfo(id=result, state=state, size=size, task=task, index=index)


async def complete(found: BaseResult) -> None:
    """See that it can be read at once.

    Raises:
        Missing: it is not complete yet.
        ResultAborted, ResultDeleted: it never will be.
    """
    try:
        await found.wait(0.0)
    except WaitTimeout as error:
        raise Missing(f"result {found.id} is not complete yet") from error


def _source(cluster: Cluster, session: SessionHandle, uid: str) -> TaskSource:
    """A task of which only the UID is known; it may have been deleted, and its results stay."""

    async def session_uid() -> str:
        return session.uid

    async def status() -> Any:
        raise NotFound(f"task {uid} is not looked for")

    return TaskSource(
        connection=cluster.client.connection,
        namespace=session.namespace,
        task=uid,
        total=2,  # its run is looked for, as of a task of many elements
        submitted=float("-inf"),
        session_uid=session_uid,
        status=status,
    )


async def _is_there(cluster: Cluster, uid: str) -> bool:
    """Whether a task of this UID exists, which may make the result."""
    async for page in cluster.pages(TASKS):
        if any(found["metadata"]["uid"] == uid for found in page.get("items", ())):
            return True
    return False


def as_object(info: ResultInfo, namespace: str) -> dict[str, Any]:
    """In the form of our own objects."""

    def time(moment: datetime | None) -> datetime | None:
        return None if moment is None else moment.replace(microsecond=0)

    return values_of(
        Result(
            metadata=ResultMetadata(name=info.id, namespace=namespace),
            name=info.name or None,
            state=info.state.value,
            size=info.size,
            task=info.task or None,
            index=info.index if info.task else None,
            created=time(info.created),
            ended=time(info.ended),
            manual_deletion=info.manual_deletion or None,
            reason=info.reason or None,
        )
    )
