"""Submits a task as the command line describes it."""

import asyncio
import json
import secrets
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, overload

from pydantic import ValidationError

from armonik_sdk.api.bounds import MAX_ELEMENTS, MAX_ITEMS, MAX_LINE_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import Dependency, Item, TaskOptions
from armonik_sdk.apiserver import SESSIONS, TASKS
from armonik_sdk.cli.actions.daily import logs
from armonik_sdk.cli.actions.tasks import ending
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.cluster.waiting import until
from armonik_sdk.cli.errors import BadInput, CliError
from armonik_sdk.cli.frame.task_options import task_options
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.cli.output.writers import write_object, yaml_text
from armonik_sdk.cli.views.columns import TASK
from armonik_sdk.cli.views.reading import Object, is_true, text
from armonik_sdk.client.errors import ClientError
from armonik_sdk.client.manifest import Draft, Element, dependencies, plan

LAST_LINES: Final = 2.0
"""Seconds that lines may take from a node to here once the task has ended."""


@dataclass(frozen=True)
class Wanted:
    """A task to be submitted."""

    session: str
    name: str | None
    payload: str | None
    payload_file: str | None
    count: int | None
    items_file: str | None
    needed: Sequence[tuple[str, str | None, int | None]]
    """Task, output, index of each dependency."""
    outputs: Sequence[str]
    options: Mapping[str, Any]
    """As in a manifest."""
    wait: bool
    follow: bool
    """Show what its workers print, too."""
    dry_run: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the values of the command line."""
        own = {name: given[name] for name in cls.__dataclass_fields__ if name != "options"}
        return cls(**own, options=task_options(given))

    @property
    def content(self) -> bytes | None:
        """Input of every element that has none of its own."""
        if self.payload_file is not None:
            return Path(self.payload_file).read_bytes()
        return None if self.payload is None else self.payload.encode()

    def dependencies(self) -> list[Dependency]:
        """What must be complete first."""
        entries = []
        for task, output, index in self.needed:
            fields = {"task": task, "output": output, "index": index}
            entries.append(Dependency.model_validate({k: v for k, v in fields.items() if v is not None}))
        return dependencies(entries)


class ItemsFile(Sequence[Element]):
    """The lines of a file as elements, read when they are needed. In memory is where each begins.

    Raises:
        BadInput: a line is too long, or no element; there is none, or there are too many.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._starts = array("Q")
        at = 0
        with Path(path).open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    raise BadInput(f"{path}, byte {at}: a line has at most {MAX_LINE_BYTES} bytes")
                if line.strip():
                    self._starts.append(at)
                at += len(line)
        if not self._starts:
            raise BadInput(f"{path}: it has no line, and a task needs at least one element")
        if len(self._starts) > MAX_ELEMENTS:
            raise BadInput(
                f"{path}: {len(self._starts)} lines, and a task has at most {MAX_ELEMENTS} elements"
            )

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Element]:
        number = 0
        with Path(self._path).open("rb") as file:
            for line in file:
                if line.strip():
                    yield self._element(number, line)
                    number += 1

    @overload
    def __getitem__(self, index: int) -> Element: ...
    @overload
    def __getitem__(self, index: slice) -> list[Element]: ...
    def __getitem__(self, index: int | slice) -> Element | list[Element]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        with Path(self._path).open("rb") as file:
            file.seek(self._starts[index])
            return self._element(index, file.readline())

    def _element(self, number: int, line: bytes) -> Element:
        try:
            said = json.loads(line)
            if isinstance(said, str):
                return Element(payload=said)
            item = Item.model_validate(said)
        except (ValueError, ValidationError) as error:
            raise BadInput(f"{self._path}, element {number}: {explain(error)}") from error
        return Element(
            payload=item.payload, depends_on=item.depends_on or (), outputs=item.outputs, options=item.options
        )


async def submit(cluster: Cluster, wanted: Wanted) -> None:
    """Submit it and write its name; or write its manifest, or wait for its end, as is wanted.

    Raises:
        BadInput: a file is not what it should be.
        NotFound: there is no such session.
        Refused: it breaks a rule.
        WorkFailed: it was waited for, and did not succeed.
    """
    items = ItemsFile(wanted.items_file) if wanted.items_file is not None else None
    session = await cluster.client.session(await cluster.name(SESSIONS, wanted.session))
    options = TaskOptions.model_validate(wanted.options) if wanted.options else None
    name = wanted.name or f"task-{secrets.token_hex(8)}"
    if wanted.dry_run:
        draft = Draft(
            namespace=session.namespace,
            session=session.name,
            session_uid=session.uid,
            name=name,
            nonce=secrets.token_hex(8),
            payload=wanted.content,
            count=wanted.count,
            items=items,
            depends_on=wanted.dependencies(),
            outputs=list(wanted.outputs) or None,
            options=options,
        )
        # Nothing is uploaded, so what can be in the manifest has to be: it is checked, and can be applied.
        _write_manifest(cluster, plan(draft, MAX_ITEMS).task.to_object())
        return
    made = await session.submit(
        wanted.content,
        name=name,
        count=wanted.count,
        items=items,
        depends_on=wanted.dependencies(),
        outputs=list(wanted.outputs) or None,
        options=options,
    )
    if cluster.settings.form in ("table", "wide"):
        sys.stdout.write(f"{made.name}\n")
        sys.stdout.flush()
    else:
        write_object((await made.read()).to_object(), TASK, cluster.settings)
    end = ending.Wait([made.name], succeeded=False, timeout=None, allow_failed=False)
    if wanted.follow:
        await _follow(cluster, end)
    elif wanted.wait:
        await ending.wait(cluster, end)


async def _follow(cluster: Cluster, end: ending.Wait) -> None:
    """Wait for the end, and show what is printed until then and a moment longer."""

    async def lines() -> None:
        try:
            await until(cluster, TASKS, end.names, _placed, None, "it is admitted")
            await logs.show(cluster, logs.Wanted.following(end.names[0]))
        except (ClientError, CliError) as error:  # the wait does not depend on it
            remark(cluster.settings, f"what its workers print is not shown: {error}")

    showing, waiting = asyncio.create_task(lines()), asyncio.create_task(ending.wait(cluster, end))
    try:
        await asyncio.wait({showing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            showing.result()  # raises where nobody reads the lines any more
        await waiting
    finally:
        waiting.cancel()
        await asyncio.wait({showing}, timeout=LAST_LINES)
        showing.cancel()
        await asyncio.gather(showing, waiting, return_exceptions=True)


def _placed(task: Object) -> bool:
    """Whether it is known which pods compute it, or that none will."""
    return bool(text(task, "status", "partition")) or is_true(task, "Finished")


def _write_manifest(cluster: Cluster, manifest: dict[str, Any]) -> None:
    remark(cluster.settings, "nothing was submitted: --dry-run")
    if cluster.settings.form in ("table", "wide"):
        sys.stdout.write(yaml_text(manifest))
    else:
        write_object(manifest, TASK, cluster.settings)
